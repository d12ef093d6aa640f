"""Documents of the corpus in which people talk: dialogues, chats, requests, replies, refusals."""

import json
import random
from collections.abc import Callable
from functools import cache

from data.generate import DATA
from data.generate.chat_task import talk
from data.generate.dialogues import COLON, dialogue, dialogue_asked, dialogue_twice
from data.generate.preference_task import EVERY, row
from data.generate.requests import bad_replies, listed
from data.generate.scene import Scene
from data.generate.splits import CORPUS, belongs

ENGLISH = 0.55  # of the documents
LONGEST, HAN = 640, 2.6  # letters of a document; a Han character costs the tokens of so many
ROLES = {"en": ("User", "Assistant"), "zh": ("用户", "助手")}
CHOICE = {
    "en": (("Which reply is better?", "The first one.", "The second one."),
           ("Reply 1: ", "Reply 2: ", "Better: ")),
    "zh": (("哪个回答更好？", "第一个。", "第二个。"), ("回答一：", "回答二：", "更好：")),
}  # fmt: skip


@cache
def seeds(name: str, split: str) -> list[dict]:
    """The hand-written dialogues or requests (data/seeds/NAME.jsonl) that a split may show."""
    text = (DATA / "seeds" / f"{name}.jsonl").read_text(encoding="utf-8")
    found = [json.loads(line) for line in text.splitlines()]
    return [seed for seed in found if belongs(seed["id"], split)]


def speakers(rng: random.Random, language: str) -> tuple[str, str]:
    """Two people, or user and assistant, with the colon behind."""
    scene = Scene(rng)
    names = [scene.say(name, language) for name in ("{person}", "{person2}")]
    pair = names if rng.random() < 0.5 else ROLES[language]
    return pair[0] + COLON[language], pair[1] + COLON[language]


def taking_turns(rng: random.Random, language: str, turns: list[str]) -> list[str]:
    """The turns behind their speakers."""
    who = speakers(rng, language)
    return [who[i % 2] + turn for i, turn in enumerate(turns)]


def chat(rng: random.Random, language: str) -> str:
    """A chat whose last question needs an earlier turn, sometimes answered once more."""
    messages, answers = talk(rng, CORPUS, language)
    turns = taking_turns(rng, language, [message["content"] for message in messages])
    again = [a for a in answers if a != messages[-1]["content"]]
    return "\n".join(turns + ([rng.choice(again)] if rng.random() < 0.3 else []))


def drawn(rng: random.Random, language: str) -> dict:
    """A request and its good reply as a row of the preference task."""
    return row(rng, CORPUS, language, harmful=rng.random() < 1 / EVERY)


def remark(rng: random.Random, language: str, kind: str) -> str:
    return rng.choice(listed("remark", kind)[language])


def merit(asked: dict) -> str:
    """The kind of remark that a good reply deserves."""
    return "refused" if asked["harmful"] else "good"


def asked_and_answered(rng: random.Random, language: str) -> str:
    """Two or three requests with good replies, some with a remark on the reply."""
    lines = []
    for _ in range(rng.choice((2, 2, 3))):
        asked = drawn(rng, language)
        lines += taking_turns(rng, language, [asked["prompt"], asked["response"]])
        if rng.random() < 0.4:
            lines.append(remark(rng, language, merit(asked)))
    return "\n".join(lines)


def good_and_bad(rng: random.Random, language: str) -> str:
    """A request with a good and a bad reply, and what is to be said about them."""
    asked = drawn(rng, language)
    kind, bad = rng.choice(bad_replies(rng, asked))
    both = [(asked["response"], merit(asked)), (bad, kind)]
    rng.shuffle(both)
    (asks, *places), marks = CHOICE[language]
    if rng.random() < 0.4:
        judged = [line for text, kind in both for line in (text, remark(rng, language, kind))]
        return "\n".join([asked["prompt"], *judged])
    lines = [asked["prompt"], *(mark + text for mark, (text, _) in zip(marks, both, strict=False))]
    if rng.random() < 0.5:
        return "\n".join([*lines, asks, places[both[0][0] == bad]])
    return "\n".join([*lines, marks[2] + asked["response"]])


def one_reply(rng: random.Random, language: str) -> str:
    """A reply, good or bad, and the remark that it deserves."""
    asked = drawn(rng, language)
    kind, text = rng.choice(bad_replies(rng, asked))
    if rng.random() < 0.4:
        kind, text = merit(asked), asked["response"]
    turns = taking_turns(rng, language, [asked["prompt"], text])
    return "\n".join([*turns, remark(rng, language, kind)])


def hand_written(rng: random.Random, language: str) -> str:
    """A dialogue, or a request with its good reply, from the hand-written seeds of train."""
    name = rng.choice(("dialogues", "requests_helpful", "requests_harmful"))
    seed = rng.choice([s for s in seeds(name, CORPUS) if f"_{language}_" in s["id"]])
    if name == "dialogues":
        return "\n".join(taking_turns(rng, language, [m["content"] for m in seed["messages"]]))
    kind = "good" if name == "requests_helpful" else "refused"
    lines = taking_turns(rng, language, [seed["prompt"], seed["chosen"]])
    return "\n".join([*lines, *[remark(rng, language, kind)] * (rng.random() < 0.4)])


KINDS: dict[Callable[[random.Random, str], str], int] = {
    dialogue: 8, dialogue_asked: 22, dialogue_twice: 8, chat: 32, asked_and_answered: 12,
    good_and_bad: 8, one_reply: 6, hand_written: 4,
}  # fmt: skip


def document(rng: random.Random) -> str:
    """One document of the corpus, short enough for the context of the models."""
    language = "en" if rng.random() < ENGLISH else "zh"
    while True:
        text = rng.choices(list(KINDS), list(KINDS.values()))[0](rng, language)
        han = sum("\u4e00" <= letter <= "\u9fff" for letter in text)
        if len(text) - han + HAN * han <= LONGEST:
            return text
