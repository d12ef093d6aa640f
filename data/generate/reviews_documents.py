"""Documents about reviews for the corpus: what was said, and again what it amounts to.

A review stands beside its verdict, its good and bad points, its translation or other words for it;
a denied word stands beside the true one. Books, concerts, journeys and shops come without verdict.
"""

import random
from collections.abc import Callable

from data.generate import LANGUAGES
from data.generate.grammar import sentences
from data.generate.opinions import (
    SIDES,
    WORDS,
    Opinion,
    draw_opinion,
    fill,
    lines_of,
    parts_of,
)
from data.generate.ratings import language, rated, rated_clauses, rated_words
from data.generate.reading import phrases
from data.generate.reviews import DOMAINS, FAR, Plan, draw_plan, tell, verdict
from data.generate.scene import Scene
from data.generate.splits import CORPUS
from data.generate.table_documents import tokens

CROSSED = 0.2  # of the summaries: in the other language
LONGEST = 205  # tokens, as estimated


def document(rng: random.Random) -> str:
    """One document of any layout that is short enough for the model."""
    while True:
        text = rng.choices(list(LAYOUTS), list(LAYOUTS.values()))[0](rng)
        if tokens(text) <= LONGEST:
            return text


def other(spoken: str) -> str:
    return LANGUAGES[1 - LANGUAGES.index(spoken)]


def spaced(spoken: str) -> str:
    return " " if spoken == "en" else ""


def by(who: str, text: str, spoken: str) -> str:
    """'Anna: The plot was dull.'"""
    return who + (": " if spoken == "en" else "：") + text


def judged(rng: random.Random) -> str:
    """One to three reviews, each followed by the verdict that it comes to."""
    spoken, lines = language(rng), []
    between = rng.choice((spaced(spoken), "\n"))
    for _ in range(rng.choice((1, 2, 3))):
        plan = draw_plan(rng, rng.randrange(2))
        lines.append(with_verdict(tell(plan, Scene(rng), spoken), rng, spoken, plan, between))
    return "\n".join(lines)


def with_verdict(text: str, rng: random.Random, spoken: str, plan: Plan, between: str) -> str:
    """The review and a verdict that it does not give itself."""
    while (ending := verdict(rng, spoken, plan.domain, plan.label))[1:] in text:
        pass
    return text + between + ending


def disagreement(rng: random.Random) -> str:
    """Two people who were at the same place and think differently, and who is the happy one."""
    spoken, scene, domain, label = language(rng), Scene(rng), rng.choice(DOMAINS), rng.randrange(2)
    lines, names = [scene.tell(phrases("reviews")["intro"][domain], spoken)], {}
    for slot, side in (("{person3}", label), ("{person4}", 1 - label)):
        names[("unhappy", "happy")[side]] = who = scene.say(slot, spoken)
        plan = draw_plan(rng, side, domains=(domain,))
        text = tell(plan, scene, spoken, opened=False)
        if rng.random() < 0.4:
            text = with_verdict(text, rng, spoken, plan, spaced(spoken))
        lines.append(by(who, text, spoken))
    return "\n".join([*lines, scene.tell(phrases("reviews")["split"]["any"], spoken, **names)])


def points(rng: random.Random) -> str:
    """What somebody said, and a list of what was good and bad about it; or the list first."""
    spoken, scene, plan = language(rng), Scene(rng), draw_plan(rng, rng.randrange(2))
    told = other(spoken) if rng.random() < CROSSED else spoken
    text = by(scene.say("{person3}", spoken), tell(plan, scene, spoken, opened=False), spoken)
    sides = {name: named(plan, side, told) for side, name in enumerate(("bad", "good"))}
    group = "both" if all(sides.values()) else "good" if sides["good"] else "bad"
    sides["person"] = scene.say("{person3}", told)
    listed = scene.tell(phrases("reviews")["points"][group], told, **sides)
    return "\n".join([text, listed] if rng.random() < 0.75 else [listed, text])


def named(plan: Plan, side: int, spoken: str) -> str:
    """'the plot, the music and the jokes': the parts that the review praises or blames."""
    article, comma, joined = ("the ", ", ", " and ") if spoken == "en" else ("", "、", "和")
    found = [article + o.part[spoken] for o in plan.opinions.values() if o.label == side]
    return joined.join([comma.join(found[:-1])] * (len(found) > 1) + found[-1:])


