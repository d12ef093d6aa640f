"""Chinese sentences for a table: a clause a slot, which stands before the noun or after 它."""

import random

from data.generate.tables import Table

# A clause is a predicate (它位于河边) and, with 的, an attribute (位于河边的餐厅).
CLAUSES = {
    "food": ("供应{}", "主打{}"),
    "area": ("位于{}", "开在{}"),
    "near": ("靠近{}", "离{}很近"),
    "customer rating": ("顾客评分为{}", "顾客打分为{}"),
}
RATINGS = {"低": ("顾客评分低",), "一般": ("顾客评分一般",), "高": ("顾客评分高",)}
PRICES = {
    "便宜": ("价格便宜", "价钱便宜"),
    "中等": ("价格中等", "价位中等"),
    "较高": ("价格较高", "价位较高"),
    "不到20英镑": ("人均不到20英镑", "一餐不到20英镑"),
    "20到25英镑": ("人均20到25英镑", "一餐20到25英镑"),
    "30英镑以上": ("人均30英镑以上", "一餐30英镑以上"),
}
FAMILY = {
    "是": ("适合家庭", "适合带孩子来", "欢迎家庭"),
    "否": ("不适合家庭", "不适合带孩子来", "不欢迎儿童"),
}

# {of} holds attributes with their 的, {noun} the kind of place; clauses left over follow with 它.
FRAMES = (
    "{name}是一家{of}{noun}。",
    "{name}是{of}一家{noun}。",
    "有一家{of}{noun}，叫{name}。",
    "这里有一家叫{name}的{noun}，{clause}。",
    "{name}{de}{clause}，是一家{of}{noun}。",
    "{name}是一家{of}{noun}，{clause}。",
    "如果你想找一家{of}{noun}，可以去{name}。",
    "想去一家{of}{noun}，就来{name}吧。",
    "{of}{noun}{name}{de}{clause}。",
    "在{place}，有一家叫{name}的{noun}，{clause}。",
    "你可以在{place}找到{name}，这是一家{of}{noun}。",
    "{place}有一家{of}{noun}，名叫{name}。",
)


def clauses(slot: str, value: str) -> tuple[str, ...]:
    if slot == "familyFriendly":
        return FAMILY[value]
    if slot == "priceRange":
        return PRICES[value]
    if slot == "customer rating" and value in RATINGS:
        return RATINGS[value]
    return tuple(pattern.format(value) for pattern in CLAUSES[slot])


def describe(rng: random.Random, table: Table) -> str:
    """One or two sentences that tell all slots of the (Chinese) table."""
    slots = [slot for slot in table if slot not in ("name", "eatType")]
    frame = rng.choice([f for f in FRAMES if suits(f, slots)])
    rng.shuffle(slots)
    if "{place}" in frame:
        slots.remove("area")
    said = [rng.choice(clauses(slot, table[slot])) for slot in slots]
    filled = {"name": table["name"], "noun": table.get("eatType", "店")}
    filled["place"] = table.get("area", "")
    if "{clause}" in frame:
        count = min(len(said), rng.choice((1, 2)))
        filled["clause"] = "，".join(said.pop() for _ in range(count))
        filled["de"] = possessive(filled["clause"])
    count = min(len(said), rng.choice((1, 2, 2)) if "{of}" in frame else 0)
    filled["of"] = "、".join(said.pop() for _ in range(count)) + "的" * bool(count)
    rest = "它" + possessive(said[0]) + "，".join(said) + "。" if said else ""
    return frame.format(**filled) + rest


def possessive(clause: str) -> str:
    """它位于河边, but 它的价格便宜: a clause with its own subject asks for 的."""
    return "的" if clause.startswith(("顾客", "价")) else ""


def suits(frame: str, slots: list[str]) -> bool:
    """A frame with a place asks for the area, and one with a clause for a slot more than that."""
    if "{place}" in frame and "area" not in slots:
        return False
    needed = frame.count("{clause}") + frame.startswith("{of}") + ("{place}" in frame)
    return len(slots) >= needed
