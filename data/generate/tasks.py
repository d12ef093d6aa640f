"""The task files: what each task's records are, how many, and how they are written."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from data.generate import (
    chat_task,
    concept_task,
    instruct_task,
    news_task,
    preference_task,
    qa_task,
    sentiment_task,
    table_task,
    translation_task,
)
from data.generate.corpus import corpus

SIZES = {"train": 5000, "dev": 300, "test": 500}
FAR = 500
SEED = 7
SAMPLE, SAMPLE_SEED = 2000, 2  # documents like those of pretraining (whose seed is 1)

Rows = Callable[[random.Random, str], Iterator[dict]]
TASKS: dict[str, Rows] = {
    "table_to_text": table_task.rows,
    "sentiment": sentiment_task.rows,
    "zh_en": translation_task.rows_zh_en,
    "en_zh": translation_task.rows_en_zh,
    "headline": news_task.rows,
    "summary": concept_task.rows,
    "qa": qa_task.rows,
    "instruct_tasks": instruct_task.tasks_rows,
    "instruct_single": instruct_task.single_rows,
    "chat": chat_task.rows,
    "preference": preference_task.rows,
}
OTHER_DOMAINS = {
    "table_to_text": table_task.far_rows,
    "sentiment": sentiment_task.far_rows,
    "instruct_tasks": instruct_task.far_rows,
}


def asked(row: dict) -> str:
    """What a row asks, by which rows are told apart."""
    if "messages" in row:
        return "\n".join(turn["content"] for turn in row["messages"][:-1])
    return row["prompt"] if "prompt" in row else f"{row['instruction']}\n{row['input']}"


def take(rows: Iterator[dict], count: int, seen: set[str]) -> list[dict]:
    """The first rows that ask what is not among `seen`, which grows by what they ask."""
    found = []
    while len(found) < count:
        row = next(rows)
        if asked(row) not in seen:
            seen.add(asked(row))
            found.append(row)
    return found


def files() -> Iterator[tuple[str, list[dict]]]:
    """Every file's name, without its ending, and its rows; a task's are seeded by its name."""
    for task, rows in TASKS.items():
        seen: set[str] = set()
        for split in ("test", "dev", "train"):  # what can be asked in few ways is test's first
            rng = random.Random(f"{SEED} {task} {split}")
            yield f"{task}_{split}", take(rows(rng, split), SIZES[split], seen)
    yield "corpus_sample", [{"text": text} for text in corpus(SAMPLE_SEED, SAMPLE)]
    for task, rows in OTHER_DOMAINS.items():
        yield f"{task}_far", take(rows(random.Random(f"{SEED} {task} far")), FAR, set())


def write_all(folder: Path) -> list[Path]:
    """Write every task's files; the same bytes at every call."""
    written = []
    for name, rows in files():
        labelled = "label" in rows[0]
        text = "".join(line(row) + "\n" for row in rows)
        written.append(folder / f"{name}.{'tsv' if labelled else 'jsonl'}")
        written[-1].write_bytes(text.encode())
    return written


def line(row: dict) -> str:
    """A labelled row is a TSV line, any other a JSON object."""
    if "label" in row:
        return f"{row['prompt']}\t{row['label']}"
    return json.dumps(row, ensure_ascii=False)
