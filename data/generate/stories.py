"""Stories of five sentences, told once, or again in other words or in the other language."""

import random

from data.generate import LANGUAGES
from data.generate.reading import Phrases, phrases
from data.generate.scene import Scene


def plot(rng: random.Random) -> list[Phrases]:
    """One fact of every stage, in order."""
    return [rng.choice(list(stage.values())) for stage in phrases("story").values()]


def tell(scene: Scene, facts: list[Phrases], language: str) -> str:
    """The facts in this language, each in one of its phrasings."""
    told = [scene.tell(fact, language) for fact in facts]
    return (" " if language == "en" else "").join(told)


def story(rng: random.Random, language: str) -> str:
    return tell(Scene(rng), plot(rng), language)


def story_twice(rng: random.Random, language: str) -> str:
    """A story and its repetition, paraphrase or translation, each in a paragraph of its own."""
    scene, facts = Scene(rng), plot(rng)
    first = tell(scene, facts, language)
    other = rng.choice(LANGUAGES)
    again = first if rng.random() < 0.2 else tell(scene, facts, other)
    return f"{first}\n{again}"
