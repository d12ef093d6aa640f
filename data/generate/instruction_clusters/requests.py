"""Open requests: thanks, greetings, invitations, with a few right answers each."""

import random

from data.generate.instructions import Desk, labels, row
from data.generate.reading import phrases
from data.generate.splits import belongs


def drawn(rng: random.Random, split: str, language: str) -> tuple[str, str, list[str]]:
    """The kind of request, the request and its answers; a name in them decides the split."""
    kind, group = rng.choice(list(phrases("instruct_requests").items()))
    while True:
        scene = Desk(rng, split, language).scene
        request = scene.tell(group["ask"], language)
        answers = [scene.say(line, language) for line in group["answer"][language]]
        if {"person", "town"} & set(scene.facts) or belongs(f"{kind} {scene.drawn()}", split):
            return kind, request, answers


def request_row(rng: random.Random, split: str, language: str, kind: str) -> dict:
    """A row without input."""
    name, request, answers = drawn(rng, split, language)
    return row(request, "", answers) | labels(split, f"open: {name}", kind, answers)
