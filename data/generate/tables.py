"""Tables of venues: eight slots, their values in both languages, and how a record is written.

The slots and the bracket style are those of the E2E challenge (`name[…], eatType[…]`), so that a
model tuned here can be tried on that file. `name: … | type: …` is the chapter's own style.
"""

import random

from data.generate.names import draw_venue
from data.generate.reading import words
from data.generate.splits import belongs

Table = dict[str, str]  # slot -> value, in the order of SLOTS

SLOTS = ("name", "eatType", "food", "priceRange", "customer rating", "area", "familyFriendly")
SLOTS += ("near",)
KEYS_ZH = ("名称", "类型", "菜系", "价格", "顾客评分", "区域", "适合家庭", "附近")
PLAIN_KEYS = ("name", "type", "food", "price", "rating", "area", "family", "near")
PRESENT = (1.0, 0.8, 0.6, 0.6, 0.6, 0.6, 0.5, 0.5)  # how often a slot is in a table

VALUES = {
    "eatType": {word["en"]: word["zh"] for word in words("kinds")},
    "food": {word["en"]: word["zh"] for word in words("venue_food")},
    "priceRange": {
        "cheap": "便宜", "moderate": "中等", "high": "较高", "less than £20": "不到20英镑",
        "£20-25": "20到25英镑", "more than £30": "30英镑以上",
    },
    "customer rating": {
        "low": "低", "average": "一般", "high": "高", "1 out of 5": "1分（满分5分）",
        "3 out of 5": "3分（满分5分）", "4 out of 5": "4分（满分5分）",
        "5 out of 5": "5分（满分5分）",
    },
    "area": {word["en"]: word["zh"] for word in words("venue_area")},
    "familyFriendly": {"yes": "是", "no": "否"},
}  # fmt: skip

SMALL = ("bakery", "coffee shop", "tea house", "snack bar", "canteen")
ODD = {  # what people would smile at: kinds of places with what they never have
    SMALL: ("more than £30", "seafood", "fast food"),
    ("bakery", "snack bar", "canteen"): ("no",),
    ("wine bar", "bistro"): ("fast food",),
    ("grill",): ("vegetarian",),
}


def draw_table(rng: random.Random, split: str = "corpus") -> tuple[Table, Table]:
    """A table whose names and whose set of slots belong to the split, in English and Chinese."""
    present = draw_slots(rng, split)
    name, near = draw_venue(rng, split), draw_venue(rng, split)
    while near == name:
        near = draw_venue(rng, split)
    known = {"name": name, "near": near}
    while True:
        drawn = {s: known.get(s) or rng.choice(list(VALUES[s].items())) for s in present}
        table = {slot: english for slot, (english, _) in drawn.items()}
        if not odd(table):
            return table, {slot: chinese for slot, (_, chinese) in drawn.items()}


def odd(table: Table) -> bool:
    """Whether people would smile: a seafood bakery, a bakery for adults only, a dear fast food."""
    values, kind = list(table.values()), table.get("eatType")
    if "fast food" in values and "more than £30" in values:
        return True
    return any(kind in kinds and value in values for kinds, vs in ODD.items() for value in vs)


def draw_slots(rng: random.Random, split: str) -> list[str]:
    """At least three slots, in a set of slots that the split may show."""
    while True:
        present = [s for s, p in zip(SLOTS, PRESENT, strict=True) if rng.random() < p]
        if len(present) >= 3 and belongs(" ".join(sorted(present)), split):
            return present


def shuffled(rng: random.Random, table: Table) -> Table:
    """The same table with its slots in another order, the name still first."""
    slots = list(table)[1:]
    return {slot: table[slot] for slot in ("name", *rng.sample(slots, len(slots)))}


def bracketed(table: Table, keys: tuple[str, ...] = SLOTS) -> str:
    """'name[The Copper Kettle], area[riverside]'."""
    return ", ".join(f"{key}[{value}]" for key, value in renamed(table, keys))


def piped(table: Table, keys: tuple[str, ...] = PLAIN_KEYS) -> str:
    """'name: The Copper Kettle | area: riverside'."""
    return " | ".join(f"{key}: {value}" for key, value in renamed(table, keys))


def renamed(table: Table, keys: tuple[str, ...]) -> list[tuple[str, str]]:
    names = dict(zip(SLOTS, keys, strict=True))
    return [(names[slot], value) for slot, value in table.items()]
