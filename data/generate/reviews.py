"""Reviews of films, restaurants and hotels, with negation and contrast, and their sentiment.

A clause praises or blames one part. In a contrast the second clause, the last word of the review,
decides. A negated clause uses a word of the other polarity: "the plot was not dull" is praise.
"""

import random
from dataclasses import dataclass

from data.generate.grammar import sentences
from data.generate.reading import phrases, words
from data.generate.scene import Scene
from data.generate.splits import split_of_name

NEGATED, CONTRAST, PAIRED = 0.35, 0.35, 0.75  # negated of all clauses; paired of those that agree
DOMAINS = ("film", "restaurant", "hotel")


@dataclass(frozen=True)
class Review:
    text: str
    label: int  # 1 praise, 0 blame
    domain: str


def clause(rng: random.Random, language: str, parts: list, label: int, split: str) -> str:
    """A clause on one of the parts, which it uses up; part and word together are of the split."""
    while True:
        part, negated = rng.choice(parts), rng.random() < NEGATED
        kind = ("bad", "good")[label != negated]
        word = rng.choice(part[kind if language == "en" else f"zh_{kind}"].split(", "))
        if split_of_name(f"{part[language]}+{word}") == split:
            break
    parts.remove(part)
    template = rng.choice(phrases("reviews")["clause"]["negated" if negated else "plain"][language])
    return template.format(part=part[language], was=part["is"], good=word)


def body(rng: random.Random, language: str, domain: str, label: int, split: str) -> str:
    """One or two clauses that add up to the label; the deciding one has words of the split."""
    book = phrases("reviews")
    parts = [part for part in words("opinions") if part["domain"] == domain]
    last = clause(rng, language, parts, label, split)
    if rng.random() < CONTRAST:
        first = clause(rng, language, parts, 1 - label, "train")
        template = rng.choice(book["contrast"][rng.choice(("but", "although"))][language])
    elif rng.random() < PAIRED:
        first = clause(rng, language, parts, label, "train")
        template = rng.choice(book["pair"]["and"][language])
    else:
        first, template = "", "{second}"
    return template.format(first=first, second=last) + ("." if language == "en" else "。")


def review(rng, language: str, label: int, split: str = "train", scene=None, domain=None) -> Review:
    """An opening line in half of the reviews, then the opinion."""
    domain = domain or rng.choice(DOMAINS)
    scene = scene or Scene(rng, split)
    opinion = sentences(body(rng, language, domain, label, split))
    opening = ""
    if rng.random() < 0.5:
        opening = scene.tell(phrases("reviews")["intro"][domain], language)
    return Review((" " if language == "en" else "").join([opening, opinion]).strip(), label, domain)


def verdict(rng: random.Random, language: str, domain: str, label: int) -> str:
    """'I would eat there again.'"""
    kind = f"{domain} {('bad', 'good')[label]}"
    return rng.choice(phrases("reviews")["verdict"][kind][language])
