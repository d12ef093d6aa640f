"""What the lessons on methods share: a task's data, one way to tune, ways to measure.

dev loss    nats a target token, on examples of train's kind with names that training never saw
BLEU        how much of the text's wording the references share
all slots   the share of tables of which every value is in the text: BLEU hides a wrong name
complete    the share of texts that hold every content word which all their references share
exact       the share of texts that are one of the references
accuracy    the share of texts whose class is found

Of a task's files, dev has train's templates with other names and combinations; test has templates,
names and combinations that train never shows; far, where there is one, is another domain.
"""

import random
import re
from dataclasses import dataclass, replace

from lessons import settings
from minift import ROOT, batching, measure, metrics, records, train
from minift.models.generate import generate_many
from minift.models.heads import TextClassifier
from minift.peft import methods
from minift.tokenizer import Tokenizer

BATCH = 16
SLOT = re.compile(r"[\w ]+\[([^\]]+)\]|[^:：|;\n]+[:：]\s*([^|;\n]+)")
MAIN = {  # the strict metric by which a task is judged, a share from 0 to 1
    "table_to_text": "all_slots", "sentiment": "accuracy", "zh_en": "complete",
    "en_zh": "complete", "headline": "complete", "summary": "complete", "qa": "exact",
    "instruct_tasks": "exact", "instruct_single": "exact", "chat": "complete",
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """Examples to train on and to take the dev loss of; records to write answers to."""

    name: str
    tokenizer: Tokenizer
    train: list
    dev: list
    test: list
    labels: tuple = ()  # the classes of a classification
    context: int = 256


def file_of(name, part):
    """The file data/NAME_PART.jsonl or .tsv."""
    found = sorted((ROOT / "data").glob(f"{name}_{part}.*"))
    if not found:
        raise FileNotFoundError(f"data/{name}_{part}: no such file; expected a task of data/")
    return found[0]


def read_part(name, part, count=None):
    """The first records of a task's train, dev, test or far."""
    return records.read(file_of(name, part))[:count]


def open_task(name, context, train=None, dev=64, test=64, data=settings.DATA):
    """A task of data/, or of a file of pairs (sentiment: of classes), cut by meaning."""
    tokenizer = Tokenizer.load()
    if data:
        kind = "labelled" if name == "sentiment" else "pair"
        parts = records.split(records.read(data, kind=kind), (0.8, 0.1, 0.1))
        if not all(parts):
            raise ValueError(f"{data}: {sum(map(len, parts))} rows; expected at least 10 meanings")
        if kind == "pair":
            parts[0] = records.one_per_reference(parts[0])
        train, name = None, str(data)
    else:
        parts = [read_part(name, part) for part in ("train", "dev", "test")]
    labels = tuple(parts[0].labels or ())
    examples = []
    for part, size in zip(parts[:2], (train, dev), strict=True):
        encoded, report = batching.encode_all(part[:size], tokenizer, context, labels or None)
        examples.append(encoded)
    return Task(name, tokenizer, *examples, parts[2][:test], labels, context)


def drawn(words, size, seed):
    """The task with `size` of its training examples (or all it has), drawn by the seed."""
    size = min(size, 64 if settings.FAST else size, len(words.train))
    return replace(words, train=random.Random(seed).sample(words.train, size))


def sample_of_corpus(context, count):
    """Documents like those that the base was pretrained on, which it has not read."""
    texts = records.read(ROOT / "data" / "corpus_sample.jsonl")[:count]
    return batching.encode_all(texts, Tokenizer.load(), context)[0]


def with_head(model, task):
    """The model, in a classifier where the task asks for classes."""
    return TextClassifier(model, len(task.labels)) if task.labels else model


def tune(model, task, steps, lr, seed=0, every=None, **options):
    """Train whatever is not frozen on the task; the history has the dev loss every few steps.

    A method that needs more than the loss (AdaLoRA) gets it; `options` of train.fit go before.
    """
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
        **(methods.while_training(model) | options),
    )


def dev_loss(model, task):
    """Mean negative log-likelihood of a target token of the dev examples, in nats."""
    return measure.mean_loss(model, task.dev, task.tokenizer.pad)


def references(record):
    """All the right answers to a Pair's prompt, or of a dialogue's last turn."""
    return record.references or (getattr(record, "response", "") or record.turns[-1].text,)


def respond(model, task, asked=None):
    """The model's greedy answers to the prompts of the test records."""
    asked, tokenizer = asked or task.test, task.tokenizer
    prompts = [batching.prompt_ids(record, tokenizer) for record in asked]
    longest = max(len(tokenizer.encode(text)) for record in asked for text in references(record))
    room = task.context - max(map(len, prompts))
    how = {"eos": tokenizer.eos, "pad": tokenizer.pad}
    ids = generate_many(model, prompts, min(longest + 8, room), **how)
    return [tokenizer.decode(row).strip() for row in ids]


def holds(text, value):
    """Whether the text has the value as words of its own: “no” is not in “not”."""
    return re.search(rf"(?<!\w){re.escape(value.lower())}(?!\w)", text.lower()) is not None


def slot_values(pair):
    """The table's values that all references repeat word for word (“yes” is told otherwise)."""
    values = [(a or b).strip() for a, b in SLOT.findall(pair.prompt)]
    return [v for v in values if all(holds(text, v) for text in references(pair))]


def score(answers, asked):
    """BLEU (0 to 100), and as shares: all slots, complete, exact."""
    right = [references(record) for record in asked]
    found = {
        "bleu": metrics.bleu(answers, right),
        "complete": metrics.complete(answers, right),
        "exact": metrics.exact_match(answers, right),
    }
    if isinstance(asked[0], records.Pair):
        whole = [
            all(holds(answer, value) for value in slot_values(pair))
            for answer, pair in zip(answers, asked, strict=True)
        ]
        found["all_slots"] = sum(whole) / len(whole)
    return found


def classify(model, task, asked):
    """The share of texts whose class the classifier finds."""
    encoded, _ = batching.encode_all(asked, task.tokenizer, task.context, task.labels)
    found = []
    for start in range(0, len(encoded), 64):
        batch = batching.pad(encoded[start : start + 64], task.tokenizer.pad)
        found += model(batch.ids, mask=batch.mask).argmax(dim=1).tolist()
    return metrics.accuracy(found, [example.label for example in encoded])


def measure_all(model, task, asked):
    """Every metric of the task, from 0 to 100."""
    if task.labels:
        return {"accuracy": 100 * classify(model, task, asked)}
    found = score(respond(model, task, asked), asked)
    if MAIN.get(task.name) != "all_slots":
        found.pop("all_slots", None)  # there are no tables to hold them to
    return {name: value if name == "bleu" else 100 * value for name, value in found.items()}
