"""Profiles: people, towns, dishes, films and more, as records and as sentences in two languages.

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
from data.generate.sense import odd
from data.generate.splits import CORPUS, belongs

Row = dict[str, str]  # of a word table
SLOT = re.compile(r"{(\w+)")
UNNAMED = ("lost", "event")  # their subjects are plain words: with a field they belong to a split
PAIRED = 0.4  # of the fields that could be told together with another one
LATER = 0.85  # of the later sentences have a pronoun or noun
OTHERS = ("friend", "neighbour")  # a pronoun after them could mean the friend or the other town
FULL = 0.6  # of the people who are known by their full names
OBJECT = {"it": "it", "he": "him", "she": "her"}
OWNER = {"it": "its", "he": "his", "she": "her"}


@cache
def kinds() -> dict[str, Row]:
    return {row["kind"]: row for row in words("profile_subjects")}


@cache
def fields_of(kind: str) -> list[Row]:
    return [row for row in words("profile_fields") if row["kind"] == kind]


def slots(field: Row) -> list[str]:
    """The facts that a field tells: person and languages -> language, language2."""
    return SLOT.findall(field["value en"])


class Profile:
    """A subject, some of its fields in a random order, and the scene that holds their values."""

    def __init__(self, rng: random.Random, split: str = CORPUS, kind: str | None = None):
        often = [int(row["often"]) for row in kinds().values()]
        self.rng, self.split = rng, split
        self.kind = kind or rng.choices(list(kinds()), often)[0]
        self.subject = kinds()[self.kind]
        self.known = "name" if self.kind != "person" or rng.random() < FULL else "other"
        self.slot = SLOT.findall(self.subject["other en"])[0]
        self.scene = Scene(rng, split)
        self.scene.fact(self.slot)
        fields = self.tellable()
        self.learn(rng.sample(fields, rng.randint(min(2, len(fields)), len(fields))))

    def learn(self, fields: list[Row]) -> None:
        """Take these fields, with values that make sense together."""
        self.fields = fields
        subject = self.scene.facts[self.slot]
        while True:
            self.scene.facts = {self.slot: subject}
            for field in fields:
                for slot in slots(field):
                    self.scene.fact(slot)
            if not self.odd():
                return

    def odd(self) -> bool:
        return odd(self.kind, self.scene.facts)

    def tellable(self) -> list[Row]:
        """Train and corpus tell only what they may ask; Mira's Kitchen needs no owner."""
        fields = fields_of(self.kind)
        if self.split in ("train", CORPUS):
            fields = [f for f in fields if self.fits(f)]
        return [f for f in fields if not (f["field"] == "owner" and "'s " in self.name("en"))]

    def fits(self, field: Row) -> bool:
        """Whether this split may speak of this field of the subject."""
        subject = self.scene.facts[self.slot][0]
        return self.kind not in UNNAMED or belongs(f"{subject}+{field['field']}", self.split)

    def but(self, facts: dict[str, Fact]) -> "Profile":
        """The same profile if these facts were so."""
        other = copy.copy(self)
        other.scene = Scene(self.rng, self.split)
        other.scene.facts = self.scene.facts | facts
        return other

    def value(self, template: str, language: str, **given: str) -> str:
        """The template filled, with no capital added."""
        which = language == "zh"
        asked = SLOT.findall(template)
        found = {s: given[s] if s in given else self.scene.fact(s)[which] for s in asked}
        return template.format(**found)

    def name(self, language: str) -> str:
        """What a text calls the subject at first."""
        return self.value(self.subject[f"{self.known} {language}"], language)

    def names(self, language: str) -> list[str]:
        """This name, and others that everybody would understand."""
        known = [self.name(language)]
        if self.kind != "person" or self.known == "name":
            known.append(self.value(self.subject[f"other {language}"], language))
        return list(dict.fromkeys(known))

    def key(self, language: str) -> str:
        """The name as it stands in a record: without article or measure word."""
        return self.names(language)[0 if self.kind == "person" else -1]

    def record(self, language: str) -> dict[str, str]:
        """Key -> value, the subject first."""
        key, value = f"key {language}", f"value {language}"
        told = {field[key]: self.value(field[value], language) for field in self.fields}
        return {self.subject[key]: self.key(language)} | told

    def called(self, name: str) -> dict[str, str]:
        """The forms of a name that a template may ask for."""
        return {"name": name, "who": name, "whom": name, "whose": f"{name}'s"}

    def later(self, language: str) -> dict[str, str]:
        """A pronoun or noun in the place of the name; the object is no "it" if there is a noun."""
        several = self.value(self.subject[f"later {language}"], language).split(", ")
        who, last = self.rng.choice(several), several[-1]
        forms = {"who": who, "whom": OBJECT.get(last, last), "whose": OWNER.get(who, f"{who}'s")}
        return self.called(self.name(language)) | forms

    def clause(self, part: str, language: str, later: bool = False) -> str:
        """What is told of a field, or of two, without capital and stop."""
        called = self.later(language) if later else self.called(self.name(language))
        meaning = phrases("profiles")[self.kind][part]
        template = self.rng.choice(phrasings(meaning, language, self.split))
        return self.value(template, language, **called)[:-1]

    def sentence(self, part: str, language: str, later: bool = False) -> str:
        return sentences(self.clause(part, language, later) + ("." if language == "en" else "。"))

    def describe(self, language: str) -> str:
        """A sentence for each field or two; the name stands where a pronoun would not be clear."""
        told, clear = [], False
        for part in self.parts():
            told.append(self.sentence(part, language, clear and self.rng.random() < LATER))
            clear = not any(other in part for other in OTHERS)
        return (" " if language == "en" else "").join(told)

    def parts(self) -> list[str]:
        """The fields in their order, some of them two by two."""
        left, parts = [field["field"] for field in self.fields], []
        while left:
            first = left.pop(0)
            pairs = [(f"{first}+{b}", b) for b in left] + [(f"{b}+{first}", b) for b in left]
            pairs = [pair for pair in pairs if pair[0] in phrases("profiles")[self.kind]]
            if pairs and self.rng.random() < PAIRED:
                first, second = self.rng.choice(pairs)
                left.remove(second)
            parts.append(first)
        return parts
