"""Lists of words: the nth of a list, a list reversed, two lists joined."""

from data.generate.instructions import Desk, Item
from data.generate.lists import invented_name

SERIES = ("animals", "colours", "things", "jobs", "meals", "spots", "plurals", "people", "towns")
ORDINALS = (("second", "第二"), ("third", "第三"), ("fourth", "第四"))


def series(desk: Desk, low: int, high: int) -> list[str]:
    """Different words of one kind, of all kinds, or names that nobody has heard of."""
    count, chance = desk.rng.randint(low, high), desk.rng.random()
    if chance < 0.15:
        names = [invented_name(desk.rng, desk.language) for _ in range(2 * count)]
        return list(dict.fromkeys(names))[:count]
    tables = SERIES[:7] if chance < 0.4 else [desk.rng.choice(SERIES)]
    pool = [word for table in tables for word in desk.words(table)]
    return desk.rng.sample(list(dict.fromkeys(pool)), min(count, len(pool)))


def first(desk: Desk) -> Item:
    items = series(desk, 3, 7)
    return Item(desk.listed(items), [items[0]])


def nth(desk: Desk) -> Item:
    items = series(desk, 5, 7)
    i = desk.rng.randrange(len(ORDINALS))
    return Item(desk.listed(items), [items[i + 1]], {"n": desk.either(*ORDINALS[i])})


def two(desk: Desk) -> Item:
    items = series(desk, 4, 7)
    return Item(desk.listed(items), [desk.listed(items[:2])])


def reverse(desk: Desk) -> Item:
    if desk.rng.random() < 0.3:
        items = desk.rng.sample(range(1, 100), desk.rng.randint(3, 5))
    else:
        items = series(desk, 3, 5)
    return Item(desk.listed(items), [desk.listed(items[::-1])])


def lists(desk: Desk) -> Item:
    items = series(desk, 4, 6)
    cut = desk.rng.randint(2, len(items) - 2)
    two_lines = f"{desk.listed(items[:cut])}\n{desk.listed(items[cut:])}"
    return Item(two_lines, [desk.listed(items)])


def end(desk: Desk) -> Item:
    *items, word = series(desk, 4, 6)
    return Item(desk.listed(items), [desk.listed([*items, word])], {"word": word})


def front(desk: Desk) -> Item:
    word, *items = series(desk, 4, 6)
    return Item(desk.listed(items), [desk.listed([word, *items])], {"word": word})


CLUSTERS = {
    "nth": {"first": first, "nth": nth, "two": two},
    "reverse": {"": reverse},
    "join": {"lists": lists, "end": end, "front": front},
}
