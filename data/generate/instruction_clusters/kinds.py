"""What kind of thing a word names, and which word of four is of another kind."""

from data.generate.basics import basics
from data.generate.forms import named
from data.generate.instructions import Desk, Item

KINDS = {
    "animal": ("animal", "动物"),
    "food": ("food", "食物"),
    "job": ("job", "职业"),
    "town": ("town", "城镇"),
    "colour": ("colour", "颜色"),
}


def members(desk: Desk, kind: str) -> list[str]:
    rows = named("towns", desk.split) if kind == "town" else basics(kind)
    return [row[desk.language] for row in rows]


def kind(desk: Desk) -> Item:
    name = desk.rng.choice(list(KINDS))
    word = desk.rng.choice(members(desk, name))
    return Item(word, [desk.either(*KINDS[name])], key=word)


def odd(desk: Desk) -> Item:
    """Three of a kind and one of another."""
    one, other = desk.rng.sample(list(KINDS), 2)
    three, out = desk.rng.sample(members(desk, one), 3), desk.rng.choice(members(desk, other))
    given = {"kind": desk.either(*KINDS[one])}
    return Item(desk.listed(desk.rng.sample([*three, out], 4)), [out], given)


CLUSTERS = {"category": {"kind": kind, "odd": odd}}
