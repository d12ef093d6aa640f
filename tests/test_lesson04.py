"""Lesson 04: the random control, what is watched of the biases, and the grid of its runs."""

import copy

import pytest
import torch

from lessons import biases, pictures_bitfit, scalars
from lessons.sweeps import lesson04, lesson05
from minift import sweep
from minift.models.encoder import EncoderConfig
from minift.peft import bitfit, inject
from tests import contract
from tests.compare import close, hold_bits


def classifier():
    """A small encoder under a head."""
    return contract.CLASSIFIERS["encoder classifier"]()


def trained():
    """The same with biases that BitFit has moved away from the base's."""
    model = bitfit.bitfit(classifier())
    with torch.no_grad():
        for number, bias in enumerate(bitfit.biases(model).values(), 1):
            bias += 0.01 * number
    return model


# ---- the control ----


def test_as_many_scalars_as_asked_are_drawn():
    """A mask a tensor of the base, together exactly `count` scalars; another seed, other ones."""
    model = classifier()
    drawn, other = (scalars.masks(model, 101, seed) for seed in (0, 1))
    assert drawn.keys() == dict(model.body.named_parameters()).keys()
    assert sum(int(mask.sum()) for mask in drawn.values()) == 101
    assert sum(mask.any() for mask in drawn.values()) > 5
    assert any(not torch.equal(drawn[name], other[name]) for name in drawn)


def steps(decay):
    """(base before, after three steps of AdamW at this weight decay, masks, model)."""
    model = classifier()
    before, chosen = copy.deepcopy(model), scalars.masks(model, 101, 7)
    scalars.free_scalars(model, 101, 7)
    for _ in range(3):
        contract.step(model, weight_decay=decay)
    return before, model, chosen


def test_only_the_drawn_scalars_move():
    """What was not drawn stays to the last bit; most of what was drawn moves, and the head."""
    before, model, chosen = steps(decay=0.0)
    moved = 0
    for name, mask in chosen.items():
        old, new = (m.body.get_parameter(name) for m in (before, model))
        hold_bits(new[~mask], old[~mask], name)
        moved += int((new[mask] != old[mask]).sum())
    assert moved > 50
    assert not torch.equal(model.head.weight, before.head.weight)


def test_weight_decay_would_reach_what_was_not_drawn():
    """Decay needs no gradient, which is why the runs of this lesson have none."""
    before, model, chosen = steps(decay=0.1)
    names = [name for name, mask in chosen.items() if mask.any()]
    old, new = (torch.cat([m.body.get_parameter(n)[~chosen[n]] for n in names])
                for m in (before, model))  # fmt: skip
    assert (old != new).float().mean() > 0.9


# ---- what is watched ----


@pytest.mark.parametrize(
    ("sizes", "all_of_them", "subset"),
    [((30522, 512, 768, 12, 12), 102_912, 46_080), ((97, 11, 21, 5, 3), 5 * 11 * 21 + 42, 525)],
)
def test_biases_are_counted(sizes, all_of_them, subset):
    """l(7c + f) + 2c biases and l(c + f) in the subset, of all numbers of the encoder."""
    vocabulary, context, c, layers, _ = sizes
    weights = (vocabulary + context + 2) * c + layers * (12 * c * c + 2 * c) + c + c * c
    want = (all_of_them, subset, weights + all_of_them)
    assert biases.count_biases(EncoderConfig(*sizes)) == want


def test_the_largest_gradient_of_a_kind():
    """It is the slope of the mean loss along that bias, measured by moving it a little."""
    model = bitfit.bitfit(classifier().double())
    batch, slopes = contract.batch(model), []
    found = biases.bias_gradients(model, batch)
    bias, width = bitfit.biases(model)["pooler"], 1e-2
    for place in range(len(bias)):
        ends = []
        for way in (width, -2 * width):
            bias.data[place] += way
            ends.append(model.loss(batch).item() / batch.targets)
        bias.data[place] += width
        slopes.append(abs(ends[0] - ends[1]) / (2 * width))
    close(found["pooler"], max(slopes), "pooler", rtol=0.01)  # the loss is taken in 32 bits
    close(found["k_proj"], 0.0, "b_k", atol=1e-12 * found["q_proj"])
    assert all(p.grad is None for p in model.parameters())


def test_moves_are_mean_distances_from_the_base():
    """Bias number n, in the model's order, was moved by n hundredths."""
    names = list(bitfit.biases(classifier()))
    found = biases.bias_moves(trained())
    assert list(found) == names
    for number, name in enumerate(names, 1):
        close(found[name], 0.01 * number, name)


