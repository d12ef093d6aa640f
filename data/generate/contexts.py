"""One or two subjects of a kind, and the layouts in which a text can tell of them.

Two subjects share a field, so that a question about one of them has a wrong answer at hand.
"""

import random

from data.generate.profiles import SPACE, Profile, Row
from data.generate.splits import CORPUS

Group = list[Profile]
LAYOUTS = {"prose": 60, "lines": 15, "piped": 25}


def group(rng: random.Random, split: str = CORPUS, size: int = 1) -> Group:
    """One subject, or two with different names and a field that both tell."""
    while True:
        first = Profile(rng, split)
        profiles = [first] + [Profile(rng, split, first.kind) for _ in range(size - 1)]
        names = {profile.name("en") for profile in profiles}
        if len(names) == size and (size == 1 or shared_fields(profiles)):
            return profiles


def shared_fields(profiles: Group) -> list[Row]:
    """The fields that all of them tell."""
    return [f for f in profiles[0].fields if all(f in other.fields for other in profiles)]


def tell(profiles: Group, language: str, layout: str) -> str:
    """What is known of the subjects, in one of the LAYOUTS."""
    if layout == "piped":
        return "\n".join(piped(profile, language) for profile in profiles)
    told = [profile.describe(language) for profile in profiles]
    return (SPACE[language] if layout == "prose" else "\n").join(told)


def piped(profile: Profile, language: str) -> str:
    """'name: Tom | age: 41'."""
    return " | ".join(f"{key}: {value}" for key, value in profile.record(language).items())


def triples(profile: Profile, language: str) -> list[str]:
    """'Tom, Age, 41': a line for each field, the subject repeated."""
    (_, subject), *rest = profile.record(language).items()
    comma = ", " if language == "en" else "，"
    return [comma.join((subject, key.capitalize(), value)) for key, value in rest]


def choose(rng: random.Random, weights: dict):
    """A key, as often as its weight says."""
    return rng.choices(list(weights), list(weights.values()))[0]
