"""Short texts: questions that they answer, and names, numbers and days to be found in them."""

import re

from data.generate.instructions import Desk, Item

FOUND = {  # category of fact -> what it is called
    "person": ("names", "人名"),
    "town": ("towns", "城镇"),
    "colour": ("colours", "颜色"),
    "day": ("days", "日子"),
    "animal": ("animals", "动物"),
    "pet": ("animals", "动物"),
    "price": ("numbers", "数字"),
    "age": ("numbers", "数字"),
    "count": ("numbers", "数字"),
}
PREPOSITION = re.compile("^(in|at|on|to|with) ")


def answer(desk: Desk) -> Item:
    """One of six questions on a text; an answer may go without its preposition."""
    group = desk.group("text")
    text = desk.one(group, "text")
    line = desk.rng.choice(desk.lines(group, "asked"))
    question, right = line.split(" | ")
    question, right = desk.scene.say(question, desk.language), desk.plain(right)
    answers = [right, PREPOSITION.sub("", right)]
    if desk.language == "zh" and "哪里" in question:
        answers.append("在" + right)
    return Item(text, list(dict.fromkeys(answers)), {"question": question}, key=text + question)


def extract(desk: Desk) -> Item:
    """All facts of one kind in the order of the text."""
    template = desk.rng.choice(desk.lines("listed"))
    slots = re.findall(r"{(\w+)", template)
    kinds = [FOUND[slot.rstrip("23")] for slot in slots if slot.rstrip("23") in FOUND]
    wanted = desk.rng.choice(list(dict.fromkeys(kinds)))
    text = desk.scene.say(template, desk.language)
    found = [desk.plain(in_text(desk, s)) for s in slots if FOUND.get(s.rstrip("23")) == wanted]
    return Item(text, [desk.listed(found)], {"what": desk.either(*wanted)})


def in_text(desk: Desk, slot: str) -> str:
    """The word as the text has it: 红色, not 红."""
    return f"{{{slot}}}" + desk.either("", "色") * slot.startswith("colour")


CLUSTERS = {"answer": {"": answer}, "extract": {"": extract}}
