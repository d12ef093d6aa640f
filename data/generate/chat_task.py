"""Talks whose last question needs an earlier turn: the user tells facts, speaks of something else,
perhaps changes an order, and then asks back. Which fact is asked for shows only at the end."""

import random
import re
from collections.abc import Callable, Iterator

from data.generate import LANGUAGES
from data.generate.forms import NUMBERS, NUMBERS_ZH, Forms
from data.generate.reading import Phrases, phrases, phrasings, words
from data.generate.scene import Scene
from data.generate.splits import CORPUS, split_of_pairs

Chapter = dict[str, Phrases]  # part of a scenario -> its phrasings
BETWEEN = ((0, 1, 1, 2), (0, 0, 1))  # how many exchanges stand in between; fewer after a change
ORDINALS = (("first", "第一"), ("second", "第二"), ("third", "第三"), ("last", "最后一"))
MANY, MANY_ZH = (*NUMBERS, "eleven", "twelve"), (*NUMBERS_ZH, "十一", "十二")


def amounts(scene: Scene) -> None:
    """An order in two amounts, with their sum: two cups of tea, three, five."""
    meal = scene.rng.choice(words("meals"))
    count, other = scene.rng.sample(range(5), 2)
    cups, cups_zh = f"{meal['cups']} of {meal['en']}", meal["measure"] + meal["zh"]
    en = {"n": count, "n2": other, "sum": count + other + 2}
    zh = {name: f"{MANY_ZH[i]}{cups_zh}" for name, i in en.items()}
    zh |= {"count": MANY_ZH[count] + meal["measure"], "other": MANY_ZH[other] + meal["measure"]}
    en = {name: f"{MANY[i]} {cups}" for name, i in en.items()}
    en |= {"count": MANY[count], "other": MANY[other]}
    scene.facts["order"] = (
        Forms(meal["en"], cups=cups, **en),
        Forms(meal["zh"], cups=cups_zh, **zh),
    )
    for slot in ("meal2", "meal3"):
        while scene.fact(slot)[0] == meal["en"]:
            del scene.facts[slot]


def one_of(*slots: str) -> Callable[[Scene], None]:
    """Ask for the first, second, third or last of three facts."""

    def pick(scene: Scene) -> None:
        place = scene.rng.randrange(len(ORDINALS))
        picked = scene.fact(slots[min(place, 2)])
        for slot in slots:
            scene.fact(slot)
        english, chinese = ORDINALS[place]
        scene.facts["ordinal"] = (Forms(english, place=english), Forms(chinese))
        scene.facts["picked"] = picked

    return pick


def cheaper(scene: Scene) -> None:
    first, second = (int(scene.fact(slot)[0]) for slot in ("price", "price2"))
    scene.facts["less"] = scene.fact("thing" if first < second else "thing2")


def solid(scene: Scene) -> None:
    """Two meals to eat, and not to drink."""
    for slot in ("meal", "meal2"):
        while scene.fact(slot)[0].did != "ate":
            del scene.facts[slot]


PREPARE: dict[str, Callable[[Scene], None]] = {
    "instead": amounts, "sum": amounts, "order": amounts, "prices": cheaper, "likes": solid,
    "list": one_of("thing", "thing2", "thing3"), "places": one_of("venue", "venue2", "venue3"),
    "three words": one_of("thing", "spot", "animal"),
}  # fmt: skip
DERIVED = ("ordinal", "picked", "less")


class Talk:
    """A scenario, the exchanges in between, and the scene that holds the facts of all of them."""

    def __init__(self, rng: random.Random, split: str = CORPUS):
        self.rng, self.split, self.scene = rng, split, Scene(rng, split)
        book = phrases("chat")
        names = [name for name in book if not name.startswith("aside")]
        asides = [name for name in book if name.startswith("aside")]
        self.name = rng.choice(names)
        self.chapter: Chapter = book[self.name]
        told = [n for n in names if n not in PREPARE and "change" not in book[n] and n != self.name]
        count = rng.choice(BETWEEN["change" in self.chapter])
        between = [rng.choice(asides if rng.random() < 0.6 else told) for _ in range(count)]
        self.between = list(dict.fromkeys(between))
        asked = [part for part in self.chapter if part.startswith("ask ")]
        self.asked = rng.choice(asked).removeprefix("ask ")

    def messages(self, language: str) -> list[dict[str, str]]:
        PREPARE.get(self.name, lambda scene: None)(self.scene)
        turns = [self.told(self.chapter[part], language) for part in ("tell", "reply")]
        changed = [p for p in ("change", "confirm") if p in self.chapter]
        early = self.rng.random() < 0.5
        turns += [self.told(self.chapter[part], language) for part in changed if early]
        for number, name in enumerate(self.between):
            turns += self.exchange(name, str(5 + number), language)
        turns += [self.told(self.chapter[part], language) for part in changed if not early]
        turns += [self.told(self.chapter[f"{p} {self.asked}"], language) for p in ("ask", "answer")]
        roles = ("user", "assistant") * len(turns)
        return [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False)]

    def told(self, part: Phrases, language: str) -> str:
        return self.scene.tell(part, language)

    def exchange(self, name: str, mark: str, language: str) -> list[str]:
        """A turn and its reply on something else; the mark keeps its facts from the scenario's."""
        chapter = phrases("chat")[name]
        parts = ("user", "assistant") if "user" in chapter else ("tell", "reply")
        chosen = [self.rng.choice(phrasings(chapter[p], language, self.split)) for p in parts]
        return [self.scene.say(re.sub(r"{(\w+)", rf"{{\g<1>{mark}", t), language) for t in chosen]

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
