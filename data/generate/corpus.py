"""The pretraining corpus: mostly documents that say one thing twice, to be copied.

Plain prose alone gives a fluent base that cannot be tuned to anything. Here records stand beside
their descriptions, sentences beside paraphrases and translations, reviews beside their verdicts,
texts beside questions about them. Names, combinations and templates are all from train's side of
the splits, but people and towns of every split are named, so that the base knows 维拉 is Vera.
"""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from data.generate import (
    concept_documents,
    dialogue_documents,
    instruct_documents,
    news_documents,
    qa_documents,
    reviews_documents,
    table_documents,
    translation_documents,
)
from data.generate.lists import list_twice
from data.generate.ratings import rated_clauses, rated_words

# How often each kind is drawn.
KINDS: dict[Callable[[random.Random], str], int] = {
    news_documents.document: 16,
    table_documents.document: 14,
    translation_documents.document: 32,
    reviews_documents.document: 22,
    qa_documents.document: 24,
    concept_documents.document: 12,
    instruct_documents.document: 14,
    dialogue_documents.document: 12,
    list_twice: 6,
}
# To copy, to tell praise from blame and to look a fact up are learnt late or never where they are
# rare among much prose, and within minutes where there is little else.
FIRST: dict[Callable[[random.Random], str], int] = {
    list_twice: 40,
    rated_clauses: 24,
    rated_words: 4,
    qa_documents.document: 16,
    instruct_documents.document: 16,
}


def corpus(seed: int, documents: int) -> Iterator[str]:
    """The documents of the corpus, the same for the same seed; none holds a blank line."""
    rng = random.Random(seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    for _ in range(documents):
        yield rng.choices(kinds, weights)[0](rng)


def first(seed: int, documents: int) -> Iterator[str]:
    """The documents with which pretraining begins: little to know, much to look up."""
    rng = random.Random(seed)
    kinds, weights = list(FIRST), list(FIRST.values())
    for _ in range(documents):
        yield rng.choices(kinds, weights)[0](rng)


def write_corpus(path: Path, documents: Iterator[str]) -> None:
    """Write JSON lines with a field `text` to a .jsonl file, else text with blank lines between."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            if path.suffix == ".jsonl":
                file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
            else:
                file.write(document + "\n\n")
