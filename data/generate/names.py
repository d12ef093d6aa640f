"""The names of venues: two words, a coined word, or an owner's kitchen; each with its split."""

from functools import cache
from itertools import product

from data.generate.reading import words
from data.generate.splits import split_of_name

Name = tuple[str, str]  # English, Chinese


def two_words() -> list[Name]:
    """'The Copper Kettle' 铜茶壶; every second one goes without its article."""
    pairs = product(enumerate(words("venue_first")), enumerate(words("venue_second")))
    return [
        ("The " * ((i + j) % 2) + f"{a['en']} {b['en']}", a["zh"] + b["zh"])
        for (i, a), (j, b) in pairs
        if a["en"] != b["en"]
    ]


def coined() -> list[Name]:
    """'Marellento' 马尔埃洛: in no dictionary, so it must be copied letter by letter."""
    parts = {where: [] for where in ("start", "middle", "end")}
    for syllable in words("venue_syllables"):
        parts[syllable["where"]].append(syllable)
    return [
        ("".join(s["en"] for s in chosen), "".join(s["zh"] for s in chosen))
        for chosen in product(parts["start"], parts["middle"], parts["end"])
    ]


def owned() -> list[Name]:
    """'Mira's Kitchen' 米拉厨房."""
    pairs = product(words("people"), words("venue_owned"))
    return [(f"{a['en']}'s {b['en']}", a["zh"] + b["zh"]) for a, b in pairs]


@cache
def venue_names(split: str) -> tuple[list[Name], ...]:
    """The three kinds of names that belong to this split, kept apart."""
    kinds = (two_words(), coined(), owned())
    return tuple([name for name in kind if split_of_name(name[0]) == split] for kind in kinds)


@cache
def film_titles(split: str) -> list[Name]:
    """'The Silent Harbour' 《寂静的港湾》."""
    pairs = product(words("film_first"), words("film_second"))
    titles = [(f"The {a['en']} {b['en']}", f"《{a['zh']}{b['zh']}》") for a, b in pairs]
    return [title for title in titles if split_of_name(title[0]) == split]
