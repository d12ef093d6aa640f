"""The long runs of lesson 05, lessons/results/05_lora.jsonl: `python -m lessons sweep 05`.

Every run tunes the shipped base on the lesson's task and measures it on articles with names and
combinations that training never shows. α/r is 2 unless it is varied itself (`scale`).
"""

from dataclasses import replace
from importlib import import_module

import torch

from lessons import settings, task
from lessons.sweeps.stored import Stored, open_base
from minift import sweep
from minift.peft import delta, lora

STEPS, TRAIN, DEV, TEST = (4, 64, 16, 8) if settings.FAST else (150, 5000, 128, 128)
TASK, LR, FULL_LR = "headline", 1e-2, 3e-4
RANKS, SCALES = (1, 2, 4, 8, 16, 32), (0.25, 1, 2, 8)
SEEDS, MORE_SEEDS = (0, 1, 2), (0, 1, 2, 3, 4)
# which matrices, at the same number of parameters: 20 · 2c a block, with f = 4c
PLACES = {
    "q_proj": 20, "v_proj": 20, "q_proj v_proj": 10, "q_proj k_proj v_proj out_proj": 5,
    "up_proj down_proj": 4,
}  # fmt: skip
BLANK = dict.fromkeys(("method", "targets", "rank", "scale", "lr"), "")


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
    others += [{"method": "full", "lr": lr} for lr in (1e-4, 3e-4, 1e-3)]
    cells = [{"method": "base", "seed": 0}]
    cells += sweep.cells(others, SEEDS) + sweep.cells(places, MORE_SEEDS)
    return [{"base": base, **cell} for cell in cells]


def open_words(context, test, data=settings.DATA):
    """The lesson's task, tested on rows of dev behind those of the dev loss.

    In the task's own test even the events are told in other words, which is another question.
    """
    words = task.open_task(TASK, context, TRAIN, DEV, test, data)
    return words if data else replace(words, test=task.read_part(TASK, "dev")[DEV : DEV + test])


def run(base, method, seed, lr=None, targets="", rank=0, scale=0.0):
    """Tune once and measure: dev loss, BLEU, exact texts, and how many numbers train."""
    model = open_base(base)
    words = open_words(model.config.context, TEST, data=None)
    torch.manual_seed(seed)
    trained = 0
    if method == "lora":
        lora.add_lora(model, rank=rank, alpha=scale * rank, targets=targets.split())
    if method != "base":
        trained = delta.count_parameters(model).trained
        task.tune(model, words, STEPS, lr, seed)
    measured = task.score(task.respond(model, words), words.test)
    return {"dev_loss": task.dev_loss(model, words), **measured, "trained": trained}


STORED = Stored("05", "05_lora", grid, run)


def rebuild():
    """Run what is missing; print a table, draw the lesson's first picture. Returns 0."""
    rows = STORED.rebuild()
    shown = [{**row, "setting": {**BLANK, **row["setting"]}} for row in rows]
    print(sweep.table(shown, BLANK))
    if not settings.FAST:
        pictures = import_module("lessons.pictures_lora")  # here, since it imports this file
        pictures.ranks(rows, STORED.shipped.with_suffix(".png"))
    return 0
