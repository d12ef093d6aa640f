"""Tasks that no training file asks for: each is near to one that train has, and needs no new word.

The last of a list (train: the first, the nth), the word after another (a row goes on), a list less
a word (a list and a word), the largest number (the larger, sorting), one for many (many for one),
whether a list has a word (which word of a list).
"""

from data.generate.instruction_clusters.lists import series
from data.generate.instruction_clusters.plurals import one_and_many
from data.generate.instructions import Desk, Item


def last(desk: Desk) -> Item:
    items = series(desk, 3, 7)
    return Item(desk.listed(items), [items[-1]])


def after(desk: Desk) -> Item:
    items = series(desk, 4, 7)
    i = desk.rng.randrange(len(items) - 1)
    return Item(desk.listed(items), [items[i + 1]], {"word": items[i]})


def without(desk: Desk) -> Item:
    items = series(desk, 4, 6)
    out = desk.rng.choice(items)
    rest = desk.listed([item for item in items if item != out])
    return Item(desk.listed(items), [rest], {"word": out})


def largest(desk: Desk) -> Item:
    numbers = desk.rng.sample(range(1, desk.rng.choice((20, 100))), desk.rng.randint(3, 6))
    return Item(desk.listed(numbers), [str(max(numbers))])


def singular(desk: Desk) -> Item:
    n, one, many = one_and_many(desk)
    answers = [one]
    if desk.language == "en":
        word = next(w for w in ("a", "an") if f" {w} " in one)
        answers.append(one.replace(f" {word} ", " one ", 1))
    return Item(many, answers, {"n": n})


def contains(desk: Desk) -> Item:
    *items, other = series(desk, 5, 8)
    right = desk.rng.random() < 0.5
    word = desk.rng.choice(items) if right else other
    answer = desk.either(("no", "yes"), ("没有", "有"))[right]
    return Item(desk.listed(items), [answer], {"word": word})


CLUSTERS = {
    "last": {"": last},
    "after": {"": after},
    "without": {"": without},
    "largest": {"": largest},
    "singular": {"": singular},
    "contains": {"": contains},
}
