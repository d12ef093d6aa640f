"""Counting and numbers: how many there are, numbers in words and digits, the number after."""

from data.generate.instruction_clusters.lists import series
from data.generate.instructions import Desk, Item

SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
HAN = "零一二三四五六七八九"


def english(n: int) -> str:
    """A number below a hundred in words."""
    if n < 20:
        return SMALL[n]
    tens, ones = divmod(n, 10)
    return TENS[tens - 2] + (f"-{SMALL[ones]}" if ones else "")


def chinese(n: int) -> str:
    """A number below a hundred in characters."""
    tens, ones = divmod(n, 10)
    if not tens:
        return HAN[ones]
    return HAN[tens] * (tens > 1) + "十" + HAN[ones] * (ones > 0)


def in_words(desk: Desk, n: int) -> str:
    return desk.either(english, chinese)(n)


def items(desk: Desk) -> Item:
    listed = series(desk, 3, 9)
    return Item(desk.listed(listed), [str(len(listed))])


def sentence_words(desk: Desk) -> Item:
    text = desk.one(desk.group("says"), "statement")
    han = [c for c in text if "一" <= c <= "鿿"]
    return Item(text, [str(desk.either(len(text.split()), len(han)))])


def times(desk: Desk) -> Item:
    """One word comes one to four times in a list of three different words."""
    word, *others = series(desk, 3, 3)
    often = desk.rng.randint(1, 4)
    listed = [word] * often + [desk.rng.choice(others) for _ in range(desk.rng.randint(2, 4))]
    desk.rng.shuffle(listed)
    return Item(desk.listed(listed), [str(often)], {"word": word})


def words(desk: Desk) -> Item:
    n = desk.rng.randint(0, 99)
    return Item(str(n), [in_words(desk, n)])


def digits(desk: Desk) -> Item:
    n = desk.rng.randint(0, 99)
    return Item(in_words(desk, n), [str(n)])


def following(desk: Desk) -> Item:
    return neighbour(desk, 1)


def previous(desk: Desk) -> Item:
    return neighbour(desk, -1)


def neighbour(desk: Desk, step: int) -> Item:
    """The number beside a number, which is written as the number is."""
    n = desk.rng.randint(1, 98)
    write = str if desk.rng.random() < 0.6 else lambda number: in_words(desk, number)
    return Item(write(n), [write(n + step)])


CLUSTERS = {
    "count": {"items": items, "words": sentence_words, "times": times},
    "numbers": {"words": words, "digits": digits, "next": following, "previous": previous},
}
