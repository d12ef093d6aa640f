"""Runs a lesson cell by cell and tells what it does on the way.

The cells share one namespace and keep the line numbers of their file, so `inspect.getsource` and a
traceback show the file that the student has open.
"""

import linecache
import sys
import time
import traceback
from pathlib import Path

from lessons import cells, done
from minift import ROOT

WIDTH = 100


class Quit(Exception):
    """The student left the lesson at a pause."""


def duration(seconds):
    """A length of time for people."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def shown(path):
    """A path as the student would type it at the root of the repository."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def pause(left):
    """Wait for Enter; `q` raises Quit. A closed input (a pipe) goes on."""
    try:
        answer = input(f"\n[Enter: go on, {left} to come · q: quit] ")
    except EOFError:
        return
    if answer.strip().lower() in ("q", "quit", "exit"):
        raise Quit


def print_code(cell):
    """The cell's source with the line numbers of its file."""
    rows = [f"{n:4} │ {row}" for n, row in enumerate(cell.code.splitlines(), cell.line)]
    print("\n".join(rows), end="\n\n")


def execute(cell, namespace, path):
    """Run one cell as if the whole file had run up to here."""
    source = "\n" * (cell.line - 1) + cell.code + "\n"
    exec(compile(source, str(path), "exec"), namespace)


def run_cells(lesson, step=False):
    """Run every cell; returns the seconds without the pauses. What a cell raises comes through."""
    namespace = {"__name__": "__main__", "__file__": str(lesson.path)}
    parts, seconds = cells.split_cells(lesson.path), 0.0
    for number, cell in enumerate(parts, 1):
        print(f"\n── {number}/{len(parts)} {cell.head} ".ljust(WIDTH, "─"))
        print(cell.prose + "\n" if cell.prose else "", end="")
        if step and cell.code:
            print_code(cell)
        start = time.perf_counter()
        execute(cell, namespace, lesson.path)
        sys.stdout.flush()
        seconds += time.perf_counter() - start
        if step and number < len(parts):
            pause(len(parts) - number)
    return seconds


def figures(lesson, since):
    """The pictures of the lesson's output folder that were written after `since`."""
    found = sorted((ROOT / "out" / f"lesson{lesson.number}").glob("*.png"))
    return [path for path in found if path.stat().st_mtime >= since]


def report(error, lesson):
    """What went wrong, in this order: where in the lesson, the error, the calls that led to it.

    A wrong file, a claim that does not hold and an unwritten homework need no calls.
    """
    frames = traceback.extract_tb(error.__traceback__)
    inner = [i for i, frame in enumerate(frames) if frame.filename == str(lesson.path)]
    here = frames[inner[-1] if inner else -1]
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, NotImplementedError):
        at = frames[-1]
        said = f"not started: {error} ({Path(at.filename).name}:{at.lineno})"
        said += f"; python -m lessons check {lesson.number} tells what is right so far"
    line = linecache.getline(here.filename, here.lineno).strip()
    print(f"\n{shown(Path(here.filename))}:{here.lineno}: {said}\n    {line}", file=sys.stderr)
    plain = (ValueError, FileNotFoundError, AssertionError, NotImplementedError)
    if not isinstance(error, plain):
        rest = traceback.format_list(frames[inner[0] if inner else 0 :])
        print("".join(rest), end="", file=sys.stderr)


def run(lesson, step=False, counts=True, file=done.FILE):
    """Run a lesson, print its total time and its figures; returns the exit code.

    A lesson that came to its end is noted as done if it counts.
    """
    print(f"Lesson {lesson.number} · {lesson.title}\n\n{lesson.words}")
    began = time.time() - 1  # a file's time may be rounded down
    try:
        seconds = run_cells(lesson, step)
    except Quit:
        print("\nLeft before its end; the lesson is not done.")
        return 0
    except KeyboardInterrupt:
        print("\nStopped; the lesson is not done.")
        return 130
    except Exception as error:
        report(error, lesson)
        return 1
    print(f"\n── done in {duration(seconds)} ".ljust(WIDTH, "─"))
    for path in figures(lesson, began):
        print(f"figure  {shown(path)}")
    if counts:
        done.record("lessons", lesson.number, round(seconds), file)
    return 0
