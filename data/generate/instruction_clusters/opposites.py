"""Opposites: the word, and a sentence with the word exchanged."""

from functools import cache

from data.generate.instructions import Desk, Item
from data.generate.reading import words


@cache
def opposites(language: str) -> dict[str, str]:
    """Every word that has an opposite, and that opposite."""
    columns = ("en", "opposite") if language == "en" else ("zh", "zh_opposite")
    found = {row[columns[0]]: row[columns[1]] for row in words("opposites")}
    return found | {opposite: word for word, opposite in found.items()}


def word(desk: Desk) -> Item:
    asked, answer = desk.rng.choice(list(opposites(desk.language).items()))
    return Item(asked, [answer], key=asked)


def sentence(desk: Desk) -> Item:
    """A sentence on what a thing is like."""
    before, old = desk.all("quality", "statement")[0], desk.fact("quality")
    new = opposites(desk.language)[old]
    after = desk.all("quality", "statement", quality=new)[0]
    return Item(before, [after], {"word": old})


CLUSTERS = {"opposite": {"word": word, "sentence": sentence}}
