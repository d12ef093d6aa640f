"""What all long runs share: a file of rows in lessons/results/, each made from one base.

A row's setting names the base that it was made from; for another base everything runs again.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from lessons import settings
from minift import sweep
from minift.models import pretrained
from minift.peft import inject

CLOSE = 0.05  # nats: the same run on another machine rounds differently on its way


def fingerprint(*models):
    """A short name of the base, or bases, that a row was made from."""
    return "+".join(inject.base_hash(model)[:8] for model in models)


def open_base(wanted, family="gpt"):
    """A shipped base. Raises ValueError where it is none of those that a row names."""
    model = pretrained.open_base(family)
    if fingerprint(model) not in wanted.split("+"):
        raise ValueError(f"base {wanted} is not the shipped one any more; expected its own runs")
    return model


@dataclass(frozen=True)
class Stored:
    """The runs of lesson `number`: `grid(base)` lists the settings, `run(**setting)` makes one.

    `families` are the shipped bases that the runs start from.
    """

    number: str
    name: str  # of the file, without its ending
    grid: object
    run: object
    families: tuple = ("gpt",)

    @property
    def shipped(self):
        return settings.RESULTS / f"{self.name}.jsonl"

    @property
    def file(self):
        """Where runs are written: a trial (--fast) stays outside of the shipped results."""
        return settings.out(self.number) / f"{self.name}.jsonl" if settings.FAST else self.shipped

    def rows(self, *bases):
        """The rows made from these bases, or else, with a word of warning, the last ones."""
        rows = sweep.read(self.shipped)
        if settings.DATA:
            print("(The stored runs are those of the lesson's own task.)")
        if not rows:
            expected = f"expected those of “python -m lessons sweep {self.number}”"
            raise ValueError(f"{self.shipped}: no runs; {expected}")
        made_from = {row["setting"]["base"] for row in rows}
        wanted = fingerprint(*bases)
        if wanted not in made_from:
            wanted = rows[-1]["setting"]["base"]
            print(f"(The stored runs were made from another base, {wanted}, and are not yours.)")
        return [row for row in rows if row["setting"]["base"] == wanted]

    def rebuild(self):
        """Run what the file lacks; stopped, it goes on where it was. Returns all rows."""
        base = fingerprint(*map(pretrained.open_base, self.families))
        self.forget_others(base)
        rows = sweep.sweep(self.file, self.run, self.grid(base))
        print(f"{len(rows)} runs from base {base}, in {self.file.name}\n")
        return rows

    def forget_others(self, base):
        """Drop the rows that another base made: `compare_one` could not make them again."""
        rows = sweep.read(self.file)
        kept = [row for row in rows if row["setting"]["base"] == base]
        if len(kept) < len(rows):
            Path(self.file).unlink()
            for row in kept:
                sweep.append(self.file, row)

    def compare_one(self):
        """Recompute one run, drawn at random, hold it to the stored one; returns the exit code."""
        number = random.randrange(1_000_000)
        before, now = sweep.recompute(self.file, self.run, number)
        apart = abs(before["dev_loss"] - now["dev_loss"])
        print(f"drawn by {number}\nstored {before}\nnow    {now}")
        print(f"dev loss: {apart:.4f} apart; at most {CLOSE} is rounding on another machine")
        return 0 if apart <= CLOSE else 1
