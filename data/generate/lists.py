"""Lists told twice: the plainest thing there is to copy.

A small model learns to look back for what it has read only where nothing else helps. Words in an
order of their own, and names that nobody has heard of, cannot be guessed: the second line can.
Words are learnt to be copied first, since each is a token or two that is seen nowhere else in the
list; names share their syllables. Pretraining begins with nothing but such lists.
"""

import random
from functools import cache

from data.generate.reading import HERE, words

CONSONANTS, VOWELS, ENDS = "bdfghjklmnprstvz", "aeiou", ("", "", "n", "s", "r", "l")
HAN = "天地山水火木金石云雨风雪日月星光东西南北春夏秋冬花草鸟鱼马牛羊米茶酒衣门窗桌书笔琴画车船桥路"
MARKS = {"en": (", ", " | ", " ", "; "), "zh": ("，", "、", " | ")}
LONGEST = {"en": 13, "zh": 2}  # letters of a word in a list
ENGLISH = 0.6  # of the lists


@cache
def vocabulary(spoken: str) -> list[str]:
    """The short words of all word tables."""
    tables = [words(path.stem) for path in sorted((HERE / "words").glob("*.txt"))]
    found = dict.fromkeys(row[spoken] for table in tables for row in table if spoken in row)
    return [word for word in found if " " not in word and 0 < len(word) <= LONGEST[spoken]]


def invented_name(rng: random.Random, spoken: str) -> str:
    """Two or three syllables, or two characters, put together by chance."""
    if spoken == "zh":
        return rng.choice(HAN) + rng.choice(HAN)
    syllables = [rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.choice((2, 2, 3)))]
    return ("".join(syllables) + rng.choice(ENDS)).capitalize()


def list_twice(rng: random.Random) -> str:
    """Words or invented names on one line, and again on the next, sometimes marked otherwise."""
    spoken = "en" if rng.random() < ENGLISH else "zh"
    if rng.random() < 0.5:
        items = rng.sample(vocabulary(spoken), rng.randint(4, 20))
        if rng.random() < 0.3:
            items = [item.capitalize() for item in items]  # as names are written
    else:
        items = [invented_name(rng, spoken) for _ in range(rng.randint(3, 12))]
    first = rng.choice(MARKS[spoken])
    second = first if rng.random() < 0.5 else rng.choice(MARKS[spoken])
    before, after = rng.choice((("", ""), ("", ""), ("name[", "]"), ("list: ", "")))
    return f"{before}{first.join(items)}{after}\n{second.join(items)}"
