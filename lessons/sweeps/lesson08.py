"""The long runs of lesson 08, lessons/results/08_unipelt.jsonl: `python -m lessons sweep 08`.

UniPELT on few examples, against its three parts in the sizes that they have in it, full fine-tuning
and the frozen base; `still` is UniPELT with all gates held half open. A seed draws the examples,
the new weights and the order of the batches. A method's rate is the best of its trials on dev, with
seeds that nothing else uses; `still` has UniPELT's. Sentiment is read by a GPT with a head; the
encoder needs more than a few examples for it, and has runs of its own (`encoder`).
"""

import statistics
from dataclasses import replace
from functools import lru_cache

import torch

from lessons import gates, settings, task
from lessons.sweeps.stored import Stored, open_base
from minift import sweep
from minift.peft import delta, full, inject, methods, unipelt

DEV, TEST = (16, 8) if settings.FAST else (150, 150)  # of the headlines
STUDIES = {  # name: the base, the task, the steps
    "sentiment": ("gpt", "sentiment", 150), "headline": ("gpt", "headline", 100),
    "zh_en": ("gpt", "zh_en", 100), "encoder": ("encoder", "sentiment", 300),
}  # fmt: skip
SIZES, FEW, ALL = (50, 100, 500), 100, 5000
SEEDS, FEW_SEEDS, TRIALS = (0, 1, 2, 3, 4), (0, 1, 2), (8, 9)
PARTS = {  # as they stand in UniPELT, without gates; α = 16 as in the paper
    "prefix": {"length": 10, "hidden": 512},
    "lora": {"rank": 8, "alpha": 16},
    "adapter": {
        "bottleneck": 48, "activation": "relu", "placement": "pfeiffer", "train_layernorm": False,
    },
}  # fmt: skip
RATES = {  # the rates to choose from
    "sentiment": {
        "base": (1e-3, 3e-3, 1e-2), "full": (3e-5, 1e-4, 3e-4), "prefix": (3e-3, 1e-2, 3e-2),
        "lora": (3e-4, 1e-3, 3e-3), "adapter": (1e-3, 3e-3, 1e-2), "unipelt": (1e-3, 3e-3, 1e-2),
    },
    "headline": {
        "full": (3e-5, 1e-4, 3e-4), "prefix": (3e-4, 1e-3, 3e-3), "lora": (3e-3, 1e-2, 3e-2),
        "adapter": (3e-3, 1e-2, 3e-2), "unipelt": (3e-3, 1e-2, 3e-2),
    },
    "encoder": {"full": (3e-4, 1e-3), "unipelt": (3e-3, 1e-2)},
}  # fmt: skip
RATE = {
    "sentiment": {
        "base": 3e-3, "full": 1e-4, "prefix": 3e-3, "lora": 1e-3, "adapter": 3e-3, "unipelt": 3e-3,
    },
    "headline": {
        "full": 1e-4, "prefix": 1e-3, "lora": 1e-2, "adapter": 1e-2, "unipelt": 1e-2,
    },
    "zh_en": {"unipelt": 1e-2},
    "encoder": {"full": 3e-4, "unipelt": 3e-3},
}  # fmt: skip


def cell(method, size=FEW, name="sentiment", lr=None):
    """The setting of one run: a study, what trains on how much, at which rate (0: none)."""
    rate = RATE[name].get("unipelt" if method == "still" else method, 0.0) if lr is None else lr
    return {"name": name, "method": method, "size": size, "lr": rate}


def grid(base):
    """The trials of rates, then every setting with every seed."""
    cells = []
    for name, choice in RATES.items():
        size = ALL if name == "encoder" else FEW
        trials = [cell(method, size, name, lr) for method in choice for lr in choice[method]]
        cells += sweep.cells(trials, TRIALS if name == "sentiment" else TRIALS[-1:])
    runs = [cell(method, size) for method in RATE["sentiment"] for size in SIZES]
    cells += sweep.cells([*runs, cell("still")], SEEDS)
    slow = [cell(method, FEW, name) for name in ("headline", "zh_en") for method in RATE[name]]
    slow += [cell(method, size, "encoder") for method in RATE["encoder"] for size in (500, ALL)]
    cells += sweep.cells(slow, FEW_SEEDS)
    cells.append(cell("base", 0, "headline") | {"seed": 0})
    return [{"base": base, **setting} for setting in cells]


