"""Lesson 02: what its sweep trains, on which examples, and how it measures."""

import math

import pytest
import torch

from lessons import pictures_adapter, task
from lessons.sweeps import lesson02
from minift import plotting, sweep
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.heads import TextClassifier
from minift.peft import delta, inject

ASKED = task.Task("sentiment", None, [], [], [], (0, 1))


def encoder(width=160, vocabulary=7):
    """An encoder of the shipped one's depth; parameters of blocks depend on the width alone."""
    return Encoder(EncoderConfig(vocabulary, 64, width, 4, 5))


def trained(cell):
    """How many numbers a setting trains on the shipped width, the head's apart."""
    shape = {name: value for name, value in cell.items() if name not in ("size", "lr")}
    return delta.count_parameters(lesson02.prepared(encoder(), ASKED, **shape)).trained


@pytest.mark.parametrize(("bottleneck", "blocks"), [(8, 0), (128, 1)])
def test_the_top_never_has_the_smaller_budget(bottleneck, blocks):
    """The lesson's pairs: adapters train at most what the top trains, and at least 95 % of it."""
    mine = trained(lesson02.adapter_cell(bottleneck))
    theirs = trained(lesson02.plain_cell("top", blocks=blocks))
    assert 0.95 * theirs < mine <= theirs


def test_one_place_with_twice_the_bottleneck_costs_the_same():
    """Pfeiffer's m = 64 trains as much as Houlsby's m = 32, but for one bias of c a block."""
    in_two = trained(lesson02.adapter_cell(32))
    assert in_two - trained(lesson02.adapter_cell(64, placement="pfeiffer")) == 4 * 160


def test_the_top_is_the_last_blocks():
    """Two blocks of four: blocks 2 and 3, the pooler and the head train, and nothing else."""
    model = lesson02.prepared(encoder(), ASKED, "top", blocks=2)
    names = [name for name, _ in model.named_parameters()]
    wanted = ("body.blocks.2.", "body.blocks.3.", "body.pooler.", "head.")
    assert set(inject.trainable_parameters(model)) == {n for n in names if n.startswith(wanted)}
    alone = lesson02.prepared(encoder(), ASKED, "head")
    assert set(inject.trainable_parameters(alone)) == {"head.weight", "head.bias"}


def test_a_seed_draws_the_examples(monkeypatch):
    """As many as asked for, all different and of the task; another seed draws others."""
    words = task.Task("sentiment", None, list(range(100)), [], [], (0, 1))
    monkeypatch.setattr(lesson02, "all_words", lambda context, data: words)
    drawn = [lesson02.some_words(256, 50, seed).train for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(some)) == 50 and set(some) < set(words.train) for some in drawn)
    assert lesson02.some_words(256, 50, 0, data="mine.tsv").train == words.train


def test_what_is_told_of_records():
    """A head that always says 1 by log 3: right for every 1, ln 4 nats for a 0, ln 4/3 for a 1."""
    asked = task.read_part("sentiment", "dev", 8)
    words = task.open_task("sentiment", 64, 8, 8, 8, data=None)
    model = TextClassifier(encoder(10, words.tokenizer.vocab_size), 2)
    torch.nn.init.zeros_(model.head.weight)
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([0.0, math.log(3)]))
    ones = sum(record.label for record in asked) / len(asked)
    accuracy, nats = lesson02.told(model, words, asked)
    assert accuracy == pytest.approx(100 * ones)
    assert nats == pytest.approx((1 - ones) * math.log(4) + ones * math.log(4 / 3), rel=1e-4)


def test_a_file_of_classes_of_your_own(tmp_path):
    """Sentiment takes a file of texts and labels, cut by meaning, with its own labels."""
    file = tmp_path / "mine.jsonl"
    rows = (f'{{"text": "text {n}", "label": "{"yn"[n % 2]}"}}\n' for n in range(40))
    file.write_text("".join(rows), encoding="utf-8")
    words = task.open_task("sentiment", 64, data=str(file))
    assert (len(words.train), len(words.dev), len(words.test)) == (32, 4, 4)
    assert words.labels == ("n", "y") and {example.label for example in words.train} == {0, 1}


def test_the_grid_has_what_the_pictures_show(monkeypatch):
    """Every curve and level of lesson 02's pictures finds its runs, and each finding its seeds."""
    drawn = []
    monkeypatch.setattr(plotting, "label_lines", lambda ax: drawn.append(len(ax.get_lines())))
    monkeypatch.setattr(plotting, "save", lambda made, path: path)  # drawn, not rendered: seconds
    names = ["trained", "dev_loss", "train_loss", "gap"]
    names += ["dev accuracy"]
    names += [f"{part} {what}" for part in ("test", "far") for what in ("accuracy", "nats")]
    result = dict.fromkeys(names, 1.0)
    grid = [cell for cell in lesson02.grid("0123abcd") if cell["seed"] != lesson02.TRIAL]
    rows = [{"setting": cell, "result": result} for cell in grid]
    pictures_adapter.capacity(rows, "")
    pictures_adapter.budgets(rows, "")
    pictures_adapter.domains(rows, "")
    pictures_adapter.starts(rows, dict.fromkeys((0, *lesson02.STDS), 1.0), "")
    assert len(drawn) == 12 and min(drawn) >= 2
    judged = [lesson02.adapter_cell(m, size) for m in (2, 128) for size in lesson02.SIZES]
    judged += [lesson02.adapter_cell(std=std) for std in (1e-3, 0.5)]
    judged += [lesson02.adapter_cell(64, placement="pfeiffer"), lesson02.plain_cell("full")]
    judged += [lesson02.plain_cell("top", blocks=blocks) for blocks in (0, 1)]
    for cell in judged:
        seeds = 5 if cell["size"] == lesson02.FEW else 3
        assert sum(cell.items() <= row["setting"].items() for row in rows) == seeds, cell


def test_the_rates_are_those_of_the_trials():
    """Each rate has the least dev loss of its grid in the stored trials, up to 0.002 nats."""
    rows = sweep.read(lesson02.STORED.shipped)
    losses = {sweep.key(row["setting"]): row["result"]["dev_loss"] for row in rows}
    base = {"base": rows[0]["setting"]["base"], "seed": lesson02.TRIAL}
    groups = {}
    for cell in lesson02.trials():
        group = (cell["method"], cell.get("bottleneck"))
        groups.setdefault(group, {})[cell["lr"]] = losses[sweep.key(base | cell)]
    for (method, bottleneck), tried in groups.items():
        mine = lesson02.ADAPTER_RATE[bottleneck] if bottleneck else lesson02.RATE[method]
        assert tried[mine] <= min(tried.values()) + 0.002, (method, bottleneck, tried)
