"""One and many: plurals in English, measure words in Chinese, and sentences about several."""

from data.generate.forms import NUMBERS, NUMBERS_ZH, Forms
from data.generate.grammar import an
from data.generate.instructions import Desk, Item
from data.generate.reading import words

TABLES = ("things", "animals", "plurals")
PLACES = {
    "things": (("shop", "店"), ("house", "家"), ("room", "房间")),
    "animals": (("garden", "花园"), ("yard", "院子")),
}


def word(desk: Desk) -> Item:
    noun = desk.rng.choice(words(desk.rng.choice(TABLES)))
    return Item(noun["en"], [noun["many"]], key=noun["en"])


def counted(desk: Desk, noun: dict[str, str]) -> tuple[str, Forms]:
    """A number and the noun with its forms for one and for that many."""
    i = desk.rng.randrange(len(NUMBERS))
    n, measure = desk.either(NUMBERS, NUMBERS_ZH)[i], noun["measure"]
    if desk.language == "en":
        return n, Forms(noun["en"], a=an(noun["en"]), n=f"{n} {noun['many']}")
    one = f"一{measure}{noun['zh']}"
    return n, Forms(noun["zh"], a=one, n=f"{n}{measure}{noun['zh']}")


def count(desk: Desk) -> Item:
    n, noun = counted(desk, desk.rng.choice(words(desk.rng.choice(TABLES))))
    return Item(str(noun), [noun.n], {"n": n})


def measure(desk: Desk) -> Item:
    """Only words that ask for a measure word of their own; 个 goes with too many."""
    nouns = [noun for table in TABLES for noun in words(table) if noun["measure"] != "个"]
    noun = desk.rng.choice(nouns)
    return Item(noun["zh"], [noun["measure"]], key=noun["zh"])


def one_and_many(desk: Desk) -> tuple[str, str, str]:
    """A number, and one sentence about one thing and about that many."""
    table = desk.rng.choice(list(PLACES))
    n, noun = counted(desk, desk.rng.choice(words(table)))
    place = desk.either(*desk.rng.choice(PLACES[table]))
    pair = desk.rng.choice(
        list(zip(desk.lines("there is", "one"), desk.lines("there is", "many"), strict=True))
    )
    return n, *(desk.scene.say(line, desk.language, noun=noun, place=place) for line in pair)


def sentence(desk: Desk) -> Item:
    n, one, many = one_and_many(desk)
    return Item(one, [many], {"n": n})


CLUSTERS = {"plural": {"word": word, "count": count, "measure": measure, "sentence": sentence}}
