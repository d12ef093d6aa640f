"""Readers of the two plain text formats that hold the world: word tables and phrase books.

A word table (`words/*.txt`) has a header `# en | zh | …` and one entry a line. A phrase book
(`phrases/*.txt`) has headings `== group / part`, each followed by lines `en: …` and `zh: …`
that all mean the same.
"""

from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
Phrases = dict[str, list[str]]  # language -> phrasings of one meaning


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
        elif line[:4] in ("en: ", "zh: "):
            entry.setdefault(line[:2], []).append(line[4:])
        elif line and not line.startswith("#"):
            raise ValueError(f"{name}.txt:{number}: expected '== …', 'en: …' or 'zh: …'")
    return book
