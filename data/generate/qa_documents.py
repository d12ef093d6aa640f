"""Documents of the corpus on profiles: records, descriptions and what can be asked about them.

Whatever follows the first lines can be found in them: the same facts in other words or in the
other language, or as answers to questions. A third are written as the task's rows are.
"""

import random

from data.generate import LANGUAGES
from data.generate.contexts import LAYOUTS, choose, group, piped, tell, triples
from data.generate.grammar import sentences
from data.generate.profiles import SPACE, STOP, Profile
from data.generate.qa import OF_TWO, Question, maker
from data.generate.qa_task import asked
from data.generate.scene import Scene

ENGLISH = 0.58  # of the documents
CROSSED = 0.3  # of the descriptions are in the other language than what they describe
TOLD = {"rt": 40, "tr": 20, "tt": 25, "rtt": 15}  # r record, t text
EXAMPLE = 0.05  # of the documents with triples, one in fifteen, have the chapter's own
CHAPTER = {
    "en": ["Harry Potter, Education, Hogwarts", "Harry Potter graduated from Hogwarts."],
    "zh": ["哈利·波特，教育，霍格沃茨", "哈利·波特毕业于霍格沃茨。"],
}
MARKS = {
    "en": (("Q: ", "A: "), ("Question: ", "Answer: ")),
    "zh": (("问：", "答："), ("问题：", "回答：")),
}
COLON = {"en": ": ", "zh": "："}


def document(rng: random.Random) -> str:
    """One document of any kind."""
    first, other = LANGUAGES if rng.random() < ENGLISH else LANGUAGES[::-1]
    return choose(rng, KINDS)(rng, first, other if rng.random() < CROSSED else first)


def described(rng: random.Random, first: str, later: str) -> str:
    """One or two records with their descriptions, the other way round, or descriptions twice."""
    layout, lines = choose(rng, TOLD), []
    for profile in group(rng, size=rng.choice((1, 2)) if len(layout) == 2 else 1):
        for number, form in enumerate(layout):
            spoken = later if number else first
            lines.append(profile.describe(spoken) if form == "t" else piped(profile, spoken))
            rng.shuffle(profile.fields)
    return "\n".join(lines)


def in_triples(rng: random.Random, first: str, later: str) -> str:
    """Two to four triples, each with its sentence."""
    lines = []
    for _ in range(rng.randint(2, 4)):
        profile = Profile(rng)
        profile.fields = profile.fields[:1]
        lines += [*triples(profile, first), profile.describe(later)]
    if rng.random() < EXAMPLE:
        lines[-2:] = CHAPTER[first][0], CHAPTER[later][1]
    return "\n".join(lines)


def row(rng: random.Random, first: str, later: str) -> str:
    """A text, a question and its answer, a line each, as in the task."""
    subjects, question = asked(rng, first)
    text = tell(subjects, first, choose(rng, LAYOUTS))
    return "\n".join([text, question.ask, question.short[0]])


def several(rng: random.Random, spoken: str, most: int) -> tuple[str, list[Question]]:
    """A text and up to so many different questions about it."""
    subjects, question = asked(rng, spoken)
    found = {question.ask: question}
    for _ in range(rng.randrange(most)):
        kind = maker(rng)
        if kind not in OF_TWO or len(subjects) == 2:
            more = kind(subjects, spoken)
            found |= {more.ask: more} if more else {}
    return tell(subjects, spoken, choose(rng, LAYOUTS)), list(found.values())


def marked(rng: random.Random, first: str, later: str) -> str:
    """The questions and short answers behind "Q:" and "A:"."""
    text, questions = several(rng, first, 3)
    (q, a), lines = rng.choice(MARKS[first]), [text]
    for question in questions:
        lines += [q + question.ask, a + question.short[0]]
    return "\n".join(lines)


def people(rng: random.Random, first: str, later: str) -> str:
    """Two people, of whom nothing is told, talk about it in sentences."""
    text, questions = several(rng, first, 2)
    scene, lines = Scene(rng), [text]
    names = [scene.say(name, first) + COLON[first] for name in ("{person}", "{person2}")]
    for question in questions:
        lines += [names[0] + question.ask, names[1] + question.full]
    return "\n".join(lines)


def together(rng: random.Random, first: str, later: str) -> str:
    """Each question with its short answer in one line."""
    text, questions = several(rng, first, 3)
    return "\n".join([text, *(line(question, first) for question in questions)])


def line(question: Question, spoken: str) -> str:
    answer = sentences(question.short[0].rstrip(STOP[spoken]) + STOP[spoken])
    return question.ask + SPACE[spoken] + answer


KINDS = {described: 26, in_triples: 7, row: 34, marked: 13, people: 12, together: 8}
