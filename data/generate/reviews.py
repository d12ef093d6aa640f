"""Reviews with negation, contrast and mixed judgements, whose structure decides their sentiment.

A plan says what is judged and how the clauses are joined; it can be told again in other words or in
the other language. In a contrast one clause decides, mostly but not always the last one; in a mixed
review a closing judgement does.
"""

import random
from dataclasses import dataclass

from data.generate import LANGUAGES
from data.generate.grammar import sentences
from data.generate.opinions import (
    Kinds,
    NothingToSay,
    Opinion,
    draw_opinion,
    fill,
    lines_of,
    parts_of,
)
from data.generate.reading import phrases, phrasings
from data.generate.scene import Scene
from data.generate.splits import CORPUS

DOMAINS = ("film", "restaurant", "hotel")
FAR = ("book", "concert", "train", "shop")  # for the out-of-domain test; the corpus has no verdicts
OPENED = 0.5  # of the reviews begin with a line on where and when
MAJORITY = 0.35  # of the mixed reviews of three clauses end as two of the three would have it
FIRST = 0.1  # of the contrasts and of the mixed reviews are decided by what comes first

SHAPES = {"alone": 0.24, "pair": 0.34, "contrast": 0.27, "mixed": 0.15}
MIXED = {"against": 0.3, "both": 0.4, "three": 0.3}
ALONE: Kinds = {
    "plain": 0.35,
    "negated": 0.35,
    "versus": 0.18,
    "heard true": 0.06,
    "heard false": 0.06,
}
PAIRED: Kinds = {"plain": 0.52, "negated": 0.36, "versus": 0.12}
JOINED: Kinds = {"plain": 0.64, "negated": 0.36}


@dataclass(frozen=True)
class Plan:
    domain: str
    label: int  # 1 praise, 0 blame
    shape: tuple[str, str]  # group and part of the phrase book that joins the clauses
    opinions: dict[str, Opinion]  # slot of the joining template -> opinion


@dataclass(frozen=True)
class Review:
    text: str
    label: int
    domain: str
    decided: tuple[tuple[str, str], ...]  # the parts and words that belong to the split alone


def draw_plan(rng, domain: str, label: int, split: str = CORPUS, languages=LANGUAGES) -> Plan:
    """What a review judges; the opinions that decide have words that only this split shows."""
    parts = parts_of(domain)

    def opinion(label: int, kinds: Kinds, split: str) -> Opinion:
        return draw_opinion(rng, parts, label, kinds, split, languages)

    shape = rng.choices(list(SHAPES), list(SHAPES.values()))[0]
    if shape == "alone":
        return Plan(domain, label, ("alone", ""), {"second": opinion(label, ALONE, split)})
    if shape == "pair":
        pair = {"first": opinion(label, PAIRED, "train"), "second": opinion(label, PAIRED, split)}
        return Plan(domain, label, ("pair", "any"), pair)
    if shape == "contrast":
        how = "first" if rng.random() < FIRST else rng.choice(("last", "last", "last, short"))
        both = {"yields": opinion(1 - label, JOINED, "train")}
        both["decides"] = opinion(label, JOINED, split)
        return Plan(domain, label, ("contrast", how), both)
    how, sides = draw_sides(rng, label)
    told = {slot: opinion(side, JOINED, split) for slot, side in zip("abc", sides, strict=False)}
    return Plan(domain, label, ("mixed", how), told)


def draw_sides(rng: random.Random, label: int) -> tuple[str, list[int]]:
    """How a mixed review is built, and the side of each clause before its closing judgement."""
    if rng.random() < FIRST:
        return "first", [1 - label, 1 - label]
    how = rng.choices(list(MIXED), list(MIXED.values()))[0]
    if how == "against":
        return how, [1 - label, 1 - label]
    if how == "both":
        return how, rng.sample([0, 1], 2)
    most = label if rng.random() < MAJORITY else 1 - label
    return how, [most, most, 1 - most]


def body(plan: Plan, scene: Scene, language: str) -> str:
    """The opinion of a review, from its first clause to its full stop."""
    group, how = plan.shape
    book, template = phrases("reviews"), "{second}"
    if group != "alone":
        template = scene.rng.choice(phrasings(book[group][how], language, scene.split))
    told = clauses(plan, scene, language)
    if group == "mixed":
        told["closing"] = closing(scene.rng, language, plan.domain, plan.label, scene.split)
    return sentences(template.format(**told) + (".", "。")[LANGUAGES.index(language)])


def clauses(plan: Plan, scene: Scene, language: str) -> dict[str, str]:
    """The clause for each slot; no two in the same template."""
    short = plan.shape[0] == "mixed" or plan.shape[1] in ("last, short", "first")
    told: dict[str, str] = {}
    used: list[str] = []
    for slot, opinion in plan.opinions.items():
        lines = lines_of(opinion.kind, opinion.side, short, language, scene.split)
        used.append(scene.rng.choice([line for line in lines if line not in used]))
        told[slot] = fill(used[-1], opinion, scene, language)
    return told


def tell(plan: Plan, scene: Scene, language: str, opened: bool | None = None) -> str:
    """The review in words; by default half of the reviews have an opening line."""
    if opened is None:
        opened = scene.rng.random() < OPENED
    intro = scene.tell(phrases("reviews")["intro"][plan.domain], language) if opened else ""
    return (" " if language == "en" else "").join([intro, body(plan, scene, language)]).strip()


def review(rng, language: str, label: int, split: str = CORPUS, scene=None, domain=None) -> Review:
    """A review of the split with this label."""
    plan, scene = some_plan(rng, label, split, (language,), domain), scene or Scene(rng, split)
    text = tell(plan, scene, language)
    aside = ("yields", "first")
    decided = [o.judgement(language) for slot, o in plan.opinions.items() if slot not in aside]
    return Review(text, label, plan.domain, tuple(decided))


def some_plan(rng, label: int, split: str = CORPUS, languages=LANGUAGES, domain=None) -> Plan:
    """A plan of this or of any domain, drawn again where the split has nothing to say."""
    while True:
        try:
            return draw_plan(rng, domain or rng.choice(DOMAINS), label, split, languages)
        except NothingToSay:
            continue


def closing(rng, language: str, domain: str, label: int, split: str = CORPUS) -> str:
    """A judgement of the whole, as a clause: 'I would eat there again'."""
    book, kind = phrases("reviews")["closing"], ("bad", "good")[label]
    groups = [book[f"{name} {kind}"] for name in ("any", domain) if f"{name} {kind}" in book]
    return rng.choice([line for group in groups for line in phrasings(group, language, split)])


def verdict(rng: random.Random, language: str, domain: str, label: int) -> str:
    """'I would eat there again.'"""
    ending = "." if language == "en" else "。"
    return sentences(closing(rng, language, domain, label) + ending)
