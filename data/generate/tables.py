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
PRESENT = (1.0, 0.8, 0.5, 0.45, 0.45, 0.45, 0.35, 0.4)  # how often a slot is in a table
FEWEST, MOST = 3, 6  # slots of a table

VALUES = {
    "eatType": {word["en"]: word["zh"] for word in words("kinds")},
    "food": {word["en"]: word["zh"] for word in words("venue_food")},
    "priceRange": {
        "cheap": "便宜", "moderate": "中等", "high": "较高", "less than £20": "不到20英镑",
        "£20-25": "20到25英镑",
    },
    "customer rating": {
        "low": "低", "average": "一般", "high": "高", "3 out of 5": "3分（满分5分）",
        "5 out of 5": "5分（满分5分）",
    },
    "area": {word["en"]: word["zh"] for word in words("venue_area")},
    "familyFriendly": {"yes": "是", "no": "否"},
}  # fmt: skip
FOR_ALL = ("bakery", "snack bar", "canteen")  # nobody knows such a place for adults only


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
        if table.get("eatType") not in FOR_ALL or table.get("familyFriendly") != "no":
            return table, {slot: chinese for slot, (_, chinese) in drawn.items()}


def draw_slots(rng: random.Random, split: str) -> list[str]:
    """Three to six slots, in a set of slots that the split may show."""
    while True:
        present = [s for s, p in zip(SLOTS, PRESENT, strict=True) if rng.random() < p]
        if FEWEST <= len(present) <= MOST and belongs(" ".join(sorted(present)), split):
            return present


def bracketed(table: Table, keys: tuple[str, ...] = SLOTS) -> str:
    """'name[The Copper Kettle], area[riverside]'."""
    return ", ".join(f"{key}[{value}]" for key, value in renamed(table, keys))


def piped(table: Table, keys: tuple[str, ...] = PLAIN_KEYS) -> str:
    """'name: The Copper Kettle | area: riverside'."""
    return " | ".join(f"{key}: {value}" for key, value in renamed(table, keys))


def renamed(table: Table, keys: tuple[str, ...]) -> list[tuple[str, str]]:
    names = dict(zip(SLOTS, keys, strict=True))
    return [(names[slot], value) for slot, value in table.items()]
