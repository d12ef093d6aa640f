"""Tables of hotels, shops and museums: like those of venues, but none that a model was tuned on.

Nothing of this is in a training file or in the corpus.
"""

import random

from data.generate.describe_frames import wordings
from data.generate.forms import HOURS
from data.generate.grammar import sentences
from data.generate.names import draw_venue, venue_names
from data.generate.reading import phrases, words
from data.generate.tables import VALUES, Table

GOODS = [word["many"] for word in words("things") if " of " not in word["many"]]
NIGHTS = [f"£{pounds}" for pounds in range(40, 200, 5)]
DRAWN = {  # kind of table -> its types, and the values of its own slots
    "hotel": (
        ("hotel", "guest house"),
        {
            "rooms": [str(n) for n in range(8, 90)],
            "price": NIGHTS,
            "breakfast": ["yes", "no"],
        },
    ),
    "shop": (
        ("shop", "gift shop", "second-hand shop", "department store"),
        {
            "goods": GOODS,
            "opens": [f"{hour} o'clock" for hour in HOURS],
            "closed": [word["en"] for word in words("days")],
        },
    ),
    "museum": (
        ("museum",),
        {
            "shows": GOODS,
            "ticket": [f"£{pounds}" for pounds in range(3, 20)],
            "year": [str(year) for year in range(1905, 2020)],
        },
    ),
}
OWN = [slot for _, own in DRAWN.values() for slot in own]


def far_table(rng: random.Random) -> Table:
    """A name and a type, one to three slots of the kind, and an area, a neighbour or both."""
    types, own = DRAWN[rng.choice(list(DRAWN))]
    table = {"name": rng.choice(rng.choice(venue_names("test")[:2]))[0], "type": rng.choice(types)}
    chosen = rng.sample(list(own), rng.randint(1, len(own)))
    table |= {slot: rng.choice(own[slot]) for slot in own if slot in chosen}
    near = draw_venue(rng, "test")[0]
    while near == table["name"]:
        near = draw_venue(rng, "test")[0]
    where = {"area": rng.choice(list(VALUES["area"])), "near": near}
    return table | {slot: where[slot] for slot in rng.choice((["area"], ["near"], list(where)))}


def describe_far(rng: random.Random, table: Table) -> str:
    """One or two sentences that tell the whole table."""
    book = phrases("places")
    told = [slot for slot in table if slot in OWN]
    verbs = []
    for slot in rng.sample(told, len(told)):
        heading = f"{slot} {table[slot]}" if slot == "breakfast" else slot
        verbs.append(rng.choice(book[heading]["verb"]["en"]).format(value=table[slot]))
    given = {"name": table["name"], "type": table["type"]}
    given["verbs"] = " and ".join([", ".join(verbs[:-1]), verbs[-1]] if verbs[1:] else verbs)
    places = [slot for slot in ("area", "near") if slot in table]
    where = [rng.choice(wordings(slot, table[slot], "en")["where"]) for slot in places]
    given["where"] = " ".join(where)
    return sentences(rng.choice(book["frame"]["text"]["en test"]).format(**given))
