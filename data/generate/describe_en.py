"""English sentences for a table: a frame tells some of the slots, a second sentence the rest.

np     the noun and what stands before it   a *cheap Italian pub*
where  area and neighbour                   a pub *in the old town near Mira's Kitchen*
verb   predicates                           It *serves Thai food and has a low rating*
"""

import random

from data.generate.describe_frames import MOST, TOLD, WHERE, clauses, frames, places, take, wordings
from data.generate.grammar import sentences
from data.generate.tables import Table

BEFORE = 0.5  # of the cuisines stand before the noun, and so does a price or "family-friendly"
TWO = 0.5  # of the frames with a predicate have two
LONGEST = 36  # words


def describe(rng: random.Random, table: Table, split: str = "corpus") -> str:
    """One or two sentences that tell all slots of the table, in a frame of this split."""
    known = frames("en", split, table)
    while True:
        text = tell(rng, rng.choice(known), table)
        if text and len(text.split()) <= LONGEST:
            return sentences(text)


def tell(rng: random.Random, frame: str, table: Table) -> str:
    """The frame filled and the rest behind it; nothing if the table does not fit the frame."""
    asked, points = places(frame), [slot for slot in TOLD if slot in table]
    where = located(rng, table)
    given = {"name": table["name"], "np": noun_phrase(rng, points, table), "where": where}
    given["place"] = " " * bool(where) + where
    if where and not {"where", "place"} & set(asked):
        points.append("where")
    for place, most in (("verb", 1 + (rng.random() < TWO)), ("one", 1)):
        if place in asked:
            given[place] = predicates(rng, take(rng, points, most), table, where)
    rest = predicates(rng, points, table, where)
    if len(points) > MOST or not all(given.get(p, rest) for p in asked if p != "place"):
        return ""
    told = frame.format(all=rest, **given)
    return told if "all" in asked or not rest else f"{told} It {rest}."


def noun_phrase(rng: random.Random, points: list[str], table: Table) -> str:
    """'cheap Italian pub'; what it tells is taken out of the points."""
    noun, said = table.get("eatType", ""), []
    plain = [p for p in points if p != "food" and "pre" in wordings(p, table[p], "en")]
    for slot in (rng.choice(plain) if plain else "", "food"):
        if slot in points and rng.random() < BEFORE:
            points.remove(slot)
            said += wordings(slot, table[slot], "en")["pre"]
    return " ".join([*said, noun or ("place" if said else "place to eat")])


def located(rng: random.Random, table: Table) -> str:
    """'in the old town near Mira's Kitchen'."""
    slots = [slot for slot in WHERE if slot in table]
    return " ".join(rng.choice(wordings(slot, table[slot], "en")["where"]) for slot in slots)


def predicates(rng: random.Random, points: list[str], table: Table, where: str) -> str:
    """'serves Thai food, is cheap and welcomes families'; of two, "has" is said once."""
    verbs = clauses(rng, points, table, where, "en")
    if len(verbs) == 2 and all(verb.startswith("has ") for verb in verbs):
        verbs[1] = verbs[1].removeprefix("has ")
    return " and ".join([", ".join(verbs[:-1]), verbs[-1]]) if verbs[1:] else "".join(verbs)
