"""Concepts: real fields of study and work, and what is true of each; facts come from word tables.

An entry may hold a list, `the [shape/colour/size] of things`: two or three of its words are drawn,
the same in both languages. A topic and its aim together belong to one split, and some topics
(`only` is test) to test alone; the corpus tells their benefits, tasks, uses and troubles only.
The column `aims` of a benefit has the numbers of the topic's aims that lead to it.
"""

import random
import re
from functools import cache

from data.generate import LANGUAGES
from data.generate.reading import words
from data.generate.splits import belongs

Fact = dict[str, str]  # language -> text
TABLES = {"object": "topic_objects", "use": "topic_uses", "trouble": "topic_troubles"}
OWN = 0.5  # of the concepts of test are topics that no other split has
TRIES = 40  # until another topic is tried
LIST = re.compile(r"\[([^\]]+)\]")


class Concept:
    """A topic with one fact of each kind: `facts["en"]["aim"]`."""

    def __init__(self, rng: random.Random, topic: Fact, number: int, aim: Fact):
        self.topic, self.abbr = topic, topic["abbr"].strip("-")
        facts = {"field": field(topic["field"]), "aim": aim}
        facts |= {k: fact(rng, entries(table, topic["en"])) for k, table in TABLES.items()}
        facts["benefit"] = fact(rng, benefits(topic["en"], number))
        facts |= tasks(rng, topic)
        facts["gloss"] = {"en": topic["gloss"], "zh": topic["zh_gloss"]}
        self.facts = {la: {kind: told[la] for kind, told in facts.items()} for la in LANGUAGES}

    def full_name(self) -> str:
        """The English name as a title: 'Human-Computer Interaction'."""
        return self.topic["en"].title()


def draw(rng: random.Random, split: str, known: list[Fact] | None = None) -> Concept:
    """A concept whose topic and aim the split may show; each topic that has one is as likely."""
    while True:
        topic = rng.choice(known or topics(split == "test" and rng.random() < OWN))
        for _ in range(TRIES):
            number, aim = drawn_aim(rng, topic)
            if topic["only"] == "test" or belongs(key(topic["en"], aim["en"]), split):
                return Concept(rng, topic, number, aim)


def neighbour(rng: random.Random, concept: Concept) -> Concept:
    """A topic that has a group in common with this one, told as train tells it."""
    return draw(rng, "train", near(concept.topic["en"]))


@cache
def near(name: str) -> list[Fact]:
    """The topics of all splits that share a group with the one of this name."""
    groups = {topic["en"]: set(topic["groups"].split(", ")) for topic in words("topics")}
    others = [topic for topic in topics(False) if topic["en"] != name]
    return [topic for topic in others if groups[topic["en"]] & groups[name]]


@cache
def topics(own: bool) -> list[Fact]:
    """The topics that only test has, or those that all splits share."""
    return [topic for topic in words("topics") if (topic["only"] == "test") == own]


def key(topic: str, aim: str) -> str:
    """The name of a combination; the order of the words of a list does not count."""
    return f"{topic}+{' '.join(sorted(re.findall('[a-z-]+', aim.lower())))}"


@cache
def entries(table: str, topic: str) -> list[Fact]:
    return [entry for entry in words(table) if entry["topic"] == topic]


@cache
def field(name: str) -> Fact:
    return next(entry for entry in words("fields") if entry["en"] == name)


@cache
def benefits(topic: str, number: int) -> list[Fact]:
    """What follows from the aim of this number."""
    found = entries("benefits", topic)
    return [benefit for benefit in found if str(number) in benefit["aims"].split()]


def drawn_aim(rng: random.Random, topic: Fact) -> tuple[int, Fact]:
    """An aim of the topic, and its number among them."""
    known = entries("aims", topic["en"])
    number = rng.randint(1, len(known))
    return number, fact(rng, known[number - 1 : number])


def fact(rng: random.Random, known: list[Fact]) -> Fact:
    """One of the entries in words, its list filled."""
    entry = rng.choice(known)
    found = {language: LIST.search(entry[language]) for language in LANGUAGES}
    if not found["en"]:
        return {language: entry[language] for language in LANGUAGES}
    options = list(zip(*(found[language][1].split("/") for language in LANGUAGES), strict=True))
    chosen = rng.sample(options, rng.choice((2, 3)))
    both = dict(zip(LANGUAGES, zip(*chosen, strict=True), strict=True))
    loose = rng.random() < 0.3 and not entry["zh"].endswith("]")
    return {
        language: LIST.sub(joined(both[language], language, loose), entry[language])
        for language in LANGUAGES
    }


def tasks(rng: random.Random, topic: Fact) -> dict[str, Fact]:
    """Two to four tasks as `tasks`, 'a, b and c' A、B和C, and as `list`, A、B、C."""
    known = entries("topic_tasks", topic["en"])
    chosen = rng.sample(known, min(len(known), rng.choice((2, 3, 3, 4))))
    told = {language: [task[language] for task in chosen] for language in LANGUAGES}
    return {
        "tasks": {la: joined(told[la], la) for la in LANGUAGES},
        "list": {la: joined(told[la], la, loose=True) for la in LANGUAGES},
    }


def joined(items: list[str], language: str, loose: bool = False) -> str:
    """'a, b and c' or a、b和c; a loose list of three in Chinese does without 和."""
    if language == "zh" and loose and len(items) > 2:
        return "、".join(items)
    comma, last = (", ", " and ") if language == "en" else ("、", "和")
    return comma.join(items[:-1]) + last + items[-1]
