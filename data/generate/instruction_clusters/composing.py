"""Sentences made of given words: many are right, so the references show several."""

from data.generate.instructions import Desk, Item


def compose(desk: Desk) -> Item:
    group = desk.group("with")
    line = desk.lines(group, "words")[0]
    given = desk.plain(line)
    answers = desk.all(group, "told")
    return Item(given, desk.rng.sample(answers, len(answers)))


CLUSTERS = {"compose": {"": compose}}
