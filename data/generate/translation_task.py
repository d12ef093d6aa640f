"""Two tasks: a short text, and the same in the other language. References are all its phrasings."""

import random
from collections.abc import Iterator

from data.generate.translation import translations


def rows(rng: random.Random, split: str, source: str, target: str) -> Iterator[dict]:
    """Endless Pair records; train shows one translation, dev and test have all as references."""
    while True:
        texts = translations(rng, split)
        record = {"prompt": texts[source][0], "response": texts[target][0]}
        yield record if split == "train" else record | {"references": texts[target]}


def rows_zh_en(rng: random.Random, split: str) -> Iterator[dict]:
    """Chinese → English."""
    return rows(rng, split, "zh", "en")


def rows_en_zh(rng: random.Random, split: str) -> Iterator[dict]:
    """English → Chinese."""
    return rows(rng, split, "en", "zh")
