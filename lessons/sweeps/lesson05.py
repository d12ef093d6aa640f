"""The long runs of lesson 05, lessons/results/05_lora.jsonl: `python -m lessons sweep 05`.

Every run tunes the shipped base on the lesson's task and measures it on tables that neither the
training nor the choice of a rate has seen. α/r is 2 unless it is varied itself (`scale`). A row
names the base that it was made from; for another base everything runs again.
"""

import random
from importlib import import_module

import torch

from lessons import settings, task
from minift import sweep
from minift.models import pretrained
from minift.peft import delta, inject, lora

SHIPPED = settings.RESULTS / "05_lora.jsonl"
FILE = settings.out("05") / "sweep.jsonl" if settings.FAST else SHIPPED  # a trial stays outside
STEPS, TRAIN, DEV, TEST = (4, 64, 16, 8) if settings.FAST else (200, 500, 256, 128)
LR, FULL_LR = 1e-2, 1e-3
RANKS, SCALES = (1, 2, 4, 8, 16, 32), (0.25, 1, 2, 8)
SEEDS, MORE_SEEDS = (0, 1, 2), (0, 1, 2, 3, 4)
# which matrices, at the same number of parameters: 20 · 2c a block, with f = 4c
PLACES = {
    "q_proj": 20, "v_proj": 20, "q_proj v_proj": 10, "q_proj k_proj v_proj out_proj": 5,
    "up_proj down_proj": 4,
}  # fmt: skip
BLANK = dict.fromkeys(("method", "targets", "rank", "scale", "lr"), "")
CLOSE = 0.05  # nats: the same run on another machine rounds differently on its way


def lora_cell(targets="q_proj v_proj", rank=8, scale=2, lr=LR):
    """The setting of one LoRA run; scale is α/r."""
    return {"method": "lora", "targets": targets, "rank": rank, "scale": scale, "lr": lr}


def place(names):
    """The setting of the run that spends the budget on these matrices ("q v", "up down")."""
    targets = " ".join(f"{name}_proj" for name in names.split())
    return lora_cell(targets, PLACES[targets])


def grid(base):
    """Every setting with every seed."""
    places = [lora_cell(targets, rank) for targets, rank in PLACES.items()]
    others = [lora_cell(rank=rank) for rank in RANKS]
    others += [lora_cell(scale=scale) for scale in SCALES]
    others += [lora_cell(lr=lr) for lr in (3e-3, 1e-2, 3e-2)]
    others += [{"method": "full", "lr": lr} for lr in (3e-4, 1e-3, 3e-3)]
    cells = [{"method": "base", "seed": 0}]
    cells += sweep.cells(others, SEEDS) + sweep.cells(places, MORE_SEEDS)
    return [{"base": base, **cell} for cell in cells]


def run(base, method, seed, lr=None, targets="", rank=0, scale=0.0):
    """Tune once and measure: dev loss, BLEU, all slots, and how many numbers train."""
    model = pretrained.open_base("gpt")
    if fingerprint(model) != base:
        raise ValueError(f"base {base} is not the shipped one any more; expected its own runs")
    words = task.open_task("table_to_text", model.config.context, TRAIN, DEV, TEST, data=None)
    torch.manual_seed(seed)
    trained = 0
    if method == "lora":
        lora.add_lora(model, rank=rank, alpha=scale * rank, targets=targets.split())
    if method != "base":
        trained = delta.count_parameters(model).trained
        task.tune(model, words, STEPS, lr, seed)
    measured = task.score(task.respond(model, words), words.test)
    return {"dev_loss": task.dev_loss(model, words), **measured, "trained": trained}


def fingerprint(model):
    """A short name of the base that a row was made from."""
    return inject.base_hash(model)[:8]


def stored(base):
    """The rows that were made from this base, or else, with a word of warning, the last ones."""
    rows = sweep.read(SHIPPED)
    if settings.DATA:
        print("(The stored runs are those of the lesson's own task, table to text.)")
    if not rows:
        raise ValueError(f"{SHIPPED}: no runs; expected those of “python -m lessons sweep 05”")
    made_from = {row["setting"]["base"] for row in rows}
    wanted = fingerprint(base)
    if wanted not in made_from:
        wanted = rows[-1]["setting"]["base"]
        print(f"(The stored runs were made from another base, {wanted}, and are not yours.)")
    return [row for row in rows if row["setting"]["base"] == wanted]


def rebuild():
    """Run what the file lacks; print a table. Stopped, it goes on where it was. Returns 0."""
    base = fingerprint(pretrained.open_base("gpt"))
    forget_others(base)
    rows = sweep.sweep(FILE, run, grid(base))
    print(f"{len(rows)} runs from base {base}, in {FILE.name}\n")
    shown = [{**row, "setting": {**BLANK, **row["setting"]}} for row in rows]
    print(sweep.table(shown, BLANK))
    if not settings.FAST:
        pictures = import_module("lessons.pictures_lora")  # here, since it imports this file
        pictures.ranks(rows, SHIPPED.with_suffix(".png"))
    return 0


def forget_others(base):
    """Drop the rows that another base made: `compare_one` could not make them again."""
    rows = sweep.read(FILE)
    kept = [row for row in rows if row["setting"]["base"] == base]
    if len(kept) < len(rows):
        FILE.unlink()
        for row in kept:
            sweep.append(FILE, row)


def compare_one():
    """Recompute one run, drawn at random, and hold it to the stored one; returns the exit code."""
    number = random.randrange(1_000_000)
    before, now = sweep.recompute(FILE, run, number)
    apart = abs(before["dev_loss"] - now["dev_loss"])
    print(f"drawn by {number}\nstored {before}\nnow    {now}")
    print(f"dev loss: {apart:.4f} apart; at most {CLOSE} is rounding on another machine")
    return 0 if apart <= CLOSE else 1
