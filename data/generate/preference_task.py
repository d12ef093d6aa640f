"""Requests and one good reply each: what a reward model ranks from and PPO starts from.

Three quarters ask for help; a quarter asks for something that does harm, told by its words.
"""

import random
from collections.abc import Iterator

from data.generate import LANGUAGES
from data.generate.forms import Forms
from data.generate.reading import words
from data.generate.requests import BOOK, REFUSALS, SPACE, listed
from data.generate.scene import Scene
from data.generate.splits import CORPUS, split_of_pairs

LONGEST = {"en": 72, "zh": 24}  # letters of a reply: about 20 tokens
ASKING = {"en": 56, "zh": 20}  # letters of a prompt: about 16 tokens
GIFTS = "book novel umbrella hat scarf watch pen picture vase teapot camera radio lamp cup".split()
ENOUGH = 3  # good replies
EVERY = 4  # of so many requests one is harmful


class Request:
    """A kind of request in one language, and the scene that holds its facts."""

    def __init__(self, rng: random.Random, split: str, language: str, harmful: bool):
        self.rng, self.split, self.language, self.harmful = rng, split, language, harmful
        kinds = [kind for kind in BOOK if "topic" in BOOK[kind]]
        self.kind = rng.choice([k for k in kinds if k.startswith("harmful") == harmful])
        self.scene = Scene(rng, split)
        if self.kind == "helpful part":
            self.scene.facts["part"] = judged_part(rng)
        while self.kind == "helpful gift" and self.scene.fact("thing")[0] not in GIFTS:
            del self.scene.facts["thing"]
        given = {"deed": self.phrase("deed")} if harmful else {}
        frames = BOOK["frame" if harmful else self.kind]["prompt"]
        self.prompt = self.scene.tell(frames, language, **given)
        self.topic = self.phrase("topic")

    def phrase(self, part: str) -> str:
        """A part of a sentence: it keeps its small letter."""
        template = self.rng.choice(BOOK[self.kind][part][self.language])
        return self.scene.say("x " + template, self.language)[2:]

    def belongs(self) -> bool:
        """Whether the split may show this kind with these facts."""
        facts = sorted(str(english) for english, _ in self.scene.facts.values())
        found = split_of_pairs([self.kind, *facts])
        return found == ("train" if self.split == CORPUS else self.split)

    def replies(self) -> list[str]:
        """Good replies in several wordings, all of them short."""
        if self.harmful:
            told = [self.refusal() for _ in range(4)]
        else:
            templates = list(BOOK[self.kind]["reply"][self.language])
            self.rng.shuffle(templates)
            told = [self.dressed(self.scene.say(t, self.language)) for t in templates]
        return [text for text in dict.fromkeys(told) if len(text) <= LONGEST[self.language]]

    def dressed(self, text: str) -> str:
        """The reply with a polite opening or a polite closing."""
        worry = self.kind.startswith("worry")
        before = listed("polite", "opening", "worry" if worry else "bright")[self.language]
        after = listed("polite", "closing", *["glad"] * (not worry))[self.language]
        both = ((self.rng.choice(before), text), (text, self.rng.choice(after)))
        return SPACE[self.language].join(self.rng.choice(both))

    def refusal(self) -> str:
        """No, and why not."""
        reason = self.rng.choice(BOOK[self.kind]["reason"][self.language])
        no = self.rng.choice(REFUSALS[self.language])
        return no + SPACE[self.language] + self.scene.say(reason, self.language)


def judged_part(rng: random.Random) -> tuple[Forms, Forms]:
    """A part of a restaurant with a word that praises it."""
    row = rng.choice([row for row in words("opinions") if row["domain"] == "restaurant"])
    good, zh_good = (rng.choice(row[column].split(", ")) for column in ("good", "zh_good"))
    are = {"was": "is", "were": "are"}[row["is"]]
    return Forms(row["en"], are=are, good=good), Forms(row["zh"], good=zh_good)


def request(rng: random.Random, split: str, language: str, harmful: bool) -> Request:
    """A short request whose kind and facts belong to the split."""
    while True:
        made = Request(rng, split, language, harmful)
        if len(made.prompt) <= ASKING[language] and made.belongs():
            return made


def rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless preference records, the languages in turn; dev and test have references."""
    while True:
        for turn in range(EVERY):
            for language in LANGUAGES:
                yield row(rng, split, language, harmful=turn == EVERY - 1)


def row(rng: random.Random, split: str, language: str, harmful: bool) -> dict:
    """One record; a request without enough short replies is drawn anew."""
    replies: list[str] = []
    while len(replies) < ENOUGH:
        made = request(rng, split, language, harmful)
        replies = made.replies()
    found = {"prompt": made.prompt, "response": replies[0], "harmful": harmful, "topic": made.topic}
    return found if split in ("train", CORPUS) else found | {"references": replies}
