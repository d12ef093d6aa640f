"""Tasks that no file of training and no document asks for: each one step from one that they have.

The last of a list (train: the nth), the word after another (the nth), a list less a word (a word
more), one for several (several for one).
"""

from data.generate.instruction_clusters.lists import series
from data.generate.instruction_clusters.plurals import several
from data.generate.instructions import Desk, Item


def last(desk: Desk) -> Item:
    items = series(desk, 3, 5)
    return Item(desk.listed(items), [items[-1]])


def after(desk: Desk) -> Item:
    items = series(desk, 3, 5)
    i = desk.rng.randrange(len(items) - 1)
    return Item(desk.listed(items), [items[i + 1]], {"word": items[i]})


def without(desk: Desk) -> Item:
    items = series(desk, 3, 5)
    out = desk.rng.choice(items)
    rest = desk.listed([item for item in items if item != out])
    return Item(desk.listed(items), [rest], {"word": out})


def singular(desk: Desk) -> Item:
    n, noun = several(desk)
    return Item(noun.n, [noun.one, noun.a], {"n": n})


CLUSTERS = {
    "last": {"": last},
    "after": {"": after},
    "without": {"": without},
    "singular": {"": singular},
}
