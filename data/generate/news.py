"""Short news in both languages: an event, its article, and all its headlines or summaries."""

import random

from data.generate.reading import phrases, phrasings
from data.generate.scene import Scene
from data.generate.splits import CORPUS, split_of_pairs

ARTICLE = ("lead", "detail", "close")


def events(split: str) -> list[str]:
    """The events that a split tells: test those that have lines of its own."""
    language = "en test" if split == "test" else "en"
    book = phrases("news")
    return [event for event, parts in book.items() if language in parts["lead"]]


class News:
    """An event and the scene of its facts.

    What dev and test tell has happened to this person, or in this town, neither in train nor in
    the corpus; the wordings of test are its own, and so are some of its events.
    """

    def __init__(self, rng: random.Random, split: str = CORPUS):
        while True:
            event, self.scene = rng.choice(events(split)), Scene(rng, split)
            person, town = (str(self.scene.fact(slot)[0]) for slot in ("person", "town"))
            held_out = split_of_pairs([person, event, town]) != "train"
            if held_out == (split in ("dev", "test")):
                break
        self.parts = phrases("news")[event]

    def part(self, name: str, language: str) -> str:
        return self.scene.tell(self.parts[name], language)

    def article(self, language: str) -> str:
        """Lead, detail and close, each in one of its phrasings."""
        told = [self.part(name, language) for name in ARTICLE]
        return (" " if language == "en" else "").join(told)

    def answers(self, name: str, language: str) -> list[str]:
        """The headline or the summary in every phrasing, in an order of chance."""
        templates = phrasings(self.parts[name], language, self.scene.split)
        told = [self.scene.say(template, language) for template in templates]
        self.scene.rng.shuffle(told)
        return told
