"""What the student has done, in out/progress.json: lessons that ran to their end, green checks."""

import json
import os

from minift import ROOT

FILE = ROOT / "out" / "progress.json"


def read(file=FILE):
    """{"lessons": {number: seconds}, "homework": {number: checks}}; an unreadable file is empty."""
    try:
        state = json.loads(file.read_text("utf-8"))
        return {kind: dict(state[kind]) for kind in ("lessons", "homework")}
    except (OSError, ValueError, KeyError, TypeError):
        return {"lessons": {}, "homework": {}}


def record(kind, number, value, file=FILE):
    """Note that a lesson ran to its end (`value`: seconds) or that a homework is green."""
    state = read(file)
    state[kind][number] = value
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(state, indent=1, sort_keys=True) + "\n", "utf-8")
    os.replace(unfinished, file)
