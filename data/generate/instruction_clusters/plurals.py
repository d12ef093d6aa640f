"""One and many: the plural of a word, and one thing that becomes several."""

from data.generate.basics import countable, forms_of
from data.generate.forms import Forms, counted
from data.generate.instructions import Desk, Item


def word(desk: Desk) -> Item:
    noun = desk.rng.choice(countable())
    return Item(noun["en"], [noun["many"]], key=noun["en"])


def several(desk: Desk) -> tuple[str, Forms]:
    """A number, and a noun that can be counted so."""
    numbers = counted(desk.rng)
    noun = forms_of(desk.rng.choice(countable()), *numbers)
    return desk.either(*numbers), desk.either(*noun)


def many(desk: Desk) -> Item:
    n, noun = several(desk)
    return Item(noun.one, [noun.n], {"n": n})


CLUSTERS = {"plural": {"word": word, "many": many}}
