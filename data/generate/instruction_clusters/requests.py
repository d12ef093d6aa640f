"""Open requests: advice, thanks, plans, little stories; many answers are right, some are listed."""

import random

from data.generate.instructions import REFERENCES, Desk, labels, row
from data.generate.reading import phrases, phrasings
from data.generate.splits import belongs


def drawn(rng: random.Random, split: str, language: str) -> tuple[str, str, list[str]]:
    """The kind of request, the request and answers to it, all on the same facts."""
    book = phrases("instruct_requests")
    while True:
        kind, desk = rng.choice(list(book)), Desk(rng, split, language)
        request = desk.scene.say(
            rng.choice(phrasings(book[kind]["ask"], language, split)), language
        )
        lines = book[kind]["answer"][language]
        if kind.startswith("two "):
            answers = [desk.plain(line) for line in lines]
        else:
            answers = [desk.scene.say(line, language) for line in rng.sample(lines, len(lines))]
        if belongs(request + answers[0], split) and fits(kind, desk):
            return kind, request, answers


def fits(kind: str, desk: Desk) -> bool:
    """A dish is eaten, not drunk; a place of Mira's own is no place for others to recommend."""
    if kind == "eat":
        return desk.scene.fact("meal")[0].do == "eat" and "'s " not in desk.scene.fact("venue")[0]
    return True


def request_row(rng: random.Random, split: str, language: str, kind: str) -> dict:
    """A row without input."""
    name, request, answers = drawn(rng, split, language)
    made = labels(split, f"open: {name}", kind, answers[:REFERENCES])
    return row(request, "", answers) | made
