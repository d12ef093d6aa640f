"""The forms of words: how a fact is drawn from its word table, and what it looks like in sentences.

`Forms` is the plain word with its other forms as attributes: book.a "a book", book.n "three books".
"""

import random
from collections.abc import Callable
from functools import cache

from data.generate.grammar import an, third_person
from data.generate.names import draw_venue, film_titles, venue_names
from data.generate.reading import words
from data.generate.splits import CORPUS, split_of_name

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS_ZH = "两三四五六七八九十"
HOURS_ZH = ("五", "六", "七", "八", "九", "十", "十一")
HOURS = ("five", "six", "seven", "eight", "nine", "ten", "eleven")


class Forms(str):
    """A word whose other forms are attributes."""

    def __new__(cls, word: str, **forms: str):
        self = super().__new__(cls, word)
        self.__dict__.update(forms)
        return self


def counted(rng: random.Random) -> tuple[str, str]:
    i = rng.randrange(len(NUMBERS) - 1)
    return NUMBERS[i], NUMBERS_ZH[i]


def thing(rng, split, table="things"):
    """A countable noun with its Chinese measure word: three books, 三本书."""
    w = rng.choice(words(table))
    n, n_zh = counted(rng)
    one, zh, m = w["en"], w["zh"], w["measure"]
    en = Forms(one, a=an(one), n=f"{n} {w['many']}", this=f"this {one}", that=f"that {one}", m="")
    en.many = w["many"]
    zh = Forms(zh, a=f"一{m}{zh}", n=f"{n_zh}{m}{zh}", this=f"这{m}{zh}", that=f"那{m}{zh}", m=m)
    en.other, zh.other = str(zh), str(en)
    return en, zh


def animal(rng, split):
    return thing(rng, split, "animals")


def person(rng, split):
    """A person by first name; `full` adds a surname, where the name is not a Chinese one."""
    w, s = rng.choice(named("people", split)), rng.choice(words("surnames"))
    he, local = w["he"], is_pinyin(w["en"])
    full = w["en"] if local else f"{w['en']} {s['en']}"
    full_zh = w["zh"] if local else f"{w['zh']}·{s['zh']}"
    him, his, ta = ("him", "his", "他") if he == "he" else ("her", "her", "她")
    en = Forms(w["en"], he=he, him=him, his=his, full=full)
    return en, Forms(w["zh"], he=ta, him=ta, his=f"{ta}的", full=full_zh)


@cache
def named(table, split):
    """The people or towns that a split may name; the corpus names those of all splits."""
    return [w for w in words(table) if split == CORPUS or split_of_name(w["en"]) == split]


def town(rng, split):
    w = rng.choice(named("towns", split))
    return Forms(w["en"]), Forms(w["zh"])


def petname(rng, split):
    w = rng.choice(named("pet_names", split))
    return Forms(w["en"]), Forms(w["zh"])


def is_pinyin(name: str) -> bool:
    return " " in name or name.startswith("Xiao")


def meal(rng, split):
    """Food or drink with its container: two bowls of noodles, 两碗面条."""
    w = rng.choice(words("meals"))
    n, n_zh = counted(rng)
    dish, zh, m = w["en"], w["zh"], w["measure"]
    en = Forms(dish, a=an(f"{w['cup']} of {dish}"), n=f"{n} {w['cups']} of {dish}", **w)
    return en, Forms(zh, a=f"一{m}{zh}", n=f"{n_zh}{m}{zh}", do=w["zh_do"], did=f"{w['zh_do']}了")


def shop(rng, split):
    return spot(rng, split, "shops")


def spot(rng, split, table="spots"):
    w = rng.choice(words(table))
    en = Forms(w["en"], at=f"{w['at']} the {w['en']}")
    return en, Forms(w["zh"], at=f"在{w['zh']}", inside=w["inside"])


def hotel(rng, split):
    """A hotel has no owner's kitchen for its name."""
    en, zh = rng.choice(rng.choice(venue_names(split)[:2]))
    return Forms(en), Forms(zh)


def hobby(rng, split):
    w = rng.choice(words("hobbies"))
    return Forms(w["en"], ing=w["ing"], third=third_person(w["en"])), Forms(w["zh"])


def clock(rng, split):
    """A full or a half hour."""
    i = rng.randrange(len(HOURS))
    if rng.random() < 0.5:
        return Forms(f"{HOURS[i]} o'clock"), Forms(f"{HOURS_ZH[i]}点")
    return Forms(f"half past {HOURS[i]}"), Forms(f"{HOURS_ZH[i]}点半")


def number(rng, split):
    n, n_zh = counted(rng)
    return Forms(n), Forms(n_zh)


def venue(rng, split):
    """The name of a place to eat."""
    en, zh = draw_venue(rng, split)
    return Forms(en), Forms(zh)


def film(rng, split):
    en, zh = rng.choice(film_titles(split))
    return Forms(en), Forms(zh)


def plain(table: str) -> Callable:
    """A drawer of words that need no form but the one with an article."""

    def draw(rng, split):
        w = rng.choice(words(table))
        return Forms(w["en"], a=an(w["en"])), Forms(w["zh"])

    return draw


def entry(table: str) -> Callable:
    """A drawer of words whose other columns are forms: `says` in English, `zh_says` in Chinese."""

    def draw(rng, split):
        w = rng.choice(words(table))
        zh = {column[3:]: cell for column, cell in w.items() if column.startswith("zh_")}
        return Forms(w["en"], **w), Forms(w["zh"], **zh)

    return draw


def digits(low: int, high: int, step: int = 1) -> Callable:
    """A drawer of numbers that are written in digits."""

    def draw(rng, split):
        n = str(rng.randrange(low, high, step))
        return Forms(n), Forms(n)

    return draw
