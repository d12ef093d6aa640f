"""A scene: facts that are drawn when a sentence first asks for them, the same in both languages.

A template names its facts: `{person} {trade.past} {thing.n}` gives "Tom bought three books", and
`{person}{trade.past}{thing.n}` 汤姆买了三本书. A digit asks for one more that differs: `{person2}`.
"""

import random
import re

from data.generate.categories import DRAWERS
from data.generate.forms import Forms
from data.generate.grammar import sentences
from data.generate.reading import Phrases, phrasings

Fact = tuple[Forms, Forms]  # English, Chinese


class Scene:
    def __init__(self, rng: random.Random, split: str = "corpus"):
        self.rng = rng
        self.split = split
        self.facts: dict[str, Fact] = {}

    def fact(self, slot: str) -> Fact:
        """The fact of this slot, drawn now unless an earlier sentence has asked for it."""
        if slot not in self.facts:
            category = slot.rstrip("0123456789")
            others = [f for s, f in self.facts.items() if s.rstrip("0123456789") == category]
            fact = DRAWERS[category](self.rng, self.split)
            while fact in others:
                fact = DRAWERS[category](self.rng, self.split)
            self.facts[slot] = fact
        return self.facts[slot]

    def say(self, template: str, language: str, **given: str) -> str:
        """The template in words; `given` fills slots that are no facts of the scene."""
        slots = {name: name for name in re.findall(r"{(\w+)", template)}
        which = 0 if language == "en" else 1
        filled = {s: given[s] if s in given else self.fact(s)[which] for s in slots}
        return sentences(template.format(**filled))

    def tell(self, phrases: Phrases, language: str, **given: str) -> str:
        """One of the phrasings in this language that the split may show."""
        return self.say(
            self.rng.choice(phrasings(phrases, language, self.split)), language, **given
        )

    def drawn(self) -> list[str]:
        """The English words of all facts so far, in the order in which they were drawn."""
        return [str(english) for english, _ in self.facts.values()]
