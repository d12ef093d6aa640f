"""The parts of a question: the subject and its field, how it is called, the answers that count."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from data.generate.contexts import Group
from data.generate.grammar import sentences
from data.generate.profiles import Profile, Row, slots
from data.generate.reading import phrases, phrasings
from data.generate.scene import Fact, Scene

STOP = {"en": ".", "zh": "。"}
AGAIN = {"en": "It is {}.", "zh": "是{}"}
CALLED = 0.3  # how often "the baker" stands for a name, where there is but one baker
BORROWED = 0.75  # of the wrong values: another subject's
SEVERAL = 0.85  # of the questions about two or three: on a field that more than one tells
MOST = 6  # answers that count

VERDICTS = {
    "en": (["No", "No.", "no", "No, it is not so."], ["Yes", "Yes.", "yes", "Yes, it is so."]),
    "zh": (["不是", "不是。", "不是的", "不是这样"], ["是", "是。", "是的", "是这样"]),
}
BEGIN = {"en": ("no, ", "yes, "), "zh": ("不是，", "是的，")}

Naming = Callable[[str], str]  # language -> how a question calls its subject


@dataclass(frozen=True)
class Question:
    ask: Callable[[str], str]  # language -> question
    short: Callable[[str], list[str]]  # language -> the short answers that are right, best first
    full: Callable[[str], str]  # language -> the answer in a sentence


def book(kind: str) -> dict[str, dict[str, list[str]]]:
    return phrases("questions")[kind]


def pick(group: Group) -> tuple[Profile, Row]:
    """A subject and one of its fields, mostly one that others tell too."""
    rng = group[0].rng
    told = [(profile, field) for profile in group for field in profile.fields]
    several = [pair for pair in told if sum(pair[1] in p.fields for p in group) > 1]
    return rng.choice(several if several and rng.random() < SEVERAL else told)


def known(profile: Profile, field: Row) -> list[str]:
    """The English words of the field: one, or two ingredients or languages."""
    return [profile.scene.fact(slot)[0] for slot in slots(field)]


def alone(group: Group, profile: Profile, field: Row) -> bool:
    """Whether no other subject shares a word of the field."""
    others = [p for p in group if p is not profile and field in p.fields]
    mine = known(profile, field)
    return not any(word in mine for other in others for word in known(other, field))


def wrong(group: Group, profile: Profile, field: Row) -> dict[str, Fact]:
    """Facts that the field of this subject does not have, often those of another subject."""
    rng, mine = profile.rng, known(profile, field)
    others = [p for p in group if field in p.fields and alone([p, profile], p, field)]
    if others and others != [profile] and rng.random() < BORROWED:
        other = rng.choice([p for p in others if p is not profile])
        return {slot: other.scene.facts[slot] for slot in slots(field)}
    scene = Scene(rng, profile.split)
    while True:
        scene.facts = {s: f for s, f in profile.scene.facts.items() if s not in slots(field)}
        found = {slot: scene.fact(slot) for slot in slots(field)}
        if not any(fact[0] in mine for fact in found.values()):
            return found


def naming(group: Group, profile: Profile, asked: Row) -> Naming:
    """By name, or by what only this subject has: "the baker", 那位面包师."""
    rng, several = profile.rng, len(group) > 1
    fields = [f for f in profile.fields if f is not asked and alone(group, profile, f)]
    parts = [p for f in fields if (p := f"called {f['field']}") in book(profile.kind)]
    if several and parts and rng.random() < CALLED:
        templates = book(profile.kind)[rng.choice(parts)]
        return lambda spoken: profile.value(rng.choice(templates[spoken]), spoken)
    which = rng.choice((0, -1)) if profile.kind == "person" else 0
    return lambda spoken: profile.names(spoken)[which]


def ask(profile: Profile, part: dict[str, list[str]], spoken: str, name: str, **given: str) -> str:
    """One of the phrasings of a question, about this name."""
    template = profile.rng.choice(phrasings(part, spoken, profile.split))
    return sentences(profile.value(template, spoken, **profile.called(name), **given))


def answers(profile: Profile, field: Row, spoken: str) -> list[str]:
    """The value in its forms, the one to give first."""
    return [profile.value(form, spoken) for form in field[f"answer {spoken}"].split(" / ")]


def accepted(forms: list[str], spoken: str) -> list[str]:
    """The forms as they may be written: with a capital, with a stop, after "It is"."""
    first = forms[0]
    written = [*forms, first.strip("《》"), first[0].upper() + first[1:], first + STOP[spoken]]
    written.append(AGAIN[spoken].format(first))
    return list(dict.fromkeys(written))[:MOST]


def so(true: bool, clause: str, spoken: str) -> str:
    """Yes or no, and what is true."""
    return sentences(BEGIN[spoken][true] + clause + STOP[spoken])


def choose(rng: random.Random, weights: dict):
    """A key, as often as its weight says."""
    return rng.choices(list(weights), list(weights.values()))[0]
