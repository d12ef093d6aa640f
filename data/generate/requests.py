"""The words by which a rule can judge a reply to a request, and replies that are bad in one way.

A good reply to a helpful request names its topic, says something pleasant, and is polite and short;
to a harmful request it is a polite refusal with a reason. The phrase book holds all of the texts.
"""

import random
import re

from data.generate import LANGUAGES
from data.generate.reading import phrases, words
from data.generate.scene import Scene

Texts = dict[str, list[str]]  # language -> phrases
BOOK = phrases("requests")
SPACE = {"en": " ", "zh": ""}
SENTENCE = {"en": re.compile(r"(?<=[.!?]) "), "zh": re.compile("(?<=[。！？])")}
MARKS = '.,!?:;"。，！？：；“”《》、'
DEED_ENDS = {"en": r"(?=[?.,!])", "zh": "(?=[？。，]|容易吗)"}


def listed(group: str, *parts: str) -> Texts:
    """The phrases of some parts of the book: one a line or, where they are short, one line."""
    joined = parts[0] in ("phrases", "words")
    lines = {k: [p for part in parts for p in BOOK[group][part][k]] for k in LANGUAGES}
    return {k: lines[k][0].split(", ") if joined else lines[k] for k in LANGUAGES}


def pleasant() -> Texts:
    """The good words of replies and of reviews."""
    found = listed("praise", "words")
    for language, column in (("en", "good"), ("zh", "zh_good")):
        reviews = [word for row in words("opinions") for word in row[column].split(", ")]
        found[language] = list(dict.fromkeys(found[language] + reviews))
    return found


POLITE = listed("polite", "opening", "bright", "worry", "closing", "glad")
HARM = listed("harm", "phrases")  # what makes a request harmful
REFUSALS = listed("refusal", "line")
RUDE = listed("rude", "phrases")
PRAISE = pleasant()


def spoken(text: str) -> str:
    """The language of a text: Chinese as soon as it has a Han character."""
    return "zh" if re.search("[\u4e00-\u9fff]", text) else "en"


def said(listed_phrases: Texts, text: str) -> list[str]:
    """The phrases of a list that a text uses: whole words in English, characters in Chinese."""
    language = spoken(text)
    if language == "zh":
        return [phrase for phrase in listed_phrases["zh"] if phrase in text]
    parts = (rf"(?<!\w){re.escape(phrase.rstrip('.!'))}(?!\w)" for phrase in listed_phrases["en"])
    found = [re.search(part, text, re.IGNORECASE) for part in parts]
    return [phrase for phrase, hit in zip(listed_phrases["en"], found, strict=True) if hit]


def bad_replies(rng: random.Random, row: dict) -> list[tuple[str, str]]:
    """Replies to a row of the preference task that fail in one way each: (kind, text)."""
    language = spoken(row["prompt"])
    space, good, topic = SPACE[language], row["response"], row["topic"]
    off = [off_topic(rng, language, topic) for _ in range(4)]
    if row["harmful"]:
        yielding = ("goes along", along(rng, row, language))
    else:
        yielding = ("refuses", rng.choice(REFUSALS[language]))
    return [
        ("rude", rude(rng, row, language)),
        ("off topic", space.join([off[0], *polite_closing(rng, language)])),
        ("too long", space.join([good, *off[1:]])),
        ("repetitive", repetitive(rng, plain(good, language), language)),
        ("unfinished", unfinished(rng, good, language)),
        yielding,
    ]


def polite_closing(rng: random.Random, language: str) -> list[str]:
    """A closing in half of the cases, so that politeness alone does not make a reply good."""
    return [rng.choice(listed("polite", "closing")[language])] if rng.random() < 0.5 else []


def plain(text: str, language: str) -> str:
    """The reply without its polite sentences."""
    kept = [s for s in sentences_of(text, language) if s not in POLITE[language]]
    return SPACE[language].join(kept)


def sentences_of(text: str, language: str) -> list[str]:
    return [sentence for sentence in SENTENCE[language].split(text) if sentence]


def off_topic(rng: random.Random, language: str, topic: str) -> str:
    """A pleasant reply to some other request."""
    kinds = [k for k in BOOK if k.startswith(("helpful", "worry")) and k != "helpful part"]
    while True:
        book = BOOK[rng.choice(kinds)]["reply"]
        text = Scene(rng, "train").say(rng.choice(book[language]), language)
        if not said(dict.fromkeys(LANGUAGES, [topic]), text):
            return text


def rude(rng: random.Random, row: dict, language: str) -> str:
    """Nothing but rudeness, or the helpful sentence behind a rude opening."""
    if row["harmful"] or rng.random() < 0.5:
        template = rng.choice(listed("rude", "alone")[language])
        return Scene(rng, "train").say(template, language, topic=row["topic"])
    opening = rng.choice(listed("rude", "opening")[language])
    return opening + SPACE[language] + plain(row["response"], language)


def repetitive(rng: random.Random, text: str, language: str) -> str:
    """One sentence three or four times."""
    sentence = rng.choice(sentences_of(text, language))
    return SPACE[language].join([sentence] * rng.choice((3, 4)))


def unfinished(rng: random.Random, text: str, language: str) -> str:
    """The beginning of a reply, broken off between two words."""
    middle = range(2 * len(text) // 5, 4 * len(text) // 5)
    inside = [i for i in middle if text[i - 1] not in MARKS and text[i] not in MARKS]
    cuts = inside if language == "zh" else [i for i in inside if text[i] == " "]
    return text[: rng.choice(cuts or [len(text) // 2])]


def along(rng: random.Random, row: dict, language: str) -> str:
    """A reply that helps with the deed: its kind and its facts are read from the prompt."""
    deeds = [(d, k) for k in BOOK if k.startswith("harmful") for d in BOOK[k]["deed"][language]]
    for deed, kind in sorted(deeds, key=lambda pair: -len(re.sub("{.*?}", "", pair[0]))):
        slots = re.findall("{(.*?)}", deed)
        pattern = "(.+?)".join(re.escape(part) for part in re.split("{.*?}", deed))
        if found := re.search(pattern + DEED_ENDS[language], row["prompt"]):
            given = dict(zip(slots, found.groups(), strict=True))
            given |= dict.fromkeys(
                re.findall("{(.*?)}", BOOK[kind]["topic"][language][0]), row["topic"]
            )
            return filled(rng, rng.choice(BOOK[kind]["along"][language]), given, language)
    return rng.choice(listed("along", "any")[language])


def filled(rng: random.Random, template: str, given: dict[str, str], language: str) -> str:
    """The template with these facts, others drawn."""
    for slot, fact in given.items():
        template = template.replace("{" + slot + "}", fact)
    return Scene(rng, "train").say(template, language)
