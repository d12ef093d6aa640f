"""Lesson 09: what it counts and times, what its sweep runs, what its pictures show."""

import copy
import itertools

import pytest
import torch

from lessons import costs, pictures_blocks, pictures_tables, settings
from lessons.sweeps import lesson09
from minift import batching, sweep, train
from minift.encoding import Encoded
from minift.models.block import PostNormBlock, PreNormBlock
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.gpt import GPT, GPTConfig
from minift.peft import delta, inject, methods

BASE = "0123abcd"
BATCH = batching.pad(
    [Encoded((1, 2, 3, 4, 5), (0, 0, 1, 1, 1)), Encoded((1, 6, 7), (0, 0, 1))], pad_id=0
)


@pytest.fixture
def gpt():
    """A small GPT that a method may go into."""
    torch.manual_seed(0)
    return GPT(GPTConfig(vocab_size=11, context=32, d_model=14, n_layers=2, n_heads=2))


def row(setting, score=50.0, loss=1.0):
    """A finished run with made-up numbers."""
    result = {"dev_loss": loss, "trained": 9, "stored": 10 + 7 * len(setting["method"])}
    return {"setting": setting, "result": result | {"dev bleu": score, "test bleu": score / 2}}


def finished():
    """The rows of a whole sweep: first the rates, then what rests on them."""
    for one in lesson09.grid(BASE):
        sweep.append(lesson09.STORED.file, row(one, score=50 - abs(one["lr"] - 3e-3)))
    old = sweep.read(lesson09.STORED.file)
    return old + [row(one) for one in lesson09.grid(BASE)[len(old) :]]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty folder of results."""
    monkeypatch.setattr(settings, "RESULTS", tmp_path)
    monkeypatch.setattr(settings, "FAST", False)
    return tmp_path


def test_the_second_stage_follows_the_first(results):
    """Only a method whose four rates were tried gets more seeds, at the best one."""
    first = lesson09.grid(BASE)
    assert len(first) == 1 + 4 * 2 * len(lesson09.METHODS)
    for one in first[1:5]:
        sweep.append(lesson09.STORED.file, row(one, score=90 - abs(one["lr"] - 1e-4)))
    method, size = first[1]["method"], first[1]["size"]
    more = [one for one in lesson09.grid(BASE) if one not in first]
    assert more == [
        {"base": BASE, **lesson09.cell(method, size, 1e-4, seed)} for seed in lesson09.SEEDS[1:]
    ]
    assert lesson09.grid("ffffffff") == [{**one, "base": "ffffffff"} for one in first]


def test_the_grid_has_what_lesson_09_shows(results):
    """Each method has five seeds of both sizes at its rate, and three on random weights."""
    rows = finished()
    for method, size in itertools.product(lesson09.METHODS, lesson09.SIZES):
        own = lesson09.own(rows, method, size)
        seeds = [one["setting"]["seed"] for one in rows if lesson09.is_run(one, own)]
        assert sorted(seeds) == [0, 1, 2, 3, 4]
    for method in lesson09.METHODS:
        pair = (method, lesson09.SIZES[-1])
        gaps = lesson09.gaps(rows, "dev bleu", pair, (*pair, "random"))
        assert gaps == pytest.approx([0.0] * 3, abs=0.01)


def test_lesson_09_is_drawn_from_its_runs(results, monkeypatch):
    """The table and the pictures take mean and spread of a method at its own rate, and no trial."""
    thin = {method: lesson09.METHODS[method] for method in ("full", "lora")}
    monkeypatch.setattr(lesson09, "METHODS", thin)
    rows, times = finished(), {name: [1.0, 2.0] for name in ("base", *thin)}
    mine = {method: lesson09.rate(rows, method, 100) for method in thin}
    for one in rows:
        trial = one["setting"]["lr"] != mine.get(one["setting"]["method"], 0)
        one["result"]["dev bleu"] -= 40 if trial else 0
    held = dict.fromkeys(("weights", "gradients", "optimiser", "activations"), 1e6)
    memory = dict.fromkeys(thin, held)
    told = pictures_tables.table(rows, memory, times, times).splitlines()
    assert len(told) == 3 + len(thin) and len({len(line) for line in told}) == 1
    assert told[-1].count("50.0 ± 0.0") == 2 and told[-1].count("25.0 ± 0.0") == 2
    made = [
        pictures_tables.scatter(rows, results / "scatter.png"),
        pictures_tables.rates(rows, results / "rates.png"),
        pictures_tables.costs(memory, times, times, results / "costs.png"),
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)


def test_a_rate_is_chosen_of_four():
    """The best score of seed 0 from the base decides; three of four rates decide nothing."""
    tried = lesson09.trials("lora", 100)
    rows = [row(one, score) for one, score in zip(tried, (50, 70, 60, 10), strict=True)]
    rows.append(row({**tried[0], "seed": 1}, 90))
    rows.append(row({**tried[0], "start": "random"}, 90))
    assert lesson09.rate(rows, "lora", 100) == tried[1]["lr"]
    assert lesson09.rate(rows[1:], "lora", 100) is None


def test_scores_are_compared_seed_by_seed():
    """A gap is of one seed, in the seeds' order; a seed that one side lacks is left out."""
    rows = []
    for method, scores in (("full", {2: 5.0, 0: 7.0}), ("lora", {0: 1.0, 1: 2.0, 2: 3.0})):
        for setting in lesson09.trials(method, 100):
            rows.append(row(setting, scores[0], loss=setting["lr"]))
        lr = lesson09.METHODS[method][1][0]
        rows += [row(lesson09.cell(method, 100, lr, s), scores[s]) for s in scores if s]
    assert lesson09.gaps(rows, "dev bleu", ("full", 100), ("lora", 100)) == [6.0, 2.0]


