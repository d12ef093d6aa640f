"""Short news in both languages: article, headline and summary."""

import random

from data.generate.reading import phrases
from data.generate.scene import Scene


class News:
    """An event and the scene that holds its facts."""

    def __init__(self, rng: random.Random):
        self.scene = Scene(rng)
        self.event = phrases("news")[rng.choice(list(phrases("news")))]

    def part(self, name: str, language: str) -> str:
        return self.scene.tell(self.event[name], language)

    def article(self, language: str) -> str:
        """Lead, detail and close."""
        told = [self.part(name, language) for name in ("lead", "detail", "close")]
        return (" " if language == "en" else "").join(told)


def dialogue(rng: random.Random, language: str) -> str:
    """A short talk; every turn on its own line behind the speaker's name."""
    scene = Scene(rng)
    speakers = [scene.say(name, language) for name in ("{person}", "{person2}")]
    colon = ": " if language == "en" else "："
    turns = phrases("dialogue")[rng.choice(list(phrases("dialogue")))].values()
    return "\n".join(
        speakers[i % 2] + colon + scene.tell(turn, language) for i, turn in enumerate(turns)
    )
