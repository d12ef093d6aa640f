"""Everyday talks of two people, and what one may ask afterwards about what they said."""

import random

from data.generate import LANGUAGES
from data.generate.reading import phrases
from data.generate.scene import Scene

COLON = {"en": ": ", "zh": "："}
MARKS = {
    "en": (("Question: ", "Answer: "), ("", "")),
    "zh": (("问题：", "回答："), ("", "")),
}


class Dialogue:
    """A scenario of the phrase book and the scene that holds its facts."""

    def __init__(self, rng: random.Random):
        book = phrases("dialogue")
        self.rng, self.scene = rng, Scene(rng)
        self.parts = book[rng.choice(list(book))]
        self.turns = [part for part in self.parts if part.isdigit()]

    def lines(self, language: str, wording: int = -1) -> list[str]:
        """The turns, each behind its speaker's name.

        The wordings of the two languages stand in one order, so that the same one translates.
        """
        speakers = [self.scene.say(name, language) for name in ("{person}", "{person2}")]
        told = []
        for number, part in enumerate(self.turns):
            phrasings = self.parts[part][language]
            template = phrasings[wording] if wording >= 0 else self.rng.choice(phrasings)
            told.append(speakers[number % 2] + COLON[language] + self.scene.say(template, language))
        return told

    def asked_back(self, language: str) -> list[str]:
        """A question about the talk and its answer."""
        asked = self.rng.choice([part for part in self.parts if part.startswith("ask ")])
        both = (asked, asked.replace("ask ", "answer "))
        told = [self.scene.tell(self.parts[part], language) for part in both]
        marks = self.rng.choice(MARKS[language])
        return [mark + text for mark, text in zip(marks, told, strict=True)]


def other(language: str) -> str:
    return LANGUAGES[language == "en"]


def dialogue(rng: random.Random, language: str) -> str:
    """A talk, a turn a line."""
    return "\n".join(Dialogue(rng).lines(language))


def dialogue_asked(rng: random.Random, language: str) -> str:
    """A talk, then a question about it."""
    talk = Dialogue(rng)
    return "\n".join([*talk.lines(language), *talk.asked_back(language)])


def dialogue_twice(rng: random.Random, language: str) -> str:
    """A talk and its translation, turn by turn or after it."""
    talk, wording = Dialogue(rng), rng.randrange(2)
    both = [talk.lines(spoken, wording) for spoken in (language, other(language))]
    if rng.random() < 0.4:
        return "\n".join(line for pair in zip(*both, strict=True) for line in pair)
    return "\n".join(both[0] + both[1])
