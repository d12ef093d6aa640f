"""Questions about profiles, with their short answers and their answers in a sentence.

A question can be asked and answered in either language. Each maker returns None where the
subjects at hand do not lend themselves to its kind of question.
"""

from collections.abc import Callable
from functools import partial

from data.generate import asking
from data.generate.asking import STOP, Question, accepted, alone, ask, book, known, naming, pick, so
from data.generate.comparing import compare, comparison
from data.generate.contexts import Group
from data.generate.grammar import sentences
from data.generate.profiles import Profile, Row, fields_of

UNTOLD = {
    "en": ["The text does not say.", "The text does not say", "The text does not say so."],
    "zh": ["文中没有提到。", "文中没有提到", "文中没有提到这一点。"],
}
COUNTS = {"en": ("none", "one", "two", "three"), "zh": ("没有", "一", "两", "三")}
DIRECT = 0.65  # of the yes-or-no questions: "Does Tom live …?", not "Is it true that Tom lives …?"
NOBODY = 0.15  # of the counts: a value that no subject has

Maker = Callable[[Group], Question | None]


def value(group: Group) -> Question | None:
    """Where does Tom live?"""
    profile, field = pick(group)
    if not profile.fits(field):
        return None
    name, part = naming(group, profile, field), book(profile.kind)[field["field"]]
    return Question(
        lambda spoken: ask(profile, part, spoken, name(spoken)),
        lambda spoken: accepted(asking.answers(profile, field, spoken), spoken),
        lambda spoken: profile.sentence(field["field"], spoken),
    )


def subject(group: Group) -> Question | None:
    """Who lives in Elmford?"""
    profile, field = pick(group)
    part = book(profile.kind).get(f"{field['field']} who")
    if not (part and profile.fits(field) and alone(group, profile, field)):
        return None
    return Question(
        lambda spoken: ask(profile, part, spoken, ""),
        lambda spoken: accepted(profile.names(spoken), spoken),
        lambda spoken: profile.sentence(field["field"], spoken),
    )


def untold(group: Group) -> Question | None:
    """A question on a field of which the text is silent; it may tell that of the others."""
    profile = group[0].rng.choice(group)
    fields = [f for f in fields_of(profile.kind) if f not in profile.fields and profile.fits(f)]
    near = [f for f in fields if any(f in other.fields for other in group)]
    if not fields:
        return None
    field = profile.rng.choice(near if near and profile.rng.random() < 0.6 else fields)
    name, part = naming([profile], profile, field), book(profile.kind)[field["field"]]
    return Question(
        lambda spoken: ask(profile, part, spoken, name(spoken)),
        lambda spoken: UNTOLD[spoken],
        lambda spoken: UNTOLD[spoken][0],
    )


def claim(group: Group, true: bool) -> tuple[Profile, Row, Profile] | None:
    """A subject, one of its fields, and the subject with the value that a claim gives it."""
    profile, field = pick(group)
    claimed = profile if true else profile.but(asking.wrong(group, profile, field))
    return None if claimed.odd() or not profile.fits(field) else (profile, field, claimed)


def check(group: Group, true: bool) -> Question | None:
    """Does Tom live in Elmford?"""
    found = claim(group, true)
    if found is None:
        return None
    profile, field, claimed = found
    name, part = naming(group, profile, field), book(profile.kind).get(f"{field['field']} check")

    def question(spoken: str) -> str:
        if part and profile.rng.random() < DIRECT:
            return ask(claimed, part, spoken, name(spoken))
        clause = claimed.clause(field["field"], spoken)
        return ask(profile, book("any")["check"], spoken, "", s=clause)

    return Question(
        question,
        lambda spoken: asking.VERDICTS[spoken][true],
        lambda spoken: so(true, profile.clause(field["field"], spoken), spoken),
    )


def count(group: Group) -> Question | None:
    """How many of them live in Elmford?"""
    rng, options = group[0].rng, {}
    for profile, field in ((p, f) for p in group for f in p.fields):
        countable = f"{field['field']} count" in book(profile.kind) and profile.fits(field)
        if countable and all(field in p.fields for p in group):
            word = known(profile, field)[0]
            number = sum(word in known(other, field) for other in group)
            options.setdefault(number, []).append((profile, field))
    if not options:
        return None
    number = rng.choice(list(options))
    profile, field = rng.choice(options[number])
    if rng.random() < NOBODY:
        number, profile = nobody(group, profile, field)
    part = book(profile.kind)[f"{field['field']} count"]
    return Question(
        lambda spoken: ask(profile, part, spoken, ""),
        lambda spoken: counted(number, profile, spoken),
        lambda spoken: sentences(counted(number, profile, spoken)[0] + STOP[spoken]),
    )


def nobody(group: Group, profile: Profile, field: Row) -> tuple[int, Profile]:
    """A profile whose value of the field is that of no subject, mostly."""
    other = profile.but(asking.wrong([profile], profile, field))
    word = known(other, field)[0]
    return sum(word in known(one, field) for one in group), other


def counted(number: int, profile: Profile, spoken: str) -> list[str]:
    """two, 两个 and other ways to say it."""
    word, measure = COUNTS[spoken][number], profile.subject["measure"]
    if spoken == "en":
        return [word, word.capitalize(), f"{word}.", str(number), f"{word} of them"]
    if not number:
        return [word, f"{word}。", f"一{measure}也没有", f"0{measure}"]
    return [word + measure, f"{word}{measure}。", f"{number}{measure}", f"有{word}{measure}"]


# How often each kind is asked, and the fewest subjects that it needs.
MAKERS: dict[str, tuple[int, int]] = {
    "value": (34, 1), "subject": (18, 1), "check": (15, 1), "compare": (14, 2),
    "count": (8, 2), "untold": (10, 1),
}  # fmt: skip


def maker(kind: str, size: int, rng) -> Maker:
    """The maker of this kind of question for a group of this size; yes and no are as frequent."""
    if kind == "check":
        return partial(check, true=rng.random() < 0.5)
    if kind == "compare":
        return partial(compare, way=rng.choice(("two", "bare" if size == 2 else "most", "truth")))
    return {"value": value, "subject": subject, "count": count, "untold": untold}[kind]


def askable(kind: str, subject: str, field: str) -> bool:
    """Whether the field of such a subject can be compared, or counted, or asked about at all."""
    if kind == "compare":
        return comparison(subject, field) is not None
    return kind != "count" or f"{field} count" in book(subject)
