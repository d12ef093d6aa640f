"""Concepts: real fields of study and work, and what is true of each; facts come from word tables.

An entry may hold a list, `the [shapes/colours/sizes] of things`: two of its words are drawn, the
same in both languages. A topic and its aim together belong to one split, and some topics (`only`
is test) to test alone; the corpus tells their benefits, tasks and uses only.
"""

import random
import re
from functools import cache

from data.generate import LANGUAGES
from data.generate.reading import words
from data.generate.splits import belongs

Fact = dict[str, str]  # language -> text
OWN = 0.3  # of the concepts of test are topics that no other split has
TRIES = 40  # until another topic is tried
LIST = re.compile(r"\[([^\]]+)\]")


class Concept:
    """A topic with one fact of each kind: `facts["en"]["aim"]`."""

    def __init__(self, rng: random.Random, topic: Fact, aim: Fact, benefit: Fact):
        self.topic, self.abbr = topic, topic["abbr"].strip("-")
        name = topic["en"]
        facts = {
            "field": next(entry for entry in words("fields") if entry["en"] == topic["field"]),
            "object": filled(rng, rng.choice(entries("topic_objects", name))),
            "aim": aim,
            "benefit": benefit,
            "use": rng.choice(entries("topic_uses", name)),
            "tasks": tasks(rng, name),
            "gloss": {"en": topic["gloss"], "zh": topic["zh_gloss"]},
        }
        self.facts = {la: {kind: told[la] for kind, told in facts.items()} for la in LANGUAGES}


def draw(rng: random.Random, split: str) -> Concept:
    """A concept whose topic and aim the split may show; each topic that has one is as likely."""
    while True:
        topic = rng.choice(topics(split == "test" and rng.random() < OWN))
        for _ in range(TRIES):
            aim, benefit = drawn_aim(rng, topic)
            if topic["only"] == "test" or belongs(key(topic["en"], aim["en"]), split):
                return Concept(rng, topic, aim, benefit)


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


def drawn_aim(rng: random.Random, topic: Fact) -> tuple[Fact, Fact]:
    """An aim of the topic, and the benefit that follows from it."""
    entry = rng.choice(entries("aims", topic["en"]))
    return filled(rng, entry), {"en": entry["benefit"], "zh": entry["zh_benefit"]}


def filled(rng: random.Random, entry: Fact) -> Fact:
    """The entry with two words of its list, the same in both languages."""
    found = [LIST.search(entry[language])[1].split("/") for language in LANGUAGES]
    chosen = zip(*rng.sample(list(zip(*found, strict=True)), 2), strict=True)
    return {
        language: LIST.sub(joined(both, language), entry[language])
        for language, both in zip(LANGUAGES, chosen, strict=True)
    }


def tasks(rng: random.Random, topic: str) -> Fact:
    """Two or three tasks of the topic: 'a, b and c' A、B和C."""
    chosen = rng.sample(entries("topic_tasks", topic), rng.choice((2, 2, 3)))
    return {language: joined([t[language] for t in chosen], language) for language in LANGUAGES}


def joined(items: list[str], language: str) -> str:
    """'a, b and c' or a、b和c."""
    comma, last = (", ", " and ") if language == "en" else ("、", "和")
    return comma.join(items[:-1]) + last + items[-1]
