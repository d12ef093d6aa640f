"""Parallel sentences, and the Chinese → English task made of them."""

import random
from collections.abc import Iterator

from data.generate.reading import phrases
from data.generate.scene import Scene
from data.generate.splits import split_of_pairs


def parallel(rng: random.Random, split: str = "train") -> tuple[str, list[str]]:
    """A Chinese sentence and its English translations, whose word pairs belong to the split."""
    book = phrases("translation")
    patterns = sorted(book)
    while True:
        pattern = book[rng.choice(patterns)][""]
        scene = Scene(rng, split)
        chinese = scene.tell(pattern, "zh")
        english = [scene.say(template, "en") for template in pattern["en"]]
        if split_of_pairs(scene.drawn()) == split:
            rng.shuffle(english)
            return chinese, english


def pairs(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless Pair records; train shows one translation, dev and test have all as references."""
    while True:
        chinese, english = parallel(rng, split)
        record = {"prompt": chinese, "response": english[0]}
        yield record if split == "train" else record | {"references": english}
