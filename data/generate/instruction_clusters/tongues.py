"""Two languages: words and short phrases put into the other one."""

from data.generate.basics import basics
from data.generate.instructions import Desk, Item

NAMES = {"en": ("English", "英语"), "zh": ("Chinese", "中文")}
FACTS = ("thing", "animal", "colour", "quality")
PHRASES = (  # English, Chinese
    ("{thing.n}", "{thing.n}"),
    ("{animal.n}", "{animal.n}"),
    ("a {colour} {thing}", "一{thing.m}{colour}的{thing}"),
    ("the {quality} {thing}", "{quality}的{thing}"),
)


def translated(desk: Desk, english: str, chinese: str) -> Item:
    """Out of either language into the other."""
    (source, text), (target, answer) = desk.rng.sample([("en", english), ("zh", chinese)], 2)
    return Item(text, [answer], {"to": desk.either(*NAMES[target])}, key=f"{source} {english}")


def word(desk: Desk) -> Item:
    drawn = desk.rng.choice(basics())
    return translated(desk, drawn["en"], drawn["zh"])


def phrase(desk: Desk) -> Item:
    facts = {slot: desk.scene.fact(slot) for slot in FACTS}
    english, chinese = desk.rng.choice(PHRASES)
    english = english.format(**{slot: fact[0] for slot, fact in facts.items()})
    return translated(desk, english, chinese.format(**{s: fact[1] for s, fact in facts.items()}))


CLUSTERS = {"translate": {"word": word, "phrase": phrase}}
