"""Lesson 08: what is read of gates, what is chosen on dev, what leaks, what the grid holds."""

import pytest
import torch

from lessons import gates, pictures_unipelt
from lessons.sweeps import lesson08
from minift.batching import Encoded, pad
from minift.peft import delta, inject, unipelt
from tests import contract
from tests.compare import close

TEXTS = [
    Encoded((1, *ids), (False, False, *[True] * (len(ids) - 1))) for ids in ((5, 6, 7), (8, 9))
]


def gated(make=contract.tiny_gpt):
    """A tiny model with UniPELT in it."""
    torch.manual_seed(1)
    return unipelt.add_unipelt(make(), length=3, rank=2, bottleneck=5, hidden=7).eval()


def result_of(setting, blocks=4):
    """The columns that a run of this setting would leave, with numbers made up."""
    found = {"dev_loss": 1.0, "trained": 9}
    if setting["name"] != "zh_en":
        found["dev"] = 60.0
    if setting["name"] != "zh_en" and setting["seed"] not in lesson08.TRIALS:
        found["test"] = 70.0
    if setting["method"] == "unipelt":
        places = {(part, block): torch.rand(5) for part in gates.GATED for block in range(blocks)}
        found |= gates.columns(places)
    return found


def stored():
    """Rows as a finished sweep would leave them."""
    return [{"setting": one, "result": result_of(one)} for one in lesson08.grid("0123abcd")]


def test_every_gate_is_found_once():
    """Four a block, part by part and block by block; together they have 4 (c + 1) l numbers."""
    found = gates.gates_of(gated())
    assert list(found) == [(part, block) for part in gates.GATED for block in (0, 1)]
    assert len({id(gate) for gate in found.values()}) == 8
    assert sum(p.numel() for gate in found.values() for p in gate.parameters()) == 4 * 13 * 2


def test_a_held_gate_is_half_open_and_does_not_learn():
    """G is ½ for all texts, and no gate is among what trains; the three parts still are."""
    model = gates.hold_still(gated())
    for each in gates.values_of(model, TEXTS, 0).values():
        assert each.tolist() == [0.5, 0.5]
    names = inject.trainable_parameters(model)
    assert names and not any("gate" in name for name in names)


@pytest.mark.parametrize("make", [contract.tiny_gpt, contract.tiny_classifier])
def test_values_are_those_of_each_text_alone(make):
    """A gate's values come in the order of the texts, whatever they are padded with."""
    labelled = [Encoded((1, 5, 6), (False,) * 3, 0), Encoded((7,), (False,), 1)]
    texts = TEXTS if make is contract.tiny_gpt else labelled
    model = gated(make)
    together = gates.values_of(model, texts, 0)
    alone = [gates.values_of(model, [text], 0) for text in texts]
    for place, each in together.items():
        close(each, torch.cat([one[place] for one in alone]), str(place))
    assert not any(gate._forward_hooks for gate in gates.gates_of(model).values())


def test_columns_are_mean_and_deviation_over_texts():
    """G = .2, .4 is .3 on average and √.02 apart."""
    found = gates.columns({("prefix", 1): torch.tensor([0.2, 0.4])})
    assert found == pytest.approx({"gate prefix 1": 0.3, "texts prefix 1": 0.02**0.5})


def test_spreads_tell_blocks_texts_and_seeds_apart():
    """Two seeds, two blocks: .2 and .4 in one, .4 and .6 in the other; texts .1 apart."""
    runs = []
    for seed, start in enumerate((0.2, 0.4)):
        result = {}
        for part in gates.GATED:
            result |= {f"gate {part} 0": start, f"gate {part} 1": start + 0.2}
            result |= {f"texts {part} 0": 0.1, f"texts {part} 1": 0.1}
        runs.append({"setting": {"method": "unipelt", "seed": seed}, "result": result})
    mean, blocks, texts, seeds = gates.spreads(runs, {"method": "unipelt"})["prefix"]
    assert (mean, texts) == pytest.approx((0.4, 0.1))
    assert blocks == pytest.approx(0.02**0.5) and seeds == pytest.approx(0.02**0.5)