def test_adalora_ends_where_lora_is(gpt):
    """AdaLoRA changes LoRA's matrices by as large a scale, and may keep as many triplets."""
    lora, adalora = (lesson09.put(copy.deepcopy(gpt), m) for m in ("lora", "adalora"))
    spots = [[spot.path for spot in inject.attachments(one)] for one in (lora, adalora)]
    assert spots[0] == spots[1] and len(spots[0]) == 4
    assert adalora.delta.arguments["target_rank"] == lora.delta.arguments["rank"]
    scales = {m.scale for one in (lora, adalora) for m in one.modules() if hasattr(m, "scale")}
    assert scales == {2.0}


def test_a_storage_counts_once():
    """Two views of one tensor are its bytes once; a slice keeps all of what it was cut from."""
    whole = torch.zeros(5, 7)
    assert costs.bytes_of([whole, whole.T, whole[0], torch.zeros(3)]) == 4 * (35 + 3)
    assert costs.bytes_of([whole[:1]]) == 4 * 35


@pytest.mark.parametrize("method", lesson09.METHODS)
def test_memory_is_what_a_step_holds(gpt, method):
    """Of each number that trains gradients take 4 bytes, moments 8; each tensor has a counter."""
    model = lesson09.put(gpt, method)
    held = costs.memory(costs.Step(model, BATCH))
    trained, tensors = delta.count_parameters(model).trained, 0
    tensors = sum(p.requires_grad for p in model.parameters())
    assert held["gradients"] == 4 * trained
    assert held["optimiser"] == 8 * trained + 4 * tensors
    assert held["weights"] >= 4 * sum(p.numel() for p in model.parameters())


def test_weights_are_no_activations():
    """Of W₂ W₁ x the graph keeps x and W₁ x, for the two gradients; W₂, which it needs, too, is
    no activation.
    """

    class Two(torch.nn.Sequential):
        x, targets = torch.ones(2, 3), 1

        def loss(self, batch):
            return self(batch.x).sum()

    model = Two(torch.nn.Linear(3, 5), torch.nn.Linear(5, 7))
    assert costs.kept_for_backward(costs.Step(model, model)) == 4 * (2 * 3 + 2 * 5)


def test_frozen_weights_keep_less_for_the_backward_pass(gpt):
    """With its biases alone a model keeps fewer activations, and with no gradient none at all."""
    full, thin = (lesson09.put(copy.deepcopy(gpt), m) for m in ("full", "bitfit"))
    kept = [costs.kept_for_backward(costs.Step(model, BATCH)) for model in (full, thin)]
    assert 0 < kept[1] < kept[0]
    step = costs.Step(thin, BATCH)
    with torch.no_grad():
        assert costs.kept_for_backward(step) == 0


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("full", {}), ("adalora", {"rank": 3, "target_rank": 1, "total": 4, "t_i": 0, "t_f": 1})],
)
def test_the_timed_step_is_the_loops(gpt, method, arguments):
    """A step leaves the weights that `train.fit` leaves, AdaLoRA's term and choice included."""
    mine = methods.add(gpt, method, **arguments)
    theirs = copy.deepcopy(mine)
    costs.Step(mine, BATCH, lr=1e-2)()
    how = {"steps": 1, "lr": 1e-2, "device": "cpu", "quiet": True}
    train.fit(theirs, [BATCH], GPT.loss, **how, **methods.while_training(theirs))
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)


