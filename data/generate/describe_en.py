"""English sentences for a table: a frame tells some of the slots, further sentences the rest.

pre    before the noun          a *family-friendly* pub
with   behind the noun          a pub *with a low customer rating*
where  area and neighbour       a pub *in the old town near Mira's Kitchen*
verb   as a predicate           It *serves Thai food*
say    a clause of its own      *Customers give it a low rating*
"""

import random

from data.generate.describe_frames import Placed, frames, places, take, wordings
from data.generate.grammar import sentences
from data.generate.reading import phrases
from data.generate.tables import Table

WHERE = ("area", "near")
ORDER = ("food", "priceRange", "customer rating", "familyFriendly", *WHERE)  # that of predicates
NEEDS = {  # what a frame must have for such a place; the verb takes what is left
    "food": ("food",),
    "having": ("priceRange", "customer rating"),
    "at": ("food", "priceRange", "familyFriendly"),
    "where": WHERE,
    "one": ORDER,
    "verb": ORDER,
}
GLADLY = {"pre": 2, "where": 3, "with": 2, "rest": 2}  # how often the other slots go where
TWO = {"where": 0.6, "verb": 0.35}  # how often such a place tells two slots
SPOKEN = 0.35  # of the further clauses have a subject of their own
SENTENCES = 3
GROUPS = {  # the further clauses by sentence
    1: ((1,),),
    2: ((2,), (2,), (1, 1)),
    3: ((3,), (2, 1), (1, 2)),
    4: ((2, 2),),
}
POLARITY = {  # two predicates of opposite polarity are joined by "but"
    ("familyFriendly", "yes"): 1, ("familyFriendly", "no"): -1,
    ("customer rating", "high"): 1, ("customer rating", "low"): -1,
    ("customer rating", "5 out of 5"): 1, ("customer rating", "1 out of 5"): -1,
    ("priceRange", "cheap"): 1, ("priceRange", "high"): -1,
}  # fmt: skip


def describe(rng: random.Random, table: Table, split: str = "corpus") -> str:
    """One to three sentences that tell all slots of the table, in a frame of this split."""
    known = frames("en", split, table)
    while True:
        frame = rng.choice(known)
        placed = place_slots(rng, frame, table)
        left = SENTENCES - len(frame.replace("? ", ". ").split(". "))
        rest = points(rng, placed["rest"]) if placed else []
        sizes = [size for size in GROUPS.get(len(rest), ()) if len(size) <= left]
        if placed and (sizes or not rest):
            told = fill(rng, frame, placed, table)
            after = further(rng, rest, sizes, table, told.split(". ")[-1])
            return sentences(" ".join([told, *after]))


def place_slots(rng: random.Random, frame: str, table: Table) -> Placed | None:
    """Send every slot but name and eatType to a place in the frame or behind it.

    None if the table has not what the frame must have.
    """
    free, asked = [slot for slot in table if slot not in ("name", "eatType")], places(frame)
    placed: Placed = {place: [] for place in (*NEEDS, *GLADLY)}
    for place, wanted in NEEDS.items():
        if place in asked:
            placed[place] = take(rng, free, wanted, 1 + (rng.random() < TWO.get(place, 0)))
            if not placed[place]:
                return None
    for slot in rng.sample(free, len(free)):
        rooms = [room for room in GLADLY if fits(room, slot, table, placed, asked)]
        placed[rng.choices(rooms, [GLADLY[room] for room in rooms])[0]].append(slot)
    return placed


def fits(room: str, slot: str, table: Table, placed: Placed, asked: tuple[str, ...]) -> bool:
    """Whether the slot has a wording for this place and the frame still has room for it."""
    if room == "rest":
        return True
    if room == "where":
        return slot in WHERE and any(place in asked for place in ("post", "place", "where"))
    if room not in wordings(slot, table[slot], "en"):
        return False
    if slot == "area" and "eatType" not in table:
        return False  # nobody says "a riverside place to eat"
    if room == "with":
        return not placed["with"] and ("post" in asked or "with" in asked)
    heads = [told for told in placed["pre"] if told in ("food", "area")]
    return slot in ("food", "area") or len(placed["pre"]) - len(heads) < 2


