"""Lists told twice: the plainest thing there is to copy.

A small model learns to look back for what it has read only where nothing else helps. Names that
nobody has heard of, in an order of their own, cannot be guessed: the second line can.
"""

import random

CONSONANTS, VOWELS, ENDS = "bdfghjklmnprstvz", "aeiou", ("", "", "n", "s", "r", "l")
HAN = "天地山水火木金石云雨风雪日月星光东西南北春夏秋冬花草鸟鱼马牛羊米茶酒衣门窗桌书笔琴画车船桥路"


def invented_name(rng: random.Random, spoken: str) -> str:
    """Two or three syllables, or two characters, put together by chance."""
    if spoken == "zh":
        return rng.choice(HAN) + rng.choice(HAN)
    syllables = [rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.choice((2, 2, 3)))]
    return ("".join(syllables) + rng.choice(ENDS)).capitalize()


def list_twice(rng: random.Random, spoken: str) -> str:
    """A list of invented names on one line, and again on the next, sometimes marked otherwise."""
    names = [invented_name(rng, spoken) for _ in range(rng.randint(3, 12))]
    marks = (", ", " | ", " ", "; ") if spoken == "en" else ("，", "、", " | ")
    first = rng.choice(marks)
    second = first if rng.random() < 0.5 else rng.choice(marks)
    before, after = rng.choice((("", ""), ("", ""), ("name[", "]"), ("list: ", "")))
    return f"{before}{first.join(names)}{after}\n{second.join(names)}"
