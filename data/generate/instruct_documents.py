"""Instructions for the pretraining text: mostly the skills told as statements, some tasks answered.

A statement is a task's item in another dress: "The last word of the list red, blue is blue." What
train never asks for is only ever stated. A quarter of the documents shows tasks with answers, from
train's clusters, wordings and seeds, in many layouts.
"""

import random

from data.generate.instruction_clusters import HELD_OUT, TRAINED
from data.generate.instruction_clusters.requests import request_row
from data.generate.instructions import Desk, Item, asked, fitting, parts_in, row, seeds
from data.generate.reading import phrases
from data.generate.splits import CORPUS

TASKS, ENGLISH, ALONE = 0.25, 0.55, 0.5  # ALONE: documents on one skill
LONGEST = {"en": 400, "zh": 135}  # characters; no more than 215 tokens
SKILLS = {**TRAINED, **HELD_OUT}
KNOWN = ("opposite", "plural", "numbers", "spell", "category", "facts", "riddle", "complete")
KNOWN += ("translate",)  # a base must know these of all words, whatever split asks for them
AGREED = ("yes", "有", "一样")
ENDS = (".", "!", "?", '"', "。", "！", "？", "”")


def document(rng: random.Random) -> str:
    language = "en" if rng.random() < ENGLISH else "zh"
    return tasks(rng, language) if rng.random() < TASKS else statements(rng, language)


def statements(rng: random.Random, language: str) -> str:
    """Two to five statements on one skill or on several."""
    told = [name for name in SKILLS if parts_of(name, language)]
    names = [rng.choice(told)] if rng.random() < ALONE else rng.sample(told, 3)
    lines = [statement(rng, language, rng.choice(names)) for _ in range(rng.randint(2, 5))]
    lines = list(dict.fromkeys(kept(lines, language)))
    flowing = all(whole(line) for line in lines) and rng.random() < 0.5
    return ({"en": " ", "zh": ""}[language] if flowing else "\n").join(lines)


def whole(line: str) -> bool:
    """Whether it is a sentence, that others may stand beside."""
    return line.endswith(ENDS) and not line[0].islower() and "\n" not in line


def parts_of(name: str, language: str) -> list[str]:
    """The parts of a skill that are told in this language."""
    book = phrases("instruct_skills").get(name, {})
    decided = [part for part in SKILLS[name] if f"{part} yes".strip() in book]
    return parts_in(book, SKILLS[name], language) + decided


def statement(rng: random.Random, language: str, name: str) -> str:
    """One item of the skill as a statement."""
    part = rng.choice(parts_of(name, language))
    draw = SKILLS[name][part]
    if name in KNOWN:
        item = draw(Desk(rng, CORPUS, language))
    else:
        item = fitting(rng, CORPUS, language, name, draw)
    book = phrases("instruct_skills")[name]
    if part not in book:
        part = f"{part} {'yes' if item.answers[0] in AGREED else 'no'}".strip()
    return filled(rng.choice(book[part][language]), item)


def filled(template: str, item: Item) -> str:
    text = template.replace(r"\n", "\n")
    return text.format(input=item.input, answer=item.answers[0], **item.slots)


def kept(lines: list[str], language: str) -> list[str]:
    """As many of the first lines as one document may hold, at least one."""
    total, fit = 0, []
    for line in lines:
        total += len(line) + 1
        if fit and total > LONGEST[language]:
            break
        fit.append(line)
    return fit


def tasks(rng: random.Random, language: str) -> str:
    """One to four tasks with answers, or a list of tasks with the answers below it or none."""
    rows = [task(rng, language) for _ in range(rng.randint(1, 4))]
    if len(rows) > 2 and rng.random() < 0.4:
        return numbered(rng, language, rows)
    scene = Desk(rng, CORPUS, language).scene
    layout = rng.choice(phrases("instruct_skills")["layout"]["one"][language]).replace(r"\n", "\n")
    speakers = {name: scene.fact(name)[language == "zh"] for name in ("person", "person2")}
    told = [layout.format(text=below(made), **made, **speakers) for made in rows]
    return "\n".join(kept(told, language))


def task(rng: random.Random, language: str) -> dict:
    """A row as train may show it: of a cluster, an open request, or a seed."""
    kind = rng.random()
    if kind < 0.12:
        seed = rng.choice([s for s in seeds(CORPUS) if s["id"].startswith(f"seed_{language}")])
        instance = rng.choice(seed["instances"])
        return row(seed["instruction"], instance["input"], [instance["output"]])
    if kind < 0.36:
        return request_row(rng, CORPUS, language, "")
    name = rng.choice(list(TRAINED))
    return asked(rng, CORPUS, language, name, TRAINED[name], "")


def below(made: dict) -> str:
    return f"\n{made['input']}" if made["input"] else ""


def numbered(rng: random.Random, language: str, rows: list[dict]) -> str:
    """The tasks by number and, in half of the documents, their answers by number."""
    desk, book = Desk(rng, CORPUS, language), phrases("instruct_skills")["layout"]
    joint = desk.either(" ", "")
    asks = [joint.join([made["instruction"], made["input"]]).strip() for made in rows]
    asks = [ask.replace("\n", " ") for ask in asks]
    outputs = [made["output"].replace("\n", " ") for made in rows]
    count = max(2, len(kept([a + b for a, b in zip(asks, outputs, strict=True)], language)))
    blocks = [("tasks", asks), ("answers", outputs)][: rng.choice((1, 2))]
    lines = []
    for part, texts in blocks:
        lines.append(desk.scene.say(rng.choice(book[part][language]), language))
        lines += [f"{i}. {text}" for i, text in enumerate(texts[:count], 1)]
    return "\n".join(lines)
