"""Documents about reviews for the corpus: what was said, and again what it amounts to.

A review stands beside its verdict, its good and bad points, its translation or other words for it;
a denied word stands beside the true one. Books, concerts, journeys and shops come without verdict.
"""

import random
from collections.abc import Callable

from data.generate import LANGUAGES
from data.generate.grammar import sentences
from data.generate.opinions import NothingToSay, Opinion, draw_opinion, fill, parts_of
from data.generate.reading import phrases
from data.generate.reviews import DOMAINS, FAR, Plan, draw_plan, some_plan, tell, verdict
from data.generate.scene import Scene
from data.generate.table_documents import tokens

ENGLISH = 0.6  # of the documents that are in one language
CROSSED = 0.2  # of the summaries: in the other language
LONGEST = 205  # tokens, as estimated


def document(rng: random.Random) -> str:
    """One document of any layout that is short enough for the model."""
    while True:
        try:
            text = rng.choices(list(LAYOUTS), list(LAYOUTS.values()))[0](rng)
        except NothingToSay:
            continue
        if tokens(text) <= LONGEST:
            return text


def language(rng: random.Random) -> str:
    return "en" if rng.random() < ENGLISH else "zh"


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
        plan = some_plan(rng, rng.randrange(2))
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
        plan = some_plan(rng, side, domain=domain)
        text = tell(plan, scene, spoken, opened=False)
        if rng.random() < 0.4:
            text = with_verdict(text, rng, spoken, plan, spaced(spoken))
        lines.append(by(who, text, spoken))
    return "\n".join([*lines, scene.tell(phrases("reviews")["split"]["any"], spoken, **names)])


def points(rng: random.Random) -> str:
    """What somebody said, and a list of what was good and bad about it; or the list first."""
    spoken, scene, plan = language(rng), Scene(rng), some_plan(rng, rng.randrange(2))
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
    spoken, scene, plan = language(rng), Scene(rng), some_plan(rng, rng.randrange(2))
    told, book = other(spoken) if rng.random() < CROSSED else spoken, phrases("reviews")["asked"]
    lines = [by(scene.say("{person3}", spoken), tell(plan, scene, spoken, opened=False), spoken)]
    who = {"person": scene.say("{person3}", told), "he": scene.say("{person3.he}", told)}
    who["he"] = who["he"].lower()
    for opinion in rng.sample(list(plan.opinions.values()), len(plan.opinions)):
        kind = ("bad", "good")[opinion.label]
        lines.append(scene.tell(book[f"part {kind}"], told, part=opinion.part[told], **who))
    kind = ("bad", "good")[plan.label]
    return "\n".join([*lines, scene.tell(book[f"whole {kind}"], told, **who)])


def retold(rng: random.Random) -> str:
    """A review and the same in other words."""
    spoken, scene, plan = language(rng), Scene(rng), some_plan(rng, rng.randrange(2))
    opened = rng.random() < 0.5
    return "\n".join(tell(plan, scene, spoken, opened) for _ in range(2))


def translated(rng: random.Random) -> str:
    """A review in both languages."""
    return in_both(rng, some_plan(rng, rng.randrange(2)))


def in_both(rng: random.Random, plan: Plan) -> str:
    scene, opened = Scene(rng), rng.random() < 0.5
    marks = {"en": "English: ", "zh": "中文："} if rng.random() < 0.3 else {"en": "", "zh": ""}
    order = LANGUAGES if rng.random() < 0.5 else LANGUAGES[::-1]
    return "\n".join(marks[spoken] + tell(plan, scene, spoken, opened) for spoken in order)


def opposites(rng: random.Random) -> str:
    """What was not so and what was so instead, of one film or place."""
    spoken, scene, parts = language(rng), Scene(rng), parts_of(rng.choice(DOMAINS))
    lines = [
        opposite(scene, draw_opinion(rng, parts, rng.randrange(2), {"versus": 1}, "train"), told)
        for told in [spoken] * rng.randint(2, 5)
    ]
    return rng.choice(("\n", spaced(spoken))).join(lines)


def opposite(scene: Scene, opinion: Opinion, spoken: str) -> str:
    template = scene.rng.choice(phrases("reviews")["explain"]["any"][spoken])
    return sentences(fill(template, opinion, scene, spoken))


def far(rng: random.Random) -> str:
    """A review of a book, a concert, a journey or a shop: as it is, retold or translated."""
    plan = draw_plan(rng, rng.choice(FAR), rng.randrange(2))
    if rng.random() < 0.4:
        return in_both(rng, plan)
    spoken, scene = language(rng), Scene(rng)
    return "\n".join(tell(plan, scene, spoken, opened=True) for _ in range(rng.choice((1, 2))))


def choice(rng: random.Random) -> str:
    """Two films or places, each with its review, and which of them is the better one."""
    spoken, scene, domain = language(rng), Scene(rng), rng.choice(DOMAINS)
    slot, best = {"restaurant": "venue"}.get(domain, domain), rng.randrange(2)
    names = [scene.say(f"{{{slot}{i}}}", spoken) for i in "12"]
    lines = []
    for number, name in enumerate(names):
        plan = some_plan(rng, int(number == best), domain=domain)
        lines.append(by(name, tell(plan, scene, spoken, opened=False), spoken))
    given = {"best": names[best], "worst": names[1 - best]}
    return "\n".join([*lines, scene.tell(phrases("reviews")["choice"][domain], spoken, **given)])


LAYOUTS: dict[Callable[[random.Random], str], int] = {
    judged: 6, disagreement: 3, points: 4, asked: 4, retold: 3, translated: 4, opposites: 4, far: 4,
    choice: 2,
}  # fmt: skip
