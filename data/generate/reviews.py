"""Reviews with negation, contrast and mixed judgements, whose structure decides their sentiment.

A plan says what is judged and how the clauses are joined; it can be told again in other words or in
the other language. In a contrast the main clause decides, mostly but not always the last one; in a
mixed review a closing judgement does.
"""

import random
from dataclasses import dataclass

from data.generate import LANGUAGES
from data.generate.grammar import sentences
from data.generate.opinions import Opinion, draw_opinion, fill, lines_of
from data.generate.reading import phrases, phrasings
from data.generate.scene import Scene
from data.generate.splits import CORPUS

DOMAINS = ("film", "restaurant", "hotel")
FAR = ("book", "concert", "train", "shop")  # for the out-of-domain test; the corpus has no verdicts
OPENED = 0.33  # of the reviews begin with a line on where and when
FIRST = 0.1  # of the contrasts are decided by what comes first
SHAPES = {"alone": 0.45, "pair": 0.2, "contrast": 0.25, "mixed": 0.1}


@dataclass(frozen=True)
class Plan:
    domain: str
    label: int  # 1 praise, 0 blame
    shape: str  # how the phrase book joins the clauses
    opinions: dict[str, Opinion]  # "main", and before it "other" unless the main one is alone


@dataclass(frozen=True)
class Review:
    text: str
    label: int
    domain: str
    decided: tuple[tuple[str, str], ...]  # the parts and words that belong to the split alone


def draw_plan(
    rng: random.Random, label: int, split: str = CORPUS, languages=LANGUAGES, domains=DOMAINS
) -> Plan:
    """What a review judges; the main opinion has a word that only this split shows."""
    shape = rng.choices(list(SHAPES), list(SHAPES.values()))[0]
    side = rng.randrange(2) if shape == "mixed" else label
    main = draw_opinion(rng, domains, side, split, languages)
    domain, part = main.part["domain"], main.part["en"]
    if shape == "alone":
        return Plan(domain, label, shape, {"main": main})
    side = side if shape == "pair" else 1 - side
    other = draw_opinion(rng, (domain,), side, "train", languages, but=(part,))
    if shape == "contrast" and rng.random() < FIRST:
        shape = "contrast, main first"
    return Plan(domain, label, shape, {"other": other, "main": main})


def body(plan: Plan, scene: Scene, language: str) -> str:
    """The opinion of a review, from its first clause to its full stop."""
    template = "{main}"
    if plan.shape != "alone":
        joined = phrases("reviews")["joined"][plan.shape]
        template = scene.rng.choice(phrasings(joined, language, scene.split))
    told = clauses(plan, scene, language)
    if plan.shape == "mixed":
        told["closing"] = closing(scene.rng, language, plan.domain, plan.label, scene.split)
    return finished(template.format(**told), language)


def clauses(plan: Plan, scene: Scene, language: str) -> dict[str, str]:
    """The clause for each slot; no two in the same template."""
    told: dict[str, str] = {}
    used = ""
    for slot, opinion in plan.opinions.items():
        lines = lines_of(opinion, language, scene.split)
        used = scene.rng.choice([line for line in lines if line != used])
        told[slot] = fill(used, opinion, language)
    return told


def finished(clause: str, language: str) -> str:
    """The clause as a sentence."""
    return sentences(clause + (".", "。")[LANGUAGES.index(language)])


def tell(plan: Plan, scene: Scene, language: str, opened: bool | None = None) -> str:
    """The review in words; by default a third of the reviews have an opening line."""
    if opened is None:
        opened = scene.rng.random() < OPENED
    intro = scene.tell(phrases("reviews")["intro"][plan.domain], language) if opened else ""
    return (" " if language == "en" else "").join([intro, body(plan, scene, language)]).strip()


def review(
    rng: random.Random, language: str, label: int, split: str = CORPUS, scene=None, domains=DOMAINS
) -> Review:
    """A review of the split with this label; the scene, if given, has templates of its own."""
    plan = draw_plan(rng, label, split, (language,), domains)
    text = tell(plan, scene or Scene(rng, split), language)
    return Review(text, label, plan.domain, (plan.opinions["main"].judgement(language),))


def closing(rng, language: str, domain: str, label: int, split: str = CORPUS) -> str:
    """A judgement of the whole, as a clause: 'I would eat there again'."""
    book, kind = phrases("reviews")["closing"], ("bad", "good")[label]
    groups = [book[f"{name} {kind}"] for name in ("any", domain) if f"{name} {kind}" in book]
    return rng.choice([line for group in groups for line in phrasings(group, language, split)])


def verdict(rng: random.Random, language: str, domain: str, label: int) -> str:
    """'I would eat there again.'"""
    return finished(closing(rng, language, domain, label), language)
