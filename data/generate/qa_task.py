"""Question answering: a text about one to three subjects, a question, and a short answer."""

import random
from collections.abc import Iterator
from functools import partial

from data.generate import LANGUAGES
from data.generate.asking import choose
from data.generate.contexts import LAYOUTS, RECORDS, group, tell
from data.generate.qa import MAKERS, askable, maker

LONGEST = {"en": 520, "zh": 180}  # letters or characters of a prompt
SIZES = (1, 2, 2, 3, 3)  # how many subjects a text is about
KINDS = {kind: often for kind, (often, _) in MAKERS.items()}


def rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless Pair records; the languages take turns."""
    while True:
        for spoken in LANGUAGES:
            kind = choose(rng, KINDS)
            record = None
            while record is None:
                record = row(rng, split, spoken, kind)
            yield record


def row(rng: random.Random, split: str, spoken: str, kind: str) -> dict | None:
    """A record with this kind of question, or None where the draw does not suit it."""
    size = max(rng.choice(SIZES), MAKERS[kind][1])
    alike = rng.randint(1, size) if kind == "count" else 0
    subjects = group(rng, split, size, partial(askable, kind), alike)
    question = maker(kind, size, rng)(subjects)
    if question is None:
        return None
    text = tell(subjects, spoken, choose(rng, LAYOUTS | RECORDS))
    prompt = f"{text}\n{question.ask(spoken)}"
    if len(prompt) > LONGEST[spoken]:
        return None
    right = question.short(spoken)
    record = {"prompt": prompt, "response": right[0]}
    return record if split == "train" else record | {"references": right}
