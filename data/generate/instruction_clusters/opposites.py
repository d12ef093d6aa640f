"""Opposites: the word, a sentence that says it, and a sentence with the word exchanged."""

from functools import cache

from data.generate.instructions import Desk, Item
from data.generate.reading import words


@cache
def pairs(language: str, of: str = "") -> list[tuple[str, str]]:
    """All pairs of opposites, both ways round."""
    rows = [row for row in words("opposites") if of in ("", row["of"])]
    columns = ("en", "opposite") if language == "en" else ("zh", "zh_opposite")
    found = [(row[columns[0]], row[columns[1]]) for row in rows]
    return found + [(b, a) for a, b in found]


def opposites(language: str, word: str) -> list[str]:
    """Every opposite that the word has: old and new, old and young."""
    return list(dict.fromkeys(b for a, b in pairs(language) if a == word))


def drawn(desk: Desk) -> tuple[str, list[str]]:
    word, _ = desk.rng.choice(pairs(desk.language))
    answers = opposites(desk.language, word)
    desk.rng.shuffle(answers)
    return word, answers


def word(desk: Desk) -> Item:
    asked, answers = drawn(desk)
    return Item(asked, answers, key=asked)


def sentence(desk: Desk) -> Item:
    asked, answers = drawn(desk)
    say = desk.either("The opposite of {} is {}.", "“{}”的反义词是“{}”。").format
    return Item(asked, [say(asked, answer) for answer in answers], key=asked)


def changed(desk: Desk) -> Item:
    """A sentence of a thing, a person, the weather or a room."""
    of = desk.rng.choice(("thing", "thing", "person", "person", "weather", "room"))
    old, new = desk.rng.choice(pairs(desk.language, of))
    english = {"thing": "The {thing} is", "person": "{person} is"}.get(of, f"The {of} is")
    chinese = {
        "thing": "{thing.this}很",
        "person": "{person}很",
        "weather": "今天天气很",
        "room": "房间里很",
    }[of]
    start = desk.scene.say(desk.either(english + " ", chinese), desk.language)
    stop = desk.either(".", "。")
    return Item(start + old + stop, [start + new + stop], {"word": old})


CLUSTERS = {"opposite": {"word": word, "sentence": sentence, "changed": changed}}
