"""Tables of venues: eight slots, their values in both languages, and how a record is written.

The slots and the bracket style are those of the E2E challenge (`name[…], eatType[…]`), so that a
model tuned here can be tried on that file. `name: … | type: …` is the chapter's own style.
"""

import random

from data.generate.names import venue_names
from data.generate.splits import split_of_name

Table = dict[str, str]  # slot -> value, in the order of SLOTS; values are the English ones

SLOTS = ("name", "eatType", "food", "priceRange", "customer rating", "area", "familyFriendly")
SLOTS += ("near",)
KEYS_ZH = ("名称", "类型", "菜系", "价格", "顾客评分", "区域", "适合家庭", "附近")
PLAIN_KEYS = ("name", "type", "food", "price", "rating", "area", "family", "near")
PRESENT = (1.0, 0.8, 0.6, 0.6, 0.6, 0.6, 0.5, 0.5)  # how often a slot is in a table

VALUES = {
    "eatType": {
        "restaurant": "餐厅", "pub": "酒吧", "coffee shop": "咖啡馆", "tea house": "茶馆",
        "bakery": "面包店", "bistro": "小酒馆",
    },
    "food": {
        "Italian": "意大利菜", "Chinese": "中国菜", "French": "法国菜", "Indian": "印度菜",
        "Japanese": "日本菜", "English": "英国菜", "Thai": "泰国菜", "Mexican": "墨西哥菜",
        "Greek": "希腊菜", "Turkish": "土耳其菜", "vegetarian": "素食", "seafood": "海鲜",
        "fast food": "快餐",
    },
    "priceRange": {
        "cheap": "便宜", "moderate": "中等", "high": "较高", "less than £20": "不到20英镑",
        "£20-25": "20到25英镑", "more than £30": "30英镑以上",
    },
    "customer rating": {
        "low": "低", "average": "一般", "high": "高", "1 out of 5": "1分（满分5分）",
        "3 out of 5": "3分（满分5分）", "4 out of 5": "4分（满分5分）",
        "5 out of 5": "5分（满分5分）",
    },
    "area": {
        "riverside": "河边", "city centre": "市中心", "harbour": "港口", "old town": "老城区",
        "market square": "集市广场", "university quarter": "大学区", "hillside": "山坡",
        "station district": "车站一带",
    },
    "familyFriendly": {"yes": "是", "no": "否"},
}  # fmt: skip


def draw_table(rng: random.Random, split: str = "train") -> tuple[Table, dict[str, str]]:
    """A table whose names and whose set of slots belong to the split, with its Chinese values."""
    present = draw_slots(rng, split)
    kinds = venue_names(split)
    (name, name_zh), (near, near_zh) = rng.choice(rng.choice(kinds)), rng.choice(rng.choice(kinds))
    while near == name:
        near, near_zh = rng.choice(rng.choice(kinds))
    table, chinese = {}, {"name": name_zh, "near": near_zh}
    for slot in present:
        if slot in ("name", "near"):
            table[slot] = {"name": name, "near": near}[slot]
            continue
        table[slot] = rng.choice(list(VALUES[slot]))
        while odd(table):
            table[slot] = rng.choice(list(VALUES[slot]))
        chinese[slot] = VALUES[slot][table[slot]]
    return table, {slot: chinese[slot] for slot in table}


def odd(table: Table) -> bool:
    """Whether people would smile: a seafood bakery, a bakery for adults only."""
    kind = table.get("eatType")
    small = kind in ("bakery", "coffee shop", "tea house")
    for_adults = kind == "bakery" and table.get("familyFriendly") == "no"
    return for_adults or (small and table.get("food") in ("seafood", "fast food"))


def draw_slots(rng: random.Random, split: str) -> list[str]:
    """At least three slots, in a set of slots that the split may show."""
    while True:
        present = [s for s, p in zip(SLOTS, PRESENT, strict=True) if rng.random() < p]
        if len(present) >= 3 and split_of_slots(present) == split:
            return present


def split_of_slots(present: list[str]) -> str:
    return split_of_name(" ".join(sorted(present)))


def bracketed(table: dict[str, str], keys: tuple[str, ...] = SLOTS) -> str:
    """'name[The Copper Kettle], area[riverside]'."""
    return ", ".join(f"{key}[{value}]" for key, value in renamed(table, keys))


def piped(table: dict[str, str], keys: tuple[str, ...] = PLAIN_KEYS) -> str:
    """'name: The Copper Kettle | area: riverside'."""
    return " | ".join(f"{key}: {value}" for key, value in renamed(table, keys))


def renamed(table: dict[str, str], keys: tuple[str, ...]) -> list[tuple[str, str]]:
    names = dict(zip(SLOTS, keys, strict=True))
    return [(names[slot], value) for slot, value in table.items()]
