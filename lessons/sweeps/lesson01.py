"""The long runs of lesson 01, lessons/results/01_full.jsonl: `python -m lessons sweep 01`.

Every task of data/ with three sizes of training set, and what the base is good for: LoRA and full
fine-tuning from it against LoRA on frozen random weights, full training from random weights and,
for the one task it applies to, a bag of words. Each is measured on dev (train's templates, other
names) and on test (templates, names and combinations that train never shows), two tasks on a test
from another domain, and one on the text of the base's own pretraining.
"""

import json

import torch

from lessons import bag, settings, task
from lessons.sweeps.stored import Stored, open_base
from minift import ROOT, sweep
from minift.models import pretrained
from minift.peft import full, lora

STEPS, DEV, TEST = (4, 16, 8) if settings.FAST else (300, 150, 150)
FEW, SIZES = 10, (50, 500, 5000)
EARLY = ("table_to_text", "en_zh", "summary", "qa", "chat")  # 500 teach them: FEW, 50, 500 differ
SEEDS = (0, 1, 2)
TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "up_proj", "down_proj")
RATE = {  # of what starts where
    ("base", "lora"): 3e-3, ("base", "full"): 3e-4,
    ("random", "lora"): 3e-3, ("random", "full"): 1e-3, ("none", "bag"): 1e-1,
}  # fmt: skip
RIVALS = (("random", "lora"), ("random", "full"), ("base", "full"))  # of LoRA on the base
MANIFEST = ROOT / "data" / "checkpoints" / "gpt.json"
FAR = {  # the tasks that have a test from another domain, and what is told of all their parts
    "table_to_text": "bleu", "sentiment": "accuracy", "instruct_tasks": "exact",
}  # fmt: skip


def cell(name, start="base", method="lora", size=SIZES[-1]):
    """The setting of one run: a task, what training starts from, what trains, on how much."""
    return {"name": name, "start": start, "method": method, "size": size}


def sizes_of(name):
    """The sizes of training set that tell a task's runs apart."""
    return (FEW, *SIZES) if name in EARLY else SIZES


def of_tasks(names):
    """What a base is good for: LoRA at every size, and what it has to beat."""
    found = [cell(name, size=size) for name in names for size in sizes_of(name)]
    return found + [cell(name, *rival) for name in names for rival in RIVALS]


def grid(base):
    """Every setting with every seed."""
    found = of_tasks(task.MAIN)
    found += [cell("table_to_text", "base", "full", size) for size in SIZES[:-1]]
    found += [cell("sentiment", "none", "bag", size) for size in SIZES]
    return [{"base": base, **setting} for setting in sweep.cells(found, SEEDS)]


def run(base, name, start, method, size, seed, family="gpt"):
    """Train once and measure; all metrics but the dev loss run from 0 to 100."""
    model = open_base(base, family)
    size = min(size, 64) if settings.FAST else size
    words = task.open_task(name, model.config.context, size, DEV, TEST, data=None)
    torch.manual_seed(seed)
    model = starting_point(model, words, start, method)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    task.tune(model, words, STEPS, RATE[start, method], seed)
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
    model = task.with_head(pretrained.untrained(model) if start == "random" else model, words)
    if method == "full":
        return full.add_full(model)
    return lora.add_lora(model, rank=8, alpha=16, targets=TARGETS)


STORED = Stored("01", "01_full", grid, run)


def main_metric(name, part="test"):
    """The column by which a task is judged."""
    return f"{part} {task.MAIN[name]}"


def found(rows, name, part, **setting):
    """(mean, sd) of a task's metric over the seeds of one setting."""
    chosen = [row for row in rows if {"name": name, **setting}.items() <= row["setting"].items()]
    mean, sd, _ = sweep.spread([row["result"][main_metric(name, part)] for row in chosen])
    return round(mean, 2), round(sd or 0.0, 2)


def apart(left, right):
    """(difference of two means, how many pooled standard deviations that is)."""
    difference = left[0] - right[0]
    pooled = ((left[1] ** 2 + right[1] ** 2) / 2) ** 0.5
    return difference, difference / max(pooled, 0.1)


def rival(start, how):
    """The table's name for one of RIVALS."""
    return f"{start}, {'LoRA' if how == 'lora' else how}, {SIZES[-1]}"


def table(rows, names=task.MAIN):
    """{task: {line: (mean, sd) on dev and test}}: the sizes, then what the base has to beat."""
    told = {}
    for name in names:
        lines = {f"base, LoRA, {size}": cell(name, size=size) for size in sizes_of(name)}
        lines |= {rival(*one): cell(name, *one) for one in RIVALS}
        if any(cell(name, "none", "bag").items() <= row["setting"].items() for row in rows):
            lines[f"bag of words, {SIZES[-1]}"] = cell(name, "none", "bag")
        told[name] = {"metric": task.MAIN[name]} | {
            line: {part: found(rows, part=part, **setting) for part in ("dev", "test")}
            for line, setting in lines.items()
        }
    return told


def as_text(told):
    """The table as Markdown, one task a line for dev and one for test."""
    sizes = [f"base, LoRA, {size}" for size in (FEW, *SIZES)]
    columns = [*sizes, *(rival(*one) for one in RIVALS), f"bag of words, {SIZES[-1]}"]
    lines = [["task", "on", "metric", *columns], ["---"] * (len(columns) + 3)]
    for name, values in told.items():
        for part in ("dev", "test"):
            cells = [values.get(column) for column in columns]
            words = ["" if c is None else "{:.1f} ± {:.1f}".format(*c[part]) for c in cells]
            lines.append([name, part, values["metric"], *words])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def into_manifest(told, path):
    """Put a base's table of tasks into its manifest."""
    manifest = json.loads(path.read_text(encoding="utf-8")) | {"tasks": told}
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def rebuild():
    """Run what is missing, print the table and put it into the base's manifest. Returns 0."""
    told = table(STORED.rebuild())
    print(as_text(told))
    if not settings.FAST:
        into_manifest(told, MANIFEST)
    return 0
