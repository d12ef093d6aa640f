"""The long runs of lesson 09, lessons/results/09_tables.jsonl: `python -m lessons sweep 09`.

Every method tunes the shipped base on headlines, with 100 and with 2,000 examples. First each gets
four learning rates with one seed, and the rate of the best `SCORE` is its own at that size; then
four more seeds at that rate, and three seeds from frozen random weights. A seed draws the examples,
the order of the batches and the new weights. Scores: `dev`, rows behind those of the dev loss, is
in the domain; `test` is out of it, there even the events are told in words that train never uses.
"""

from importlib import import_module

import torch

from lessons import findings, settings, task
from lessons.sweeps import lesson05
from lessons.sweeps.stored import Stored, open_base
from minift import sweep
from minift.models import pretrained
from minift.peft import delta, methods, pruning

STEPS, TEST = (4, 8) if settings.FAST else (150, 96)
SIZES, SEEDS, CONTROL = (100, 2000), (0, 1, 2, 3, 4), (0, 1, 2)
SCORE = "dev bleu"  # exact texts are few with 100 examples, and none on test

# A method's arguments and its four rates; another method is another line. Each stores about 1 % of
# the base, but bitfit has no choice and unipelt has the other three at once. adalora has lora's
# matrices and at last lora's rank, so that what differs is where the rank goes.
METHODS = {
    "full": ({}, (3e-5, 1e-4, 3e-4, 1e-3)),
    "adapter": ({"bottleneck": 8}, (1e-3, 3e-3, 1e-2, 3e-2)),
    "prefix": ({"length": 10}, (3e-4, 1e-3, 3e-3, 1e-2)),
    "bitfit": ({}, (1e-3, 3e-3, 1e-2, 3e-2)),
    "lora": ({"rank": 8, "alpha": 16}, (1e-3, 3e-3, 1e-2, 3e-2)),
    "adalora": ({"rank": 12, "target_rank": 8, "alpha": 24}, (3e-3, 1e-2, 3e-2, 1e-1)),
    "unipelt": ({"length": 10, "rank": 8, "bottleneck": 8}, (3e-4, 1e-3, 3e-3, 1e-2)),
}
PLAN = {"total": STEPS, "t_i": STEPS // 10, "t_f": STEPS // 2, "targets": ("q_proj", "v_proj")}
FROZEN = {"start": "base", "method": "base", "size": 0, "lr": 0.0, "seed": 0}


def put(model, method):
    """The model with a method as the lesson has it."""
    plan = PLAN if method == "adalora" else {}
    return methods.add(model, method, **METHODS[method][0], **plan)


def cell(method, size, lr, seed, start="base"):
    """The setting of one run."""
    return {"start": start, "method": method, "size": size, "lr": lr, "seed": seed}


def trials(method, size):
    """The four rates with the first seed."""
    return [cell(method, size, lr, SEEDS[0]) for lr in METHODS[method][1]]


def is_run(row, setting):
    """Whether a row was made in this setting, with whatever seed."""
    return setting.items() <= row["setting"].items()


def rate(rows, method, size):
    """The rate of the best score on dev; None until all four have been tried."""
    tried = trials(method, size)
    scores = {
        row["setting"]["lr"]: row["result"][SCORE]
        for row in rows
        if any(is_run(row, one) for one in tried)
    }
    return max(scores, key=scores.get) if len(scores) == len(tried) else None


def ends(method):
    """The least and the largest of a method's rates."""
    return min(METHODS[method][1]), max(METHODS[method][1])


def own(rows, method, size, start="base"):
    """What the runs of a method at its own rate have in common: all seeds of one setting."""
    return {"start": start, "method": method, "size": size, "lr": rate(rows, method, size)}


def gaps(rows, column, left, right):
    """A score of the left minus that of the right, seed by seed; each is arguments of `own`."""
    sides = [own(rows, *side) for side in (left, right)]
    found = [
        {row["setting"]["seed"]: row["result"][column] for row in rows if is_run(row, side)}
        for side in sides
    ]
    return [found[0][seed] - found[1][seed] for seed in SEEDS if all(seed in one for one in found)]


def verdict(rows, words, left, right, column=SCORE):
    """`findings.judge` of those differences: one line."""
    return findings.judge(words, gaps(rows, column, left, right), 1)


def grid(base):
    """The rates first; a method whose rates were tried is run with the other seeds, too."""
    rows = [row for row in sweep.read(STORED.file) if row["setting"]["base"] == base]
    pairs = [(method, size) for method in METHODS for size in SIZES]
    cells = [FROZEN] + [one for pair in pairs for one in trials(*pair)]
    for method, size in pairs:
        if lr := rate(rows, method, size):
            cells += [cell(method, size, lr, seed) for seed in SEEDS[1:]]
            if size == SIZES[-1]:
                cells += [cell(method, size, lr, seed, "random") for seed in CONTROL]
    return [{"base": base, **one} for one in cells]


def run(base, start, method, size, lr, seed):
    """Tune once and measure: dev loss, what trains, what is stored; scores from 0 to 100."""
    model = open_base(base)
    words = lesson05.open_words(model.config.context, TEST, data=None)
    torch.manual_seed(seed)
    model = pretrained.untrained(model) if start == "random" else model
    found = {"trained": 0, "stored": 0}
    if method != "base":
        found["trained"] = delta.count_parameters(put(model, method)).trained
        task.tune(model, task.drawn(words, size, seed), STEPS, lr, seed)
        model = pruning.prune(model) if method == "adalora" else model
        found["stored"] = delta.count_parameters(model).stored
    found["dev_loss"] = task.dev_loss(model, words)
    parts = {"dev": words.test, "test": task.read_part(lesson05.TASK, "test", TEST)}
    for part, asked in parts.items():
        scores = task.measure_all(model, words, asked)
        found |= {f"{part} {metric}": value for metric, value in scores.items()}
    return found


STORED = Stored("09", "09_tables", grid, run)


def rebuild():
    """Run what is missing, the rates before what rests on them; print, draw. Returns 0."""
    STORED.rebuild()
    rows = STORED.rebuild()
    print(sweep.table(rows, ("start", "size", "method", "lr")))
    if not settings.FAST:
        pictures = import_module("lessons.pictures_tables")  # here, since it imports this file
        pictures.scatter(rows, STORED.shipped.with_suffix(".png"))
    return 0
