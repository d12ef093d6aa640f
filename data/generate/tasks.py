"""The task files: what each task's records are, how many, and how they are written."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from data.generate import describe_en, reviews, translation
from data.generate.tables import bracketed, draw_table

SIZES = {"train": 2000, "dev": 100, "test": 200}
SEED = 7
REFERENCES = 3  # different descriptions of a table in dev and test


def table_to_text(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless Pair records: an E2E-like meaning and a sentence or more that tells all of it."""
    while True:
        table, _ = draw_table(rng, split)
        told = [describe_en.describe(rng, table) for _ in range(4 * REFERENCES)]
        different = list(dict.fromkeys(told))[:REFERENCES]
        record = {"prompt": bracketed(table), "response": different[0]}
        yield record if split == "train" else record | {"references": different}


def sentiment(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless reviews; languages and labels take turns, so that every file is balanced."""
    while True:
        for language in ("en", "zh"):
            for label in (1, 0):
                made = reviews.review(rng, language, label, split)
                yield {"prompt": made.text, "label": made.label}


TASKS = {"table_to_text": table_to_text, "sentiment": sentiment, "translation": translation.pairs}


def rows(task: str, split: str) -> list[dict]:
    """The records of one file: seeded by its name, no prompt twice."""
    rng = random.Random(f"{SEED} {task} {split}")
    found: dict[str, dict] = {}
    for record in TASKS[task](rng, split):
        found.setdefault(record["prompt"], record)
        if len(found) == SIZES[split]:
            break
    return list(found.values())


def write_all(folder: Path) -> list[Path]:
    """Write every task's files; the same bytes at every call."""
    written = []
    for task in TASKS:
        for split in SIZES:
            text, ending = "", "tsv" if task == "sentiment" else "jsonl"
            for record in rows(task, split):
                text += line(record) + "\n"
            written.append(folder / f"{task}_{split}.{ending}")
            written[-1].write_bytes(text.encode())
    return written


def line(record: dict) -> str:
    """A labelled record is a TSV row, a pair a JSON object."""
    if "label" in record:
        return f"{record['prompt']}\t{record['label']}"
    return json.dumps(record, ensure_ascii=False)
