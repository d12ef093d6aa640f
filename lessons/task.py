"""What the lessons on methods share: a task's data, one way to tune, three ways to measure.

dev loss    nats a target token, on meanings that training never saw
BLEU        how much of the text's wording the references share
all slots   the share of tables of which every value is in the text: BLEU hides a wrong name
"""

import re
from dataclasses import dataclass

from lessons import settings
from minift import ROOT, batching, measure, metrics, records, train
from minift.models.generate import generate_many
from minift.tokenizer import Tokenizer

BATCH = 16
NEW_TOKENS = 80
SLOT = re.compile(r"[\w ]+\[([^\]]+)\]|[^:：|;\n]+[:：]\s*([^|;\n]+)")


@dataclass(frozen=True)
class Task:
    """Examples to train on and to take the dev loss of; Pairs to write answers to."""

    name: str
    tokenizer: Tokenizer
    train: list
    dev: list
    test: list


def open_task(name, context, train=None, dev=64, test=64, data=settings.DATA):
    """A task of data/NAME_{train,dev,test}.jsonl, or of a file of pairs, cut by meaning."""
    tokenizer = Tokenizer.load()
    if data:
        parts = records.split(records.read(data, kind="pair"), (0.8, 0.1, 0.1))
        if not all(parts):
            raise ValueError(f"{data}: {sum(map(len, parts))} pairs; expected at least 10 meanings")
        parts[0], train, name = records.one_per_reference(parts[0]), None, str(data)
    else:
        files = [ROOT / "data" / f"{name}_{part}.jsonl" for part in ("train", "dev", "test")]
        parts = [records.read(file, kind="pair") for file in files]
    examples = []
    for part, size in zip(parts[:2], (train, dev), strict=True):
        encoded, report = batching.encode_all(part[:size], tokenizer, context)
        examples.append(encoded)
    return Task(name, tokenizer, *examples, parts[2][:test])


def tune(model, task, steps, lr, seed=0, every=None):
    """Train whatever is not frozen on the task; the history has the dev loss every few steps."""
    return train.fit(
        model,
        batching.Batches(task.train, BATCH, seed=seed, pad_id=task.tokenizer.pad),
        type(model).loss,
        steps=steps,
        lr=lr,
        device="cpu",
        log_every=5,
        evaluate=lambda model, step: {"dev_loss": dev_loss(model, task)},
        evaluate_every=every or steps,
        quiet=True,
    )


def dev_loss(model, task):
    """Mean negative log-likelihood of a target token of the dev examples, in nats."""
    return measure.mean_loss(model, task.dev, task.tokenizer.pad)


def respond(model, task, pairs=None):
    """The model's greedy answers to the prompts of the test pairs."""
    prompts = [batching.prompt_ids(pair, task.tokenizer) for pair in pairs or task.test]
    tokenizer = task.tokenizer
    ids = generate_many(model, prompts, NEW_TOKENS, eos=tokenizer.eos, pad=tokenizer.pad)
    return [tokenizer.decode(row).strip() for row in ids]


def slot_values(pair):
    """The table's values that a reference repeats word for word (“yes” is told in other words)."""
    values = [(a or b).strip() for a, b in SLOT.findall(pair.prompt)]
    told = " ".join(pair.references or (pair.response,)).lower()
    return [value for value in values if value.lower() in told]


def score(answers, pairs):
    """BLEU (0 to 100) and the share of answers that hold every value of their table."""
    references = [pair.references or (pair.response,) for pair in pairs]
    whole = [
        all(value.lower() in answer.lower() for value in slot_values(pair))
        for answer, pair in zip(answers, pairs, strict=True)
    ]
    return {"bleu": metrics.bleu(answers, references), "all_slots": sum(whole) / len(whole)}
