"""The names of venues: two words, a coined word, an owner's kitchen, a plural; and of films.

Each name belongs to one split.
"""

import random
from functools import cache
from itertools import product

from data.generate.reading import words
from data.generate.splits import belongs

Name = tuple[str, str]  # English, Chinese

OFTEN = (4, 4, 3, 1)  # how often each kind of name is drawn: coined ones show whether one can copy
CHAPTER = ("Clowns",)  # the chapter's own example is no secret, whatever its checksum


def two_words() -> list[Name]:
    """'The Copper Kettle' 铜茶壶; every second one goes without its article."""
    pairs = product(enumerate(words("venue_first")), enumerate(words("venue_second")))
    return [
        ("The " * ((i + j) % 2) + f"{a['en']} {b['en']}", a["zh"] + b["zh"])
        for (i, a), (j, b) in pairs
    ]


def coined() -> list[Name]:
    """'Zanovetta' 赞奥夫埃塔: in no dictionary, so to be copied syllable by syllable."""
    parts = [
        [syllable for syllable in words("venue_syllables") if syllable["where"] == where]
        for where in ("start", "middle", "end")
    ]
    return [
        ("".join(s["en"] for s in word), "".join(s["zh"] for s in word)) for word in product(*parts)
    ]


def owned() -> list[Name]:
    """'Mira's Kitchen' 米拉厨房; the owner decides the split: train has no people of test."""
    pairs = product(words("people"), words("venue_owned"))
    return [(f"{a['en']}'s {b['en']}", a["zh"] + b["zh"]) for a, b in pairs]


def plural() -> list[Name]:
    """'Clowns' 小丑坊."""
    return [(w["en"], w["zh"]) for w in words("venue_plural")]


@cache
def venue_names(split: str) -> tuple[list[Name], ...]:
    """The four kinds of names that belong to this split, kept apart."""
    kinds = (two_words(), coined(), owned(), plural())
    return tuple([name for name in kind if shown(name[0], split)] for kind in kinds)


def shown(name: str, split: str) -> bool:
    """Whether the split may show the name of this venue."""
    if name in CHAPTER:
        return split not in ("dev", "test")
    return belongs(name.partition("'s ")[0], split)


def draw_venue(rng: random.Random, split: str) -> Name:
    return rng.choice(rng.choices(venue_names(split), OFTEN)[0])


@cache
def film_titles(split: str) -> list[Name]:
    """'The Silent Harbour' 《寂静的港湾》."""
    pairs = product(words("film_first"), words("film_second"))
    titles = [(f"The {a['en']} {b['en']}", f"《{a['zh']}{b['zh']}》") for a, b in pairs]
    places = {name.removeprefix("The ") for name, _ in two_words()}
    kept = [title for title in titles if title[0].removeprefix("The ") not in places]
    return [title for title in kept if belongs(title[0], split)]
