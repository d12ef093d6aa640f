"""Documents of the corpus on venues: records and their descriptions in many layouts.

What stands in one line stands in the next in another form: record → text, text → record, one table
told again and again, and all of it across the two languages.
"""

import random

from data.generate import LANGUAGES, describe_en, describe_zh, tables

ENGLISH = 0.6  # of the documents begin in English
CROSSED = 0.25  # of the documents are in both languages
EXAMPLE = 0.02  # of the records are the chapter's own
HAN, OTHER, LONGEST = 1.05, 0.31, 188  # tokens a character, estimated high, and in a document
DESCRIBE = {"en": describe_en.describe, "zh": describe_zh.describe}
STYLES = (tables.bracketed, tables.piped)
CHAPTER = (  # the chapter's coffee shop in either style of record
    {"en": "Clowns", "zh": "小丑坊"},
    {"en": "Starbucks", "zh": "星巴克"},
)
# the lines: r record, t text; a space: another venue
LAYOUTS = {"rt": 44, "tr": 16, "rt rt": 14, "rtt": 6, "tt": 20}


def document(rng: random.Random) -> str:
    """A venue or two, told in one layout; a venue's first line may be in another language."""
    layout = rng.choices(list(LAYOUTS), list(LAYOUTS.values()))[0]
    first, other = LANGUAGES if rng.random() < ENGLISH else LANGUAGES[::-1]
    later, style = other if rng.random() < CROSSED else first, rng.randrange(2)
    while True:
        lines = []
        for venue in layout.split():
            lines += told(rng, venue, first, later, style)
        text = "\n".join(lines)
        if tokens(text) <= LONGEST:
            return text


def told(rng: random.Random, forms: str, first: str, later: str, style: int) -> list[str]:
    """One venue, a line for each form."""
    both, lines = draw(rng, style), []
    for form in forms:
        language = later if lines else first
        if form == "t":
            lines.append(DESCRIBE[language](rng, both[language]))
        else:
            lines.append(record(both[language], language, style))
    return lines


def draw(rng: random.Random, style: int) -> dict[str, tables.Table]:
    """A table in both languages."""
    both = dict(zip(LANGUAGES, tables.draw_table(rng), strict=True))
    if rng.random() < EXAMPLE:
        name = CHAPTER[style]
        while both["en"].get("eatType") != "coffee shop" or name["en"] in both["en"].values():
            both = dict(zip(LANGUAGES, tables.draw_table(rng), strict=True))
        both = {language: both[language] | {"name": name[language]} for language in LANGUAGES}
    return both


def record(table: tables.Table, language: str, style: int) -> str:
    """The table in one of the two styles; Chinese keys are the same in both."""
    keys = (tables.SLOTS, tables.PLAIN_KEYS)[style] if language == "en" else tables.KEYS_ZH
    return STYLES[style](table, keys)


def tokens(text: str) -> float:
    """About how many tokens the text has."""
    han = sum("\u4e00" <= character <= "\u9fff" for character in text)
    return HAN * han + OTHER * (len(text) - han)
