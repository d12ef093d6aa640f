"""The long runs of lesson 03, lessons/results/03_prefix.jsonl: `python -m lessons sweep 03`.

Every run starts from one of two shipped bases and is measured on texts with train's templates and
names that training never shows. `score` is the strict metric of the task (`METRIC`), 0 to 100.
"""

import copy

import torch

from lessons import findings, settings, soft_prompt, task
from lessons.sweeps.stored import Stored, open_base
from minift import batching, records, sweep
from minift.peft import delta, full, inject, prefix
from minift.tokenizer import Tokenizer

STEPS, LONG, BRIEF = (4, 8, 4) if settings.FAST else (100, 200, 60)  # LONG: sentiment's
DEV, TEST = (16, 8) if settings.FAST else (64, 100)
TRAIN, LENGTH, HIDDEN = 5000, 10, 512
TASKS, MODELS = ("table_to_text", "summary", "zh_en"), ("gpt", "seq2seq")
HARD = "headline"  # what the base can do least: here lengths and layers are told apart
LENGTHS, SOFT = (1, 5, 10, 30), (1, 10, 30)
RATES = {"prefix": (1e-4, 3e-4, 1e-3, 3e-3), "matrix": (1e-2, 3e-2, 1e-1, 3e-1)}
# prefix: P from a network of m = HIDDEN; matrix: P itself; embedding: a `SoftPrompt`
LR = {"prefix": 1e-3, "matrix": 1e-1, "embedding": 3e-2, "full": 3e-4}
METRIC = task.MAIN | {"headline": "exact", "sentiment": "exact"}  # long headlines hold all words
WORDS = {1: "good", 0: "bad"}
FEW = (4, 50)
SHOWN = (1, 2, 4)  # examples of zh_en; a prompt has no room for more
SEEDS, MORE_SEEDS = (0, 1, 2), (0, 1, 2, 3, 4)
STARBUCKS = "name: Starbucks | type: coffee shop"
BLANK = ("model", "name", "method", "length", "size", "lr")


def cell(name, method="prefix", model="gpt", **other):
    """The setting of a run: base, in context, prefix, matrix, embedding or full."""
    length = LENGTH if method in ("prefix", "matrix", "embedding") else 0
    plain = {"length": length, "size": 0 if method == "base" else TRAIN, "lr": LR.get(method, 0)}
    return {"model": model, "name": name, "method": method} | plain | other


def shown(size):
    """The setting in which the frozen base reads so many examples before the text."""
    return cell("zh_en", "in context", size=size)


def grid(base):
    """Every setting with its seeds: five where an effect is small."""
    everywhere = [(name, model) for model in MODELS for name in TASKS]
    bases = [cell(name, "base", model) for name, model in everywhere]
    bases += [cell(name, "base") for name in (HARD, "sentiment")]
    found = [cell(name, m, model) for name, model in everywhere for m in ("prefix", "full")]
    found += [cell("zh_en", method, lr=lr) for method, rates in RATES.items() for lr in rates]
    found += [cell("zh_en", size=size) for size in FEW]
    found += [cell("sentiment", method) for method in ("prefix", "matrix", "full")]
    thin = [shown(size) for size in SHOWN]
    thin += [cell(HARD, length=length) for length in LENGTHS]
    thin += [cell(HARD, "embedding", length=length) for length in SOFT]
    thin += [cell(HARD, "matrix"), cell(HARD, "full"), cell("zh_en", size=FEW[0])]
    thin += [cell(name, m, model) for name, model in everywhere if model != "gpt" or name == "zh_en"
             for m in ("prefix", "full")]  # fmt: skip
    cells = sweep.cells(bases, (0,)) + sweep.cells(found, SEEDS) + sweep.cells(thin, MORE_SEEDS)
    return [{"base": base, **one} for one in sweep.cells(cells)]


def read_pairs(name, part):
    """A task's records; a review is answered with one of `WORDS`, and so needs no head."""
    found = task.read_part(name, part)
    if name != "sentiment":
        return found
    return [records.Pair(review.text, WORDS[review.label]) for review in found]


def task_of(name, pairs, context):
    """A task with these pairs to train on; dev is for the dev loss and, behind it, to answer."""
    tokenizer, dev = Tokenizer.load(), read_pairs(name, "dev")
    both = (pairs[: 64 if settings.FAST else TRAIN], dev[:DEV])
    parts = [batching.encode_all(part, tokenizer, context)[0] for part in both]
    return task.Task(name, tokenizer, *parts, dev[DEV : DEV + TEST], context=context)


def open_words(name, context, data=None):
    """A task of data/, or one of a file's pairs."""
    if data:
        return task.open_task(name, context, TRAIN, DEV, TEST, data)
    return task_of(name, read_pairs(name, "train"), context)


