"""The categories of facts that a template may name, with the table or function behind each."""

from functools import partial

from data.generate import forms, quantities, study
from data.generate.forms import digits, entry, plain, spot, thing

# a word and its article
PLAIN = {
    "colour": "colours", "time": "times", "habit": "habits", "future": "futures",
    "job": "jobs", "sky": "skies", "wind": "winds", "day": "days",
    "genre": "genres", "duration": "durations", "reason": "reasons", "trouble": "troubles",
    "kind": "kinds", "relative": "relatives", "building": "buildings", "landmark": "landmarks",
    "contest": "contests", "link": "links", "good": "goods", "instrument": "instruments",
    "festival": "festivals", "treat": "treats", "kin": "kin",
    "daily": "dailies", "place": "places", "ride": "rides", "tongue": "tongues",
    "method": "methods", "school": "schools", "river": "rivers",
}  # fmt: skip
# numbers in digits, from a first one to one below the last
DIGITS = {
    "price": (3, 60), "count": (12, 90), "age": (18, 80), "crowd": (100, 5000, 50),
    "minutes": (75, 180), "year": (1961, 2024), "high": (12, 36), "low": (2, 12),
    "room": (101, 480), "adult": (40, 60), "fee": (2, 9), "born": (1950, 2001),
    "percent": (5, 40), "years": (12, 50), "oldest": (99, 109),
    "citizens": (400, 9900, 100), "grown": (20, 66),
}  # fmt: skip
# a thing with its measure word
COUNTED = {
    "companion": "companions", "treasure": "treasures", "structure": "structures",
    "grocery": "groceries", "furniture": "furniture", "pet": "pets",
}  # fmt: skip
# a place with its preposition
PLACES = {"wild": "wilds", "eatery": "eateries", "grocer": "grocers"}
# other forms stand in columns of the table
ENTRIES = {
    "recipe": "recipes",
    "verb": "verbs", "trade": "trades", "errand": "errands", "skill": "skills",
    "handing": "handings", "fate": "fates", "quality": "qualities",
}  # fmt: skip
OWN = [forms.thing, forms.animal, forms.person, forms.meal, forms.spot, forms.hobby, forms.clock]
OWN += [forms.number, forms.venue, forms.film, forms.hotel, forms.shop, forms.town, forms.petname]
OWN += [quantities.date, quantities.hour, quantities.span]
OWN += [study.concept, study.task, study.way]

DRAWERS = {draw.__name__: draw for draw in OWN}
DRAWERS |= {name: plain(table) for name, table in PLAIN.items()}
DRAWERS |= {name: digits(*bounds) for name, bounds in DIGITS.items()}
DRAWERS |= {name: entry(table) for name, table in ENTRIES.items()}
DRAWERS |= {name: partial(thing, table=table) for name, table in COUNTED.items()}
DRAWERS |= {name: partial(spot, table=table) for name, table in PLACES.items()}
