"""Instructions for the pretraining text: small tasks with answers, and the skills as statements.

A base of this size learns a skill only when it meets it often, so half of the documents are tasks
as train asks for them, several in a row. A statement is a task's item in another dress: "The last
word of the list red, blue is blue." What train never asks for is only ever stated.
"""

import random

from data.generate.instruction_clusters import ASKED, FAR
from data.generate.instruction_clusters.requests import request_row
from data.generate.instructions import Desk, Item, asked, fitting, parts_in, row, seeds
from data.generate.reading import phrases
from data.generate.splits import CORPUS

TASKS, ENGLISH, ALONE = 0.5, 0.55, 0.5  # ALONE: documents on one skill
BESIDE = 0.3  # of the tasks' documents have every input behind its instruction
LONGEST = {"en": 520, "zh": 170}  # characters; no more than 215 tokens
SKILLS = {**ASKED, **FAR}
KNOWN = (  # a base must know these of all words, whatever split asks for them
    ("opposite", "word"), ("plural", "word"), ("category", "kind"), ("translate", "word"),
)  # fmt: skip
ENDS = (".", "!", "?", "。", "！", "？")


def document(rng: random.Random) -> str:
    language = "en" if rng.random() < ENGLISH else "zh"
    return tasks(rng, language) if rng.random() < TASKS else statements(rng, language)


def kept(lines: list[str], language: str) -> list[str]:
    """As many of the first lines as one document may hold, each once."""
    total, fit = 0, []
    for line in dict.fromkeys(lines):
        total += len(line) + 1
        if total <= LONGEST[language]:
            fit.append(line)
    return fit


def tasks(rng: random.Random, language: str) -> str:
    """Tasks with answers, of one cluster or of several; or a row of tasks by number."""
    names = [rng.choice(list(ASKED))] if rng.random() < ALONE else list(ASKED)
    behind = float(rng.random() < BESIDE)
    if len(names) > 1 and rng.random() < 0.1:
        rows = [task(rng, language, names, behind=1) for _ in range(5)]
        header = rng.choice(phrases("instruct_skills")["tasks"][""][language])
        lines = [f"{i}. {made['instruction']}" for i, made in enumerate(rows, 1)]
        return "\n".join(kept([header, *lines], language))
    rows = [task(rng, language, names, behind) for _ in range(rng.randint(4, 9))]
    fields = ("instruction", "input", "output")
    return "\n".join(kept(["\n".join(filter(None, map(r.get, fields))) for r in rows], language))


def task(rng: random.Random, language: str, names: list[str], behind: float) -> dict:
    """A row as train may show it: of a cluster or, among several, an open request or a seed."""
    kind = rng.random() if len(names) > 1 else 1
    if kind < 0.06:
        seed = rng.choice([s for s in seeds(CORPUS) if s["id"].startswith(f"seed_{language}")])
        instance = rng.choice(seed["instances"])
        return row(seed["instruction"], instance["input"], [instance["output"]])
    if kind < 0.3:
        return request_row(rng, "train", language, "")
    name = rng.choice(names)
    return asked(rng, CORPUS, language, name, ASKED[name], "", behind)


def statements(rng: random.Random, language: str) -> str:
    """Statements on one skill or on several."""
    names = [rng.choice(list(SKILLS))] if rng.random() < ALONE else rng.sample(list(SKILLS), 3)
    lines = [statement(rng, language, rng.choice(names)) for _ in range(rng.randint(3, 7))]
    lines = kept(lines, language)
    flowing = all(whole(line) for line in lines) and rng.random() < 0.5
    return ({"en": " ", "zh": ""}[language] if flowing else "\n").join(lines)


def whole(line: str) -> bool:
    """Whether it is a sentence, that others may stand beside."""
    return line.endswith(ENDS) and not line[0].islower() and "\n" not in line


def statement(rng: random.Random, language: str, name: str) -> str:
    """One item of the skill as a statement."""
    book = phrases("instruct_skills")[name]
    part = rng.choice(parts_in(book, SKILLS[name], language))
    draw = SKILLS[name][part]
    if (name, part) in KNOWN:
        item = draw(Desk(rng, CORPUS, language))
    else:
        item = fitting(rng, CORPUS, language, name, draw)
    return filled(rng.choice(book[part][language]), item)


def filled(template: str, item: Item) -> str:
    text = template.replace(r"\n", "\n")
    return text.format(input=item.input, answer=item.answers[0], **item.slots)
