"""What the task files are like: how varied, how near test is to train, and rows to read aloud.

distinct-4      the share of runs of four words (Han characters) of train's texts that occur once
nearest BLEU    corpus BLEU of test's texts, each against the one of train that is nearest to it:
                100 would be a copy of train, unrelated texts of the same world stay below 20 or so
"""

import json
import random
from collections import Counter, defaultdict
from pathlib import Path

from minift import metrics
from minift.tokenizer import Tokenizer

NEAR = 10  # train texts that share most runs of three words, of which the best BLEU counts


def load(path: Path) -> list[dict]:
    """The rows of a task file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.suffix == ".tsv":
        return [dict(zip(("prompt", "label"), line.split("\t"), strict=True)) for line in lines]
    return [json.loads(line) for line in lines]


def text(row: dict) -> str:
    """All that a row says, as one text."""
    if "messages" in row:
        return " ".join(turn["content"] for turn in row["messages"])
    fields = ("instruction", "input", "output", "prompt", "response")
    return " ".join(row[field] for field in fields if row.get(field))


def nearest(train: list[str], test: list[str]) -> list[str]:
    """For each text of test the text of train with the highest BLEU against it."""
    holders = defaultdict(list)
    for number, one in enumerate(train):
        for gram in metrics.ngrams(metrics.spaced_words(one), 3):
            holders[gram].append(number)
    found = []
    for one in test:
        grams = metrics.ngrams(metrics.spaced_words(one), 3)
        shared = Counter(number for gram in grams for number in holders.get(gram, ()))
        rivals = [train[number] for number, _ in shared.most_common(NEAR)] or train[:1]
        found.append(max(rivals, key=lambda rival, one=one: metrics.bleu([one], [[rival]])))
    return found


def measure(folder: Path, task: str) -> dict[str, float]:
    """The figures of one task."""
    files = {split: next(folder.glob(f"{task}_{split}.*")) for split in ("train", "test")}
    train, test = ([text(row) for row in load(path)] for path in files.values())
    tokenizer = Tokenizer.load()
    lengths = sorted(len(tokenizer.encode(one)) for one in train + test)
    pairs = [[one] for one in nearest(train, test)]
    return {
        "distinct-4": metrics.distinct(train, 4),
        "nearest BLEU": metrics.bleu(test, pairs),
        "tokens, 95 %": lengths[len(lengths) * 95 // 100],
        "tokens, most": lengths[-1],
    }


def show(folder: Path, task: str, split: str, count: int = 20, seed: int = 0) -> str:
    """Rows drawn at random, to be read aloud."""
    rows = load(next(folder.glob(f"{task}_{split}.*")))
    told = []
    for row in random.Random(seed).sample(rows, count):
        fields = {key: value for key, value in row.items() if key != "references"}
        told += [f"{key}: {value}" for key, value in fields.items()] + [""]
    return "\n".join(told)


def tell(folder: Path, task: str, count: int) -> str:
    """One line of figures, and so many rows of test."""
    figures = "  ".join(f"{name} {value:.3g}" for name, value in measure(folder, task).items())
    return f"{task:<16}{figures}\n" + (show(folder, task, "test", count) if count else "")
