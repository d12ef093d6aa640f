"""Chinese sentences for a table: a frame tells some of the slots, a further sentence the rest.

A clause is a predicate (它*位于河边*) and, with 的, an attribute (*位于河边*的餐厅).
"""

import random

from data.generate.describe_frames import frames, places, take, wordings
from data.generate.tables import Table

TOLD = ("food", "area", "near", "priceRange", "customer rating", "familyFriendly")
NEEDS = {"place": ("area",), "near": ("near",), "food": ("food",), "Of": TOLD, "clause": TOLD}
TWO = 0.5  # of the clauses and attributes come in pairs
ATTRIBUTES = 0.75  # of the tables have attributes where a frame has room for them
ANY = "小店"  # a place of which the table does not say the kind
LONG = 3  # more clauses than these are two sentences


def describe(rng: random.Random, table: Table, split: str = "corpus") -> str:
    """One to three sentences that tell all slots of the Chinese table, in a frame of this split."""
    known = frames("zh", split, table)
    while True:
        frame = rng.choice(known)
        free = [slot for slot in table if slot not in ("name", "eatType")]
        placed = place_slots(rng, frame, free)
        if placed is not None:
            return fill(frame, placed, table, rng) + further(rng, natural(rng, free), table)


def place_slots(rng: random.Random, frame: str, free: list[str]) -> dict | None:
    """Take the slots that the frame tells out of `free`; None if it must have one that is not."""
    asked, placed = places(frame), {}
    for place, wanted in NEEDS.items():
        if place in asked:
            most = 1 + (place in ("Of", "clause") and rng.random() < TWO)
            placed[place] = natural(rng, take(rng, free, wanted, most))
            if not placed[place]:
                return None
    if "of" in asked and free and rng.random() < ATTRIBUTES:
        placed["of"] = natural(rng, take(rng, free, TOLD, 1 + (rng.random() < TWO)))
    return placed


def natural(rng: random.Random, slots: list[str]) -> list[str]:
    """The slots in a natural order, mostly."""
    if rng.random() < 0.3:
        return rng.sample(slots, len(slots))
    return [slot for slot in TOLD if slot in slots]


def fill(frame: str, placed: dict, table: Table, rng: random.Random) -> str:
    """The frame with all its places filled."""
    given = {"name": table["name"], "noun": table.get("eatType", ANY), "of": ""}
    for place, slots in placed.items():
        if place in ("place", "near", "food"):
            given[place] = wordings(slots[0], table[slots[0]], "zh")["where"][0]
        else:
            said = clauses(rng, slots, table)
            given[place] = "，".join(said) if place == "clause" else "、".join(said) + "的"
    if "clause" in given:
        given["de"] = possessive(given["clause"])
        for subject in ("{name}", "这家{noun}"):
            frame = frame.replace(subject + "{clause}", subject + "{de}{clause}")
    return frame.format(**given)


def clauses(rng: random.Random, slots: list[str], table: Table) -> list[str]:
    return [rng.choice(wordings(slot, table[slot], "zh")["verb"]) for slot in slots]


def further(rng: random.Random, slots: list[str], table: Table) -> str:
    """A sentence or two for the slots that the frame has not told."""
    if len(slots) > LONG:
        half = len(slots) // 2
        return further(rng, slots[:half], table) + further(rng, slots[half:], table)
    said = clauses(rng, slots, table)
    subject = rng.choice(("它", "它", "这家店", f"这家{table.get('eatType', ANY)}"))
    return f"{subject}{possessive(said[0])}{'，'.join(said)}。" if said else ""


def possessive(clause: str) -> str:
    """它位于河边, but 它的价格便宜: a clause with its own subject asks for 的."""
    return "的" if clause.startswith(("顾客", "价", "口碑")) else ""
