"""Frames and wordings for venues, read from phrases/venues.txt; what both languages' rules share.

A frame is a sentence with places to fill. A wording tells one slot and fits one of the places.
"""

import random
import re
from functools import cache

from data.generate.reading import phrases, phrasings, words
from data.generate.tables import VALUES, Table

Wordings = dict[str, list[str]]  # place in the sentence -> wordings

TOLD = ("food", "priceRange", "customer rating", "familyFriendly")  # in the order of the text
WHERE = ("area", "near")
MOST = 3  # points of the second sentence
ENGLISH = {zh: en for values in VALUES.values() for en, zh in values.items()}
AREAS = {word["en"]: word for word in words("venue_area")}


def frames(language: str, split: str, table: Table) -> list[str]:
    """The frames that a split may show, without those that invite where nobody would go."""
    found = list(phrasings(phrases("venues")["frame"]["plain"], language, split))
    rating = table.get("customer rating", "")
    if ENGLISH.get(rating, rating) != "low":
        found += phrasings(phrases("venues")["frame"]["inviting"], language, split)
    return found


@cache
def places(frame: str) -> tuple[str, ...]:
    """What a frame asks for, in its order: ('name', 'np', 'place')."""
    return tuple(re.findall(r"{(\w+)}", frame))


@cache
def wordings(slot: str, value: str, language: str) -> Wordings:
    """The wordings of one slot in one language by their place in the sentence."""
    english = ENGLISH.get(value, value)
    if slot == "area":
        column = "where" if language == "en" else "zh_where"
        return {"where": AREAS[english][column].split("; ")}
    book = phrases("venues")[heading(slot, english)]
    return {
        place: [line.format(value=value) for line in lines[language]]
        for place, lines in book.items()
        if language in lines
    }


def heading(slot: str, value: str) -> str:
    """The heading of the phrase book for the value of a slot: 'price cheap', 'rating score'."""
    if slot == "priceRange":
        return "price pounds" if "£" in value else f"price {value}"
    if slot == "customer rating":
        return "rating score" if "5" in value else "rating word"
    return f"family {value}" if slot == "familyFriendly" else slot


def take(rng: random.Random, points: list[str], most: int) -> list[str]:
    """Take up to so many points out of the list; their order stays."""
    chosen = rng.sample(points, min(most, len(points)))
    told = [point for point in points if point in chosen]
    for point in told:
        points.remove(point)
    return told


def clauses(
    rng: random.Random, points: list[str], table: Table, where: str, language: str
) -> list[str]:
    """A predicate for each point; the point `where` is the area, the neighbour or both."""
    lines = {
        point: [line.format(where=where) for line in phrases("venues")["place"]["verb"][language]]
        if point == "where"
        else wordings(point, table[point], language)["verb"]
        for point in points
    }
    return [rng.choice(lines[point]) for point in points]
