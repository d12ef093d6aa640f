"""The layouts of questions and answers about a text, and of statements with a verdict."""

import random

from data.generate.asking import STOP, choose
from data.generate.contexts import Group
from data.generate.grammar import sentences
from data.generate.qa import Question
from data.generate.scene import Scene

MARKS = {
    "en": (("Q: ", "A: "), ("Question: ", "Answer: ")),
    "zh": (("问：", "答："), ("问题：", "答案：")),
}
JUDGEMENTS = {
    "en": (("False", "True"), ("Wrong", "Right"), ("No", "Yes")),
    "zh": (("错", "对"), ("不对", "对"), ("不是", "是")),
}
HESITATION = {
    "en": ("", "", "", "let me see. ", "I know that. ", "I have read it: ", "the text says: "),
    "zh": ("", "", "", "我看看。", "我知道。", "我读过：", "文中说："),
}
WAYS = {"marked": 30, "people": 20, "line": 15, "bare": 20, "numbered": 8, "first": 7}
FULL = 0.5  # of the documents answer in sentences


def talk(rng: random.Random, group: Group, asked: list[Question], text: str, spoken: str) -> str:
    """The text with the questions and their answers, in one of WAYS."""
    way, full = choose(rng, WAYS), rng.random() < FULL
    stopped = full or way in ("line", "people", "numbered") or rng.random() < 0.3
    pairs = {}
    for question in asked:
        pairs[question.ask(spoken)] = answered(question, spoken, full, stopped)
    pairs = list(pairs.items())
    if not pairs:
        return ""
    if way == "first":
        return "\n".join([pairs[0][0], text, pairs[0][1]])
    return "\n".join([text, *LINES[way](rng, group, pairs, spoken)])


def answered(question: Question, spoken: str, full: bool, stopped: bool) -> str:
    """The answer in a sentence, or short, then with or without a capital and a stop."""
    if full:
        return question.full(spoken)
    short = question.short(spoken)[0]
    if not stopped or short.endswith(STOP[spoken]):
        return short
    return sentences(short + STOP[spoken])


def marked(rng, group, pairs, spoken) -> list[str]:
    before = rng.choice(MARKS[spoken])
    return [mark + part for pair in pairs for mark, part in zip(before, pair, strict=True)]


def people(rng, group, pairs, spoken) -> list[str]:
    """Two people, of whom nothing is told, talk about it."""
    scene = Scene(rng)
    taken = [fact[0] for p in group for fact in p.scene.facts.values()]
    while any(scene.fact(slot)[0] in taken for slot in ("person", "person2")):
        scene = Scene(rng)
    names, colon = [scene.say(n, spoken) for n in ("{person}", "{person2}")], ": "
    if spoken == "zh":
        colon = "："
    lines = []
    for question, answer in pairs:
        known = not answer.startswith(("No", "Yes", "是", "不是", "The text", "文中"))
        hesitation = rng.choice(HESITATION[spoken]) if known else ""
        told = sentences(f"{hesitation}{answer}")
        lines += [names[0] + colon + question, names[1] + colon + told]
    return lines


def line(rng, group, pairs, spoken) -> list[str]:
    space = " " if spoken == "en" else ""
    told = [f"{question}{space}{answer}" for question, answer in pairs]
    return told if rng.random() < 0.5 else [space.join(told)]


def bare(rng, group, pairs, spoken) -> list[str]:
    return [part for pair in pairs for part in pair]


def numbered(rng, group, pairs, spoken) -> list[str]:
    """All questions, then all answers."""
    asked = [f"{n}. {question}" for n, (question, _) in enumerate(pairs, 1)]
    return asked + [f"{n}. {answer}" for n, (_, answer) in enumerate(pairs, 1)]


def judgement(layout: int, spoken: str, said: str, word: str, right: str) -> str:
    """A statement with its verdict; the last layout tells what is right instead."""
    space, stop = (" ", ".") if spoken == "en" else ("", STOP["zh"])
    if layout == 0:
        return f"{said}{space}{word}{stop}"
    if layout == 1:
        return f"{word}: {said}" if spoken == "en" else f"{word}：{said}"
    if layout == 2:
        return f"{said} ({word.lower()})" if spoken == "en" else f"{said}（{word}）"
    return f"{said}{space}{word}{stop}{space}{right}".strip()


LINES = {"marked": marked, "people": people, "line": line, "bare": bare, "numbered": numbered}
