"""Stories of five sentences, told once, or again in other words or in the other language.

A story begins at home and then goes through the stages of one tale, so that its facts fit together.
"""

import random

from data.generate import LANGUAGES
from data.generate.reading import Phrases, phrases
from data.generate.scene import Scene

STAGES = ("start", "event", "help", "end")
REPEATED = 0.2  # of the stories told twice: word by word


def tales() -> list[str]:
    """The tales that the phrase book tells, in its order."""
    return [stage.removesuffix(" start") for stage in phrases("story") if stage.endswith(" start")]


def plot(rng: random.Random) -> list[Phrases]:
    """A fact of home, and one of every stage of a tale, in order."""
    book, tale = phrases("story"), rng.choice(tales())
    stages = ["home", *(f"{tale} {stage}" for stage in STAGES)]
    return [rng.choice(list(book[stage].values())) for stage in stages]


def tell(scene: Scene, facts: list[Phrases], language: str) -> str:
    """The facts in this language, each in one of its phrasings."""
    told = [scene.tell(fact, language) for fact in facts]
    return (" " if language == "en" else "").join(told)


def story(rng: random.Random, language: str) -> str:
    return tell(Scene(rng), plot(rng), language)


def story_twice(rng: random.Random, language: str) -> str:
    """A tale and its repetition, paraphrase or translation, each in a paragraph of its own.

    It begins away from home, so that both fit a context of 256 tokens.
    """
    scene, facts = Scene(rng), plot(rng)[1:]
    first = tell(scene, facts, language)
    other = rng.choice(LANGUAGES)
    again = first if rng.random() < REPEATED else tell(scene, facts, other)
    return f"{first}\n{again}"
