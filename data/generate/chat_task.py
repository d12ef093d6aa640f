"""Talks whose last question needs an earlier turn: the user tells a fact or two, perhaps speaks of
something else, and then asks back. Which of the facts is asked for shows only at the end."""

import random
import re
from collections.abc import Callable, Iterator

from data.generate import LANGUAGES
from data.generate.reading import Phrases, phrases, phrasings
from data.generate.scene import Scene
from data.generate.splits import CORPUS, split_of_pairs

Chapter = dict[str, Phrases]  # part of a scenario -> its phrasings
BETWEEN = 0.5  # of the talks have an exchange on something else
MARK = "5"  # keeps the facts of that exchange from the scenario's


def one_of_two(name: str, value: str) -> Callable[[Scene], None]:
    """Two things have two values; one of them is asked for: "my cat" is called "Rosie"."""

    def pick(scene: Scene) -> None:
        number = scene.rng.choice(("", "2"))
        scene.facts["picked"] = scene.fact(name + number)
        scene.facts["found"] = scene.fact(value + number)

    return pick


def prices(scene: Scene) -> None:
    one_of_two("thing", "price")(scene)
    first, second = (int(scene.fact(slot)[0]) for slot in ("price", "price2"))
    scene.facts["less"] = scene.fact("thing" if first < second else "thing2")


PREPARE: dict[str, Callable[[Scene], None]] = {
    "pet": one_of_two("pet", "petname"), "prices": prices,
}  # fmt: skip
DERIVED = ("picked", "found", "less")


class Talk:
    """A scenario, the exchange in between, and the scene that holds the facts of both."""

    def __init__(self, rng: random.Random, split: str = CORPUS):
        self.rng, self.split, self.scene = rng, split, Scene(rng, split)
        book = phrases("chat")
        asides = [name for name in book if name.startswith("aside")]
        self.name = rng.choice([name for name in book if name not in asides])
        self.chapter: Chapter = book[self.name]
        self.between = [rng.choice(asides)] if rng.random() < BETWEEN else []
        asked = [part for part in self.chapter if part.startswith("ask ")]
        self.asked = rng.choice(asked).removeprefix("ask ")
        PREPARE.get(self.name, lambda scene: None)(self.scene)

    def messages(self, language: str) -> list[dict[str, str]]:
        turns = [self.scene.tell(self.chapter[part], language) for part in ("tell", "reply")]
        for name in self.between:
            turns += self.exchange(name, language)
        turns.append(self.scene.tell(self.chapter[f"ask {self.asked}"], language))
        turns.append(self.scene.say(self.answer(language), language))
        roles = ("user", "assistant") * len(turns)
        return [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False)]

    def exchange(self, name: str, language: str) -> list[str]:
        """A turn and its reply on something else."""
        chapter = phrases("chat")[name]
        meanings = [chapter[part] for part in ("user", "assistant")]
        chosen = [self.rng.choice(phrasings(m, language, self.split)) for m in meanings]
        return [self.scene.say(re.sub(r"{(\w+)", rf"{{\g<1>{MARK}", t), language) for t in chosen]

    def answer(self, language: str) -> str:
        """The usual answer; the corpus shows the others too."""
        several = phrasings(self.chapter[f"answer {self.asked}"], language, self.split)
        return self.rng.choice(several) if self.split == CORPUS else several[0]

    def references(self, language: str) -> list[str]:
        """The last answer in all its phrasings; in test its own ones are among them."""
        part = self.chapter[f"answer {self.asked}"]
        more = part[f"{language} test"] if self.split == "test" else []
        return [self.scene.say(template, language) for template in part[language] + more]

    def belongs(self) -> bool:
        """Whether the split may show these scenarios side by side with these facts."""
        facts = sorted(str(e) for slot, (e, _) in self.scene.facts.items() if slot not in DERIVED)
        found = split_of_pairs([self.name, *self.between, *facts])
        return found == ("train" if self.split == CORPUS else self.split)


def talk(rng: random.Random, split: str, language: str) -> tuple[list[dict[str, str]], list[str]]:
    """The messages of a talk of this split, and all right last answers."""
    while True:
        made = Talk(rng, split)
        messages = made.messages(language)
        if made.belongs():
            return messages, made.references(language)


def rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless Chat records, the languages in turn; dev and test have references."""
    while True:
        for language in LANGUAGES:
            messages, answers = talk(rng, split, language)
            first = messages[-1]["content"]
            row = {"messages": messages}
            references = list(dict.fromkeys([first, *answers]))
            yield row if split == "train" else row | {"references": references}
