"""Frames and wordings for venues, read from phrases/venues.txt; what both languages' rules share.

A frame is a sentence with places to fill. A wording tells one slot and fits one of the places.
"""

import random
import re
from functools import cache

from data.generate.reading import phrases, phrasings, words
from data.generate.tables import VALUES, Table

Wordings = dict[str, list[str]]  # place in the sentence -> wordings
Placed = dict[str, list[str]]  # place in the sentence -> slots told there

ENGLISH = {zh: en for values in VALUES.values() for en, zh in values.items()}
DISHES = {word["en"]: word["food"] for word in words("venue_food")}
AREAS = {word["en"]: word for word in words("venue_area")}
LOW = ("low", "1 out of 5")  # ratings of a place that nobody looks for


def frames(language: str, split: str, table: Table) -> list[str]:
    """The frames that a split may show, without those that invite where nobody would go."""
    found = list(phrasings(phrases("venues")["frame"]["plain"], language, split))
    rating = table.get("customer rating", "")
    if ENGLISH.get(rating, rating) not in LOW:
        found += phrasings(phrases("venues")["frame"]["inviting"], language, split)
    return found


@cache
def places(frame: str) -> tuple[str, ...]:
    """What a frame asks for, in its order: ('name', 'np', 'post')."""
    return tuple(re.findall(r"{(\w+)}", frame))


@cache
def wordings(slot: str, value: str, language: str) -> Wordings:
    """The wordings of one slot in one language by their place in the sentence."""
    english = ENGLISH.get(value, value)
    given = {"value": value, "food": DISHES.get(value, value)}
    if slot == "area" and language == "zh":
        given["value"] = AREAS[english]["zh_where"]
    book = phrases("venues")[heading(slot, english)]
    told = {
        p: [line.format(**given) for line in lines.get(language, ())] for p, lines in book.items()
    }
    if language == "zh":
        return told | {"where": [given["value"]]}
    if slot == "area":
        told["where"] = AREAS[value]["where"].split("; ")
        told["pre"] = [AREAS[value]["before"]]
    told["dish"] = [given["food"]]
    told["say"] = told.get("say", []) + told.get("at", [])
    return {place: lines for place, lines in told.items() if lines and lines != ["-"]}


def heading(slot: str, value: str) -> str:
    """The heading of the phrase book for the value of a slot: 'price cheap', 'rating score'."""
    if slot == "priceRange":
        return "price pounds" if "£" in value else f"price {value}"
    if slot == "customer rating":
        return "rating score" if "5" in value else f"rating {value}"
    return f"family {value}" if slot == "familyFriendly" else slot


def take(rng: random.Random, slots: list[str], wanted: tuple[str, ...], most: int = 1) -> list[str]:
    """Take up to so many of the wanted slots out of the list, in a random order."""
    found = [slot for slot in slots if slot in wanted]
    chosen = rng.sample(found, min(most, len(found)))
    for slot in chosen:
        slots.remove(slot)
    return chosen
