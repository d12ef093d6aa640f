"""What kind of thing a word names, and which word of several is of another kind."""

from data.generate.grammar import an
from data.generate.instructions import Desk, Item

KINDS = {  # table -> what its words are; only these take an article in a question
    "animals": ("an animal", "动物"),
    "jobs": ("a job", "职业"),
    "spots": ("a place", "地方"),
    "foods": ("a food", "食物"),
    "drinks": ("a drink", "饮料"),
    "colours": ("a colour", "颜色"),
    "towns": ("a town", "城镇"),
    "days": ("a day", "日子"),
    "people": ("a name", "人名"),
    "numbers": ("a number", "数字"),
}
COUNTABLE = ("animals", "jobs", "spots")
FOODS = (
    ("noodles", "面条"), ("rice", "米饭"), ("soup", "汤"), ("bread", "面包"), ("cake", "蛋糕"),
    ("cheese", "奶酪"), ("dumplings", "饺子"), ("salad", "沙拉"), ("porridge", "粥"),
)  # fmt: skip
DRINKS = (("tea", "茶"), ("coffee", "咖啡"), ("milk", "牛奶"), ("water", "水"))
DRINKS += (("apple juice", "苹果汁"),)
COUNTS = (("three", "三"), ("four", "四"), ("five", "五"), ("seven", "七"), ("eight", "八"))
COUNTS += (("twelve", "十二"), ("twenty", "二十"))
OWN = {"foods": FOODS, "drinks": DRINKS, "numbers": COUNTS}
CLOSE = ({"spots", "towns"},)  # kinds of which one could be said to be the other


def members(desk: Desk, kind: str) -> list[str]:
    if kind in OWN:
        return [desk.either(*pair) for pair in OWN[kind]]
    found = desk.words(kind)
    return [f"{word}色" for word in found] if (kind, desk.language) == ("colours", "zh") else found


def different(desk: Desk, count: int) -> list[str]:
    """So many kinds, none of them close to another."""
    while True:
        kinds = desk.rng.sample(list(KINDS), count)
        if not any(pair <= set(kinds) for pair in CLOSE):
            return kinds


def shown(desk: Desk, kind: str, word: str) -> str:
    return an(word) if desk.language == "en" and kind in COUNTABLE else word


def name(desk: Desk, kind: str) -> str:
    return desk.either(*KINDS[kind])


def which(desk: Desk) -> Item:
    kinds = different(desk, 3)
    word = desk.rng.choice(members(desk, kinds[0]))
    first, second, third = (name(desk, kind) for kind in desk.rng.sample(kinds, 3))
    options = desk.either(f"{first}, {second} or {third}", f"{first}、{second}还是{third}")
    return Item(word, [name(desk, kinds[0])], {"options": options}, key=word)


def yes(desk: Desk) -> Item:
    kind, other = different(desk, 2)
    word = shown(desk, kind, desk.rng.choice(members(desk, kind)))
    right = desk.rng.random() < 0.5
    group = name(desk, kind if right else other)
    return Item(word, [desk.either(("no", "yes"), ("不是", "是"))[right]], {"group": group})


def find(desk: Desk) -> Item:
    kinds = different(desk, 4)
    found = [desk.rng.choice(members(desk, kind)) for kind in kinds]
    mixed = desk.rng.sample(found, 4)
    return Item(desk.listed(mixed), [found[0]], {"group": name(desk, kinds[0])})


def odd(desk: Desk) -> Item:
    """Three of a kind and another: of another kind, or in the other language."""
    kind, other = different(desk, 2)
    three = desk.rng.sample(members(desk, kind), 3)
    if desk.rng.random() < 0.2:
        foreign = Desk(desk.rng, desk.split, desk.either("zh", "en"))
        out = desk.rng.choice(members(foreign, kind))
    else:
        out = desk.rng.choice(members(desk, other))
    return Item(desk.listed(desk.rng.sample([*three, out], 4)), [out])


CLUSTERS = {
    "category": {"which": which, "yes": yes, "find": find},
    "odd": {"": odd},
}
