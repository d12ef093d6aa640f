"""Chinese sentences for a table: a frame tells some of the slots, a second sentence the rest.

A clause is a predicate (它*供应泰国菜*) and, with 的, an attribute (*供应泰国菜的*餐厅).
"""

import random

from data.generate.describe_frames import MOST, TOLD, clauses, frames, places, take, wordings
from data.generate.tables import Table

BEFORE = 0.5  # of the nouns that may have one have an attribute
TWO = 0.5  # of the frames with a clause have two
ANY = "小店"  # a place of which the table does not say the kind


def describe(rng: random.Random, table: Table, split: str = "corpus") -> str:
    """One or two sentences that tell all slots of the Chinese table, in a frame of this split."""
    known = frames("zh", split, table)
    while True:
        text = tell(rng, rng.choice(known), table)
        if text:
            return text


def tell(rng: random.Random, frame: str, table: Table) -> str:
    """The frame filled and the rest behind it; nothing if the table does not fit the frame."""
    asked, points = places(frame), [slot for slot in TOLD if slot in table]
    where, noun = located(table), table.get("eatType", ANY)
    given = {"name": table["name"], "noun": noun, "where": where, "np": noun}
    given["place"] = where + "的" * bool(where)
    if "np" in asked and points and rng.random() < BEFORE:
        given["np"] = f"{clauses(rng, take(rng, points, 1), table, where, 'zh')[0]}的{noun}"
    if where and not {"where", "place"} & set(asked):
        points.append("where")
    if "clause" in asked:
        told = clauses(rng, take(rng, points, 1 + (rng.random() < TWO)), table, where, "zh")
        given["clause"] = "，".join(told)
        frame = frame.replace("{name}{clause}", "{name}" + possessive(told) + "{clause}")
        frame = frame.replace("{noun}{clause}", "{noun}" + possessive(told) + "{clause}")
    if len(points) > MOST or not all(given[place] for place in asked if place != "place"):
        return ""
    rest = clauses(rng, points, table, where, "zh")
    return frame.format(**given) + f"它{possessive(rest)}{'，'.join(rest)}。" * bool(rest)


def located(table: Table) -> str:
    """老城区, 米拉厨房附近, 老城区的米拉厨房附近."""
    said = []
    if "area" in table:
        said += wordings("area", table["area"], "zh")["where"]
    if "near" in table:
        said.append(f"{table['near']}附近")
    return "的".join(said)


def possessive(told: list[str]) -> str:
    """它位于河边, but 它的价格便宜: a clause with its own subject asks for 的."""
    return "的" if told and told[0].startswith(("顾客", "价")) else ""
