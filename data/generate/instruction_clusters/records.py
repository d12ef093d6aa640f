"""Records of places, people and films to be described, and reviews to be judged."""

from data.generate import describe_en, describe_zh, reviews
from data.generate.instructions import Desk, Item
from data.generate.tables import KEYS_ZH, PLAIN_KEYS, SLOTS, bracketed, draw_table, piped

ANSWERS = {
    "label": (("negative", "positive"), ("负面", "正面")),
    "recommend": (("no", "yes"), ("不会", "会")),
    "word": (("bad", "good"), ("坏", "好")),
}


def venue(desk: Desk) -> Item:
    """A record in one of two styles; any description that tells all of it is right."""
    english, chinese = draw_table(desk.rng, desk.split)
    style = desk.rng.choice((bracketed, piped))
    keys = SLOTS if style is bracketed else PLAIN_KEYS
    record = desk.either(style(english, keys), style(chinese, KEYS_ZH))
    describe = desk.either(describe_en, describe_zh).describe
    table = desk.either(english, chinese)
    return Item(record, [describe(desk.rng, table, desk.split) for _ in range(5)], key=record)


def card(desk: Desk, group: str) -> Item:
    """A record of a person or a film."""
    record = desk.plain(desk.lines(group, "card")[0])
    answers = desk.all(group, "told")
    return Item(record, desk.rng.sample(answers, len(answers)), key=record)


def person(desk: Desk) -> Item:
    return card(desk, desk.rng.choice(("card worker", "card aged", "card pet")))


def film(desk: Desk) -> Item:
    return card(desk, "card film")


def judged(part: str):
    def draw(desk: Desk) -> Item:
        label = desk.rng.randrange(2)
        text = reviews.review(desk.rng, desk.language, label, desk.split).text
        return Item(text, [desk.either(*ANSWERS[part])[label]], key=text)

    return draw


CLUSTERS = {
    "describe": {"venue": venue, "person": person, "film": film},
    "sentiment": {part: judged(part) for part in ANSWERS},
}
