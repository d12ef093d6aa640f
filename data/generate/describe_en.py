"""English sentences for a table: every slot has wordings for three places, frames join them.

pre    before the noun          a *family-friendly* pub
post   after the noun           a pub *with a low customer rating*, *near Mira's Kitchen*
verb   as a predicate           It *serves Thai food*
"""

import random

from data.generate.grammar import sentences
from data.generate.tables import Table

PLACES = {
    "riverside": ("by the riverside", "in the riverside area"),
    "city centre": ("in the city centre",),
    "harbour": ("at the harbour", "in the harbour area"),
    "old town": ("in the old town",),
    "market square": ("on the market square",),
    "university quarter": ("in the university quarter",),
    "hillside": ("on the hillside",),
    "station district": ("in the station district",),
}
SPENDING = {  # wordings of a price range that is given in pounds
    "post": ("with meals for {}", "with prices of {}"),
    "verb": ("charges {} for a meal", "has prices of {}", "offers meals for {}"),
}
PRICES = {
    "cheap": {
        "pre": ("cheap", "inexpensive"),
        "post": ("with low prices",),
        "verb": ("is cheap", "has low prices"),
    },
    "moderate": {
        "pre": ("moderately priced", "mid-priced"),
        "post": ("with moderate prices", "in the moderate price range"),
        "verb": ("has moderate prices", "is moderately priced"),
    },
    "high": {
        "pre": ("expensive", "high-priced"),
        "post": ("with high prices", "in the high price range"),
        "verb": ("has high prices", "is expensive"),
    },
}
RATINGS = {
    "post": ("with a(n) {} customer rating",),
    "verb": ("has a(n) {} customer rating", "gets a(n) {} rating from its customers"),
}
SCORES = {
    "post": ("with a customer rating of {}", "rated {} by its customers"),
    "verb": ("has a customer rating of {}", "is rated {} by its customers"),
}
FAMILY = {
    "yes": {
        "pre": ("family-friendly", "child-friendly"),
        "verb": ("is family-friendly", "welcomes families", "welcomes children"),
    },
    "no": {
        "pre": ("adults-only",),
        "verb": ("is not family-friendly", "does not welcome children", "is for adults only"),
    },
}
POLARITY = {  # predicates of opposite polarity are joined by "but"
    ("familyFriendly", "yes"): 1, ("familyFriendly", "no"): -1,
    ("customer rating", "high"): 1, ("customer rating", "low"): -1,
    ("customer rating", "5 out of 5"): 1, ("customer rating", "1 out of 5"): -1,
    ("priceRange", "cheap"): 1, ("priceRange", "high"): -1,
}  # fmt: skip

# {np} is the noun with what stands before it, {where} area and neighbour, {with} price or rating,
# {post} both of these, {verb} a predicate. What a frame leaves out is told in further sentences.
FRAMES = (
    "{name} is a(n) {np}{post}.",
    "{name} is a(n) {np}{post}, and it {verb}.",
    "{name} is a(n) {np} that {verb}.",
    "{name}, a(n) {np}{post}, {verb}.",
    "{name} {verb}. It is a(n) {np}{post}.",
    "{name} is the name of a(n) {np}{post}.",
    "There is a(n) {np} called {name}{post}.",
    "There is a(n) {np} named {name}{where}. It {verb}.",
    "You can find a(n) {np} called {name}{where}.",
    "If you are looking for a(n) {np}{post}, try {name}.",
    "If you want a(n) {np}{post}, go to {name}.",
    "For a(n) {np}{post}, there is {name}.",
    "Looking for a(n) {np}{post}? {name} is one.",
    "{Where}, there is a(n) {np} called {name}{with}.",
    "{Where}, you will find {name}, a(n) {np}{with}.",
    "{Where} stands {name}, a(n) {np}{with}.",
    "{name} is{where}. It is a(n) {np}{with}.",
    "{name} is located{where} and {verb}. It is a(n) {np}.",
    "{name} can be found{where}; it is a(n) {np}{with}.",
    "Located{where}, {name} is a(n) {np}{with}.",
    "A(n) {np}{where} is called {name}.",
    "The {np}{where} is called {name}, and it {verb}.",
    "People who want a(n) {np}{post} can go to {name}.",
    "This {np}{post} is called {name}.",
    "Visit {name}, a(n) {np}{post}.",
    "The name of this {np}{post} is {name}.",
)
INVITING = ("If", "For", "Looking", "People", "Visit")


def wordings(slot: str, value: str) -> dict[str, tuple[str, ...]]:
    """The wordings of one slot by their place in the sentence."""
    if slot == "food":
        food = value if value in ("seafood", "fast food") else f"{value} food"
        return {"pre": (value,), "verb": (f"serves {food}", f"offers {food}")}
    if slot == "familyFriendly":
        return FAMILY[value]
    if slot == "near":
        return {"where": (f"near {value}", f"close to {value}"), "verb": (f"is near {value}",)}
    if slot == "area":
        return {"where": PLACES[value], "verb": tuple(f"is {place}" for place in PLACES[value])}
    if slot == "priceRange" and value in PRICES:
        return PRICES[value]
    patterns = SPENDING if slot == "priceRange" else SCORES if "5" in value else RATINGS
    made = {place: tuple(p.format(value) for p in ps) for place, ps in patterns.items()}
    return made | ({"pre": ("highly rated",)} if value == "high" else {})


