"""The long runs of lesson 06, lessons/results/06_adalora.jsonl: `python -m lessons sweep 06`.

AdaLoRA against LoRA on the same six matrices of each block, with the same number of triplets left
at the end: `rank` is the mean rank, `start` the one that AdaLoRA begins with. The task, the number
of steps and the measures are those of lesson 05, whose runs of the frozen base and of full
fine-tuning are shown beside these. A method's rate is the best of RATES, by the dev loss of rank
TRIED with the first seed; those runs are stored with the others.
"""

from importlib import import_module

import torch

from lessons import settings, task, triplets
from lessons.sweeps import lesson05
from lessons.sweeps.stored import Stored, open_base
from minift import sweep
from minift.peft import adalora, delta, lora, methods, pruning

STEPS, GAMMA = lesson05.STEPS, 0.1
SCALE = 8  # α/r, LoRA's is 2: λ starts at 0, P and Q at 0.02, and the steps are few
T_I, T_F = STEPS // 10, STEPS // 3  # none is dropped before, the choice is final for the rest
STARTS = {1: 2, 2: 3, 4: 6}  # mean rank at the end: rank at the start, as in the paper about 1.5
TRIED = 2
RATES = {"lora": (3e-3, 1e-2, 3e-2), "adalora": (1e-2, 3e-2, 1e-1), "free": (1e-2, 3e-2)}
RATE = {"lora": 1e-2, "adalora": 3e-2, "free": 1e-2}  # free: AdaLoRA with γ = 0
SEEDS, MORE_SEEDS = (0, 1, 2), (0, 1, 2, 3, 4)
BLANK = dict.fromkeys(("method", "rank", "start", "gamma", "lr"), "")


def lora_at(rank, lr=RATE["lora"]):
    """The setting of LoRA with the same rank everywhere."""
    return {"method": "lora", "rank": rank, "lr": lr}


def adalora_at(rank, start=None, gamma=GAMMA, lr=RATE["adalora"]):
    """The setting of AdaLoRA; with `start` equal to `rank` there is nothing to choose."""
    start = start or STARTS[rank]
    return {"method": "adalora", "rank": rank, "start": start, "gamma": gamma, "lr": lr}


def free_at(rank, lr=RATE["free"]):
    """The setting of AdaLoRA without the orthogonality term."""
    return adalora_at(rank, gamma=0.0, lr=lr)


AT = {"lora": lora_at, "adalora": adalora_at, "free": free_at}
RIVALS = {name: AT[name] for name in ("lora", "adalora")}


def grid(base):
    """Every setting with its seeds: the rates first, then five seeds where an effect is small."""
    tried = [AT[name](TRIED, lr=lr) for name, rates in RATES.items() for lr in rates]
    thin = [at(rank) for rank in (1, 2) for at in RIVALS.values()]
    thin += [adalora_at(TRIED, start=TRIED)]
    others = [at(4) for at in RIVALS.values()] + [free_at(TRIED)]
    cells = sweep.cells(tried, SEEDS[:1]) + sweep.cells(thin, MORE_SEEDS)
    cells += sweep.cells(others, SEEDS)
    return [{"base": base, **cell} for cell in sweep.cells(cells)]


def put_in(model, rank, start):
    """AdaLoRA with the lesson's schedule; return the model."""
    plan = {"total": STEPS, "t_i": T_I, "t_f": T_F}
    return adalora.add_adalora(model, start, rank, alpha=SCALE * start, **plan)


def run(base, method, rank, lr, seed, start=0, gamma=0.0):
    """Tune once and measure: dev loss, BLEU, exact texts, what is stored; of AdaLoRA the ranks."""
    model, found = open_base(base), {}
    words = lesson05.open_words(model.config.context, lesson05.TEST, data=None)
    torch.manual_seed(seed)
    if method == "lora":
        lora.add_lora(model, rank=rank, alpha=2 * rank, targets=adalora.EVERY_MATRIX)
    else:
        put_in(model, rank, start)
    task.tune(model, words, STEPS, lr, seed, **methods.while_training(model, gamma))
    if method == "adalora":
        ranks = pruning.rank_pattern(pruning.prune(model))
        found = {"gap": triplets.gap(model), "overlap": triplets.overlap(model)}
        found |= {f"rank {path}": number for path, number in ranks.items()}
    scores = task.score(task.respond(model, words), words.test)
    measured = {name: scores[name] for name in ("bleu", "complete", "exact")}
    stored = delta.count_parameters(model).stored
    return {"dev_loss": task.dev_loss(model, words), **measured, "stored": stored, **found}


STORED = Stored("06", "06_adalora", grid, run)


def maps(rows, **setting):
    """The rank map of each seed of a setting, in the order of the rows."""
    chosen = [row["result"] for row in rows if setting.items() <= row["setting"].items()]
    ranks = [{k[5:]: v for k, v in one.items() if k.startswith("rank ")} for one in chosen]
    return [triplets.as_map(one) for one in ranks]


def short(rows):
    """The rows for a table: without the ranks of the layers."""
    return [
        {
            "setting": {**BLANK, **row["setting"]},
            "result": {k: v for k, v in row["result"].items() if not k.startswith("rank ")},
        }
        for row in rows
    ]


def rebuild():
    """Run what is missing; print a table, draw the lesson's rank map. Returns 0."""
    rows = STORED.rebuild()
    print(sweep.table(short(rows), BLANK))
    if not settings.FAST:
        pictures = import_module("lessons.pictures_adalora")  # here, since it imports this file
        pictures.ranks(rows, STORED.shipped.with_suffix(".png"))
    return 0
