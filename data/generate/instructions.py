"""Instruction rows: a cluster of tasks draws an item, and a wording asks for it.

The item stands in the row's input, in a quarter of the rows behind the instruction's colon.
What an item is about decides its split, so that dev and test hold items that train never shows.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from data.generate import DATA
from data.generate.basics import BasicScene
from data.generate.forms import Forms
from data.generate.reading import phrases, phrasings
from data.generate.splits import CORPUS, belongs

Draw = Callable[["Desk"], "Item"]
Parts = dict[str, Draw]  # of a cluster: part -> how an item is drawn
BEHIND = 0.25  # of the rows have their input behind the instruction
ORDERS = (".", "。")  # how a wording ends that can have the input behind it


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
        self.scene = BasicScene(rng, split)

    def either(self, english, chinese):
        return english if self.language == "en" else chinese

    def listed(self, items: list[str]) -> str:
        return self.either(", ", "、").join(items)

    def fact(self, slot: str) -> Forms:
        return self.scene.fact(slot)[self.either(0, 1)]

    def lines(self, group: str, part: str = "") -> list[str]:
        """The templates of the sentences that tasks are about; all splits share them."""
        return phrases("instruct_texts")[group][part][self.language]

    def all(self, group: str, part: str = "", **given) -> list[str]:
        return [self.scene.say(line, self.language, **given) for line in self.lines(group, part)]


def fitting(rng: random.Random, split: str, language: str, cluster: str, draw: Draw) -> Item:
    """An item that belongs to the split."""
    while True:
        item = draw(Desk(rng, split, language))
        key = item.key or " ".join([item.input, *item.slots.values(), item.answers[0]])
        if belongs(f"{cluster} {key}", split):
            return item


def parts_in(book: dict, parts: Parts, language: str) -> list[str]:
    """The parts of a cluster for which a phrase book has lines in this language."""
    return [part for part in parts if language in book.get(part, ())]


def asked(rng, split, language, cluster: str, parts: Parts, kind: str, behind=BEHIND) -> dict:
    """A row of this cluster, worded as the split may word it."""
    book = phrases("instructions")[cluster]
    part = rng.choice(parts_in(book, parts, f"{language} test" if split == "test" else language))
    item = fitting(rng, split, language, cluster, parts[part])
    wordings, text = phrasings(book[part], language, split), item.input
    if rng.random() < behind:
        order = rng.choice([wording for wording in wordings if wording.endswith(ORDERS)])
        wording, text = order[:-1] + {"en": ": ", "zh": "："}[language] + text, ""
    else:
        wording = rng.choice(wordings)
    made = row(wording.format(**item.slots), text, item.answers)
    return made | labels(split, cluster, kind, item.answers)


def row(instruction: str, text: str, answers: list[str]) -> dict:
    return {"instruction": instruction, "input": text, "output": answers[0]}


def labels(split: str, task: str, kind: str, answers: list[str]) -> dict:
    """What a row says of itself; dev and test list the right answers too."""
    given = {"task": task, "kind": kind}
    if split in ("train", CORPUS):
        return given
    return given | {"references": list(dict.fromkeys(answers))}


@cache
def seeds(split: str) -> tuple[dict, ...]:
    """The hand-written seed tasks of a split, as the file has them."""
    text = (DATA / "seeds" / "instructions.jsonl").read_text(encoding="utf-8")
    return tuple(seed for seed in map(json.loads, text.splitlines()) if belongs(seed["id"], split))
