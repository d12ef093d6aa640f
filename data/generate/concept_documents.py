"""What the corpus tells of concepts: passages, summaries, glossaries, questions, abbreviations.

Topics that only test has are met here too, but for what they study and aim at: their meaning,
tasks and uses are told, so that a model knows what it will copy.
"""

import random
from collections.abc import Callable
from functools import cache

from data.generate import LANGUAGES
from data.generate.concept_task import MORE, Passage, kept_back, seeds, summarised
from data.generate.concepts import LIST, Concept, draw, drawn_aim, topics
from data.generate.grammar import sentences
from data.generate.reading import phrases, words
from data.generate.splits import CORPUS

ENGLISH = 0.55  # of the documents that are in one language
LONGEST = 640  # letters


def tongue(rng: random.Random) -> str:
    return "en" if rng.random() < ENGLISH else "zh"


def phrase(rng: random.Random, part: str, kind: str, language: str, **given: str) -> str:
    """A line of the phrase book, filled."""
    template = rng.choice(phrases("concepts")[part][kind][language])
    return sentences(template.format(**given))


def any_concept(rng: random.Random) -> Concept:
    """A concept of any topic. Only what its split may show of it is told by the callers."""
    if rng.random() < 0.6:
        return draw(rng, "corpus")
    topic = rng.choice(topics(True))
    return Concept(rng, topic, *drawn_aim(rng, topic))


def short(rng: random.Random, summary: str, language: str) -> str:
    """'In short: …'"""
    return phrase(rng, "short", "introduction", language, summary=summary)


def passage_alone(rng: random.Random) -> str:
    return Passage(rng).tell(tongue(rng))


def passage_and_summary(rng: random.Random) -> str:
    """The summary below its passage, marked or not."""
    language = tongue(rng)
    passage, summary = summarised(rng, CORPUS, language)
    return f"{passage}\n{summary if rng.random() < 0.3 else short(rng, summary, language)}"


def summary_in_other_language(rng: random.Random) -> str:
    """An English passage with its summary in Chinese, or the other way round."""
    first, second = rng.sample(LANGUAGES, 2)
    passage = Passage(rng, most=1)
    text, summary = passage.tell(first), passage.summaries(second, 1)[0]
    return f"{text}\n{short(rng, summary, second)}"


def passage_twice(rng: random.Random) -> str:
    """The same passage in the other language."""
    passage = Passage(rng, most=1)
    return "\n".join(passage.tell(language) for language in rng.sample(LANGUAGES, 2))


def summaries(rng: random.Random) -> str:
    """One concept said in several ways, in one language or in both."""
    language, passage = tongue(rng), Passage(rng)
    lines = passage.summaries(language, 3)
    if rng.random() < 0.5:
        other = LANGUAGES[language == "en"]
        lines[2:] = passage.summaries(other, 1)
    return "\n".join(lines)


def glossary(rng: random.Random) -> str:
    """Topics with their meaning, one a line."""
    language, lines = tongue(rng), []
    chosen = rng.sample(topics(False) + topics(True), rng.randint(3, 5))
    template = rng.choice(phrases("concepts")["entry"]["meaning"][language])
    for topic in chosen:
        gloss = topic["gloss" if language == "en" else "zh_gloss"]
        line = template.format(topic=topic[language], gloss=gloss)
        lines.append(sentences(line) if line[-1] in ".。" else line)
    return "\n".join(lines)


def abbreviations(rng: random.Random) -> str:
    """What abbreviations stand for."""
    known = [topic for topic in topics(False) + topics(True) if topic["abbr"] != "-"]
    language, lines = tongue(rng), []
    for topic in rng.sample(known, rng.randint(2, 4)):
        names = {"topic": topic[language], "abbr": topic["abbr"]}
        lines.append(phrase(rng, "entry", "abbreviation", language, **names))
    return "\n".join(lines)


def questions(rng: random.Random) -> str:
    """Questions about a topic with their answers, marked or as a talk of two."""
    language, concept = tongue(rng), any_concept(rng)
    kinds = ["meaning", "tasks"]
    if concept.topic["only"] != "test":
        kinds += ["object", "aim"]
    name, lines = concept.topic[language], []
    marks = rng.choice((("", ""), *MARKS[language]))
    for kind in rng.sample(kinds, rng.choice((1, 2, 2))):
        for part, mark in zip(("question", "answer"), marks, strict=True):
            text = phrase(rng, part, kind, language, topic=name, **concept.facts[language])
            lines.append(mark + text)
    return "\n".join(lines)


MARKS = {
    "en": (("Question: ", "Answer: "), ("Q: ", "A: ")),
    "zh": (("问：", "答："), ("问题：", "答案：")),
}


def about(rng: random.Random) -> str:
    """Benefit, tasks and uses, without what is studied and why."""
    language, concept = tongue(rng), any_concept(rng)
    passage = Passage(rng, concept=concept)
    passage.parts = ["benefit", *rng.sample(MORE, 2)]
    return passage.tell(language)


def vocabulary(rng: random.Random) -> str:
    """Topics and words that they need, each beside its translation."""
    first, second = rng.sample(LANGUAGES, 2)
    mark = rng.choice((": ", " = ")) if first == "en" else rng.choice(("：", " = "))
    chosen = rng.sample(listed_words(), rng.randint(3, 7))
    return "\n".join(f"{word[first]}{mark}{word[second]}" for word in chosen)


@cache
def listed_words() -> list[dict[str, str]]:
    """The names of all topics, and the words of all lists in the tables."""
    found = {(topic["en"], topic["zh"]): topic for topic in words("topics")}
    for entry in words("topic_objects") + words("aims"):
        lists = [LIST.search(entry[language]) for language in LANGUAGES]
        for pair in zip(*(found_list[1].split("/") for found_list in lists), strict=True):
            found[pair] = dict(zip(LANGUAGES, pair, strict=True))
    return list(found.values())


def by_hand(rng: random.Random) -> str:
    """A hand-written passage of train, alone or with its summary, or its summaries alone."""
    seed = rng.choice(seeds("train"))
    language = "en" if seed["prompt"].isascii() else "zh"
    kind, summary = rng.random(), seed["response"]
    if kind < 0.2:
        return seed["prompt"]
    return f"{seed['prompt']}\n{summary if kind < 0.4 else short(rng, summary, language)}"


KINDS: dict[Callable[[random.Random], str], int] = {
    passage_alone: 10,
    passage_and_summary: 30,
    summary_in_other_language: 8,
    passage_twice: 8,
    summaries: 10,
    glossary: 6,
    abbreviations: 4,
    questions: 10,
    vocabulary: 4,
    about: 8,
    by_hand: 5,
}


def document(rng: random.Random) -> str:
    """One document of any kind, short enough for a model of 256 tokens."""
    while True:
        text = rng.choices(list(KINDS), list(KINDS.values()))[0](rng)
        if size(text) <= LONGEST and not kept_back(text):
            return text


def size(text: str) -> int:
    """The length in letters; a Chinese character takes the room of three."""
    return len(text) + 2 * sum(letter > "\u2e7f" for letter in text)
