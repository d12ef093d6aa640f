"""Question answering: a text about one or two subjects, a question, and a short answer."""

import random
from collections.abc import Iterator

from data.generate import LANGUAGES
from data.generate.contexts import LAYOUTS, Group, choose, group, tell
from data.generate.qa import OF_TWO, Maker, Question, maker
from data.generate.splits import CORPUS

SIZES = (1, 2, 2)  # how many subjects a text is about


def asked(
    rng: random.Random, spoken: str, split: str = CORPUS, kind: Maker | None = None
) -> tuple[Group, Question]:
    """Some subjects and a question about them, of this kind if it is given."""
    kind = kind or maker(rng)
    while True:
        subjects = group(rng, split, 2 if kind in OF_TWO else rng.choice(SIZES))
        if question := kind(subjects, spoken):
            return subjects, question


def rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless Pair records; the languages take turns."""
    while True:
        for spoken in LANGUAGES:
            subjects, question = asked(rng, spoken, split)
            prompt = f"{tell(subjects, spoken, choose(rng, LAYOUTS))}\n{question.ask}"
            record = {"prompt": prompt, "response": question.short[0]}
            yield record if split == "train" else record | {"references": question.short}
