"""What everyone knows: yes or no, true or false, riddles, the missing word, the next of a row."""

from data.generate.forms import Forms
from data.generate.grammar import an
from data.generate.instruction_clusters.counting import in_words
from data.generate.instruction_clusters.opposites import opposites, pairs
from data.generate.instructions import Desk, Item
from data.generate.reading import words

LEGS = {"two": "两", "four": "四"}


def day_fact(desk: Desk, right: bool) -> dict:
    week, i = desk.words("days"), desk.rng.randrange(7)
    step = 1 if right else desk.rng.randint(2, 6)
    return {"before": week[i], "after": week[(i + step) % 7]}


def number_fact(desk: Desk, right: bool) -> dict:
    less, more = sorted(desk.rng.sample(range(1, 100), 2))
    return {"less": less, "more": more} if right else {"less": more, "more": less}


def job_fact(desk: Desk, right: bool) -> dict:
    job, other = desk.rng.sample(words("callings"), 2)
    column, does = desk.either("en", "zh"), job if right else other
    said = desk.either(does["do"], does["zh_do"])
    return {"job": Forms(job[column], a=job["a"]), "do": said, "does": does["does"]}


def legs_fact(desk: Desk, right: bool) -> dict:
    animal = desk.rng.choice(words("creatures"))
    legs = animal["legs"] if right else {"two": "four", "four": "two"}[animal["legs"]]
    name = Forms(animal[desk.language], a=animal["a"])
    return {"animal": name, "legs": desk.either(legs, LEGS[legs])}


def opposite_fact(desk: Desk, right: bool) -> dict:
    a, b = desk.rng.choice(pairs(desk.language))
    while not right and (b == a or b in opposites(desk.language, a)):
        _, b = desk.rng.choice(pairs(desk.language))
    return {"a": a, "b": b}


FACTS = {
    "day": day_fact,
    "number": number_fact,
    "job": job_fact,
    "legs": legs_fact,
    "opposite": opposite_fact,
}


def fact(desk: Desk, part: str, right: bool) -> str:
    """A question or a statement that is right or wrong."""
    kind = desk.rng.choice(list(FACTS))
    return desk.one(f"fact {kind}", part, **FACTS[kind](desk, right))


def yes(desk: Desk) -> Item:
    right = desk.rng.random() < 0.5
    answer = desk.either(("no", "yes"), ("不是", "是"))[right]
    return Item(fact(desk, "question", right), [answer])


def true(desk: Desk) -> Item:
    right = desk.rng.random() < 0.5
    answer = desk.either(("false", "true"), ("错", "对"))[right]
    return Item(fact(desk, "statement", right), [answer])


def riddle(desk: Desk) -> Item:
    kind = desk.rng.choice(("job", "animal", "day", "number"))
    if kind == "job":
        while desk.fact("calling").place in ("house", "家", "town", "镇"):
            desk.scene.facts.pop("calling")
        answer = desk.fact("calling")
    elif kind == "animal":
        answer = desk.fact("creature")
    else:
        return between(desk, kind)
    legs = LEGS[desk.scene.fact("creature")[0].legs]
    answers = [an(answer), str(answer)] if desk.language == "en" else [str(answer)]
    return Item(desk.one(f"riddle {kind}", legs=legs), answers)


def between(desk: Desk, kind: str) -> Item:
    """A day or a number by its neighbours."""
    if kind == "day":
        week, i = desk.words("days"), desk.rng.randrange(7)
        given = {"day": week[i - 1], "day2": week[(i + 1) % 7]}
        return Item(desk.one("riddle day", **given), [week[i]])
    n = desk.rng.randint(1, 98)
    return Item(desk.one("riddle number", n=n - 1, n2=n + 1), [str(n)])


def gap(desk: Desk) -> tuple[str, str]:
    """A sentence up to its last word, and that word."""
    week, i, n = desk.words("days"), desk.rng.randrange(7), desk.rng.randint(1, 98)
    a, b = desk.rng.choice([p for p in pairs(desk.language) if single(desk, p[0])])
    noun = desk.rng.choice(words("plurals"))
    given = {"day": week[i], "tomorrow": week[(i + 1) % 7], "a": a, "b": b, "n": n, "next": n + 1}
    while desk.fact("calling").place in ("house", "town", "shop", "家", "镇", "店"):
        desk.scene.facts.pop("calling")
    given["noun"] = Forms(noun["en"], many=noun["many"])
    start, end = desk.rng.choice(desk.lines("gap")).split(" | ")
    missing = desk.plain(end, **given)
    return desk.scene.say(start, desk.language, **given), missing


def single(desk: Desk, word: str) -> bool:
    """Whether the word has one opposite only."""
    return len(opposites(desk.language, word)) == 1


def missing_word(desk: Desk) -> Item:
    start, end = gap(desk)
    return Item(start + desk.either(" ...", "……"), [end])


def whole(desk: Desk) -> Item:
    start, end = gap(desk)
    return Item(start + desk.either(" ...", "……"), [start + desk.either(f" {end}.", f"{end}。")])


def row(desk: Desk) -> Item:
    """Days, numbers by equal steps in digits or words, letters: three or four and the next."""
    count, kind = desk.rng.choice((4, 5)), desk.rng.choice(("days", "digits", "digits", "words"))
    if kind == "days":
        week, i = desk.words("days"), desk.rng.randrange(7)
        found = [week[(i + j) % 7] for j in range(count)]
    else:
        step = desk.rng.choice((1, 2, 3, 5, 10, -1, -2))
        start = desk.rng.randint(1, 40) if step > 0 else desk.rng.randint(12, 60)
        found = [start + step * j for j in range(count)]
        found = [in_words(desk, n) for n in found] if kind == "words" else found
    return Item(desk.listed(found[:-1]), [str(found[-1])])


CLUSTERS = {
    "facts": {"yes": yes, "true": true},
    "riddle": {"": riddle},
    "complete": {"word": missing_word, "whole": whole, "row": row},
}
