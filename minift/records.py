"""From a file that someone has to a list of records: `read`, `write`, `split` by meaning.

The five kinds of record are in `formats/kinds.py`, the formats in `formats/registry.py`.
"""

import json
import random
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from minift.formats.kinds import Chat, Labelled, Pair, Ranked, Text, Turn
from minift.formats.reading import READINGS, find_records
from minift.formats.rows import open_text

__all__ = ["Chat", "Labelled", "Pair", "Ranked", "Records", "Text", "Turn"]
__all__ += ["one_per_reference", "read", "split", "write"]


class Records(list):
    """Records of one kind, with what reading them found.

    format   how the file was read ("alpaca", "pairs", …)       kind     "pair", "chat", …
    skipped  a line "file:line: why" for all that is left out
    """

    def __init__(self, records=(), format="", kind="", skipped=()):
        super().__init__(records)
        self.format, self.kind, self.skipped = format, kind, list(skipped)

    def summary(self):
        """One line for a user."""
        return (
            f"{len(self)} {self.kind} records, read as {self.format}; {len(self.skipped)} skipped"
        )

    @property
    def labels(self):
        """The labels that occur, sorted; None where records carry none."""
        found = {record.label for record in self} if self.kind == "labelled" else None
        return found and sorted(found, key=lambda label: (isinstance(label, str), label))

    def of(self, records):
        """Other records that came from the same file."""
        return Records(records, self.format, self.kind)

    def __getitem__(self, index):
        found = super().__getitem__(index)
        return self.of(found) if isinstance(index, slice) else found


def read(path, kind=None, columns=None):
    """The `Records` of a file, its format told by its content.

    kind     forces a reading: a kind of record ("pair") or a format ("alpaca", "pairs", "plain")
    columns  the two columns of a table, or fields of JSON rows, that hold prompt and response or
             text and label, by name or number; ("1", "0") swaps. "a,b" is the same as ("a", "b")

    Plain text gives a Text for each story, where <|endoftext|> parts them, or for each paragraph. A
    malformed row is a ValueError that names file, line and field: nothing is guessed. A row that is
    well formed and yet unusable (an empty response, null, a dialogue without an answer) is skipped
    and stands in `.skipped` with its reason.
    """
    if kind is not None and kind.lower() not in READINGS:
        raise ValueError(f"kind {kind}, expected one of {', '.join(READINGS)}")
    if isinstance(columns, str):
        columns = columns.split(",")
    found = find_records(path, open_text(path), kind and kind.lower(), columns)
    return Records(found.records, found.format, found.kind, found.skipped)


def write(records, path):
    """Write records as JSON Lines that `read` gives back."""
    lines = [json.dumps(as_row(record), ensure_ascii=False) + "\n" for record in records]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(lines), encoding="utf-8", newline="\n")


def as_row(record):
    """The fields of a record's row."""
    if isinstance(record, Chat):
        row = {"messages": [as_message(turn) for turn in record.turns]}
        return row | ({"references": record.references} if record.references else {})
    if isinstance(record, Ranked):
        placed = [(text, place) for place, group in enumerate(record.groups) for text in group]
        responses, ranks = zip(*placed, strict=True)
        prompt = [as_message(turn) for turn in record.turns]
        return {"prompt": prompt, "responses": responses, "ranks": ranks}
    if isinstance(record, Pair) and not record.response:
        return {"prompt": record.prompt}
    return {name: value for name, value in vars(record).items() if name != "source"}


def as_message(turn):
    """A turn as OpenAI's messages have it; only an answer not to be learnt needs its weight."""
    row = {"role": turn.role, "content": turn.text}
    return row if turn.learn else row | {"loss_weight": 0}


def one_per_reference(pairs):
    """A Pair with several references becomes several, to train on: each has one response."""
    return pairs.of(
        replace(pair, response=reference, references=(reference,))
        for pair in pairs
        for reference in pair.references
    )


def split(records, fractions, seed=0):
    """Cut into parts, such as (0.8, 0.1, 0.1), so that no meaning is on two sides.

    Records of one meaning (a Pair's prompt, a dialogue's first question) go together. The parts
    depend on the meanings and the seed, not on the order of the file, which each part keeps.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions {tuple(fractions)}, expected parts that add up to 1")
    keys = [" ".join(record.meaning.split()) for record in records]
    meanings = sorted(set(keys))
    random.Random(seed).shuffle(meanings)
    ends = [round(end * len(meanings)) for end in accumulate(fractions)]
    part = {m: sum(end <= i for end in ends[:-1]) for i, m in enumerate(meanings)}
    whole = records if isinstance(records, Records) else Records(records)
    return [
        whole.of(r for r, key in zip(records, keys, strict=True) if part[key] == wanted)
        for wanted in range(len(fractions))
    ]