def test_the_future_leaks_through_a_gate_over_all_positions():
    """One token of the answer changes: logits before it move only where gates pool over it."""
    model, batch = gated(), pad([Encoded((1, 5, 6, 7, 8, 9), (False,) * 3 + (True,) * 3)], 0)
    told = gates.moved(model, batch, 4, 11)
    assert len(told) == 6 and told[:4] == [0.0] * 4 and min(told[4:]) > 0
    for gate in gates.gates_of(model).values():
        gate.masked = False
    assert min(gates.moved(model, batch, 4, 11)) > 0


def test_the_parts_are_those_of_unipelt():
    """Prefix, LoRA and adapter store together what UniPELT stores without its gates."""
    words = lesson08.all_of("sentiment", 256)
    kinds = (*lesson08.PARTS, "unipelt")
    models = [lesson08.starting_point(contract.tiny_encoder(), words, kind) for kind in kinds]
    *parts, whole = [delta.count_parameters(model).stored for model in models]
    assert sum(parts) == whole - 4 * 13 * 2


def test_a_head_alone_trains_on_the_frozen_base():
    """base: two rows of the head and their biases, no more."""
    words = lesson08.all_of("sentiment", 256)
    model = lesson08.starting_point(contract.tiny_encoder(), words, "base")
    assert set(inject.trainable_parameters(model)) == {"head.weight", "head.bias"}


def test_dev_chooses_and_test_does_not():
    """The best part and rate are those of the highest dev accuracy; its loss decides a tie."""
    runs = [
        {
            "setting": lesson08.cell(part, 50) | {"seed": 0},
            "result": {"dev": dev, "dev_loss": loss, "test": 100 - dev},
        }
        for part, dev, loss in (("prefix", 60, 1.0), ("lora", 70, 2.0), ("adapter", 70, 1.0))
    ]
    assert lesson08.best_part(runs, 50) == "adapter"
    trials = [
        {"setting": lesson08.cell("lora", lr=lr), "result": {"dev": dev, "dev_loss": 1.0}}
        for lr, dev in zip(lesson08.RATES["sentiment"]["lora"], (60, 80, 70), strict=True)
    ]
    assert lesson08.best_rate(trials, "sentiment", "lora") == 1e-3


def test_the_grid_of_lesson_08_has_what_is_shown(tmp_path):
    """Every curve, row and finding has its runs: five seeds, three on a GPT; no trial is shown."""
    trials, runs = lesson08.trials_and_runs(stored())
    for draw in (pictures_unipelt.by_block, pictures_unipelt.few):
        assert draw(runs, tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "70.0 ± 0.0" in lesson08.table(runs)
    for method in lesson08.RATE["sentiment"]:
        for size in lesson08.SIZES:
            assert len(lesson08.of(runs, lesson08.cell(method, size))) == 5
    for name, choice in lesson08.RATES.items():
        for method, rates in choice.items():
            wanted = {"name": name, "method": method}
            tried = [row["setting"] for row in trials if wanted.items() <= row["setting"].items()]
            assert {one["lr"] for one in tried} == set(rates) >= {lesson08.RATE[name][method]}
    for name, (_, size) in pictures_unipelt.STUDIES.items():
        assert len(lesson08.of(runs, lesson08.cell("unipelt", size, name))) in (3, 5)
    for method in lesson08.RATE["encoder"]:
        assert len(lesson08.of(runs, lesson08.cell(method, 500, "encoder"))) == 3


def test_each_rate_is_that_of_its_best_trial():
    """The rates that the shipped runs were made at are the ones that their trials ask for."""
    trials, _ = lesson08.trials_and_runs(lesson08.sweep.read(lesson08.STORED.shipped))
    for name in lesson08.RATES:
        for method, rate in lesson08.RATE[name].items():
            assert lesson08.best_rate(trials, name, method) == rate, (name, method)


def test_pictures_of_a_leak_and_of_costs(tmp_path):
    """Both are drawn from the numbers that the lesson hands over."""
    leak = {"all": [0.5, 0.5, 1.0], "prompt": [0.0, 0.0, 1.0]}
    assert pictures_unipelt.leak(leak, 2, tmp_path / "leak.png").stat().st_size > 0
    times = {"base": [1.0, 1.1, 1.0], "lora": [1.2, 1.2, 1.1], "unipelt": [1.5, 1.6, 1.5]}
    assert pictures_unipelt.costs(times, tmp_path / "costs.png").stat().st_size > 0
