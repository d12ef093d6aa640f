"""The basic words that instructions are about, and a scene of them.

Lists, short sentences and requests share about 120 words, each of which is met again and again.
"""

import random
from collections.abc import Callable
from functools import cache

from data.generate.forms import Forms, counted, digits, person, plain, town
from data.generate.grammar import an
from data.generate.reading import words
from data.generate.scene import Fact, Scene

Word = dict[str, str]


@cache
def basics(*kinds: str) -> tuple[Word, ...]:
    """The words of these kinds, or of all kinds."""
    return tuple(w for w in words("basics") if not kinds or w["kind"] in kinds)


@cache
def countable() -> tuple[Word, ...]:
    """The words of which there can be one or several."""
    return tuple(w for w in basics() if w["many"])


def forms_of(word: Word, n: str, n_zh: str) -> Fact:
    """`a` is one of it, `n` so many, `all` what one likes: cheese, apples."""
    en, zh, m, many = word["en"], word["zh"], word["measure"], word["many"] or word["en"]
    english = Forms(en, a=an(en), n=f"{n} {many}", one=f"one {en}", all=many)
    one = f"一{m}{zh}"
    return english, Forms(zh, a=one, n=f"{n_zh}{m}{zh}", one=one, all=zh, m=m)


def of_kind(kind: str) -> Callable:
    return lambda rng, split: forms_of(rng.choice(basics(kind)), *counted(rng))


def quality(rng: random.Random, split: str) -> Fact:
    """What a thing may be: old, or new."""
    w = rng.choice([w for w in words("opposites") if w["of"] == "thing"])
    columns = rng.choice((("en", "zh"), ("opposite", "zh_opposite")))
    return tuple(Forms(w[column]) for column in columns)


DRAWERS = {kind: of_kind(kind) for kind in ("animal", "food", "job", "colour", "thing", "place")}
DRAWERS |= {"person": person, "town": town, "quality": quality}
DRAWERS |= {"ability": plain("abilities"), "count": digits(11, 100)}


class BasicScene(Scene):
    """A scene whose facts are basic words, people, towns and numbers."""

    def fact(self, slot: str) -> Fact:
        """The fact of this slot, drawn now unless an earlier sentence has asked for it."""
        if slot not in self.facts:
            self.facts[slot] = self.another(slot)
        return self.facts[slot]

    def another(self, slot: str) -> Fact:
        """A fact for this slot that no slot has."""
        draw = DRAWERS[slot.rstrip("0123456789")]
        while True:
            found = draw(self.rng, self.split)
            if found not in self.facts.values():
                return found
