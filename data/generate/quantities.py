"""Facts that are counted, not listed: clock times, dates and spans of time."""

import random

Fact = tuple[str, str]  # English, Chinese

HOURS = "one two three four five six seven eight nine ten eleven".split()
HOURS_ZH = "一 二 三 四 五 六 七 八 九 十 十一".split()
PARTS = (  # of an hour: before the English hour, after the Chinese one
    ("", "点"),
    ("half past ", "点半"),
    ("a quarter past ", "点一刻"),
    ("ten past ", "点十分"),
    ("twenty past ", "点二十分"),
)
MONTHS = "January February March April May June July August September October November December"
UNITS = (("week", "个星期"), ("month", "个月"), ("year", "年"))
FEW = "two three four five six seven eight nine".split()
FEW_ZH = "两三四五六七八九"


def hour(rng: random.Random, split: str) -> Fact:
    """'a quarter past seven' 七点一刻, but 两点 for two o'clock."""
    i, (before, after) = rng.randrange(len(HOURS)), rng.choice(PARTS)
    english = before + HOURS[i] if before else f"{HOURS[i]} o'clock"
    return english, HOURS_ZH[i].replace("二", "两") + after


def date(rng: random.Random, split: str) -> Fact:
    """'3 May' 5月3日."""
    month, day = rng.randrange(12), rng.randint(1, 28)
    return f"{day} {MONTHS.split()[month]}", f"{month + 1}月{day}日"


def span(rng: random.Random, split: str) -> Fact:
    """'three months' 三个月."""
    i, (unit, unit_zh) = rng.randrange(len(FEW)), rng.choice(UNITS)
    return f"{FEW[i]} {unit}s", FEW_ZH[i] + unit_zh