def likes(where, sentence, name):
    """Whether a sentence has the name where a user likes it: in "front" or at the "end"."""
    return sentence.startswith(name) if where == "front" else sentence.rstrip(" .").endswith(name)


def liked(where, context=256):
    """The table-to-text task of a user who likes a venue's name at one end of his sentences."""
    pairs = read_pairs("table_to_text", "train")
    chosen = [pair for pair in pairs if likes(where, pair.response, task.slot_values(pair)[0])]
    return task_of("table_to_text", chosen, context)


def learn(base, words, steps, seed):
    """A copy of the base with a prefix tuned on a task, and its dev loss."""
    torch.manual_seed(seed)
    model = prefix.add_prefix(copy.deepcopy(base), LENGTH, HIDDEN)
    return model, task.tune(model, words, steps, LR["prefix"], seed)[-1]["dev_loss"]


def prepare(model, words, method, length):
    """The model in which what the method trains is free; `words.train` is what it is given."""
    if method == "in context":
        return prefix.of_prompt(model, soft_prompt.in_words(words.train))
    if method in ("prefix", "matrix"):
        return prefix.add_prefix(model, length, HIDDEN, reparameterize=method == "prefix")
    if method == "embedding":
        return soft_prompt.add_soft_prompt(model, length)
    return full.add_full(model) if method == "full" else inject.freeze(model)


def run(base, model, name, method, length, size, lr, seed):
    """Train once and measure: dev loss, score, and how many numbers train and are stored."""
    model = open_base(base, model)
    words = open_words(name, model.config.context)
    words = task.drawn(words, size, seed)
    torch.manual_seed(seed)
    model = prepare(model, words, method, length)
    trained = sum(p.numel() for p in inject.trainable_parameters(model).values()) if lr else 0
    if lr:
        task.tune(model, words, LONG if name == "sentiment" else STEPS, lr, seed)
    found = task.measure_all(model, words, words.test)
    counts = {"trained": trained, "stored": stored(model, trained)}
    return {"dev_loss": task.dev_loss(model, words), "score": found[METRIC[name]], **counts}


def stored(model, trained):
    """How many numbers a task keeps: of a prefix less than trains."""
    if getattr(model, "delta", None) is None:
        return trained
    return delta.count_parameters(model).stored


STORED = Stored("03", "03_prefix", grid, run, families=MODELS)


def rebuild():
    """Run what is missing and print a table. Returns 0."""
    print(sweep.table(STORED.rebuild(), BLANK))
    return 0


# ---- what the lesson states ----


def rivals(section):
    """{words: (left, right)}: does the setting `left` score above `right`?"""
    if section == "examples":
        read = {size: shown(size) for size in SHOWN}
        return {
            "1 example in the prompt beats none": (read[1], cell("zh_en", "base")),
            "4 examples in the prompt beat 1": (read[4], read[1]),
            "a prefix trained on 4 beats 4 in the prompt": (cell("zh_en", size=4), read[4]),
            "a prefix trained on 5,000 beats 1 in the prompt": (cell("zh_en"), read[1]),
        }
    if section == "lengths":
        ten = cell(HARD)
        return {
            "10 slots beat 1": (ten, cell(HARD, length=1)),
            "30 slots beat 10": (cell(HARD, length=30), ten),
            "10 slots in all layers beat 10 embeddings": (ten, cell(HARD, "embedding")),
            "P from a network beats P itself": (ten, cell(HARD, "matrix")),
        }
    if section == "sentiment":
        mine, matrix, whole = (cell("sentiment", m) for m in ("prefix", "matrix", "full"))
        return {
            "sentiment: P from a network beats P itself": (mine, matrix),
            "sentiment: full fine-tuning beats a prefix": (whole, mine),
        }
    others = {"the frozen base": "base", "full fine-tuning": "full"}
    return {
        f"{model}, {name}: a prefix beats {w}": (cell(name, "prefix", model), cell(name, m, model))
        for model in MODELS
        for name in TASKS
        for w, m in others.items()
    }


def scores(rows, setting):
    """{seed: score} of a setting."""
    chosen = [row for row in rows if setting.items() <= row["setting"].items()]
    return {row["setting"]["seed"]: row["result"]["score"] for row in chosen}


def report(rows, section):
    """Print the findings of a section, seed by seed; the base, which no seed changes, meets all."""
    for words, (left, right) in rivals(section).items():
        ours, theirs = scores(rows, left), scores(rows, right)
        if right["method"] == "base":
            theirs = dict.fromkeys(ours, theirs[0])
        both = sorted(ours.keys() & theirs.keys())
        print(findings.judge(words, [ours[seed] - theirs[seed] for seed in both], 1))