def suits(frame: str, table: Table) -> bool:
    """Whether the table can fill what the frame must have."""
    places = [slot for slot in ("area", "near") if slot in table]
    if frame.startswith(INVITING) and table.get("customer rating") in ("low", "1 out of 5"):
        return False  # nobody looks for a badly rated place
    spare = len(table) - 1 - ("eatType" in table)
    needs_where = "where}" in frame.lower()
    if needs_where and not places:
        return False
    return "{verb}" not in frame or spare > needs_where


def place_slots(rng: random.Random, frame: str, table: Table) -> dict[str, list[str]]:
    """Send every slot but name and eatType to a place that the frame has, must-haves first."""
    slots = [slot for slot in table if slot not in ("name", "eatType")]
    rng.shuffle(slots)
    needs_where, needs_verb = "where}" in frame.lower(), "{verb}" in frame
    slots.sort(key=lambda slot: slot not in ("area", "near"))
    placed: dict[str, list[str]] = {"pre": [], "where": [], "post": [], "verb": []}
    if needs_where:
        placed["where"].append(slots.pop(0))
    if needs_verb:
        placed["verb"].append(slots.pop(rng.randrange(len(slots))))
    for slot in slots:
        placed[rng.choice(open_places(frame, placed, slot, table[slot]))].append(slot)
    return placed


def open_places(frame: str, placed: dict[str, list[str]], slot: str, value: str) -> list[str]:
    """Places where the slot has a wording and the frame has room; a predicate always fits."""
    has = wordings(slot, value)
    room = ["verb"]
    if "pre" in has and (slot == "food" or len(set(placed["pre"]) - {"food"}) < 2):
        room += ["pre", "pre"]
    if "where" in has and ("{post}" in frame or "where}" in frame.lower()):
        room += ["where", "where", "where"]
    if "post" in has and ("{post}" in frame or "{with}" in frame) and not placed["post"]:
        room += ["post", "post"]
    return room


def describe(rng: random.Random, table: Table) -> str:
    """One to three sentences that tell all slots of the table."""
    frame = rng.choice([f for f in FRAMES if suits(f, table)])
    placed = place_slots(rng, frame, table)
    said = {
        place: [rng.choice(wordings(slot, table[slot])[place]) for slot in ordered(slots)]
        for place, slots in placed.items()
    }
    where, extra = (" ".join(["", *said[place]]) for place in ("where", "post"))
    filled = {"np": noun_phrase(said["pre"], placed["pre"], table), "name": table["name"]}
    filled |= {"where": where, "Where": where.strip(), "with": extra, "post": where + extra}
    rest = list(zip(ordered(placed["verb"]), said["verb"], strict=True))
    if "{verb}" in frame:
        filled["verb"] = rest.pop(0)[1]
    told = [frame.format(**filled), *further(rng, rest, table)]
    return sentences(" ".join(told))


def ordered(slots: list[str]) -> list[str]:
    """The order that sounds natural; the cuisine comes last, next to the noun."""
    order = ("familyFriendly", "customer rating", "priceRange", "area", "near", "food")
    return sorted(slots, key=order.index)


def noun_phrase(said: list[str], slots: list[str], table: Table) -> str:
    """'family-friendly, cheap Italian pub'."""
    said, noun = list(said), table.get("eatType", "place to eat")
    if "food" in slots:
        noun = f"{said.pop()} {noun}"
    return " ".join([*[", ".join(said)] * bool(said), noun])


def further(rng: random.Random, rest: list[tuple[str, str]], table: Table) -> list[str]:
    """Sentences for the remaining predicates, at most two in each."""
    told = []
    while rest:
        pair, rest = rest[:2], rest[2:]
        subject = rng.choice(("it", "it", "the place", f"the {table.get('eatType', 'place')}"))
        also = "also " if told and pair[0][1].startswith(("has", "serves", "offers")) else ""
        signs = [POLARITY.get((slot, table[slot]), 0) for slot, _ in pair]
        word = " but " if len(pair) == 2 and signs[0] * signs[1] < 0 else " and "
        told.append(f"{subject} {also}{joined([verb for _, verb in pair], word)}.")
    return told


def joined(verbs: list[str], word: str) -> str:
    """'has low prices and a high customer rating': "has" is said once."""
    if len(verbs) == 2 and word == " and " and all(verb.startswith("has ") for verb in verbs):
        verbs = [verbs[0], verbs[1].removeprefix("has ")]
    return word.join(verbs)
