"""From a file to its rows, each with the number of its line; no format is known here.

The container is told by content, never by the file's ending: gzip by its first bytes; JSON by a
first `{` or `[` (one object a line, an array, or objects one after the other); a table by a tab in
its first line; everything else is text.
"""

import csv
import gzip
import io
import json
import re
import zlib
from pathlib import Path

FOREIGN = {b"PAR1": "a Parquet file", b"PK\x03\x04": "a zip archive", b"%PDF": "a PDF"}
RECORDS_AHEAD = re.compile(r"""\s*(\{\s*["}]|\[\s*[{"\]])""")
TOO_DEEP = "lists or objects nested too deep"
END_OF_TEXT = "<|endoftext|>"


def open_text(path):
    """The whole file as text: unzipped, without a byte-order mark, lines ended by a newline."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a file of records")
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: the gzip data is damaged or cut off ({error})") from None
    if data[:4] in FOREIGN:
        raise ValueError(f"{path}: {FOREIGN[data[:4]]}, expected text (JSON, JSONL, CSV, TSV)")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}:{line}: not valid {encoding}, expected UTF-8 text") from None
    if not text.strip():
        raise ValueError(f"{path}:1: the file is empty, expected records")
    return text.replace("\r\n", "\n")


def sniff(text):
    """The container: "json", "tab" or "plain". (A table with commas is told by its header.)"""
    if RECORDS_AHEAD.match(text):
        return "json"
    if text.lstrip()[0] in "[{":  # "[1, 2]" is JSON, "[Verse 1]" begins a song
        try:
            json.loads(text)
            return "json"
        except (ValueError, RecursionError):
            pass
    lines = [line for line in text.split("\n") if line.strip()]
    tabbed = sum("\t" in line for line in lines)
    return "tab" if "\t" in lines[0].strip() and 2 * tabbed > len(lines) else "plain"


def bad_json(path, line, column, why):
    return ValueError(f"{path}:{line}: column {column}: {why}, expected valid JSON")


def json_rows(path, text):
    """[(line, value)] of JSON Lines, of an array, or of values one after the other."""
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not all(line.lstrip().startswith("{") for _, line in lines):
        return list(json_stream(path, text))
    rows = []
    for n, line in lines:
        try:
            rows.append((n, json.loads(line)))
        except json.JSONDecodeError as error:
            raise bad_json(path, n, error.colno, error.msg) from None
        except RecursionError:
            raise bad_json(path, n, 1, TOO_DEEP) from None
    return rows


def json_stream(path, text):
    """(line, value) for each item of an array or each of several values in a row."""
    decoder, blank = json.JSONDecoder(), re.compile(r"\s*")
    at = blank.match(text).end()
    array = text[at] == "["
    at = blank.match(text, at + array).end()
    line, counted = 1, 0
    while at < len(text) and not (array and text[at] == "]"):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise bad_json(path, error.lineno, error.colno, error.msg) from None
        except RecursionError:
            raise bad_json(path, line, 1, TOO_DEEP) from None
        yield line, value
        at = blank.match(text, at).end()
        if array and text[at : at + 1] == ",":
            at = blank.match(text, at + 1).end()
        elif array and text[at : at + 1] != "]":
            raise stopped(path, text, at, "the array is cut off or lacks a comma")
    if array and blank.match(text, at + 1).end() != len(text):
        raise stopped(path, text, at, "the array is cut off or something follows it")


def stopped(path, text, at, why):
    before = text[:at]
    return bad_json(path, before.count("\n") + 1, at - before.rfind("\n"), why)


def table_rows(path, text, delimiter):
    """[(line, cells)]. Commas: quoted as CSV is. Tabs: no quoting, as corpora are written."""
    if delimiter == "tab":
        lines = enumerate(text.split("\n"), 1)
        return [(n, line.split("\t")) for n, line in lines if line.strip()]
    rows, start = [], 1
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}:{start}: {error}, expected CSV") from None
    return rows


def passages(text):
    """(line, text) of each story, told apart by <|endoftext|>; in a text without that mark, of each
    paragraph, told apart by blank lines.
    """
    mark = re.compile(re.escape(END_OF_TEXT) if END_OF_TEXT in text else r"\n[ \t]*(?:\n[ \t]*)+")
    line, counted, begin = 1, 0, 0
    ends = [(m.start(), m.end()) for m in mark.finditer(text)] + [(len(text), len(text))]
    for end, next_begin in ends:
        passage = text[begin:end]
        if passage.strip():
            first = begin + len(passage) - len(passage.lstrip())
            line, counted = line + text.count("\n", counted, first), first
            yield line, passage.strip()
        begin = next_begin
