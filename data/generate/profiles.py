"""Profiles: people, towns, films, weather and venues, as records and as sentences in two languages.

words/profile_subjects.txt has the kinds, words/profile_fields.txt what can be told of each, and
phrases/profiles.txt how it is said.
"""

import copy
import random
import re
from functools import cache

from data.generate.grammar import sentences
from data.generate.reading import phrases, phrasings, words
from data.generate.scene import Fact, Scene
from data.generate.splits import CORPUS

Row = dict[str, str]  # of a word table
SLOT = re.compile(r"{(\w+)")
STOP, SPACE = {"en": ".", "zh": "。"}, {"en": " ", "zh": ""}
FACTS = (2, 2, 3, 3, 4)  # how many fields a text tells of a subject
LATER = 0.85  # of the later sentences have a pronoun or noun
OWNER = {"it": "its", "he": "his", "she": "her"}


@cache
def kinds() -> dict[str, Row]:
    return {row["kind"]: row for row in words("profile_subjects")}


@cache
def fields_of(kind: str) -> list[Row]:
    return [row for row in words("profile_fields") if row["kind"] == kind]


def slot_of(field: Row) -> str:
    """The fact that a field tells."""
    return SLOT.findall(field["value en"])[0]


class Profile:
    """A subject, some of its fields in a random order, and the scene that holds their values."""

    def __init__(self, rng: random.Random, split: str = CORPUS, kind: str = ""):
        often = [int(row["often"]) for row in kinds().values()]
        self.rng, self.split = rng, split
        self.kind = kind or rng.choices(list(kinds()), often)[0]
        self.subject = kinds()[self.kind]
        self.scene = Scene(rng, split)
        self.scene.fact(self.subject["slot"])
        self.fields = rng.sample(self.tellable(), rng.choice(FACTS))
        for field in self.fields:
            self.known(field)
        while self.kind == "person" and self.scene.fact("job")[0] == "student":
            del self.scene.facts["job"]  # nobody works as a student

    def tellable(self) -> list[Row]:
        """Mira's Kitchen needs no owner."""
        fields = fields_of(self.kind)
        return [f for f in fields if not (f["field"] == "owner" and "'s " in self.name("en"))]

    def known(self, field: Row) -> str:
        """The English word for the value of a field."""
        return self.scene.fact(slot_of(field))[0]

    def but(self, field: Row, fact: Fact) -> "Profile":
        """The same profile if the field were so."""
        other = copy.copy(self)
        other.scene = Scene(self.rng, self.split)
        other.scene.facts = self.scene.facts | {slot_of(field): fact}
        return other

    def value(self, template: str, language: str, **given: str) -> str:
        """The template filled, with no capital added."""
        which = language == "zh"
        asked = SLOT.findall(template)
        found = {s: given[s] if s in given else self.scene.fact(s)[which] for s in asked}
        return template.format(**found)

    def name(self, language: str) -> str:
        return str(self.scene.facts[self.subject["slot"]][language == "zh"])

    def called(self, language: str, later: bool = False) -> dict[str, str]:
        """The forms of the name, or of a pronoun or noun in its place, that a template asks for."""
        name = self.name(language)
        if later:
            name = self.value(self.subject[f"later {language}"], language)
        ending = "'" if name.endswith("s") else "'s"
        return {"who": name, "whose": OWNER.get(name, name + ending)}

    def record(self, language: str) -> dict[str, str]:
        """Key -> value, the subject first."""
        key, value = f"key {language}", f"value {language}"
        told = {field[key]: self.value(field[value], language) for field in self.fields}
        return {self.subject[key]: self.name(language)} | told

    def clause(self, field: Row, language: str, later: bool = False) -> str:
        """What is told of a field, without capital and stop."""
        meaning = phrases("profiles")[self.kind][field["field"]]
        template = self.rng.choice(phrasings(meaning, language, self.split))
        return self.value(template, language, **self.called(language, later))[:-1]

    def sentence(self, field: Row, language: str, later: bool = False) -> str:
        return sentences(self.clause(field, language, later) + STOP[language])

    def describe(self, language: str) -> str:
        """A sentence for each field; the name stands in the first and seldom again."""
        told = []
        for field in self.fields:
            later = bool(told) and self.rng.random() < LATER
            told.append(self.sentence(field, language, later))
        return SPACE[language].join(told)
