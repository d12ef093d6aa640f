"""Figures: colours that all readers can tell apart, labels that do not cover each other."""

import itertools
import random

import numpy
import pytest

from minift import plotting

# Linear RGB as seen without green and without red receptors (Machado et al. 2009, full severity).
NO_GREEN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881]]  # fmt: skip
NO_RED = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
          [-0.003882, -0.048116, 1.051998]]  # fmt: skip
SIGHTS = [numpy.eye(3), NO_GREEN, NO_RED]
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175],
          [0.0193339, 0.119192, 0.9503041]]  # fmt: skip


def linear(colour):
    """'#0072B2' as three linear intensities."""
    values = numpy.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return numpy.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour, sight):
    """The colour in CIELAB, where a distance of about 2 is just seen, for one kind of sight."""
    seen = numpy.clip(numpy.array(sight) @ linear(colour), 0, 1)
    xyz = numpy.array(TO_XYZ) @ seen / [0.95047, 1.0, 1.08883]
    x, y, z = numpy.where(xyz > 0.008856, numpy.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return numpy.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS, ids=["all", "no green", "no red"])
def test_every_two_colours_are_told_apart(sight):
    """CIELAB distance of at least 15 between every two methods, for each kind of sight."""
    for (one, a), (two, b) in itertools.combinations(plotting.COLOURS.items(), 2):
        assert numpy.linalg.norm(lab(a, sight) - lab(b, sight)) >= 15, (one, two)


def test_every_colour_stands_out_on_white():
    """A contrast of at least 2.5 : 1 with the page (W3C's formula)."""
    for name, colour in plotting.COLOURS.items():
        luminance = numpy.array(TO_XYZ)[1] @ linear(colour)
        assert 1.05 / (luminance + 0.05) >= 2.5, name


def test_labels_keep_their_distance_and_move_least():
    """Against a search on a grid: `gap` apart, order kept, the least sum of squared moves."""
    draw = random.Random(0)
    for _ in range(20):
        heights = [draw.randint(0, 7) for _ in range(3)]
        got = plotting.apart(heights, 2, low=0, high=7)
        order = sorted(range(3), key=lambda i: heights[i])
        places = numpy.arange(0, 7.01, 0.5)
        want = min(
            sum((p - heights[i]) ** 2 for p, i in zip(chosen, order, strict=True))
            for chosen in itertools.product(places, repeat=3)
            if chosen[1] - chosen[0] >= 2 and chosen[2] - chosen[1] >= 2
        )
        moved = sum((p - h) ** 2 for p, h in zip(got, heights, strict=True))
        ranked = [got[i] for i in order]
        assert ranked[0] >= 0 and ranked[2] <= 7
        assert min(b - a for a, b in itertools.pairwise(ranked)) >= 2 - 1e-9
        assert moved <= want + 1e-9 and moved >= want - 1.0  # the grid is half a unit fine


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_labels_do_not_overlap_in_the_figure(scale):
    """All methods ending at nearly one height: the drawn texts are disjoint, in their colours."""
    made, ax = plotting.figure()
    for i, method in enumerate(plotting.COLOURS):
        ax.plot([0, 1, 2], [2, 1, 0.5 + 0.001 * i], **plotting.style(method))
    ax.plot([0, 1], [float("nan")] * 2, label="never finite")
    ax.set_yscale(scale)
    plotting.label_lines(ax)
    made.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert [t.get_text() for t in ax.texts] == list(plotting.COLOURS)
    assert [t.get_color() for t in ax.texts] == list(plotting.COLOURS.values())
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_an_unknown_method_has_no_colour():
    """The error lists the methods there are."""
    with pytest.raises(ValueError, match="no colour for method 'rola'; there are: base, full"):
        plotting.style("rola")


def test_the_same_numbers_give_the_same_file(tmp_path):
    """Two PNG files of one history are byte-equal; rows without an evaluation are skipped."""
    history = [{"step": s, "loss": 3 / s} | ({"dev_loss": 4 / s} if s % 5 == 0 else {})
               for s in range(1, 21)]  # fmt: skip
    paths = [plotting.loss_curve(history, tmp_path / name, "lora") for name in ("a.png", "b.png")]
    one, two = (path.read_bytes() for path in paths)
    assert one == two and one.startswith(b"\x89PNG") and b"matplotlib" not in one.lower()
