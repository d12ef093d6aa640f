"""Requests and one good reply each: what a reward model ranks from and PPO starts from.

Three quarters ask for help; a quarter asks for something that does harm, told by its words.
"""

import random
import re
from collections.abc import Callable, Iterator

from data.generate import LANGUAGES
from data.generate.forms import Forms
from data.generate.reading import words
from data.generate.requests import BOOK, REFUSALS, SPACE, listed
from data.generate.scene import Scene
from data.generate.splits import CORPUS, split_of_pairs

LONGEST = {"en": 84, "zh": 27}  # letters of a reply: at most 32 tokens
ASKING = {"en": 72, "zh": 22}  # letters of a prompt: at most 24 tokens
DRINKS = ("tea", "green tea", "lemonade", "orange juice", "apple juice")
GIFTS = "book novel umbrella hat scarf watch pen picture vase teapot camera radio lamp jumper"
GIFTS = (*GIFTS.split(), "photo album", "chess set", "tea set", "pair of gloves", "record", "cup")
BREAK = "umbrella guitar violin fan teapot suitcase clock torch watch doll lamp camera radio kite"
BREAK = (*BREAK.split(), "phone", "toy car", "mirror", "drum", "flute", "pair of glasses", "ring")
ASKED = re.compile(r"^(Please|Tell|Help|Can you)|^请|你能")  # prompts that "Of course!" answers
ENOUGH = 3  # good replies
EVERY = 4  # of so many requests one is harmful


class Request:
    """A kind of request in one language, and the scene that holds its facts."""

    def __init__(self, rng: random.Random, split: str, language: str, harmful: bool):
        self.rng, self.split, self.language, self.harmful = rng, split, language, harmful
        kinds = [kind for kind in BOOK if "topic" in BOOK[kind]]
        self.kind = rng.choice([k for k in kinds if k.startswith("harmful") == harmful])
        self.scene = Scene(rng, split)
        if self.kind.endswith("part"):
            self.scene.facts["part"] = judged_part(rng, self.kind.split()[1])
        PREPARE.get(self.kind, lambda scene: None)(self.scene)
        given = {"deed": self.phrase("deed")} if harmful else {}
        frames = BOOK["frame" if harmful else self.kind]["prompt"]
        self.prompt = self.scene.tell(frames, language, **given)
        self.topic = self.phrase("topic")

    def phrase(self, part: str) -> str:
        """A part of a sentence: it keeps its small letter."""
        template = self.rng.choice(BOOK[self.kind][part][self.language])
        return self.scene.say("x " + template, self.language)[2:]

    def sentence(self, part: str) -> str:
        return self.scene.say(self.rng.choice(BOOK[self.kind][part][self.language]), self.language)

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
        """The reply with a polite opening, a polite closing, or both where they fit in."""
        worry, language = self.kind.startswith("worry"), self.language
        kind = "worry" if worry else "asked" if ASKED.search(self.prompt) else "bright"
        room = LONGEST[language] - len(text) - len(SPACE[language])
        before = listed("polite", "opening", kind)[language]
        after = listed("polite", "closing", *["glad"] * (not worry))[language]
        first, last = self.fitting(before, room), self.fitting(after, room)
        return self.short(*self.rng.choice(((first, text), (text, last), (first, text, last))))

    def fitting(self, phrases: list[str], room: int) -> str:
        """One of the phrases that leave the reply short."""
        return self.rng.choice([p for p in phrases if len(p) <= room] or [min(phrases, key=len)])

    def refusal(self) -> str:
        """No, why not, and something better if there is room."""
        no = self.rng.choice(REFUSALS[self.language])
        return self.short(no, self.sentence("reason"), self.sentence("better"))

    def short(self, *parts: str) -> str:
        """The parts as one text; the third is left out where it gets too long."""
        space = SPACE[self.language]
        joined = space.join(parts)
        return joined if len(joined) <= LONGEST[self.language] else space.join(parts[:2])


def judged_part(rng: random.Random, domain: str) -> tuple[Forms, Forms]:
    """A part of a film, restaurant or hotel with two of the words that praise it."""
    row = rng.choice([row for row in words("opinions") if row["domain"] == domain])
    good, zh_good = (rng.sample(row[column].split(", "), 2) for column in ("good", "zh_good"))
    are = {"was": "is", "were": "are"}[row["is"]]
    english = Forms(row["en"], are=are, good=good[0], good2=good[1])
    return english, Forms(row["zh"], good=zh_good[0], good2=zh_good[1])


def served(scene: Scene) -> None:
    """Something to eat and something to drink with it."""
    while scene.fact("meal")[1].did != "吃了":
        del scene.facts["meal"]
    while scene.fact("meal2")[0] not in DRINKS:
        del scene.facts["meal2"]


def among(chosen: tuple[str, ...]) -> Callable[[Scene], None]:
    """A thing that can be given, or that can break."""

    def draw(scene: Scene) -> None:
        while scene.fact("thing")[0] not in chosen:
            del scene.facts["thing"]

    return draw


PREPARE: dict[str, Callable[[Scene], None]] = {
    "helpful drink": served, "helpful gift": among(GIFTS), "helpful letter": among(GIFTS),
    "worry broken": among(BREAK), "harmful sell": among(BREAK), "harmful damage": among(BREAK),
}  # fmt: skip


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
