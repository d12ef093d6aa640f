"""Grids of settings and seeds that survive a stop: one JSON line a finished cell, in one file.

A cell is one setting with one seed; `run(**cell)` returns a dictionary of numbers. Started again, a
sweep skips the cells that the file holds. Cells that a changed grid no longer names stay in the
file and come back when the grid names them again. A line is
    {"setting": {"rank": 8, "seed": 0}, "result": {"loss": 1.25}}
"""

import itertools
import json
import os
import random
import statistics
from pathlib import Path

from minift.progress import Progress


def key(setting):
    """A setting as text, whatever the order of its names."""
    return json.dumps(setting, sort_keys=True)


def cells(grid, seeds=()):
    """The settings of a grid, as dictionaries, each with each seed.

    `grid` is {name: values}, of which every combination is meant, or a list of dictionaries.
    """
    if isinstance(grid, dict):
        grid = [
            dict(zip(grid, chosen, strict=True)) for chosen in itertools.product(*grid.values())
        ]
    found = [{**setting, "seed": s} for setting in grid for s in seeds] if seeds else grid
    return list({key(setting): setting for setting in found}.values())


def read(path):
    """The finished cells in a file, without a torn last line. Raises ValueError with file:line."""
    rows = []
    text = Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break  # the process was killed while it wrote; the cell runs again
        try:
            row = json.loads(line)
            row["setting"], row["result"] = dict(row["setting"]), dict(row["result"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{path}:{number}: not a finished cell; expected a JSON object with setting, result"
            ) from None
        rows.append(row)
    return rows


def drop_torn_line(path):
    """Cut off what stands behind the last line end, so that the next cell starts its own line."""
    if Path(path).exists():
        data = Path(path).read_bytes()
        if not data.endswith(b"\n"):
            os.truncate(path, data.rfind(b"\n") + 1)


def append(path, row):
    """Add a line and flush it to the disk. Raises ValueError in one line; no half line stays."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps(row) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        before = os.fstat(handle).st_size
        try:
            if (written := os.write(handle, line)) < len(line):
                raise OSError(0, f"only {written} of {len(line)} bytes fitted on the disk")
            os.fsync(handle)
        except OSError as error:
            os.ftruncate(handle, before)
            raise ValueError(f"{path}: cell not saved: {error.strerror}") from error
    finally:
        os.close(handle)


def run_cell(path, run, setting):
    """The result of one cell, checked to be numbers. Whatever it raises names the cell."""
    try:
        result = run(**setting)
    except Exception as error:
        raise ValueError(f"{path}: cell {key(setting)}: {error}") from error
    for name, value in result.items():
        if not isinstance(value, int | float):
            kind = type(value).__name__
            raise ValueError(f"{path}: cell {key(setting)}: {name} is a {kind}, not a number")
    return dict(result)


def sweep(path, run, grid, seeds=(), quiet=False):
    """Run what the file lacks of the grid, in order; return the rows of the whole grid."""
    drop_torn_line(path)
    rows = {key(row["setting"]): row for row in read(path)}
    wanted = cells(grid, seeds)
    missing = [setting for setting in wanted if key(setting) not in rows]
    progress = Progress(len(missing), unit="cell", quiet=quiet)
    try:
        for done, setting in enumerate(missing):
            progress.update(done, key(setting))
            row = {"setting": setting, "result": run_cell(path, run, setting)}
            append(path, row)
            rows[key(setting)] = json.loads(json.dumps(row))  # what a later start will read
    finally:
        progress.close()
    return [rows[key(setting)] for setting in wanted]


def summary(rows, by):
    """[(values of `by`, {name: (mean, sd, n)})], in the order of the rows; sd is None for n = 1.

    `by` is a name or names of settings; the other settings (the seeds) are averaged over.
    """
    by = (by,) if isinstance(by, str) else tuple(by)
    found = {}
    for row in rows:
        if lost := [name for name in by if name not in row["setting"]]:
            raise ValueError(f"no setting {lost[0]!r}; there are: {', '.join(row['setting'])}")
        group = found.setdefault(tuple(row["setting"][name] for name in by), {})
        for name, value in row["result"].items():
            group.setdefault(name, []).append(value)
    return [(values, {n: spread(v) for n, v in group.items()}) for values, group in found.items()]


def spread(values):
    """(mean, sd, n), with the n − 1 of a sample."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return statistics.fmean(values), sd, len(values)


def table(rows, by, digits=3):
    """A Markdown table: one line a value of `by`, mean ± sd over the rest in each cell."""
    by = (by,) if isinstance(by, str) else tuple(by)
    lines = summary(rows, by)
    names = list(dict.fromkeys(name for _, group in lines for name in group))
    body = [
        [*map(str, values), *(cell_text(group.get(name), digits) for name in names)]
        for values, group in lines
    ]
    head = [*by, *names]
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in [head, rule, *body]
    )


def cell_text(found, digits):
    """'1.250 ± 0.031', without the spread where there is one value only."""
    if found is None:
        return "–"
    mean, sd, _ = found
    return f"{mean:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")


def recompute(path, run, seed):
    """Run one finished cell again, drawn by `seed`; return (stored, new) results."""
    rows = read(path)
    if not rows:
        raise ValueError(f"{path}: holds no finished cell to compute again")
    row = random.Random(seed).choice(rows)
    return row["result"], run_cell(path, run, row["setting"])
