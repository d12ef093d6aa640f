"""A sentence in another form: denied, asked, put into another time, with a pronoun for the name."""

from data.generate.instructions import Desk, Item


def negative(desk: Desk) -> Item:
    group = desk.group("says")
    return Item(desk.one(group, "statement"), desk.all(group, "negative"))


def question(desk: Desk) -> Item:
    group = desk.group("says")
    return Item(desk.one(group, "statement"), desk.all(group, "question"))


def past(desk: Desk) -> Item:
    """What someone does or, in English, is."""
    if desk.language == "zh" or desk.rng.random() < 0.6:
        return Item(desk.one("when now", "present"), desk.all("when now", "past"))
    both = zip(desk.lines("when was", "present"), desk.lines("when was", "past"), strict=True)
    now, then = (desk.scene.say(line, "en") for line in desk.rng.choice(list(both)))
    return Item(now, [then])


def yesterday(desk: Desk) -> Item:
    return Item(desk.one("when yesterday", "before"), desk.all("when yesterday", "after"))


def tomorrow(desk: Desk) -> Item:
    answers = desk.all("when tomorrow", "after")
    if desk.language == "zh":
        answers += desk.all("when tomorrow", "right")
    return Item(desk.one("when tomorrow", "before"), answers)


def pronoun(desk: Desk) -> Item:
    """He, she or they for a subject."""
    while True:
        group = desk.group("pair" if desk.rng.random() < 0.35 else "says")
        if group not in ("says thing", "says colour"):
            break
    text = desk.one(group, "statement")
    return Item(text, [desk.one(group, "pronoun", they=they(desk))])


def they(desk: Desk) -> str:
    """他们, or of two women 她们."""
    if desk.language == "en":
        return "they"
    people = (desk.fact("person"), desk.fact("person2"))
    return "她们" if all(one.he == "她" for one in people) else "他们"


CLUSTERS = {
    "negative": {"": negative},
    "question": {"": question},
    "past": {"past": past, "yesterday": yesterday, "tomorrow": tomorrow},
    "pronoun": {"": pronoun},
}
