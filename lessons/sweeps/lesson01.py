"""The long runs of lesson 01, lessons/results/01_full.jsonl: `python -m lessons sweep 01`.

Every task of data/ with three sizes of training set, and what the base is good for: LoRA and full
fine-tuning from it against LoRA on frozen random weights, full training from random weights and,
for the one task it applies to, a bag of words. Each is measured on dev (train's templates, other
names) and on test (templates, names and combinations that train never shows), two tasks on a test
from another domain, and one on the text of the base's own pretraining.
"""

import torch

from lessons import bag, settings, task
from lessons.sweeps.stored import Stored, open_base
from minift import sweep
from minift.models.gpt import GPT
from minift.peft import full, lora

STEPS, DEV, TEST = (4, 16, 8) if settings.FAST else (400, 200, 300)
SIZES = (16, 32, 64) if settings.FAST else (50, 500, 5000)
SEEDS = (0, 1, 2)
RATE = {"lora": 1e-2, "full": 1e-3, "bag": 1e-1}
RIVALS = (("random", "lora"), ("random", "full"), ("base", "full"))  # of LoRA on the base
FAR = ("table_to_text", "sentiment")  # the tasks that have a test from another domain


def cell(name, start="base", method="lora", size=SIZES[-1]):
    """The setting of one run: a task, what training starts from, what trains, on how much."""
    return {"name": name, "start": start, "method": method, "size": size}


def grid(base):
    """Every setting with every seed."""
    found = [cell(name, size=size) for name in task.MAIN for size in SIZES]
    found += [cell(name, *rival) for name in task.MAIN for rival in RIVALS]
    found += [cell("table_to_text", "base", "full", size) for size in SIZES[:-1]]
    found += [cell("sentiment", "none", "bag", size) for size in SIZES]
    return [{"base": base, **setting} for setting in sweep.cells(found, SEEDS)]


def run(base, name, start, method, size, seed):
    """Train once and measure; all metrics but the dev loss run from 0 to 100."""
    model = open_base(base)
    words = task.open_task(name, model.config.context, size, DEV, TEST, data=None)
    torch.manual_seed(seed)
    model = starting_point(model, words, start, method)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    task.tune(model, words, STEPS, RATE[method], seed)
    found = {"dev_loss": task.dev_loss(model, words), "trained": trained}
    parts = {"dev": task.read_part(name, "dev", DEV), "test": words.test}
    if name in FAR:
        parts["far"] = task.read_part(name, "far", TEST)
    for part, asked in parts.items():
        scores = task.measure_all(model, words, asked)
        found |= {f"{part} {metric}": value for metric, value in scores.items()}
    return found


def starting_point(model, words, start, method):
    """The model that is to be trained: the base or random weights, and what of it is free."""
    if method == "bag":
        return bag.BagOfWords(model.config.vocab_size, len(words.labels))
    model = task.with_head(GPT(model.config) if start == "random" else model, words)
    return lora.add_lora(model, rank=8, alpha=16) if method == "lora" else full.add_full(model)


STORED = Stored("01", "01_full", grid, run)


def main_metric(name, part="test"):
    """The column by which a task is judged."""
    return f"{part} {task.MAIN[name]}"


def rebuild():
    """Run what is missing and print the tables of both questions. Returns 0."""
    rows = STORED.rebuild()
    for name in task.MAIN:
        chosen = [row for row in rows if row["setting"]["name"] == name]
        columns = ("dev_loss", main_metric(name, "dev"), main_metric(name))
        kept = [
            {**row, "result": {column: row["result"][column] for column in columns}}
            for row in chosen
        ]
        print(sweep.table(kept, ("name", "start", "method", "size")) + "\n")
    return 0