def test_a_base_with_biases_of_known_size():
    """Mean absolute values of the base's biases, with and without a head around it."""
    base = contract.tiny_encoder()
    for number, bias in enumerate(bitfit.biases(base).values(), 1):
        bias.data = number * torch.tensor([1.0, -1.0]).repeat(len(bias) // 2)
    want = dict(zip(bitfit.biases(base), range(1, 99), strict=False))
    assert biases.sizes_of_biases(base) == pytest.approx(want)


@pytest.mark.parametrize("kind", ["v_proj", "norm1", "pooler"])
def test_one_kind_is_put_back(kind):
    """In the copy that kind is the base's and all others are as trained; the model keeps all."""
    model, base = trained(), bitfit.biases(classifier())
    before = {name: bias.clone() for name, bias in bitfit.biases(model).items()}
    back = bitfit.biases(biases.put_back(model, kind))
    for name, bias in bitfit.biases(model).items():
        hold_bits(bias, before[name], name)
        hold_bits(back[name], base[name] if inject.matches(name, [kind]) else before[name], name)


def test_every_bias_has_a_kind():
    """The kinds that are watched share out all biases of an encoder, none twice."""
    model = classifier()
    found = [name for kind in biases.kinds_of(model) for name in biases.of_kind(model, kind)]
    assert sorted(found) == sorted(bitfit.biases(model))


# ---- the runs ----


def stored():
    """Rows as a finished sweep would leave them, with numbers made up."""
    names = list(bitfit.biases(contract.tiny_gpt()))
    result = dict.fromkeys(("dev", "test", "far", "dev_loss", "exact", "trained"), 7.0)
    result |= {f"moved {name}": 0.5 for name in names}
    result |= {f"without {kind}": 0.25 for kind in (*biases.KINDS, "norm")}
    return [{"setting": one, "result": result} for one in lesson04.grid("0123abcd")]


def test_the_grid_has_every_setting_that_is_read():
    """Five seeds for each rival and size, three for what is beside; none twice."""
    rows = [row for row in stored() if row["setting"]["seed"] != lesson04.TRIAL]
    want = {5: [lesson04.cell(m, n) for m in pictures_bitfit.LOOKS for n in lesson04.SIZES]}
    want[3] = [lesson04.cell(kind) for kind in lesson04.ALONE] + [lesson04.HEADLINE]
    want[3] += [lesson04.cell(m, family="encoder") for m in lesson04.RATE["encoder", 2000]]
    for seeds, settings in want.items():
        for one in settings:
            assert sum(one.items() <= row["setting"].items() for row in rows) == seeds, one
    assert len({str(row["setting"]) for row in stored()}) == len(stored())


def test_the_rates_are_those_of_the_trials():
    """Each method has, for each base and size, the rate of the least dev loss that is stored."""
    assert lesson04.best(sweep.read(lesson04.STORED.shipped)) == lesson04.RATE


@pytest.mark.parametrize("draw", ["rivals", "rates", "kinds"])
def test_the_pictures_find_their_runs(draw, tmp_path):
    """Every curve and row of dots of the lesson has its runs."""
    path = getattr(pictures_bitfit, draw)(stored(), tmp_path / "figure.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_headlines_stand_beside_lora(tmp_path):
    """The last picture finds the GPT's run, and those of lesson 05."""
    result = {"dev_loss": 1.0, "bleu": 50.0, "exact": 0.5, "trained": 2048}
    rows = [{"setting": one, "result": result} for one in lesson05.grid("0123abcd")]
    path = pictures_bitfit.headlines(stored(), rows, tmp_path / "figure.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_heat_map_is_block_by_kind():
    """Moves of 0.5 against the sizes of the base's biases, in blocks and kinds."""
    base = contract.tiny_gpt()
    for bias in bitfit.biases(base).values():
        bias.data.fill_(-2.0)
    ways, shares = pictures_bitfit.move_tables(stored(), base)
    close(ways, torch.full((2, len(biases.KINDS)), 0.5), "mean |Δb|")
    close(shares, torch.full((2, len(biases.KINDS)), 0.25), "share")


def test_lora_has_as_many_numbers():
    """Rank 3 on q and v has 4 · 3 · c numbers a block, the biases 11c and a little."""
    block = 4 * lesson04.RANK
    assert abs(block / 11.5 - 1) < 0.05  # four blocks: 11c + 2c/4


@pytest.mark.parametrize(
    ("method", "head_alone"), [("head", True), ("random", False), ("norm2", False)]
)
def test_what_a_method_of_the_sweep_trains(method, head_alone):
    """The head in each; the count is the number of scalars that can move."""
    model, count = lesson04.let_train(classifier(), method, seed=0)
    names = set(inject.trainable_parameters(model))
    assert {"head.weight", "head.bias"} <= names
    assert (len(names) == 2) == head_alone
    # two layers of width 12: 11c a layer and 2c; norm2 has c a layer
    assert count == {"head": 0, "random": 2 * 11 * 12 + 2 * 12, "norm2": 2 * 12}[method]
