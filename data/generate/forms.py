"""The categories of facts: how each is drawn from its word table, and its forms in two languages.

`Forms` is the plain word with its other forms as attributes: book.a "a book", book.n "three books".
"""

import random
from collections.abc import Callable

from data.generate.grammar import an, third_person
from data.generate.names import film_titles, venue_names
from data.generate.reading import words

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
    return en, zh


def animal(rng, split):
    return thing(rng, split, "animals")


def person(rng, split):
    """A person by first name; `full` adds a surname, where the name is not a Chinese one."""
    w, s = rng.choice(words("people")), rng.choice(words("surnames"))
    he, local = w["he"], is_pinyin(w["en"])
    full = w["en"] if local else f"{w['en']} {s['en']}"
    full_zh = w["zh"] if local else f"{w['zh']}·{s['zh']}"
    him, his, ta = ("him", "his", "他") if he == "he" else ("her", "her", "她")
    en = Forms(w["en"], he=he, him=him, his=his, full=full)
    return en, Forms(w["zh"], he=ta, him=ta, his=f"{ta}的", full=full_zh)


def is_pinyin(name: str) -> bool:
    return " " in name or name.startswith("Xiao")


def meal(rng, split):
    """Food or drink with its container: two bowls of noodles, 两碗面条."""
    w = rng.choice(words("meals"))
    n, n_zh = counted(rng)
    dish, zh, m = w["en"], w["zh"], w["measure"]
    en = Forms(dish, a=an(f"{w['cup']} of {dish}"), n=f"{n} {w['cups']} of {dish}", did=w["did"])
    return en, Forms(zh, a=f"一{m}{zh}", n=f"{n_zh}{m}{zh}", did=f"{w['zh_do']}了")


def trade(rng, split):
    return verb(rng, split, "trades")


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


def verb(rng, split, table="verbs"):
    w = rng.choice(words(table))
    return Forms(w["en"], past=w["past"]), Forms(w["zh"], past=w["zh_past"])


def quality(rng, split):
    w = rng.choice(words("qualities"))
    return Forms(w["en"], more=w["more"], most=w["most"]), Forms(w["zh"])


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
    """The name of a place; each kind of name is drawn equally often."""
    en, zh = rng.choice(rng.choice(venue_names(split)))
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


def digits(low: int, high: int, step: int = 1) -> Callable:
    """A drawer of numbers that are written in digits."""

    def draw(rng, split):
        n = str(rng.randrange(low, high, step))
        return Forms(n), Forms(n)

    return draw


PLAIN = {
    "town": "towns", "colour": "colours", "time": "times", "habit": "habits", "future": "futures",
    "job": "jobs", "mood": "moods", "sky": "skies", "wind": "winds", "day": "days",
    "genre": "genres", "duration": "durations", "reason": "reasons", "flaw": "flaws",
    "trouble": "troubles", "kind": "kinds",
}  # fmt: skip
DIGITS = {
    "price": (3, 60), "count": (12, 90), "age": (18, 80), "crowd": (100, 5000, 50),
    "minutes": (75, 180), "year": (1961, 2024), "high": (12, 36), "low": (2, 12),
}  # fmt: skip
DRAWERS = {f.__name__: f for f in (thing, animal, person, meal, spot, verb, quality, hobby, clock)}
DRAWERS |= {f.__name__: f for f in (number, venue, film, hotel, trade, shop)}
DRAWERS |= {name: plain(table) for name, table in PLAIN.items()}
DRAWERS |= {name: digits(*bounds) for name, bounds in DIGITS.items()}