def fill(rng: random.Random, frame: str, placed: Placed, table: Table) -> str:
    """The frame with all its places filled."""
    given = {"name": table["name"], "np": noun_phrase(rng, placed["pre"], table)}
    given["where"] = located(rng, placed["where"], table) if placed["where"] else ""
    given["place"] = " " * bool(given["where"]) + given["where"]
    for place, told in (("with", "with"), ("having", "with"), ("at", "at")):
        said = [rng.choice(wordings(slot, table[slot], "en")[told]) for slot in placed[place]]
        given[place] = " ".join(said)
    given["with"] = " " * bool(given["with"]) + given["with"]
    given["post"] = given["with"] + given["place"]
    if placed["food"]:
        given["food"] = wordings("food", table["food"], "en")["dish"][0]
    for place in ("one", "verb"):
        given[place] = predicates(rng, points(rng, placed[place]), table) if placed[place] else ""
    return frame.format(**given)


def noun_phrase(rng: random.Random, slots: list[str], table: Table) -> str:
    """'cheap and family-friendly Italian riverside pub'."""
    noun = table.get("eatType") or ("place" if slots and rng.random() < 0.5 else "place to eat")
    said = {slot: rng.choice(wordings(slot, table[slot], "en")["pre"]) for slot in slots}
    for near_noun in ("area", "food"):
        if near_noun in said:
            noun = f"{said.pop(near_noun)} {noun}"
    return " ".join([*[rng.choice((", ", " and ")).join(said.values())] * bool(said), noun])


def located(rng: random.Random, slots: list[str], table: Table) -> str:
    """'in the old town near Mira's Kitchen'."""
    slots = sorted(slots) if rng.random() < 0.6 else slots
    return " ".join(rng.choice(wordings(slot, table[slot], "en")["where"]) for slot in slots)


def points(rng: random.Random, slots: list[str]) -> list[str]:
    """The slots in a natural order, mostly; area and neighbour are one point."""
    order = [slot for slot in ORDER if slot in slots]
    if rng.random() < 0.3:
        rng.shuffle(order)
    if "area" in order and "near" in order:
        order[order.index("area")] = "area and near"
        order.remove("near")
    return order


def told_as(rng: random.Random, how: str, point: str, table: Table) -> str:
    """A predicate or a clause for the point."""
    slots = point.split(" and ")
    lines = list(wordings(point, table[point], "en").get(how, ())) if len(slots) == 1 else []
    if set(slots) <= set(WHERE):
        where = located(rng, slots, table)
        lines += [line.format(where=where) for line in phrases("venues")["place"][how]["en"]]
    return rng.choice(lines)


def further(rng: random.Random, rest: list[str], sizes: list, table: Table, last: str) -> list[str]:
    """Sentences for the points that the frame has not told; `last` is what it has told."""
    told, kind = [], table.get("eatType", "place")
    for size in rng.choice(sizes) if rest else ():
        group, rest = rest[:size], rest[size:]
        spoken = [point for point in group if size < 3 and rng.random() < SPOKEN]
        plain = [point for point in group if point not in spoken]
        clauses = [told_as(rng, "say", point, table) for point in spoken]
        if plain:
            subjects = ["it", "it", "the place", f"the {kind}"]
            before = (told or [last])[-1].lower()
            subject = rng.choice([s for s in subjects if not before.startswith(s)])
            verbs = predicates(rng, plain, table)
            also = "also " * (bool(told) and verbs.startswith(("serves", "offers")))
            clauses = [f"{subject} {also}{verbs}", *clauses]
        told.append(f",{link(plain + spoken, table)}".join(clauses) + ".")
    return told


def link(points: list[str], table: Table) -> str:
    """'and', or 'but' between two points of opposite polarity."""
    signs = [POLARITY.get((point, table.get(point)), 0) for point in points]
    return " but " if len(points) == 2 and signs[0] * signs[1] < 0 else " and "


def predicates(rng: random.Random, points: list[str], table: Table) -> str:
    """'has low prices and a high customer rating': "has" or "is" is said once."""
    verbs, word = [told_as(rng, "verb", point, table) for point in points], link(points, table)
    alike = {"has "} | ({"is "} if set(points) <= {"priceRange", "familyFriendly"} else set())
    if word == " and " and "menu" not in verbs[0]:
        for verb in sorted(alike):
            if all(said.startswith(verb) for said in verbs):
                verbs = [verbs[0], *(said.removeprefix(verb) for said in verbs[1:])]
    return word.join([", ".join(verbs[:-1]), verbs[-1]]) if len(verbs) > 1 else verbs[0]