def levels_of(model, method=None):
    """The levels of a model's first block, as a forward pass of four tokens goes through them."""
    model = lesson09.put(model, method) if method else model
    block = next(m for m in model.modules() if isinstance(m, (PreNormBlock, PostNormBlock)))
    return pictures_blocks.traced(block, lambda: model(torch.tensor([[1, 2, 3, 4]])))


def names_of(levels):
    """The names on each level, with a + before it where something is added."""
    short = [[name.rpartition(".")[2] for name in level.parts] for level in levels]
    adds = ["" if level.skip is None else "+ " for level in levels]
    return [add + " ".join(names) for add, names in zip(adds, short, strict=True)]


PLAIN = ["norm1", "q_proj k_proj v_proj", "out_proj", "+ norm2", "up_proj", "down_proj", "+ "]
ENDS, SUBLAYERS = ("out_proj", "down_proj"), ("attention", "feedforward")


def test_a_block_is_drawn_as_it_runs(gpt):
    """What reads the same tensor shares a level, and both adds are found, from the right level."""
    levels = levels_of(gpt)
    assert names_of(levels) == PLAIN
    assert [level.skip for level in levels] == [None, None, None, 0, None, None, 3]
    assert levels[-1].parts == {} and not gpt.blocks[0].norm1._forward_hooks


def test_a_post_norm_block_is_drawn_as_it_runs():
    """In an encoder's block the adds come before the norms."""
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(vocab_size=11, context=8, d_model=14, n_layers=1, n_heads=2))
    found = names_of(levels_of(encoder))
    wanted = ["q_proj k_proj v_proj", "out_proj", "+ norm1", "up_proj", "down_proj", "+ norm2", ""]
    assert found == wanted


@pytest.mark.parametrize(
    ("method", "swaps"),
    [
        ("adapter", {p: f"{p} after_{s}" for p, s in zip(ENDS, SUBLAYERS, strict=True)}),
        ("prefix", {"q_proj k_proj": "prefix q_proj k_proj"}),
        ("lora", {}),
        ("bitfit", {}),
    ],
)
def test_a_method_is_drawn_where_it_moved_in(gpt, method, swaps):
    """Adapters stand between a sub-layer and its add, slots beside q, k and v; LoRA in a layer."""
    wanted = " ".join(PLAIN)
    for old, new in swaps.items():
        wanted = wanted.replace(old, new)
    levels = levels_of(gpt, method)
    assert " ".join(names_of(levels)) == wanted
    assert sum(level.skip is not None for level in levels) == 2


def test_a_box_tells_what_trains(gpt):
    """Sizes of matrices that train, names of vectors, numbers of slots; whether some is frozen."""
    told = {}
    for method in ("adapter", "prefix", "bitfit", "lora"):
        for level in levels_of(copy.deepcopy(gpt), method):
            for name, part in level.parts.items():
                told[method, name.rpartition(".")[2]] = pictures_blocks.told(part)
    assert told["adapter", "after_attention"] == (False, ["down_proj 8×14", "up_proj 14×8"])
    assert told["adapter", "norm1"] == (False, ["weight, bias"])
    assert told["prefix", "prefix"] == (False, ["10 keys,", "10 values"])
    assert told["bitfit", "up_proj"] == (True, ["bias"])
    assert told["lora", "q_proj"] == (True, ["A 8×14", "B 14×8"])
    assert told["lora", "k_proj"] == (True, [])


def test_the_blocks_are_drawn(gpt, tmp_path):
    """Blocks with different methods make one picture."""
    thin = {m: lesson09.put(copy.deepcopy(gpt), m) for m in ("adapter", "unipelt")}
    path = pictures_blocks.blocks(thin, torch.tensor([[1, 2, 3]]), tmp_path / "blocks.png")
    assert path.read_bytes().startswith(b"\x89PNG")
