"""Opinions: one part of a film or a place, praised or blamed, and the clauses that say so.

A clause may deny a word of the other side ("not dull" is praise), set it against its opposite, or
report what others said and agree or not; the word alone does not tell on which side it stands.
"""

import random
from dataclasses import dataclass
from functools import cache

from data.generate import LANGUAGES
from data.generate.reading import phrases, phrasings, words
from data.generate.scene import Scene
from data.generate.splits import CORPUS, split_of_name

DENYING = ("negated", "heard false")  # kinds of clauses whose word is of the other side
SIDES = ("bad", "good")
HOPED = {"en": ("feared", "hoped"), "zh": ("担心", "期待")}  # before a word of blame, of praise
WORDS = 4  # that praise a part, and as many that blame it


def listed(part: dict, side: int, language: str) -> list[str]:
    """The words that blame (side 0) or praise (1) this part; both languages in the same order."""
    return part[("zh_" if language == "zh" else "") + SIDES[side]].split(", ")


@cache
def homes() -> dict[str, str]:
    """The first part that each word judges: there it belongs to train, so no word is unknown."""
    found: dict[str, str] = {}
    for part in words("opinions"):
        for language in LANGUAGES:
            for word in listed(part, 0, language) + listed(part, 1, language):
                found.setdefault(word, part[language])
    return found


def split_of_judgement(part: str, word: str) -> str:
    """The split that a part and the word that judges it belong to."""
    return "train" if homes()[word] == part else split_of_name(f"{part}+{word}")


@cache
def extremes() -> set[str]:
    """Words that 'not' leaves without a verdict: a film that is not brilliant may be good."""
    return {word for row in words("extremes") for word in row.values()}


@dataclass(frozen=True)
class Opinion:
    part: dict  # a row of words/opinions.txt
    label: int  # 1 praise, 0 blame
    kind: str  # plain, negated, versus, heard true, heard false
    number: int  # which word of its list
    other: int  # a second word of the list, for "neither … nor"

    @property
    def side(self) -> int:
        """The side of the word that is said."""
        return 1 - self.label if self.kind in DENYING else self.label

    def word(self, language: str, number: int | None = None) -> str:
        return listed(self.part, self.side, language)[self.number if number is None else number]

    def opposite(self, language: str) -> str:
        """The word of the other side that stands at the same place of its list."""
        return listed(self.part, 1 - self.side, language)[self.number]

    def judgement(self, language: str) -> tuple[str, str]:
        return self.part[language], self.word(language)

    def belongs(self, split: str, language: str) -> bool:
        """Whether the split may show this; the words that do not decide are always train's."""
        said = self.word(language)
        name, others = self.part[language], [self.word(language, self.other)]
        if self.kind == "versus":
            others = [self.opposite(language)]
        if self.kind != "plain" and extremes() & {said, *others}:
            return False
        split = "train" if split == CORPUS else split
        aside = all(split_of_judgement(name, word) == "train" for word in others)
        return aside and split_of_judgement(name, said) == split


Parts = list[dict]
Kinds = dict[str, float]


def parts_of(domain: str) -> Parts:
    return [part for part in words("opinions") if part["domain"] == domain]


class NothingToSay(LookupError):
    """None of the parts has a word on this side that the split may show."""


def draw_opinion(
    rng: random.Random, parts: Parts, label: int, kinds: Kinds, split: str, languages=LANGUAGES
) -> Opinion:
    """An opinion on one of the parts, which it uses up; the split may show it in the languages."""
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    for part in rng.sample(parts, len(parts)):
        for number in rng.sample(range(WORDS), WORDS):
            other = (number + rng.randrange(1, WORDS)) % WORDS
            opinion = Opinion(part, label, kind, number, other)
            if all(opinion.belongs(split, language) for language in languages):
                parts.remove(part)
                return opinion
    raise NothingToSay


def lines_of(kind: str, side: int, short: bool, language: str, split: str) -> list[str]:
    """The templates of a kind of clause; a short one can stand behind "that"."""
    book = phrases("reviews")
    if kind.startswith("heard"):
        return phrasings(book["heard"][kind.removeprefix("heard ")], language, split)
    levels = ["short"] if short else ["short", "said"]
    groups = [group for level in levels for group in (level, f"{level} of {SIDES[side]}")]
    found = [book[kind][group] for group in groups if group in book[kind]]
    return [line for group in found for line in phrasings(group, language, split)]


def fill(template: str, opinion: Opinion, scene: Scene, language: str) -> str:
    """The template with the opinion's words in its slots."""
    slots = {
        "part": opinion.part[language],
        "was": opinion.part["is"],
        "it": {"was": "it", "were": "they"}[opinion.part["is"]],
        "word": opinion.word(language),
        "word2": opinion.word(language, opinion.other),
        "opposite": opinion.opposite(language),
        "hoped": HOPED[language][opinion.side],
    }
    if "{person}" in template:
        slots["person"] = scene.fact("person")[LANGUAGES.index(language)]
    return template.format(**slots)
