"""Documents of the corpus that say things in both languages: sentences, words and names."""

import random
from collections.abc import Callable

from data.generate import LANGUAGES
from data.generate.grammar import sentences
from data.generate.scene import Scene
from data.generate.translation import parts_of_exercise, translations

ROOM = 180  # tokens of a document, as `size` estimates them
MARKS = (
    {"en": "", "zh": ""},
    {"en": "", "zh": ""},
    {"en": "English: ", "zh": "中文："},
    {"en": "In English: ", "zh": "用中文说："},
)
OTHER = {"en": ("Or: ", "In other words: "), "zh": ("或者：", "换句话说：")}
BETWEEN = (" ", " ", " = ", ": ", " | ", " -> ")
ORDERS = {
    "en": ("Translate into English: ", "翻译成英文："),
    "zh": ("Translate into Chinese: ", "翻译成中文："),
}
ASKED = {  # the question for the translation into a language, and the answer
    "en": (
        ('How do you say "{}" in English?', "{}."),
        ("What is {} in English?", "It is: {}."),
        ('What does "{}" mean?', "It means: {}."),
        ("“{}”用英文怎么说？", "{}."),
    ),
    "zh": (
        ("“{}”用中文怎么说？", "{}。"),
        ("“{}”是什么意思？", "意思是{}。"),
        ("{}怎么翻译成中文？", "翻译成“{}”。"),
        ('How do you say "{}" in Chinese?', "{}。"),
    ),
}
WORDS = (  # categories of facts and the forms of them that a list of words shows
    *(("thing", form) for form in ("a", "n", "n", "this", "that")),
    *((slot, "n") for slot in ("meal", "grocery", "furniture", "structure", "animal")),
    *((slot, "a") for slot in ("meal", "grocery", "furniture")),
    *((slot, "at") for slot in ("spot", "shop", "eatery")),
    *((slot, "") for slot in ("time", "future", "daily", "duration", "span", "hour", "date")),
    *((slot, "") for slot in ("place", "ride", "job", "errand", "concept", "tongue")),
)
NAMES = (("person", ""), ("person", ""), ("person", "full"), ("town", ""), ("concept", ""))


def document(rng: random.Random) -> str:
    """One document; none shows two parts of the chapter's sentence."""
    while True:
        text = rng.choices(list(LAYOUTS), list(LAYOUTS.values()))[0](rng)
        if parts_of_exercise(text) < 2 and size(text) <= ROOM:
            return text


def size(text: str) -> float:
    """About how many tokens a text is."""
    return sum(0.33 if character.isascii() else 1 for character in text)


def turned(rng: random.Random) -> list[str]:
    """The two languages in one order or the other."""
    return rng.sample(LANGUAGES, 2)


def in_turn(rng: random.Random) -> str:
    """Two to five texts, each with its translation on the next line."""
    order, marks = turned(rng), rng.choice(MARKS)
    texts = [translations(rng) for _ in range(rng.randint(2, 5))]
    return "\n".join(marks[spoken] + text[spoken][0] for text in texts for spoken in order)


def side_by_side(rng: random.Random) -> str:
    """Two to five texts, each with its translation on the same line."""
    order, between = turned(rng), rng.choice(BETWEEN)
    texts = [translations(rng) for _ in range(rng.randint(2, 5))]
    return "\n".join(between.join(text[spoken][0] for spoken in order) for text in texts)


def in_blocks(rng: random.Random) -> str:
    """Two to four texts in one language, then all of them in the other, in the same order."""
    texts = [translations(rng) for _ in range(rng.randint(2, 4))]
    return "\n".join(text[spoken][0] for spoken in turned(rng) for text in texts)


def reworded(rng: random.Random) -> str:
    """A text or two, in each language in two phrasings."""
    lines, order, marked = [], turned(rng), rng.random() < 0.5
    for _ in range(rng.choice((1, 1, 2))):
        text = translations(rng)
        for spoken in order:
            again = rng.choice(OTHER[spoken]) if marked else ""
            lines += [text[spoken][0], again + text[spoken][1]]
    return "\n".join(lines)


def ordered(rng: random.Random) -> str:
    """Two or three texts that somebody asks to translate."""
    lines = []
    for _ in range(rng.randint(2, 3)):
        source, target = turned(rng)
        text = translations(rng)
        lines += [rng.choice(ORDERS[target]) + text[source][0], text[target][0]]
    return "\n".join(lines)


def entries(rng: random.Random, kinds: tuple, number: int) -> list[dict[str, str]]:
    """Words or names of these kinds by language, all different."""
    found: dict[str, dict[str, str]] = {}
    while len(found) < number:
        slot, form = rng.choice(kinds)
        fact = dict(zip(LANGUAGES, Scene(rng).fact(slot), strict=True))
        entry = {k: getattr(word, form) if form else word for k, word in fact.items()}
        found.setdefault(entry["en"], entry)
    return list(found.values())


def word_list(rng: random.Random) -> str:
    """'three books 三本书; a bowl of soup 一碗汤'."""
    return listed(rng, entries(rng, WORDS, rng.randint(4, 9)))


def dictionary(rng: random.Random) -> str:
    """'Vera 维拉', of people, towns or concepts."""
    return listed(rng, entries(rng, (rng.choice(NAMES),), rng.randint(4, 10)))


def listed(rng: random.Random, found: list[dict[str, str]]) -> str:
    """The entries on lines of their own or in a row."""
    order, between, after = turned(rng), rng.choice(BETWEEN), rng.choice(("\n", "\n", "; ", ", "))
    return after.join(between.join(entry[spoken] for spoken in order) for entry in found)


def asked(rng: random.Random) -> str:
    """'How do you say 三本书 in English? Three books.'"""
    lines, between = [], rng.choice((" ", "\n"))
    for entry in entries(rng, rng.choice((WORDS, WORDS, NAMES)), rng.randint(2, 5)):
        source, target = turned(rng)
        question, answer = rng.choice(ASKED[target])
        space = between if question.isascii() or between == "\n" else ""
        told = sentences(answer.format(entry[target]))
        lines.append(question.format(entry[source]) + space + told)
    return "\n".join(lines)


LAYOUTS: dict[Callable[[random.Random], str], int] = {
    in_turn: 34,
    side_by_side: 8,
    in_blocks: 12,
    reworded: 12,
    ordered: 10,
    word_list: 9,
    dictionary: 8,
    asked: 7,
}
