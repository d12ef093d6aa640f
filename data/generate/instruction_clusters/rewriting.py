"""A sentence written anew: a word replaced, two people swapped, made polite, made short."""

import re

from data.generate.categories import DRAWERS
from data.generate.instructions import Desk, Item

KINDS = {
    "person": ("name", "名字"),
    "colour": ("colour", "颜色"),
    "thing": ("thing", "东西"),
    "day": ("day", "日子"),
    "town": ("town", "城镇"),
    "job": ("job", "职业"),
    "worker": ("job", "职业"),
    "pet": ("animal", "动物"),
    "price": ("price", "价格"),
    "adult": ("age", "年龄"),
}


def exchanged(desk: Desk) -> tuple[str, str, str, str, str]:
    """A sentence, the kind of one of its facts, the old and the new word, the new sentence."""
    while True:
        template = desk.rng.choice(desk.lines("change"))
        slots = [slot for slot in re.findall(r"{(\w+)", template) if slot in KINDS]
        slot = desk.rng.choice(list(dict.fromkeys(slots)))
        before, old = desk.scene.say(template, desk.language), desk.fact(slot)
        while desk.fact(slot) == old:
            desk.scene.facts[slot] = DRAWERS[slot](desk.rng, desk.split)
        after, new = desk.scene.say(template, desk.language), desk.fact(slot)
        if before.count(old) == 1:
            return before, slot, coloured(desk, slot, old), coloured(desk, slot, new), after


def coloured(desk: Desk, slot: str, word: str) -> str:
    return f"{word}色" if slot == "colour" and desk.language == "zh" else str(word)


def word(desk: Desk) -> Item:
    before, _, old, new, after = exchanged(desk)
    return Item(before, [after], {"old": old, "new": new})


def kind(desk: Desk) -> Item:
    before, slot, _, new, after = exchanged(desk)
    if slot == "price":
        new += desk.either(" pounds", "英镑")
    return Item(before, [after], {"kind": desk.either(*KINDS[slot]), "new": new})


def swap(desk: Desk) -> Item:
    template, facts = desk.rng.choice(desk.lines("swap")), desk.scene.facts
    before = desk.scene.say(template, desk.language)
    facts["person"], facts["person2"] = facts["person2"], facts["person"]
    return Item(before, [desk.scene.say(template, desk.language)])


def polite(desk: Desk) -> Item:
    """The answer shown is one of several."""
    group = desk.group("rude")
    said, answers = desk.one(group, "said"), desk.all(group, "polite")
    return Item(said, desk.rng.sample(answers, len(answers)), key=said)


def shorten(desk: Desk) -> Item:
    group = desk.group("long")
    return Item(desk.one(group, "long"), desk.all(group, "short"))


CLUSTERS = {
    "replace": {"word": word, "kind": kind, "swap": swap},
    "polite": {"": polite},
    "shorten": {"": shorten},
}
