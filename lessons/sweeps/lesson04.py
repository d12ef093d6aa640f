"""The long runs of lesson 04, lessons/results/04_bitfit.jsonl: `python -m lessons sweep 04`.

Sentiment on the GPT: the head alone, all biases, the paper's subset, as many scalars drawn at
random, LoRA of about that many numbers, full fine-tuning; each kind of bias alone. The same on the
encoder, and headlines by the GPT's biases, as lesson 05 has them by LoRA. A method's rate is the
one most right on dev (of equal ones that of the lower loss), for each base and number of examples,
with the seed TRIAL, which nothing else uses; the trials are stored with the others. A seed draws
the examples, the new weights, the random scalars and the order of the batches. There is no weight
decay: scalars.py says why.
"""

from functools import lru_cache

import torch

from lessons import biases, scalars, settings, task
from lessons.sweeps import lesson05
from lessons.sweeps.stored import Stored, open_base
from minift import sweep
from minift.peft import bitfit, delta, full, inject, lora

DEV, TEST = (16, 8) if settings.FAST else (300, 400)
STEPS = {"gpt": 4, "encoder": 4} if settings.FAST else {"gpt": 150, "encoder": 300}
SIZES, SEEDS, FEW_SEEDS, TRIAL = (100, 2000), (0, 1, 2, 3, 4), (0, 1, 2), 9
RANK = 3  # of LoRA on q and v: 12 c numbers a block, where a block has 11 c biases
RATES = {  # BitFit's grid reaches down to the rate of full fine-tuning, to show what that does
    "head": (3e-3, 1e-2, 3e-2, 1e-1), "bitfit": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    "subset": (1e-2, 3e-2, 1e-1, 3e-1), "random": (3e-3, 1e-2, 3e-2, 1e-1),
    "lora": (3e-4, 1e-3, 3e-3, 1e-2), "full": (3e-5, 1e-4, 3e-4, 1e-3),
}  # fmt: skip
FEW, MANY = SIZES
RATE = {  # the best ones, by base and number of examples
    ("gpt", FEW): {
        "head": 3e-3, "bitfit": 1e-2, "subset": 3e-2, "random": 1e-2, "lora": 3e-3, "full": 3e-4,
    },
    ("gpt", MANY): {
        "head": 3e-2, "bitfit": 3e-2, "subset": 1e-1, "random": 3e-2, "lora": 1e-2, "full": 1e-3,
    },
    ("encoder", MANY): {"head": 1e-2, "bitfit": 1e-2, "lora": 3e-3, "full": 3e-4},
}  # fmt: skip
ONLY = {"bitfit": None, "subset": bitfit.SUBSET, "norms": ("norm1", "norm2", "norm")}
ALONE = ("norms", *(kind for kind in biases.KINDS if kind.endswith("proj")))
HEADLINE = {"family": "gpt", "name": "headline", "method": "bitfit", "size": 5000, "lr": 1e-2}


def cell(method, size=SIZES[-1], lr=None, family="gpt"):
    """The setting of one run on sentiment; a kind of bias alone has BitFit's rate."""
    rates = RATE[family, size]
    lr = lr or rates.get(method, rates["bitfit"])
    return {"family": family, "name": "sentiment", "method": method, "size": size, "lr": lr}


def grid(base):
    """The trials of rates, then every setting with every seed."""
    trials = [
        cell(method, size, lr, family)
        for family, size in RATE
        for method in RATE[family, size]
        for lr in RATES[method]
    ]
    mains = [cell(method, size) for size in SIZES for method in RATE["gpt", size]]
    others = [cell(kind) for kind in ALONE] + [HEADLINE]
    others += [cell(method, family="encoder") for method in RATE["encoder", MANY]]
    cells = sweep.cells(trials, (TRIAL,)) + sweep.cells(mains, SEEDS)
    return [{"base": base, **one} for one in cells + sweep.cells(others, FEW_SEEDS)]


@lru_cache(maxsize=1)
def all_words(name, context):
    """The task with all of its training examples, encoded once for many runs."""
    return task.open_task(name, context, None, DEV, TEST, data=None)


def let_train(model, method, seed):
    """The classifier, with what the method trains free to train; returns how many numbers, too."""
    count = sum(bias.numel() for bias in bitfit.biases(model).values())
    if method == "random":
        return scalars.free_scalars(model, count, seed), count
    if method == "head":
        return inject.freeze(model), 0
    if method == "full":
        full.add_full(model)
    elif method == "lora":
        lora.add_lora(model, rank=RANK, alpha=2 * RANK)
    else:
        bitfit.bitfit(model, only=ONLY.get(method, (method,)))
    return model, delta.count_parameters(model).trained


def run(base, family, name, method, size, lr, seed):
    """Tune once and measure; accuracies run from 0 to 100."""
    model = open_base(base, family)
    if name == "headline":
        return tune_for_headlines(model, lr, seed)
    words = all_words(name, model.config.context)
    torch.manual_seed(seed)
    model, trained = let_train(task.with_head(model, words), method, seed)
    some, steps = task.drawn(words, size, seed), STEPS[family]
    history = task.tune(model, some, steps, lr, seed, weight_decay=0.0)
    found = {"dev_loss": history[-1]["dev_loss"], "trained": trained}
    for part in ("dev",) if seed == TRIAL else ("dev", "test", "far"):
        found[part] = 100 * task.classify(model, words, task.read_part(name, part, TEST))
    if method == "bitfit" and family == "gpt" and seed != TRIAL:
        found |= biases.columns_of_biases(model, words)
    return found


def tune_for_headlines(model, lr, seed):
    """The biases alone; all else is as in lesson 05's runs."""
    words = lesson05.open_words(model.config.context, lesson05.TEST, data=None)
    torch.manual_seed(seed)
    trained = delta.count_parameters(bitfit.bitfit(model)).trained
    task.tune(model, words, lesson05.STEPS, lr, seed)
    measured = task.score(task.respond(model, words), words.test)
    return {"dev_loss": task.dev_loss(model, words), **measured, "trained": trained}


STORED = Stored("04", "04_bitfit", grid, run, families=("encoder", "gpt"))


def main_table(rows):
    """Accuracy of each method with each size, as Markdown: mean ± sd over the seeds."""
    cells = [cell(m, size, family=family) for (family, size), rates in RATE.items() for m in rates]
    mains = [
        {**row, "result": {part: row["result"][part] for part in ("test", "far")}}
        for one in cells
        for row in rows
        if one.items() <= row["setting"].items() and row["setting"]["seed"] != TRIAL
    ]
    return sweep.table(mains, ("family", "size", "method"), digits=1)


def best(rows):
    """{(base, number of examples): {method: the best rate of the trials}}."""
    found = {}
    for row in rows:
        one, result = row["setting"], row["result"]
        if one["seed"] == TRIAL:
            tried = found.setdefault((one["family"], one["size"]), {}).setdefault(one["method"], [])
            tried.append((-result["dev"], result["dev_loss"], one["lr"]))
    return {
        place: {method: min(tried)[-1] for method, tried in methods.items()}
        for place, methods in found.items()
    }


def rebuild():
    """Run what is missing, print tables, and which rates the trials ask for. Returns 0."""
    rows = STORED.rebuild()
    short = [
        {**row, "result": {k: v for k, v in row["result"].items() if " " not in k}} for row in rows
    ]
    print(sweep.table(short, ("family", "name", "method", "size", "lr")))
    print(main_table(rows))
    print(f"best rates {best(rows)}\nRATE has {RATE}")
    return 0
