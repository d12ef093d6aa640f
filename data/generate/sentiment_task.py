"""The sentiment task: reviews with their label, and an out-of-domain test of other things."""

import random
from collections.abc import Iterator
from itertools import cycle

from data.generate import LANGUAGES
from data.generate.reviews import FAR, review
from data.generate.scene import Scene

TURNS = [(language, label) for label in (1, 0) for language in LANGUAGES]


def rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless reviews; languages and labels take turns, so that every file is balanced."""
    for language, label in cycle(TURNS):
        made = review(rng, language, label, split)
        yield {"prompt": made.text, "label": label}


def far_rows(rng: random.Random) -> Iterator[dict]:
    """Endless reviews of books, concerts, train journeys and shops, in the templates of train.

    What is judged is new and so are the names, but the words that judge are those of train.
    """
    for language, label in cycle(TURNS):
        scene = Scene(rng, "dev")
        made = review(rng, language, label, "test", scene, FAR)
        yield {"prompt": made.text, "label": label}
