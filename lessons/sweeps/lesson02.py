"""The long runs of lesson 02, lessons/results/02_adapter.jsonl: `python -m lessons sweep 02`.

Sentiment on the shipped encoder: adapters of four sizes on three sizes of training set, four
starts, both placements at one number of parameters, and what they are held to: a new head on the
frozen base (`head`), the pooler and the top blocks trained as they are (`top`), and full
fine-tuning. A seed draws the examples, the new weights and the order of the batches. Each is
measured on dev (train's templates), on test (new templates) and on far (another domain); losses in
nats a text. A rate is that of the least dev loss in its grid (the head's: within 0.002 nats of it),
with the seed TRIAL, which nothing else uses; the trials are stored with the others.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F

from lessons import settings, task
from lessons.sweeps.stored import Stored, open_base
from minift import batching, sweep
from minift.peft import adapter, delta, full, inject

DEV, TEST = (16, 8) if settings.FAST else (300, 300)
STEPS = {
    size: 4 if settings.FAST else steps for size, steps in ((50, 150), (500, 300), (5000, 400))
}
TASK, SIZES = "sentiment", tuple(STEPS)
FEW, MANY = SIZES[0], SIZES[-1]
BOTTLENECKS, STDS = (2, 8, 32, 128), (1e-3, 1e-2, 1e-1, 5e-1)
DEEP = (0, 1, 2)  # how many blocks train below the pooler
SEEDS, MORE_SEEDS = (0, 1, 2), (0, 1, 2, 3, 4)  # what is learnt from few examples varies more
TRIAL, TRIED = 9, (2, 32, 128)  # the seed and the bottlenecks of the trials of rates
RATES = {
    "adapter": (1e-3, 3e-3, 1e-2), "full": (1e-4, 3e-4, 1e-3), "top": (3e-4, 1e-3, 3e-3),
    "head": (1e-3, 3e-3, 1e-2),
}  # fmt: skip
RATE = {"full": 3e-4, "top": 1e-3, "head": 3e-3}
ADAPTER_RATE = {2: 3e-3, 8: 3e-3, 32: 3e-3, 64: 3e-3, 128: 1e-3}  # by bottleneck
BLANK = dict.fromkeys(("method", "size", "bottleneck", "std", "placement", "blocks", "lr"), "")


def adapter_cell(bottleneck=32, size=MANY, std=1e-2, placement="houlsby"):
    """The setting of one run with adapters."""
    found = {"method": "adapter", "size": size, "bottleneck": bottleneck}
    return found | {"std": std, "placement": placement, "lr": ADAPTER_RATE[bottleneck]}


def plain_cell(method, size=MANY, **more):
    """The setting of one run without adapters: "head", "full", or "top" with its `blocks`."""
    return {"method": method, "size": size, "lr": RATE[method], **more}


def trials():
    """Every rate of every grid, on the largest training set."""
    found = [adapter_cell(m) | {"lr": lr} for m in TRIED for lr in RATES["adapter"]]
    for method, more in (("full", {}), ("top", {"blocks": 1}), ("head", {})):
        found += [plain_cell(method, **more) | {"lr": lr} for lr in RATES[method]]
    return found


def grid(base):
    """The trials of rates, then every setting with every seed."""
    sized = [adapter_cell(m, size) for size in SIZES for m in BOTTLENECKS]
    sized += [plain_cell(method, size) for size in SIZES for method in ("head", "full")]
    others = [adapter_cell(std=std) for std in STDS]
    others += [adapter_cell(64, placement="pfeiffer")]  # as many parameters as 32 in two places
    others += [plain_cell("top", blocks=blocks) for blocks in DEEP]
    cells = sweep.cells(trials(), (TRIAL,))
    cells += sweep.cells([cell for cell in sized if cell["size"] == FEW], MORE_SEEDS)
    cells += sweep.cells([*(cell for cell in sized if cell["size"] > FEW), *others], SEEDS)
    return [{"base": base, **cell} for cell in cells]


@lru_cache(maxsize=1)
def all_words(context, data=None):
    """The task with all of its examples, or that of a file of your own."""
    return task.open_task(TASK, context, None, DEV, TEST, data)


def some_words(context, size, seed, data=None):
    """The task with `size` training examples, drawn by the seed; of your own file all there are."""
    words = all_words(context, data)
    return words if data else task.drawn(words, size, seed)


def prepared(model, words, method, bottleneck=0, std=0.0, placement="", blocks=0):
    """The base in a classifier, with a new head and whatever else is to train."""
    model = task.with_head(model, words)
    if method == "adapter":
        return adapter.add_adapters(model, bottleneck, init_std=std, placement=placement)
    if method == "full":
        return full.add_full(model)
    inject.freeze(model)
    for part in top_of(model, blocks) if method == "top" else []:
        part.requires_grad_(True)
    return model


def top_of(model, blocks):
    """The pooler and so many blocks below it, the last one first."""
    body = inject.body(model)
    return [body.pooler, *list(body.blocks)[::-1][:blocks]]


@torch.no_grad()
def told(model, words, asked):
    """(accuracy in %, nats a text) on records or on examples; texts of like length together."""
    if not hasattr(asked[0], "ids"):
        asked, _ = batching.encode_all(asked, words.tokenizer, words.context, words.labels)
    asked, right, nats = sorted(asked, key=lambda example: len(example.ids)), 0, 0.0
    for start in range(0, len(asked), 32):
        batch = batching.pad(asked[start : start + 32], words.tokenizer.pad)
        scores = model(batch.ids, mask=batch.mask)
        right += (scores.argmax(dim=1) == batch.labels).sum().item()
        nats += F.cross_entropy(scores, batch.labels, reduction="sum").item()
    return 100 * right / len(asked), nats / len(asked)


def run(base, method, size, lr, seed, **shape):
    """Train once and measure."""
    model = open_base(base, "encoder")
    words = some_words(model.config.context, size, seed)
    torch.manual_seed(seed)
    model = prepared(model, words, method, **shape)
    found = {"trained": delta.count_parameters(model).trained}
    task.tune(model, words, STEPS[size], lr, seed)
    for part, count in (("dev", DEV), ("test", TEST), ("far", TEST)):
        right, nats = told(model, words, task.read_part(TASK, part, count))
        found |= {f"{part} accuracy": right, f"{part} nats": nats}
    found["dev_loss"] = found.pop("dev nats")
    found["train_loss"] = told(model, words, words.train[:DEV])[1]
    return found | {"gap": found["dev_loss"] - found["train_loss"]}


STORED = Stored("02", "02_adapter", grid, run, families=("encoder",))


def runs(base):
    """The stored rows without the trials of rates."""
    return [row for row in STORED.rows(base) if row["setting"]["seed"] != TRIAL]


def rebuild():
    """Run what is missing; print a table. Returns 0."""
    rows = STORED.rebuild()
    shown = [{**row, "setting": {**BLANK, **row["setting"]}} for row in rows]
    print(sweep.table(shown, BLANK))
    return 0
