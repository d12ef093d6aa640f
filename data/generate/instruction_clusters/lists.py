"""Lists of words: the nth of a list, a list reversed, counted, with a word more."""

from data.generate.basics import Word, basics
from data.generate.instructions import Desk, Item

ORDINALS = (("first", "第一"), ("second", "第二"), ("third", "第三"), ("fourth", "第四"))


def series(desk: Desk, low: int, high: int) -> list[str]:
    """Different basic words, of one kind in a third of the lists."""
    pool: tuple[Word, ...] = basics()
    if desk.rng.random() < 0.35:
        pool = basics(desk.rng.choice(("animal", "food", "job", "colour", "thing", "place")))
    return [word[desk.language] for word in desk.rng.sample(pool, desk.rng.randint(low, high))]


def nth(desk: Desk) -> Item:
    items = series(desk, 3, 5)
    i = desk.rng.randrange(min(len(items), len(ORDINALS)))
    return Item(desk.listed(items), [items[i]], {"n": desk.either(*ORDINALS[i])})


def reverse(desk: Desk) -> Item:
    items = series(desk, 3, 4)
    return Item(desk.listed(items), [desk.listed(items[::-1])])


def count(desk: Desk) -> Item:
    items = series(desk, 2, 6)
    return Item(desk.listed(items), [str(len(items))])


def add(desk: Desk) -> Item:
    *items, word = series(desk, 4, 5)
    return Item(desk.listed(items), [desk.listed([*items, word])], {"word": word})


CLUSTERS = {
    "nth": {"": nth},
    "reverse": {"": reverse},
    "count": {"": count},
    "add": {"": add},
}
