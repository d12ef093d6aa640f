"""Comparisons of two or three subjects by a number: who is older, which film is the longest."""

from data.generate.asking import VERDICTS, Question, accepted, ask, book, known, pick, so
from data.generate.contexts import Group
from data.generate.profiles import Row
from data.generate.reading import words


def comparison(kind: str, field: str) -> Row | None:
    rows = words("profile_comparisons")
    return next((row for row in rows if (row["kind"], row["field"]) == (kind, field)), None)


def compare(group: Group, way: str) -> Question | None:
    """Who is older, Tom or Vera? Which of the three is the oldest? Is Tom older than Vera?"""
    profile, field = pick(group)
    row, rng = comparison(profile.kind, field["field"]), profile.rng
    two = rng.sample(group, 2) if way in ("two", "truth") else list(group)
    if row is None or not all(field in p.fields for p in two):
        return None
    more = rng.random() < 0.5
    two.sort(key=lambda p: int(known(p, field)[0]), reverse=more)
    if len({str(known(p, field)[0]) for p in two}) < len(two) or not two[0].fits(field):
        return None
    return Comparison(two, row, more, way).question()


class Comparison:
    """Subjects in order, the answer first, and the words for the difference."""

    def __init__(self, order: Group, row: Row, more: bool, way: str):
        self.order, self.row, self.more, self.way = order, row, more, way
        self.true = order[0].rng.random() < 0.5  # of a claim
        self.turned = order[0].rng.random() < 0.5  # whether the answer is named last

    def question(self) -> Question:
        if self.way == "truth":
            return Question(self.ask, lambda s: VERDICTS[s][self.true], self.verdict)
        return Question(self.ask, lambda s: accepted(self.order[0].names(s), s), self.tell)

    def words(self, spoken: str) -> dict[str, str]:
        """What the templates ask for."""
        less = "more" if self.more else "less"
        kind = {"which": self.order[0].subject[f"which {spoken}"]}
        if spoken == "zh":
            word = self.row[f"zh_{less}"]
            forms = {"more": "更", "most": "最", "than": ""}
            return kind | {form: word.replace("*", mark) for form, mark in forms.items()}
        return kind | {"more": self.row[less], "most": self.row["most" if self.more else "least"]}

    def ask(self, spoken: str) -> str:
        turned = not self.true if self.way == "truth" else self.turned
        names = [p.name(spoken) for p in self.order[:2]]
        return self.say(self.way, names[::-1] if turned else names, spoken)

    def tell(self, spoken: str) -> str:
        """Tom is older than Vera; of three, Tom is the oldest."""
        part = "compared" if len(self.order) == 2 else "first"
        return self.say(part, [p.name(spoken) for p in self.order[:2]], spoken)

    def verdict(self, spoken: str) -> str:
        return so(self.true, self.tell(spoken)[:-1], spoken)

    def say(self, part: str, names: list[str], spoken: str) -> str:
        first = self.order[0]
        given = self.words(spoken) | {"who2": names[1]}
        return ask(first, book("any")[part], spoken, names[0], **given)
