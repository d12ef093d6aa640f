"""Headlines: a short article, and its headline or its summary in the same language.

The first line of the prompt says which of the two is wanted.
"""

import random
from collections.abc import Iterator

from data.generate import LANGUAGES
from data.generate.news import News

SUMMARIES = 1 / 3  # of the rows
ASKED = {
    "en": {"headline": "Headline:", "summary": "Summary:"},
    "zh": {"headline": "标题：", "summary": "摘要："},
}


def rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless Pair records, the languages by turns; dev and test show all answers there are."""
    while True:
        for language in LANGUAGES:
            yield row(rng, split, language)


def row(rng: random.Random, split: str, language: str) -> dict:
    """An article under the word that asks; no answer is a piece of the article as it stands."""
    wanted = "summary" if rng.random() < SUMMARIES else "headline"
    while True:
        item = News(rng, split)
        article = item.article(language)
        answers = item.answers(wanted, language)
        if not any(answer.rstrip(".。") in article for answer in answers):
            break
    record = {"prompt": f"{ASKED[language][wanted]}\n{article}", "response": answers[0]}
    return record if split == "train" else record | {"references": answers}
