"""The sheet that a student reads: task by task what is right, wrong, waiting, not started."""

from pathlib import Path
from textwrap import wrap

from minift import ROOT

RIGHT, WRONG, WAITS, NOT_STARTED = "right", "wrong", "waits", "not started"
MARGIN = " " * 17
WIDTH, PRINTED = 100, 5  # columns; how many lines of what the student's code prints are shown


def sheet(results, hint=False):
    """The lines that the student reads, task by task."""
    lines = []
    for todo in sorted({r.task.todo for r in results}, key=numbers):
        group = [r for r in results if r.task.todo == todo]
        lines += ["", f"{todo}  {', '.join(dict.fromkeys(n for r in group for n in r.task.names))}"]
        if all(r.kind == NOT_STARTED for r in group):
            lines.append(f"    {group[0].text}, {len(group)} checks wait")
            continue
        for result in group:
            lines += entry(result, hint)
    return lines + ["", *verdict(results, hint)]


def numbers(todo):
    """As numbers, so that 5.10 comes behind 5.9."""
    return [int(n) for n in todo.split(".")]


def entry(result, hint):
    """A check's lines: its title, and what is wrong with the chapter's line for it."""
    lines = below(result.title, f"    {result.kind:<11}  ", MARGIN)
    if result.kind != RIGHT:
        lines += below(result.text)
    if result.kind == WRONG:
        for row in result.printed.splitlines()[:PRINTED]:
            lines += below(f"your code printed: {row}")
        lines += below(f"the chapter: {result.task.chapter}")
        if hint:
            lines += below(f"hint: {result.task.hint}")
    return lines


def below(text, first=MARGIN, others=MARGIN + "  "):
    """Text in the column of the titles, folded."""
    return wrap(text, WIDTH, initial_indent=first, subsequent_indent=others)


def verdict(results, hint):
    """How many are right; where to go on."""
    kinds = (RIGHT, WRONG, WAITS, NOT_STARTED)
    count = {kind: sum(r.kind == kind for r in results) for kind in kinds}
    if count[RIGHT] == len(results):
        files = {str(Path(r.reference).relative_to(ROOT)) for r in results}
        return [f"all {len(results)} right; compare with {', '.join(sorted(files))}"]
    others = [f"{count[kind]} {kind}" for kind in kinds[1:] if count[kind]]
    lines = [f"{count[RIGHT]} of {len(results)} right, {', '.join(others)}"]
    if count[WRONG] and not hint:
        lines.append("a longer hint for each: the same command with --hint")
    return lines
