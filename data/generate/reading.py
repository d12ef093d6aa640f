"""Readers of the two plain text formats that hold the world: word tables and phrase books.

A word table (`words/*.txt`) has a header `# en | zh | …` and one entry a line. A phrase book
(`phrases/*.txt`) has headings `== group / part`, each followed by lines `en: …` and `zh: …`
that all mean the same; phrasings marked `en test: …` and `zh test: …` are kept for test files.
"""

import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
Phrases = dict[str, list[str]]  # language, or "language test" -> phrasings of one meaning
LINE = re.compile("((?:en|zh)(?: test)?): (.*)")


@cache
def words(name: str) -> list[dict[str, str]]:
    """The entries of words/NAME.txt, each a dict from column to text."""
    header, *lines = (HERE / "words" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    columns = cells(header.removeprefix("#"))
    rows = [cells(line) for line in lines]
    for number, row in enumerate(rows, 2):
        if len(row) != len(columns):
            raise ValueError(f"{name}.txt:{number}: {len(row)} cells, expected {len(columns)}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


@cache
def phrases(name: str) -> dict[str, dict[str, Phrases]]:
    """The phrase book phrases/NAME.txt as book[group][part][language] -> phrasings."""
    book: dict[str, dict[str, Phrases]] = {}
    text = (HERE / "phrases" / f"{name}.txt").read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("=="):
            group, _, part = line.removeprefix("==").partition("/")
            entry = book.setdefault(group.strip(), {}).setdefault(part.strip(), {})
        elif found := LINE.fullmatch(line):
            entry.setdefault(found[1], []).append(found[2])
        elif line and not line.startswith("#"):
            raise ValueError(f"{name}.txt:{number}: expected '== …', 'en: …' or 'zh test: …'")
    return book


def phrasings(meaning: Phrases, language: str, split: str) -> list[str]:
    """The phrasings that a split may show: test has its own, all others share the rest."""
    return meaning[f"{language} test" if split == "test" else language]
