"""Lesson 06: what it counts of triplets, its grid, its pictures."""

import itertools

import pytest
import torch
from torch import nn

from lessons import pictures_adalora, triplets
from lessons.sweeps import lesson05, lesson06
from minift.peft import adalora

PLAN = {"b0": 12, "bT": 8, "total": 100, "t_i": 10, "t_f": 20}
LEVELS = [
    {"setting": {"method": "base", "seed": 0}, "result": {"dev_loss": 0.6, "exact": 0.0}},
    {"setting": pictures_adalora.FULL | {"seed": 0}, "result": {"dev_loss": 0.3, "exact": 0.5}},
]


def made_up_rows():
    """Rows as a finished sweep would leave them; AdaLoRA's ranks rise with the block."""
    rows = []
    for setting in lesson06.grid("0123abcd"):
        result = {"dev_loss": 0.3 + 0.01 * setting["seed"], "exact": 0.5, "stored": 9000}
        result["stored"] *= setting["rank"]
        if setting["method"] == "adalora":
            result |= {"gap": 0.5 - setting["gamma"], "overlap": 0.1}
            places = itertools.product(range(4), adalora.EVERY_MATRIX)
            result |= {f"rank blocks.{n}.attention.{kind}": n for n, kind in places}
        rows.append({"setting": setting, "result": result})
    return rows


def two_layers(columns):
    """A model of two AdaLoRA layers (5 → 4, 3 → 4) whose P has these columns."""
    model = nn.Sequential(*(adalora.AdaLoRALinear(nn.Linear(i, 4), 2, 4) for i in (5, 3)))
    for layer in model:
        layer.P.data = torch.tensor(columns).T
        layer.Q.data = torch.eye(2, layer.Q.shape[1])
    return model


def test_the_living_are_those_that_add_something():
    """A triplet lives where λ is not zero, of whatever sign, in the model's order."""
    model = two_layers([[1.0, 0, 0, 0], [0, 1, 0, 0]])
    assert triplets.alive(model).tolist() == [False] * 4
    model[0].lam.data[1], model[1].lam.data[0] = -0.5, 2.0
    assert triplets.alive(model).tolist() == [False, True, True, False]


def test_who_was_never_dead_does_not_come_back():
    """A triplet counts once, however often it comes back; one that stays dead does not."""
    seen = [[1, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 0], [1, 1, 0]]
    assert triplets.came_back(torch.tensor(seen).bool().unbind()) == 1


def test_gap_and_overlap_of_vectors():
    """Orthonormal: 0 and 0. P of two columns (3, 4, 0, 0)/5: R = 2 · 1² for 4 vectors, |cos| 1."""
    model = two_layers([[1.0, 0, 0, 0], [0, 1, 0, 0]])
    assert triplets.gap(model) == 0 and triplets.overlap(model) == 0
    model = two_layers([[0.6, 0.8, 0, 0], [-0.6, -0.8, 0, 0]])
    assert triplets.gap(model) == pytest.approx(0.5)
    assert triplets.overlap(model) == pytest.approx(0.5)  # the rows of Q are still at a right angle


def test_a_map_has_a_row_for_each_block():
    """Ranks by path land in their block's row and their kind's column."""
    found = triplets.as_map({"blocks.1.attention.v_proj": 3, "blocks.0.feedforward.down_proj": 2})
    assert found.tolist() == [[0, 0, 0, 0, 0, 2], [0, 0, 3, 0, 0, 0]]


def test_maps_agree_or_not():
    """Like maps correlate with 1 whatever their scale; one turned round with −1."""
    one = torch.tensor([[0.0, 1, 2], [3, 1, 0]])
    assert triplets.agreement([one, 2 * one, one]) == pytest.approx([1, 1, 1])
    assert triplets.agreement([one, one, 3 - one])[2] == pytest.approx(-1)


