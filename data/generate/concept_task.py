"""The summary task: a passage about a concept, and the sentence that says what it is and aims at.

What the passage tells beside definition and aim (tasks, history, uses, difficulties, neighbours)
and where each part stands must not matter to the summary.
"""

import json
import random
from collections.abc import Iterator
from functools import cache

from data.generate import DATA, LANGUAGES
from data.generate.concepts import draw, neighbour
from data.generate.reading import phrases, phrasings
from data.generate.scene import Scene
from data.generate.splits import CORPUS, split_of_name

LONGEST = {"en": 680, "zh": 210}  # letters of a passage and its summary
MORE = ("tasks", "history", "use", "difficulty", "contrast")
FIRST = {"definition": 11, "aim": 3, "use": 2, "history": 2, "difficulty": 2}  # how often
SUBJECT = ("definition", "tasks")  # parts after which "it" is the concept
NAMED = 0.75  # of the passages give the abbreviation, where there is one
# Pieces of the paragraph on which the trained model is tried: no passage may hold one.
KEPT = ("人类语言之间交互", "解释、生成人类语言", "语音处理、机器翻译", "计算机与人的交互")


class Passage:
    """Parts about one concept, told in either language by the same facts."""

    def __init__(self, rng: random.Random, split: str = CORPUS, most: int = 3, concept=None):
        self.rng, self.split, self.scene = rng, split, Scene(rng, split)
        self.concept = concept or draw(rng, split)
        self.other = neighbour(rng, self.concept)
        self.abbr = self.concept.abbr if rng.random() < NAMED else ""
        self.form = ""  # of the abbreviation behind the name
        self.field = rng.random() < 0.6  # whether the definition names the field
        self.parts = ordered(rng, most)

    def tell(self, language: str) -> str:
        """The parts in order; the name is given in full where it stands first."""
        told: list[str] = []
        for before, part in zip(("", *self.parts), self.parts, strict=False):
            name = self.short_name(language) if told else self.long_name(language)
            templates = self.templates(part, language)
            if before not in SUBJECT:
                templates = [template for template in templates if "{topic}" in template]
            told.append(self.say(self.rng.choice(templates), language, name))
        return (" " if language == "en" else "").join(told)

    def templates(self, part: str, language: str) -> list[str]:
        kind = ""
        if part in ("definition", "summary"):
            kind = "field" if self.field else "plain"
        if part == "aim":
            kind = self.rng.choice(("alone", "benefit"))
        found = phrasings(phrases("concepts")[part][kind], language, self.split)
        if part == "summary" and self.field:  # a summary may leave the field out
            found = found + phrasings(phrases("concepts")[part]["plain"], language, self.split)
        return found

    def say(self, template: str, language: str, name: str) -> str:
        facts, other = self.concept.facts[language], self.other
        given = {"other": other.topic[language], "other_aim": other.facts[language]["aim"]}
        given["other_object"] = other.facts[language]["object"]
        return self.scene.say(template, language, topic=name, **given, **facts)

    def summaries(self, language: str, count: int) -> list[str]:
        """Different summaries; each names the abbreviation if the passage does."""
        found = self.templates("summary", language)
        name = self.summary_name(language)
        chosen = self.rng.sample(found, min(count, len(found)))
        return [self.say(template, language, name) for template in chosen]

    def long_name(self, language: str) -> str:
        """'computer vision (CV)', 计算机视觉（Computer Vision，简称CV）."""
        name, full = self.concept.topic[language], self.concept.full_name()
        if language == "en":
            forms = (" ({})", " ({})", " ({} for short)")
        else:
            forms = ("（{}）", "（简称{}）", f"（{full}，简称{{}}）", f"（{full}，{{}}）")
        self.form = self.rng.choice(forms) if self.abbr else ""
        if language == "zh" and not self.abbr and self.rng.random() < 0.15:
            return f"{name}（{full}）"
        return name + self.form.format(self.abbr)

    def short_name(self, language: str) -> str:
        name = self.concept.topic[language]
        return self.abbr if self.abbr and self.rng.random() < 0.5 else name

    def summary_name(self, language: str) -> str:
        """简称 stands in the summary if it stands in the passage."""
        name = self.concept.topic[language]
        if not self.abbr:
            return name
        if language == "en":
            return f"{name} ({self.abbr})"
        return f"{name}（{'简称' * ('简称' in self.form)}{self.abbr}）"


def ordered(rng: random.Random, most: int) -> list[str]:
    """Definition, aim and one to `most` further parts, in an order that can be told."""
    parts = ["definition", "aim", *rng.sample(MORE, rng.randint(1, most))]
    first = rng.choices(list(FIRST), list(FIRST.values()))[0]
    if first not in parts:
        first = "definition"
    parts.remove(first)
    rng.shuffle(parts)
    return [first, *parts]


def kept_back(text: str) -> bool:
    """Whether the text comes near to the paragraph on which the trained model is tried."""
    return any(piece in text for piece in KEPT)


def summarised(rng: random.Random, split: str, language: str, count: int = 1) -> list[str]:
    """A passage and its summaries, the longest of which leaves the row short enough."""
    while True:
        passage = Passage(rng, split)
        texts = [passage.tell(language), *passage.summaries(language, count)]
        long = len(texts[0]) + max(map(len, texts[1:])) > LONGEST[language]
        if not long and not any(map(kept_back, texts)):
            return texts


def rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless Pair records, the languages by turns; dev and test have three to five references."""
    while True:
        for language in LANGUAGES:
            count = 1 if split == "train" else rng.choice((3, 4, 5))
            yield record(*summarised(rng, split, language, count), split=split)


def record(prompt: str, *answers: str, split: str) -> dict:
    made = {"prompt": prompt, "response": answers[0]}
    return made if split == "train" else made | {"references": list(answers)}


@cache
def written() -> list[dict]:
    """The passages that were written by hand."""
    text = (DATA / "seeds" / "passages.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def seeds(split: str) -> list[dict]:
    """The hand-written passages of a split, as Pair records; a checksum of the id decides."""
    mine = [w for w in written() if split_of_name(w["id"]) == split]
    return [record(w["prompt"], *w["references"], split=split) for w in mine]
