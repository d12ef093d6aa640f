"""One to three subjects of a kind, and the layouts in which a text can tell of them.

The subjects share some fields, so that a question about one of them has a wrong answer at hand.
"""

import random

from data.generate.profiles import Profile, Row, slots
from data.generate.splits import CORPUS

Group = list[Profile]
NAMES = ("person", "town", "dish", "film", "thing", "event", "venue")  # no two the same
COMMON, OWN = (1, 2, 2, 3), (0, 0, 1, 1)  # how many fields all tell, and one subject tells more
FACTS = (3, 3, 4, 5, 6)  # how many fields a lone subject tells
ALIKE = 0.3  # how often two or more share a value by themselves
SINGLE = ("mayor", "fame")  # fields whose values no two subjects share
LAYOUTS = {"prose": 50, "mixed": 14, "lines": 10, "facts": 8, "numbered": 4}
RECORDS = {"piped": 6, "bracketed": 6, "triples": 4}


def group(rng: random.Random, split=CORPUS, size=0, asked=None, alike=0) -> Group:
    """Subjects of one kind; `asked(kind, field)` says which fields can be asked about.

    `alike` subjects (two or three at times, if it is 0) have one of these values in common.
    """
    size = size or rng.choice((1, 2, 2, 3, 3))
    while True:
        first = Profile(rng, split)
        profiles = [first] + [Profile(rng, split, first.kind) for _ in range(size - 1)]
        fields = [f for f in first.tellable() if all(f in p.tellable() for p in profiles)]
        wanted = [f for f in fields if asked is None or asked(first.kind, f["field"])]
        if len(fields) < 2 or not wanted:
            continue
        field = rng.choice(wanted)
        inform(rng, profiles, field, [f for f in fields if f is not field])
        count = alike or (rng.randint(2, 3) if rng.random() < ALIKE else 1)
        if field["field"] not in SINGLE:
            agree(profiles[:count], field)
        rng.shuffle(profiles)
        if not clash(profiles):
            return profiles


def inform(rng: random.Random, profiles: Group, field: Row, others: list[Row]) -> None:
    """Give each profile the field, some others that all have, and some of its own."""
    if len(profiles) == 1:
        count = rng.choice(FACTS) - 1
    else:
        count = rng.choice(COMMON) - (len(profiles) == 3)
    common = [field, *rng.sample(others, min(max(count, 0), len(others)))]
    rest = [f for f in others if f not in common]
    for profile in profiles:
        own = rng.sample(rest, min(rng.choice(OWN), len(rest))) if len(profiles) > 1 else []
        told = [*common, *own]
        if len(told) == 1 and rest:
            told.append(rng.choice(rest))
        profile.learn(rng.sample(told, len(told)))


def agree(profiles: Group, field: Row) -> None:
    """Let all have the first one's value of the field."""
    for profile in profiles[1:]:
        for slot in slots(field):
            profile.scene.facts[slot] = profiles[0].scene.facts[slot]


def clash(profiles: Group) -> bool:
    """Whether two names are the same by chance, or a value does not suit a profile that took it."""
    seen = []
    for profile in profiles:
        for slot, fact in profile.scene.facts.items():
            if slot.rstrip("2") in NAMES:
                if any(fact is not other and fact[0] == other[0] for other in seen):
                    return True
                seen.append(fact)
    return any(profile.odd() for profile in profiles)


def tell(profiles: Group, language: str, layout: str) -> str:
    """What is known of the subjects, in one of the LAYOUTS or as RECORDS."""
    space, rng = " " if language == "en" else "", profiles[0].rng
    if layout in RECORDS:
        return "\n".join(record(profile, language, layout) for profile in profiles)
    if layout in ("prose", "lines"):
        told = [profile.describe(language) for profile in profiles]
        return (space if layout == "prose" else "\n").join(told)
    told = [p.sentence(part, language) for p in profiles for part in p.parts()]
    rng.shuffle(told)
    if layout == "mixed":
        return space.join(told)
    marks = [f"{n}. " if layout == "numbered" else "- " for n in range(1, len(told) + 1)]
    return "\n".join(mark + fact for mark, fact in zip(marks, told, strict=True))


def record(profile: Profile, language: str, style: str) -> str:
    """The three ways to write a record; a triple repeats the subject."""
    fields = profile.record(language)
    if style == "piped":
        return " | ".join(f"{key}: {value}" for key, value in fields.items())
    if style == "bracketed":
        return ", ".join(f"{key}[{value}]" for key, value in fields.items())
    (_, subject), *rest = fields.items()
    comma, stop = (", ", "; ") if language == "en" else ("，", "；")
    return stop.join(comma.join((subject, key.capitalize(), value)) for key, value in rest)
