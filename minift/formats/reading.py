"""From the text of a file to its records: which container, which format, then row by row."""

import csv
from dataclasses import dataclass, field

from minift.formats import tables
from minift.formats.fields import Fields, Unusable, listed
from minift.formats.kinds import KINDS, Text
from minift.formats.registry import FORMATS
from minift.formats.rows import json_rows, passages, sniff, table_rows

KIND_NAMES = [kind.__name__.lower() for kind in KINDS]
TABLE_FORMATS = ["pairs", "labels"]
READINGS = list(dict.fromkeys([*KIND_NAMES, *(f.name for f in FORMATS), *TABLE_FORMATS, "plain"]))


@dataclass
class Found:
    """What a file holds; `skipped` has a line "file:line: why" for each row left out."""

    format: str
    kind: str
    records: list = field(default_factory=list)
    skipped: list = field(default_factory=list)

    def take(self, items, at):
        """Sort the records from the reasons why there is none."""
        try:
            for item in items:
                if isinstance(item, Unusable):
                    self.skipped.append(f"{at}: {item}")
                else:
                    self.records.append(item)
        except Unusable as reason:
            self.skipped.append(f"{at}: {reason}")


def find_records(path, text, kind, columns):
    """The `Found` of a file's text; `kind` and `columns` as for `records.read`."""
    container = container_of(text, kind, columns)
    if container == "json":
        found = from_json(path, json_rows(path, text), kind, columns)
    elif container == "plain":
        found = from_text(path, text)
    else:
        found = from_table(path, table_rows(path, text, container), kind, columns)
    if kind not in (None, found.kind, found.format):
        raise ValueError(f"{path}:1: found {found.kind} ({found.format}), expected {kind}")
    return found


def container_of(text, kind, columns):
    """One of "json", "tab", "comma", "plain"."""
    if kind == "plain":
        return "plain"
    container = sniff(text)
    first = text.strip().partition("\n")[0]
    wanted = columns or kind in (*TABLE_FORMATS, "pair", "labelled")
    if container == "plain" and (wanted or has_commas(text, first)):
        container = "tab" if "\t" in first else "comma"
    if kind == "text" and container == "tab" and "text" not in tables.names(first.split("\t")):
        return "plain"
    return container


def has_commas(text, first):
    """Is this CSV? Its header says so, or a second, last column of labels: prose has commas too."""
    try:
        header = tables.names(next(csv.reader([first])))
    except csv.Error:
        return False
    if header == ["mr"] or (len(header) > 1 and set(header[:2]) <= tables.HEADINGS):
        return True
    if len(header) == 1:
        return False
    if format_of(dict.fromkeys(header, ""), None):
        return True
    try:
        rows = table_rows("", text, "comma")
    except ValueError:
        return False
    pairs = [(line, *cells) for line, cells in rows if len(cells) == 2]
    return len(pairs) == len(rows) > 1 and tables.are_labels(pairs[1:])


def formats_of(kind):
    """The formats to choose from: all, or one by its name, or those that give a kind of record."""
    return [f for f in FORMATS if kind in (None, f.name, f.kind.__name__.lower())]


def format_of(row, kind):
    """The first format that knows a row (a dictionary) of these fields."""
    known = isinstance(row, dict)
    return next((f for f in formats_of(kind) if known and f.matches(row)), None)


def from_text(path, text):
    found = Found("plain", "text")
    found.records = [Text(passage, f"{path}:{line}") for line, passage in passages(text)]
    return found


def from_json(path, rows, kind, columns):
    """The records of (line, object) rows."""
    if not rows:
        raise ValueError(f"{path}:1: no rows, expected at least one record")
    rows = [Fields(value, f"{path}:{line}") for line, value in rows]
    if columns:
        return from_columns(path, tables.fields_as_cells(rows, columns), kind, columns)
    if kind in TABLE_FORMATS:
        raise ValueError(f"{path}:1: kind {kind} of JSON rows, expected columns to name two fields")
    form = format_of(rows[0].values, kind)
    if form is None:
        expected = "; ".join(f"{f.fields} ({f.name})" for f in formats_of(kind)) or "plain text"
        raise ValueError(f"{rows[0].at}: fields {listed(rows[0].values)}, expected {expected}")
    found = Found(form.name, form.kind.__name__.lower())
    for row in rows:
        found.take(form.convert(row), row.at)
    found.records = form.finish(found.records)
    return found


def from_table(path, rows, kind, columns):
    """The records of a table: by its header, if it names a format's fields; else two columns."""
    header = tables.names(rows[0][1])
    form = None if columns else format_of(dict.fromkeys(header, ""), kind)
    if form is None:
        return from_columns(path, rows, kind, columns)
    for line, cells in rows:
        if len(cells) != len(header):
            raise ValueError(f"{path}:{line}: {len(cells)} columns, expected {len(header)}")
    named = [(line, dict(zip(header, cells, strict=True))) for line, cells in rows[1:]]
    return from_json(path, named, form.name, None)


def from_columns(path, rows, kind, columns):
    """The records of two columns."""
    chosen = tables.two_columns(path, rows, columns)
    labels = kind in ("labels", "labelled") or (kind is None and tables.are_labels(chosen))
    found = Found("labels", "labelled") if labels else Found("pairs", "pair")
    for line, first, second in chosen:
        at = f"{path}:{line}"
        found.take(tables.convert(at, first, second, labels), at)
    return found
