"""What people would smile at: a pilot of 79, a cake of beef and honey, a concert in a bank."""

from data.generate.reading import words

HALLS = ("library", "park", "museum", "garden", "school", "square", "bookshop", "theatre")
HALLS += ("cinema", "hotel", "town hall", "gallery", "concert hall", "castle", "market")
WORKING, GRADUATED, RETIRED = 20, 22, 66  # years of age


def odd(kind: str, facts: dict) -> bool:
    """Whether facts do not go together; `facts` maps slot -> (English, Chinese)."""
    found = {slot: str(english) for slot, (english, _) in facts.items()}
    return CHECKS[kind](found) if kind in CHECKS else False


def odd_person(found: dict[str, str]) -> bool:
    if found.get("job") == "student":
        return True
    age = int(found.get("age", GRADUATED))
    if "job" in found and not WORKING <= age <= RETIRED:
        return True
    return "school" in found and age < GRADUATED


def odd_dish(found: dict[str, str]) -> bool:
    """Salty and sweet things are kept apart."""
    tables = {"dishkind": "dish_kinds", "ingredient": "ingredients", "ingredient2": "ingredients"}
    tastes = [
        next(row["taste"] for row in words(table) if row["en"] == found[slot])
        for slot, table in tables.items()
        if slot in found
    ]
    return not any(all(one in taste for taste in tastes) for one in ("salty", "sweet"))


def odd_event(found: dict[str, str]) -> bool:
    return found.get("spot", HALLS[0]) not in HALLS


CHECKS = {"person": odd_person, "dish": odd_dish, "event": odd_event}
