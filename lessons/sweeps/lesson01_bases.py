"""What the other two bases are good for, lessons/results/01_bases.jsonl: `sweep 01` makes it, too.

The encoder and the encoder-decoder have to show what lesson 01 shows of the GPT: that tuning starts
from something, against LoRA on frozen random weights and full training from random weights.
"""

from lessons import settings
from lessons.sweeps import lesson01
from lessons.sweeps.stored import Stored
from minift import sweep

TASKS = {
    "encoder": ("sentiment",),
    "seq2seq": ("sentiment", "zh_en", "table_to_text"),
}


def grid(base):
    """Every setting with every seed."""
    found = [
        {"family": family, **setting}
        for family, names in TASKS.items()
        for setting in lesson01.of_tasks(names)
    ]
    return [{"base": base, **setting} for setting in sweep.cells(found, lesson01.SEEDS)]


STORED = Stored("01", "01_bases", grid, lesson01.run, tuple(TASKS))


def rebuild():
    """Run what is missing, print the tables and put each into its base's manifest. Returns 0."""
    rows = STORED.rebuild()
    for family, names in TASKS.items():
        mine = [row for row in rows if row["setting"]["family"] == family]
        told = lesson01.table(mine, names)
        print(f"{family}\n{lesson01.as_text(told)}\n")
        if not settings.FAST:
            lesson01.into_manifest(told, lesson01.MANIFEST.with_name(f"{family}.json"))
    return 0
