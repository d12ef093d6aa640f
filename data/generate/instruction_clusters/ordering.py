"""Order: lists sorted by size, week or alphabet; two numbers, ages or prices compared."""

from data.generate.instruction_clusters.lists import SERIES
from data.generate.instructions import Desk, Item


def numbers(desk: Desk) -> list[int]:
    """Three to five numbers that are in no order yet."""
    high = desk.rng.choice((20, 100))
    while True:
        found = desk.rng.sample(range(1, high), desk.rng.randint(3, 5))
        if found not in (sorted(found), sorted(found, reverse=True)):
            return found


def up(desk: Desk) -> Item:
    found = numbers(desk)
    return Item(desk.listed(found), [desk.listed(sorted(found))])


def down(desk: Desk) -> Item:
    found = numbers(desk)
    return Item(desk.listed(found), [desk.listed(sorted(found, reverse=True))])


def days(desk: Desk) -> Item:
    week = desk.words("days")
    return unsorted(desk, desk.rng.sample(week, desk.rng.randint(3, 5)), week.index)


def alphabet(desk: Desk) -> Item:
    """Words that their first letters put in order."""
    pool = [word for table in SERIES[:7] for word in desk.words(table)]
    found: dict[str, str] = {}
    for word in desk.rng.sample(pool, 12):
        found.setdefault(word[0], word)
    return unsorted(desk, list(found.values())[: desk.rng.randint(3, 5)], str)


def unsorted(desk: Desk, found: list[str], key) -> Item:
    while found == sorted(found, key=key):
        desk.rng.shuffle(found)
    return Item(desk.listed(found), [desk.listed(sorted(found, key=key))])


def compared(desk: Desk, choose) -> Item:
    pair = desk.rng.sample(range(1, desk.rng.choice((20, 100))), 2)
    return Item(desk.either(" or ", "和").join(map(str, pair)), [str(choose(pair))])


def bigger(desk: Desk) -> Item:
    return compared(desk, max)


def smaller(desk: Desk) -> Item:
    return compared(desk, min)


def ages(desk: Desk, choose) -> Item:
    """Two people with their ages; the one whose age is chosen."""
    one, two = desk.fact("person"), desk.fact("person2")
    first, second = desk.rng.sample(range(18, 80), 2)
    english = f"{one} is {first} years old. {two} is {second} years old."
    text = desk.either(english, f"{one}今年{first}岁，{two}今年{second}岁。")
    answer = one if choose(first, second) == first else two
    return Item(text, [str(answer)], {"a": one, "b": two})


def older(desk: Desk) -> Item:
    return ages(desk, max)


def younger(desk: Desk) -> Item:
    return ages(desk, min)


def prices(desk: Desk, choose) -> Item:
    """Two things with their prices; the one whose price is chosen."""
    one, two = (f"{desk.either('the ', '')}{desk.fact(slot)}" for slot in ("thing", "thing2"))
    first, second = desk.rng.sample(range(3, 60), 2)
    english = f"T{one[1:]} costs {first} pounds. T{two[1:]} costs {second} pounds."
    text = desk.either(english, f"{one}要{first}英镑，{two}要{second}英镑。")
    answer = one if choose(first, second) == first else two
    return Item(text, [answer], {"a": one, "b": two})


def cheaper(desk: Desk) -> Item:
    return prices(desk, min)


def dearer(desk: Desk) -> Item:
    return prices(desk, max)


CLUSTERS = {
    "sort": {"up": up, "down": down, "days": days, "alphabet": alphabet},
    "compare": {
        "bigger": bigger,
        "smaller": smaller,
        "older": older,
        "younger": younger,
        "cheaper": cheaper,
        "dearer": dearer,
    },
}
