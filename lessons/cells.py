"""A lesson is a script in cells: this splits it where an editor would, at the lines `# %%`.

A cell is its head (the words behind `# %%`), its prose (the comment lines right under the head) and
its code. The script's docstring tells the number, the title, the chapter's section and the time.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

HEAD = re.compile(r"# %%\s*(?:\[markdown\]\s*)?(.*)")
TITLE = re.compile(r"Lesson (\d\d)\. (.+)")
TIME = re.compile(r"[Aa]bout (\d+) (s|min)")


@dataclass(frozen=True)
class Cell:
    """One cell; `line` is the line of the file on which its code starts."""

    head: str
    prose: str
    code: str
    line: int


@dataclass(frozen=True)
class Lesson:
    """What the docstring of a lesson says of it."""

    number: str
    title: str
    words: str
    seconds: int
    path: Path


def split_cells(path):
    """The cells of a script, in order. What stands above the first `# %%` is no cell."""
    rows = Path(path).read_text("utf-8").splitlines()
    starts = [i for i, row in enumerate(rows) if HEAD.match(row)]
    return [
        cell(rows, start, end) for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)
    ]


def cell(rows, start, end):
    """The cell that begins with the head in rows[start] and ends before rows[end]."""
    code = start + 1
    while code < end and rows[code].startswith("#"):
        code += 1
    prose = "\n".join(row[1:].strip() for row in rows[start + 1 : code])
    text = "\n".join(rows[code:end]).rstrip()
    return Cell(HEAD.match(rows[start])[1], prose, text, code + 1)


def read_lesson(path):
    """The `Lesson` of a script. Raises ValueError if its docstring does not name it."""
    words = ast.get_docstring(ast.parse(Path(path).read_text("utf-8"))) or ""
    first, _, rest = words.partition("\n")
    title, time = TITLE.match(first), TIME.search(words)
    if not title or not time:
        raise ValueError(
            f"{path}:1: docstring: expected “Lesson NN. Title” and a time as “about 50 s”"
        )
    seconds = int(time[1]) * (60 if time[2] == "min" else 1)
    return Lesson(title[1], title[2].rstrip("."), rest.strip(), seconds, Path(path))


def course(folder):
    """{number: Lesson} of every lesson in the folder."""
    lessons = [read_lesson(path) for path in sorted(Path(folder).glob("[0-9][0-9]_*.py"))]
    return {lesson.number: lesson for lesson in lessons}