def asked(rng: random.Random) -> str:
    """What somebody said, and questions: did they like this part, and the whole?"""
    spoken, scene, plan = language(rng), Scene(rng), draw_plan(rng, rng.randrange(2))
    told, book = other(spoken) if rng.random() < CROSSED else spoken, phrases("reviews")["asked"]
    lines = [by(scene.say("{person3}", spoken), tell(plan, scene, spoken, opened=False), spoken)]
    who = {"person": scene.say("{person3}", told), "he": scene.say("{person3.he}", told)}
    who["he"] = who["he"].lower()
    for opinion in rng.sample(list(plan.opinions.values()), len(plan.opinions)):
        part = f"part {SIDES[opinion.label]}"
        lines.append(scene.tell(book[part], told, part=opinion.part[told], **who))
    whole = f"whole {SIDES[plan.label]}"
    return "\n".join([*lines, scene.tell(book[whole], told, **who)])


def retold(rng: random.Random) -> str:
    """A review and the same in other words."""
    spoken, scene, plan = language(rng), Scene(rng), draw_plan(rng, rng.randrange(2))
    opened = rng.random() < 0.5
    return "\n".join(tell(plan, scene, spoken, opened) for _ in range(2))


def translated(rng: random.Random) -> str:
    """A review in both languages."""
    return in_both(rng, draw_plan(rng, rng.randrange(2)))


def in_both(rng: random.Random, plan: Plan) -> str:
    scene, opened = Scene(rng), rng.random() < 0.5
    marks = {"en": "English: ", "zh": "中文："} if rng.random() < 0.3 else {"en": "", "zh": ""}
    order = LANGUAGES if rng.random() < 0.5 else LANGUAGES[::-1]
    return "\n".join(marks[spoken] + tell(plan, scene, spoken, opened) for spoken in order)


def opposites(rng: random.Random) -> str:
    """What was not so and what was so instead, of one film or place."""
    spoken, lines = language(rng), []
    parts = [found for part in parts_of(rng.choice(DOMAINS)) if (found := opposed(part, spoken))]
    for found in rng.sample(parts, rng.randint(2, 4)):
        template = rng.choice(phrases("reviews")["explain"]["any"][spoken])
        lines.append(sentences(fill(template, rng.choice(found), spoken)))
    return rng.choice(("\n", spaced(spoken))).join(lines)


def opposed(part: dict, spoken: str) -> list[Opinion]:
    """What can be said about a part so that the corpus may also show the opposite."""
    plain = [Opinion(part, label, False, i) for label in (0, 1) for i in range(WORDS)]
    shown = {o.word(spoken) for o in plain if o.belongs(CORPUS, spoken)}
    return [o for o in plain if {o.word(spoken), o.opposite(spoken)} <= shown]


def clause_by_clause(rng: random.Random) -> str:
    """Clauses on one film or place, each followed by what it comes to."""
    spoken, domain, told = language(rng), rng.choice(DOMAINS), {}
    for _ in range(rng.randint(2, 4)):
        opinion = draw_opinion(rng, (domain,), rng.randrange(2), CORPUS, (spoken,), but=told)
        clause = fill(rng.choice(lines_of(opinion, spoken, CORPUS)), opinion, spoken)
        template = rng.choice(phrases("reviews")["judged"][SIDES[opinion.label]][spoken])
        told[opinion.part["en"]] = sentences(template.format(clause=clause))
    return "\n".join(told.values())


def far(rng: random.Random) -> str:
    """A review of a book, a concert, a journey or a shop: as it is, retold or translated."""
    plan = draw_plan(rng, rng.randrange(2), domains=FAR)
    if rng.random() < 0.4:
        return in_both(rng, plan)
    spoken, scene = language(rng), Scene(rng)
    return "\n".join(tell(plan, scene, spoken, opened=True) for _ in range(rng.choice((1, 2))))


LAYOUTS: dict[Callable[[random.Random], str], int] = {
    judged: 10, rated: 14, rated_clauses: 10, rated_words: 4, clause_by_clause: 6, opposites: 6,
    points: 6, asked: 4, translated: 3, far: 3,
    disagreement: 2, retold: 2,
}  # fmt: skip
