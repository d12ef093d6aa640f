"""Opinions: one part of a film or a place, praised or blamed, and the clauses that say so.

A clause may deny a word of the other side ("not dull" is praise): the word alone does not tell.
"""

import random
from dataclasses import dataclass
from functools import cache

from data.generate import LANGUAGES
from data.generate.reading import phrases, phrasings, words
from data.generate.splits import CORPUS, split_of_name

SIDES = ("bad", "good")
KINDS = ("plain", "negated")
WORDS = 4  # that praise a part, and as many that blame it
NEGATED = 0.3  # of the clauses deny a word of the other side


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
    return "train" if homes()[word] == part else split_of_name(f"{part}: {word}")


@dataclass(frozen=True)
class Opinion:
    part: dict  # a row of words/opinions.txt
    label: int  # 1 praise, 0 blame
    negated: bool
    number: int  # which word of its list

    @property
    def side(self) -> int:
        """The side of the word that is said."""
        return 1 - self.label if self.negated else self.label

    def word(self, language: str) -> str:
        return listed(self.part, self.side, language)[self.number]

    def opposite(self, language: str) -> str:
        """The word of the other side that stands at the same place of its list."""
        return listed(self.part, 1 - self.side, language)[self.number]

    def judgement(self, language: str) -> tuple[str, str]:
        return self.part[language], self.word(language)

    def belongs(self, split: str, language: str) -> bool:
        """Whether the split may show this; the corpus shows what train shows."""
        split = "train" if split == CORPUS else split
        return split_of_judgement(*self.judgement(language)) == split


def parts_of(domain: str) -> list[dict]:
    return [part for part in words("opinions") if part["domain"] == domain]


@cache
def opinions_of(domains, label: int, negated: bool, split: str, languages) -> list[Opinion]:
    """All that a split may say about these domains, in each of the languages."""
    found = [
        Opinion(part, label, negated, number)
        for domain in domains
        for part in parts_of(domain)
        for number in range(WORDS)
    ]
    return [o for o in found if all(o.belongs(split, language) for language in languages)]


def draw_opinion(rng: random.Random, domains, label: int, split: str, languages, but=()) -> Opinion:
    """An opinion that the split may show, not on one of the parts that `but` names."""
    found = opinions_of(domains, label, rng.random() < NEGATED, split, languages)
    return rng.choice([opinion for opinion in found if opinion.part["en"] not in but])


def lines_of(opinion: Opinion, language: str, split: str) -> list[str]:
    """The templates of clauses that can say this."""
    return phrasings(phrases("reviews")["clause"][KINDS[opinion.negated]], language, split)


def fill(template: str, opinion: Opinion, language: str) -> str:
    """The template with the opinion's words in its slots."""
    return template.format(
        part=opinion.part[language],
        was=opinion.part["is"],
        it={"was": "it", "were": "they"}[opinion.part["is"]],
        word=opinion.word(language),
        opposite=opinion.opposite(language),
    )
