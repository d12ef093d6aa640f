"""Words letter by letter, and words and sentences said again."""

from data.generate.instruction_clusters.lists import SERIES, series
from data.generate.instructions import Desk, Item

TIMES = (("twice", "两遍"), ("three times", "三遍"), ("four times", "四遍"), ("five times", "五遍"))
MARKS = "|/+=;"


def spelled(desk: Desk) -> str:
    """A word of three to eight letters or of two to four characters."""
    low, high = desk.either((3, 8), (2, 4))
    while True:
        word = desk.rng.choice(desk.words(desk.rng.choice(SERIES)))
        if low <= len(word) <= high and word.isalpha():
            return word


def letters(desk: Desk) -> Item:
    word = spelled(desk)
    return Item(word, ["-".join(word)], key=word)


def joined(desk: Desk) -> Item:
    word = spelled(desk)
    return Item("-".join(word), [word], key=word)


def first(desk: Desk) -> Item:
    word = spelled(desk)
    return Item(word, [word[0]], key=word)


def once(desk: Desk) -> Item:
    text = desk.one(desk.group("says"), "statement")
    if desk.rng.random() < 0.4:
        text = desk.one("change")
    return Item(text, [text])


def times(desk: Desk) -> Item:
    word, i = series(desk, 1, 1)[0], desk.rng.randrange(len(TIMES))
    often = desk.either(", ", "，").join([word] * (i + 2))
    return Item(word, [often], {"times": desk.either(*TIMES[i])})


def marks(desk: Desk) -> Item:
    items, mark = series(desk, 3, 5), desk.rng.choice(MARKS)
    return Item(desk.listed(items), [f" {mark} ".join(items)], {"mark": desk.quoted(mark)})


CLUSTERS = {
    "spell": {"letters": letters, "joined": joined, "first": first},
    "repeat": {"once": once, "times": times, "marks": marks},
}
