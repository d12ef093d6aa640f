"""Short sentences: denied, asked, said again, with another word; what they tell and do not."""

import re

from data.generate.instruction_clusters.lists import series
from data.generate.instructions import Desk, Item

TIMES = (("twice", "两遍"), ("three times", "三遍"), ("four times", "四遍"))
TOLD = {"person": ("name", "人名"), "count": ("number", "数字"), "town": ("town", "城镇")}
ONE = ("job", "town", "colour")  # of which there is but one
SAID = (*ONE, "food", "ability", "quality")  # each a fact and a group of texts
CHANGED = ("person", "town", "job", "colour", "food")  # that one can change in a sentence


def statement(desk: Desk, groups=SAID) -> tuple[str, str]:
    """What is said, and the statement that says it."""
    group = desk.rng.choice(groups)
    return group, desk.all(group, "statement")[0]


def negative(desk: Desk) -> Item:
    group, text = statement(desk)
    return Item(text, desk.all(group, "negative"))


def question(desk: Desk) -> Item:
    group, text = statement(desk)
    return Item(text, desk.all(group, "question"))


def yes_no(desk: Desk) -> Item:
    """Whether a statement says what is asked, or something else."""
    group, text = statement(desk, ONE)
    right = desk.rng.random() < 0.5
    if not right:
        desk.scene.facts[group] = desk.scene.another(group)
    asked = desk.all(group, "question")[0]
    return Item(text, [desk.either(("no", "yes"), ("不是", "是"))[right]], {"question": asked})


def once(desk: Desk) -> Item:
    _, text = statement(desk)
    return Item(text, [text])


def times(desk: Desk) -> Item:
    word, i = series(desk, 1, 1)[0], desk.rng.randrange(len(TIMES))
    return Item(word, [desk.listed([word] * (i + 2))], {"times": desk.either(*TIMES[i])})


def replace(desk: Desk) -> Item:
    """A sentence in which one word is exchanged for another of its kind."""
    template = desk.rng.choice(desk.lines("replace"))
    found = re.findall(r"{(\w+)([.\w]*)}", template)
    slot, form = desk.rng.choice([pair for pair in found if pair[0].rstrip("2") in CHANGED])
    before, old = desk.scene.say(template, desk.language), f"{{0{form}}}".format(desk.fact(slot))
    desk.scene.facts[slot] = desk.scene.another(slot)
    after, new = desk.scene.say(template, desk.language), f"{{0{form}}}".format(desk.fact(slot))
    return Item(before, [after], {"old": old, "new": new})


def extract(desk: Desk) -> Item:
    """The name, the number or the town of a sentence."""
    text = desk.scene.say(desk.rng.choice(desk.lines("extract")), desk.language)
    slot = desk.rng.choice(list(TOLD))
    return Item(text, [str(desk.fact(slot))], {"what": desk.either(*TOLD[slot])})


CLUSTERS = {
    "negative": {"": negative},
    "question": {"": question},
    "yes_no": {"": yes_no},
    "repeat": {"once": once, "times": times},
    "replace": {"": replace},
    "extract": {"": extract},
}
