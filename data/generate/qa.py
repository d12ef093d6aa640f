"""Questions about profiles, with their short answers and their answers in a sentence.

Each maker returns None where the subjects at hand do not lend themselves to its kind of question.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from data.generate.contexts import Group, shared_fields
from data.generate.grammar import sentences
from data.generate.profiles import STOP, Profile, Row, slot_of
from data.generate.reading import phrases, phrasings, words
from data.generate.scene import Fact, Scene

UNTOLD = {
    "en": ["The text does not say.", "The text does not say", "The text does not say so."],
    "zh": ["文中没有提到。", "文中没有提到", "文中没有提到这一点。"],
}
VERDICTS = {
    "en": (["No", "No.", "no"], ["Yes", "Yes.", "yes"]),
    "zh": (["不是", "不是。", "不是的"], ["是", "是。", "是的"]),
}
BEGIN = {"en": ("no, ", "yes, "), "zh": ("不是，", "是的，")}
SEVERAL = 0.85  # of the questions about two: on a field that both tell
BORROWED = 0.75  # of the wrong values: the other subject's
NEAR = 0.6  # of the questions without an answer: on a field that is told of the other subject


@dataclass(frozen=True)
class Question:
    ask: str
    short: list[str]  # the short answers that are right, best first
    full: str  # the answer in a sentence


Maker = Callable[[Group, str], Question | None]


def value(group: Group, spoken: str) -> Question:
    """Where does Tom live?"""
    profile, field = pick(group)
    forms = [profile.value(form, spoken) for form in field[f"answer {spoken}"].split(" / ")]
    answer = profile.sentence(field, spoken)
    return Question(ask(profile, field["field"], spoken), accepted(forms, spoken), answer)


def subject(group: Group, spoken: str) -> Question | None:
    """Who lives in Elmford?"""
    profile, field = pick(group)
    others = [p for p in group if p is not profile and field in p.fields]
    if any(other.known(field) == profile.known(field) for other in others):
        return None
    question = ask(profile, f"{field['field']} who", spoken)
    short = accepted([profile.name(spoken)], spoken)
    return Question(question, short, profile.sentence(field, spoken))


def check(group: Group, spoken: str) -> Question:
    """Does Tom live in Elmford?"""
    profile, field = pick(group)
    true = profile.rng.random() < 0.5
    claimed = profile if true else profile.but(field, wrong(group, profile, field))
    question = ask(claimed, f"{field['field']} check", spoken)
    full = sentences(BEGIN[spoken][true] + profile.clause(field, spoken) + STOP[spoken])
    return Question(question, VERDICTS[spoken][true], full)


def compare(group: Group, spoken: str) -> Question | None:
    """Who is older, Tom or Vera?"""
    rng = group[0].rng
    rows = [r for r in words("profile_comparisons") if r["kind"] == group[0].kind]
    both = [(f, r) for f in shared_fields(group) for r in rows if r["field"] == f["field"]]
    if len(group) < 2 or not both:
        return None
    field, row = rng.choice(both)
    less, most = sorted(group, key=lambda p: int(p.known(field)))
    if less.known(field) == most.known(field):
        return None
    more = rng.random() < 0.5
    right, (first, second) = most if more else less, rng.sample(group, 2)
    word = row["zh_" * (spoken == "zh") + ("more" if more else "less")]
    given = {"more": word, "which": first.subject[f"which {spoken}"]}
    template = choice(first, phrases("questions")["any"]["more"], spoken)
    given |= {"who": first.name(spoken), "who2": second.name(spoken)}
    name, space = right.name(spoken), " " if spoken == "en" else ""
    full = name + space + word + STOP[spoken]
    return Question(sentences(template.format(**given)), accepted([name], spoken), full)


def untold(group: Group, spoken: str) -> Question | None:
    """A question on a field of which the text is silent; it may tell that of the other."""
    profile = group[0].rng.choice(group)
    fields = [f for f in profile.tellable() if f not in profile.fields]
    near = [f for f in fields if any(f in other.fields for other in group)]
    if not fields:
        return None
    field = profile.rng.choice(near if near and profile.rng.random() < NEAR else fields)
    return Question(ask(profile, field["field"], spoken), UNTOLD[spoken], UNTOLD[spoken][0])


MAKERS: dict[Maker, int] = {value: 50, subject: 20, check: 12, untold: 10, compare: 8}
OF_TWO = (subject, compare)  # with one subject there is nothing to choose from


def pick(group: Group) -> tuple[Profile, Row]:
    """A subject and one of its fields, mostly one that the other tells too."""
    rng = group[0].rng
    profile = rng.choice(group)
    several = len(group) > 1 and rng.random() < SEVERAL
    return profile, rng.choice(shared_fields(group) if several else profile.fields)


def wrong(group: Group, profile: Profile, field: Row) -> Fact:
    """A value that the field of this subject does not have, often that of the other subject."""
    rng, slot = profile.rng, slot_of(field)
    others = [p.scene.facts[slot] for p in group if p is not profile and field in p.fields]
    fact = rng.choice(others) if others and rng.random() < BORROWED else None
    while fact is None or fact[0] == profile.known(field):
        fact = Scene(rng, profile.split).fact(slot)
    return fact


def choice(profile: Profile, part: dict[str, list[str]], spoken: str) -> str:
    return profile.rng.choice(phrasings(part, spoken, profile.split))


def ask(profile: Profile, part: str, spoken: str) -> str:
    """One of the phrasings of a question about this subject."""
    template = choice(profile, phrases("questions")[profile.kind][part], spoken)
    return sentences(profile.value(template, spoken, **profile.called(spoken)))


def accepted(forms: list[str], spoken: str) -> list[str]:
    """The forms as they may be written: also with a capital, with a stop, without 《》."""
    first = forms[0]
    written = [*forms, first.strip("《》"), first[0].upper() + first[1:], first + STOP[spoken]]
    return list(dict.fromkeys(written))


def maker(rng: random.Random) -> Maker:
    return rng.choices(list(MAKERS), list(MAKERS.values()))[0]