@lru_cache(maxsize=3)
def all_of(name, context):
    """A task with all of its training examples. Headlines are tested on rows of dev, as in 05."""
    words = task.open_task(name, context, None, DEV, None, data=None)
    if words.labels:
        return words
    return replace(words, test=task.read_part(name, "dev")[DEV : DEV + TEST])


def starting_point(model, words, method):
    """The model with the method in it. A classifier's head trains in all of them, alone in base."""
    model = task.with_head(model, words)
    if method == "base":
        return inject.freeze(model)
    if method == "full":
        return full.add_full(model)
    if method in PARTS:
        return methods.add(model, method, **PARTS[method])
    unipelt.add_unipelt(model)
    return gates.hold_still(model) if method == "still" else model


def train(model, words, name, lr, seed):
    """Tune for as many steps as the study has, unless nothing of the model trains."""
    steps = 4 if settings.FAST else STUDIES[name][2]
    if inject.trainable_parameters(model):
        task.tune(model, words, steps, lr, seed)


def run(base, name, method, size, lr, seed):
    """Train once and measure: dev loss, shares from 0 to 100, and what the gates became."""
    family, kind, _ = STUDIES[name]
    model = open_base(base, family)
    words = task.drawn(all_of(kind, model.config.context), size, seed)
    torch.manual_seed(seed)
    model = starting_point(model, words, method)
    train(model, words, name, lr, seed)
    found = {"dev_loss": task.dev_loss(model, words)}
    found["trained"] = delta.count_parameters(model).trained
    found |= scores(model, words, seed)
    if method == "unipelt":
        found |= gates.columns(gates.values_of(model, words.dev, words.tokenizer.pad))
    return found


def scores(model, words, seed):
    """Accuracy, or exact headlines, on dev and on test; of a trial dev alone; of zh_en none."""
    if words.name == "zh_en":
        return {}
    rows = None if words.labels else DEV  # behind these, dev is the headlines' test
    asked = {"dev": task.read_part(words.name, "dev", rows), "test": words.test}
    if seed in TRIALS:
        del asked["test"]
    name = "accuracy" if words.labels else "exact"
    return {part: task.measure_all(model, words, some)[name] for part, some in asked.items()}


STORED = Stored("08", "08_unipelt", grid, run, families=("encoder", "gpt"))


def trials_and_runs(rows):
    """(the trials of rates, the runs that are shown)."""
    trials = [row for row in rows if row["setting"]["seed"] in TRIALS]
    return trials, [row for row in rows if row["setting"]["seed"] not in TRIALS]


def of(rows, setting):
    """The results of the rows of a setting."""
    return [row["result"] for row in rows if setting.items() <= row["setting"].items()]


def on_dev(results):
    """By what runs are chosen: their mean score on dev; of equal ones the lower loss."""
    mean = [statistics.fmean(one[column] for one in results) for column in ("dev", "dev_loss")]
    return mean[0], -mean[1]


def best_rate(trials, name, method):
    """The rate of a method that its trials ask for."""
    wanted = {"name": name, "method": method}
    return max(RATES[name][method], key=lambda lr: on_dev(of(trials, wanted | {"lr": lr})))


def best_part(runs, size, name="sentiment"):
    """The part that does best without gates on dev: it is chosen before the test is seen."""
    return max(PARTS, key=lambda part: on_dev(of(runs, cell(part, size, name))))


def table(runs, column="test"):
    """A result of sentiment as Markdown: one line a method, mean ± sd over seeds for each size."""
    lines = [["method", *(f"{size} examples" for size in SIZES)], ["---"] * (1 + len(SIZES))]
    for method in RATE["sentiment"]:
        found = [[one[column] for one in of(runs, cell(method, size))] for size in SIZES]
        lines.append([method, *(sweep.cell_text(sweep.spread(values), 1) for values in found)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rebuild():
    """Run what is missing; print a table, and which rates the trials ask for. Returns 0."""
    trials, runs = trials_and_runs(STORED.rebuild())
    for rows in (trials, runs):
        short = [{**row, "result": without_gates(row["result"])} for row in rows]
        print(sweep.table(short, ("name", "method", "size", "lr")), "\n")
    for name, choice in RATES.items():
        best = {method: best_rate(trials, name, method) for method in choice}
        print(f"{name}: best rates {best}; RATE has {RATE[name]}")
    return 0


def without_gates(result):
    """A result's other columns."""
    return {k: v for k, v in result.items() if not k.startswith(("gate ", "texts "))}
