"""Table to text: an E2E-like record, and a sentence or two that tell all of it.

Three quarters of the records are written as in E2E, one in the chapter's style (`name: … | …`).
"""

import random
from collections.abc import Callable, Iterator
from functools import partial

from data.generate.describe_en import describe
from data.generate.far_tables import describe_far, far_table
from data.generate.tables import bracketed, draw_table, piped

BRACKETED = 0.75  # of the records
REFERENCES, DRAWN, TRIED = 4, 16, 12


def rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless Pair records; dev and test have several descriptions as references."""
    while True:
        table, _ = draw_table(rng, split)
        prompt = (bracketed if rng.random() < BRACKETED else piped)(table)
        if split == "train":
            yield {"prompt": prompt, "response": describe(rng, table, split)}
        else:
            yield with_references(rng, prompt, partial(describe, rng, table, split))


def far_rows(rng: random.Random) -> Iterator[dict]:
    """Endless Pair records of hotels, shops and museums, of which no training file tells."""
    while True:
        table = far_table(rng)
        prompt = ", ".join(f"{key}[{value}]" for key, value in table.items())
        yield with_references(rng, prompt, partial(describe_far, rng, table))


def with_references(rng: random.Random, prompt: str, tell: Callable[[], str]) -> dict:
    """A record with four descriptions that have as little in common as the table allows."""
    told = list(dict.fromkeys(tell() for _ in range(DRAWN)))
    tries = [rng.sample(told, min(REFERENCES, len(told))) for _ in range(TRIED)]
    chosen = min(tries, key=lambda texts: len(shared_words(texts)))
    return {"prompt": prompt, "response": chosen[0], "references": chosen}


def shared_words(texts: list[str]) -> set[str]:
    """The words that no text is without."""
    return set.intersection(*(set(text.lower().rstrip(".").split()) for text in texts))
