"""Short texts that say the same in both languages: one meaning, filled once, in all its phrasings.

The chapter asks a trained model to translate one sentence on fine-tuning. Its parts are taught
apart: no text here has two of them.
"""

import random
from functools import cache

from data.generate import LANGUAGES
from data.generate.reading import Phrases, phrases, phrasings
from data.generate.scene import Scene
from data.generate.splits import CORPUS, split_of_pairs

BOOKS = ("translation", "study")
TRIES = 60  # draws of facts before another meaning is tried
PARTS = (  # of the chapter's sentence
    ("large model fine-tuning", "大模型微调"),
    ("prefix tuning", "前缀微调"),
    ("translating Chinese into English", "中文翻译成英文"),
)


@cache
def meanings(split: str) -> tuple[Phrases, ...]:
    """The meanings of both phrase books that have phrasings for this split."""
    needed = "zh test" if split == "test" else "zh"
    parts = [part for book in BOOKS for group in phrases(book).values() for part in group.values()]
    return tuple(part for part in parts if needed in part)


def translations(rng: random.Random, split: str = CORPUS) -> dict[str, list[str]]:
    """All phrasings of a meaning by language, shuffled; neighbouring facts are a pair of the split.

    The facts are drawn in the order of the first Chinese phrasing, whichever way is translated.
    """
    while True:
        meaning = rng.choice(meanings(split))
        for _ in range(TRIES):
            scene = Scene(rng, split)
            scene.say(phrasings(meaning, "zh", split)[0], "zh")
            drawn = scene.drawn()
            if in_split(drawn, split) and parts_of_exercise("\n".join(drawn)) < 2:
                return {language: told(scene, meaning, language) for language in LANGUAGES}


def told(scene: Scene, meaning: Phrases, language: str) -> list[str]:
    """The different phrasings in this language, in a random order."""
    templates = phrasings(meaning, language, scene.split)
    texts = list(dict.fromkeys(scene.say(template, language) for template in templates))
    scene.rng.shuffle(texts)
    return texts


def in_split(drawn: list[str], split: str) -> bool:
    """Whether these facts, in this order, may stand in a text of the split."""
    return split_of_pairs(drawn) == ("train" if split == CORPUS else split)


def parts_of_exercise(text: str) -> int:
    """How many parts of the chapter's sentence a text has, in either language."""
    return sum(english in text or chinese in text for english, chinese in PARTS)
