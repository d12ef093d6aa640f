"""The summary task: a passage about a concept, and the sentence that says what it is and aims at.

What the passage tells beside definition and aim (tasks, history, uses) and where each part stands
must not matter to the summary, whose other words can all be copied.
"""

import json
import random
from collections.abc import Iterator
from functools import cache

from data.generate import DATA, LANGUAGES
from data.generate.concepts import draw
from data.generate.reading import phrases, phrasings
from data.generate.scene import Scene
from data.generate.splits import CORPUS, split_of_name

LONGEST = {"en": 370, "zh": 115}  # letters of a passage and its summary
REFERENCES = 6  # at most; so many that all of them share only what no answer can do without
MORE = ("tasks", "history", "use")
FIRST = {"definition": 6, "aim": 1, "history": 1}  # how often
SUBJECT = ("definition", "tasks")  # parts after which "it" is the concept
NAMED = 0.75  # of the passages give the abbreviation, where there is one
BENEFIT = 0.3  # of the aims are told with what follows from them
# Pieces of the paragraph on which the trained model is tried: no passage may hold one.
KEPT = ("人类语言之间交互", "解释、生成人类语言", "语音处理、机器翻译", "计算机与人的交互")


class Passage:
    """Parts about one concept, told in either language by the same facts."""

    def __init__(self, rng: random.Random, split: str = CORPUS, most: int = 2, concept=None):
        self.rng, self.split, self.scene = rng, split, Scene(rng, split)
        self.concept = concept or draw(rng, split)
        self.abbr = self.concept.abbr if rng.random() < NAMED else ""
        self.field = rng.random() < 0.5  # whether the definition names the field
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
        kinds = [""]
        if part == "definition":
            kinds = ["field" if self.field else "plain"]
        if part == "aim":
            kinds = ["benefit" if self.rng.random() < BENEFIT else "alone"]
        if part == "summary":  # which may leave the field out
            kinds = ["field", "plain"] if self.field else ["plain"]
        book = phrases("concepts")[part]
        return [t for kind in kinds for t in phrasings(book[kind], language, self.split)]

    def say(self, template: str, language: str, name: str) -> str:
        return self.scene.say(template, language, topic=name, **self.concept.facts[language])

    def summaries(self, language: str, count: int) -> list[str]:
        """Different summaries; each names the abbreviation if the passage does."""
        found = self.templates("summary", language)
        name = self.named(language)
        chosen = self.rng.sample(found, min(count, len(found)))
        return [self.say(template, language, name) for template in chosen]

    def named(self, language: str) -> str:
        """'computer vision (CV)', 计算机视觉（简称CV）; without an abbreviation, the name."""
        form = " ({})" if language == "en" else "（简称{}）"
        return self.concept.topic[language] + (form.format(self.abbr) if self.abbr else "")

    def long_name(self, language: str) -> str:
        """The name as above, or now and then 计算机视觉（Computer Vision，简称CV）."""
        name = self.named(language)
        if language == "zh" and self.abbr and self.rng.random() < 0.3:
            return name.replace("（", f"（{self.concept.topic['en'].title()}，")
        return name

    def short_name(self, language: str) -> str:
        name = self.concept.topic[language]
        return self.abbr if self.abbr and self.rng.random() < 0.5 else name


def ordered(rng: random.Random, most: int) -> list[str]:
    """Definition, aim and one to `most` further parts, in an order that can be told."""
    parts = ["definition", "aim", *rng.sample(MORE, rng.choice((1, 1, most)))]
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
    """Endless Pair records, the languages by turns; dev and test have several references."""
    while True:
        for language in LANGUAGES:
            count = 1 if split == "train" else REFERENCES
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