def test_shuffled_maps_seldom_agree():
    """Chance lies above 0 and below what two maps with the same order of 24 cells reach."""
    one = torch.arange(24.0).reshape(4, 6)
    # the correlation of two shuffled orders has sd 1/√23 = 0.21, whose 97.5 % point is 0.41
    assert triplets.by_chance([one, one]) == pytest.approx(0.41, abs=0.08)


def test_the_printed_schedule_starts_above_its_budget():
    """With 12 → 8, T = 100, tᵢ = 10, t_f = 20 the paper's print gives 16.5 at t = 10."""
    assert pictures_adalora.printed(10, **PLAN) == pytest.approx(16.5016, abs=1e-3)
    assert adalora.budget(10, **PLAN) == 12


def test_both_methods_end_with_the_same_number_of_triplets():
    """A seed's runs of LoRA and AdaLoRA pair up, and AdaLoRA never begins below its end."""
    grid = lesson06.grid("0123abcd")
    for rank in lesson06.STARTS:
        for at in lesson06.RIVALS.values():
            seeds = [row["seed"] for row in grid if at(rank).items() <= row.items()]
            assert sorted(seeds) == [0, 1, 2, 3, 4][: 3 if rank == 4 else 5]
    assert all(row["start"] >= row["rank"] for row in grid if row["method"] == "adalora")


def test_a_rate_is_one_of_those_tried():
    """The rate that every run has was tried with the first seed, among others."""
    grid = lesson06.grid("0123abcd")
    for name, rates in lesson06.RATES.items():
        assert lesson06.RATE[name] in rates
        tried = [lesson06.AT[name](lesson06.TRIED, lr=lr) | {"seed": 0} for lr in rates]
        assert all(any(one.items() <= row.items() for row in grid) for one in tried)


@pytest.fixture
def unsaved(monkeypatch):
    """A picture function returns its figure and writes nothing."""
    monkeypatch.setattr(pictures_adalora.plotting, "save", lambda made, path: made)


def test_the_rank_map_tells_mean_and_spread(unsaved):
    """A panel a budget, with mean ± sd over the seeds in each of the 4 · 6 cells."""
    axes = pictures_adalora.ranks(made_up_rows(), None).axes
    assert len(axes) == len(lesson06.STARTS)
    for ax in axes:
        told = {(text.get_position()): text.get_text() for text in ax.texts}
        assert len(told) == 24 and told[5, 2] == "2.0\n± 0.0"


def test_the_grid_has_what_the_pictures_of_lesson_06_show(unsaved):
    """Every curve and dot of the other pictures finds its runs, and the baselines are there."""
    rows = made_up_rows()
    for ax in pictures_adalora.against(rows, LEVELS, None).axes:
        labels = [text.get_text() for text in ax.texts]
        assert labels == ["base, frozen", "full fine-tuning", "LoRA", "AdaLoRA"]
    gaps, _, losses = pictures_adalora.orthogonality(rows, LEVELS, None).axes
    assert [text.get_text() for text in gaps.texts] == ["0.500", "0.400"]
    assert [text.get_text() for text in losses.texts] == ["0.310", "0.320"]  # means of 3, 5 seeds


def test_the_budget_is_drawn_beside_its_formula(unsaved):
    """The circles of the library's b(t) lie on the counted curve where it is counted right."""
    counted = [adalora.budget(t, **PLAN) for t in range(1, 101)]
    lines = {
        line.get_label(): line
        for line in pictures_adalora.budget(counted, PLAN, None).axes[0].get_lines()
    }
    circles = [line for line in lines.values() if line.get_marker() == "o"]
    assert list(lines["AdaLoRA, counted"].get_ydata()) == counted
    assert all(counted[x - 1] == y for x, y in circles[0].get_xydata().astype(int))


def test_lesson_06_is_held_to_lesson_05():
    """Its baselines are lesson 05's runs: as many steps, and a full run at the rate shown."""
    assert lesson06.STEPS == lesson05.STEPS
    full = [row for row in lesson05.grid("0123abcd") if row["method"] == "full"]
    assert any(pictures_adalora.FULL.items() <= row.items() for row in full)
