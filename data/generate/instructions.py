"""Instruction rows: a cluster of tasks draws an item, and a wording asks for it.

A wording that holds `{input}` asks and shows at once; with any other the row's input stands apart.
What an item is about decides its split, so that dev and test hold items that train never shows.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from data.generate import DATA
from data.generate.forms import Forms, named, plain
from data.generate.reading import phrases, phrasings, words
from data.generate.scene import Scene
from data.generate.splits import CORPUS, belongs

Draw = Callable[["Desk"], "Item"]
EVERYDAY = {"time": "recents", "habit": "dailies", "future": "soons"}
REFERENCES = 6  # at most; tasks of one right answer have one


@dataclass(frozen=True)
class Item:
    """What is asked about, its right answers, what a wording names, what decides the split."""

    input: str
    answers: list[str]
    slots: dict[str, str] = field(default_factory=dict)
    key: str = ""


class Desk:
    """What an item is made with: chance, the split, the language, a scene of names and things."""

    def __init__(self, rng: random.Random, split: str, language: str):
        self.rng, self.split, self.language = rng, split, language
        self.scene = Scene(rng, split)
        for slot, table in EVERYDAY.items():
            self.scene.facts[slot] = plain(table)(rng, split)

    def either(self, english, chinese):
        return english if self.language == "en" else chinese

    def words(self, table: str) -> list[str]:
        """A table's words in the desk's language; of people and towns those of the split."""
        rows = named(table, self.split) if table in ("people", "towns") else words(table)
        return list(dict.fromkeys(row[self.language] for row in rows))

    def listed(self, items: list) -> str:
        return self.either(", ", "、").join(map(str, items))

    def quoted(self, text: str) -> str:
        return self.either(f'"{text}"', f"“{text}”")

    def fact(self, slot: str) -> Forms:
        return self.scene.fact(slot)[self.either(0, 1)]

    def lines(self, group: str, part: str = "") -> list[str]:
        """The templates of the texts that tasks are about; all splits share them."""
        return phrases("instruct_texts")[group][part][self.language]

    def one(self, group: str, part: str = "", **given) -> str:
        return self.scene.say(self.rng.choice(self.lines(group, part)), self.language, **given)

    def all(self, group: str, part: str = "", **given) -> list[str]:
        return [self.scene.say(line, self.language, **given) for line in self.lines(group, part)]

    def plain(self, template: str, **given) -> str:
        """The template in words, with no capital added: a record or an answer, not a sentence."""
        return self.scene.say("~" + template, self.language, **given).removeprefix("~")

    def group(self, beginning: str) -> str:
        """One of the groups of texts whose name begins so and that has a part in this language."""
        book = phrases("instruct_texts")
        return self.rng.choice([name for name in book if name.startswith(beginning + " ")])


def fitting(rng: random.Random, split: str, language: str, cluster: str, draw: Draw) -> Item:
    """An item that belongs to the split."""
    while True:
        item = draw(Desk(rng, split, language))
        key = item.key or " ".join([item.input, *item.slots.values(), item.answers[0]])
        if belongs(f"{cluster} {key}", split):
            return item


def parts_in(book: dict, parts: dict[str, Draw], language: str) -> list[str]:
    """The parts of a cluster for which a phrase book has lines in this language."""
    return [part for part in parts if language in book.get(part, ())]


def asked(rng, split: str, language: str, cluster: str, parts: dict[str, Draw], kind: str) -> dict:
    """A row of this cluster, worded as the split may word it."""
    book = phrases("instructions")[cluster]
    part = rng.choice(parts_in(book, parts, f"{language} test" if split == "test" else language))
    item = fitting(rng, split, language, cluster, parts[part])
    wording = rng.choice(phrasings(book[part], language, split))
    instruction = wording.format(input=item.input, **item.slots)
    return row(instruction, "" if "{input}" in wording else item.input, item.answers) | labels(
        split, cluster, kind, item.answers
    )


def row(instruction: str, text: str, answers: list[str]) -> dict:
    return {"instruction": instruction, "input": text, "output": answers[0]}


def labels(split: str, task: str, kind: str, answers: list[str]) -> dict:
    """What a row says of itself; dev and test list the right answers too."""
    given = {"task": task, "kind": kind}
    if split in ("train", CORPUS):
        return given
    return given | {"references": list(dict.fromkeys(answers))[:REFERENCES]}


@cache
def seeds(split: str) -> tuple[dict, ...]:
    """The hand-written seed tasks of a split, as the file has them."""
    text = (DATA / "seeds" / "instructions.jsonl").read_text(encoding="utf-8")
    return tuple(seed for seed in map(json.loads, text.splitlines()) if belongs(seed["id"], split))
