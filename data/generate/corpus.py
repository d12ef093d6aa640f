"""The pretraining corpus: mostly documents that say one thing twice, to be copied.

Plain prose alone gives a fluent base that cannot be tuned to anything. Here records stand beside
their descriptions, sentences beside paraphrases and translations, reviews beside their verdicts.
Names, tables, parallel sentences and reviews are all from train's side of the splits.
"""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from data.generate import LANGUAGES, describe_en, describe_zh, tables
from data.generate.lists import list_twice
from data.generate.news import News, dialogue
from data.generate.profiles import Profile
from data.generate.reviews import DOMAINS, review, verdict
from data.generate.scene import Scene
from data.generate.stories import story, story_twice
from data.generate.translation import parallel

ENGLISH = 0.6  # of the documents that are in one language
CROSSED = 0.25  # of the records: described in the other language
DESCRIBE = {"en": describe_en.describe, "zh": describe_zh.describe}


def language(rng: random.Random) -> str:
    return "en" if rng.random() < ENGLISH else "zh"


def prose(rng: random.Random) -> str:
    """A story, a report or a description that stands alone."""
    spoken = language(rng)
    kind = rng.random()
    if kind < 0.6:
        return story(rng, spoken)
    return News(rng).article(spoken) if kind < 0.8 else Profile(rng).describe(spoken)


def stories(rng: random.Random) -> str:
    return story_twice(rng, language(rng))


def venue_tables(rng: random.Random) -> str:
    """Records of venues, each followed by its description, in both styles of record."""
    style = rng.choice((tables.bracketed, tables.piped))
    spoken = language(rng)
    told = rng.choice(LANGUAGES) if rng.random() < 2 * CROSSED else spoken
    return "\n".join(venue(rng, style, spoken, told) for _ in range(rng.choice((1, 1, 2))))


def venue(rng: random.Random, style: Callable, spoken: str, told: str) -> str:
    """One record and its description; one in six the other way round."""
    both = dict(zip(LANGUAGES, tables.draw_table(rng), strict=True))
    if style is tables.piped and rng.random() < 0.02:
        both = {
            "en": both["en"] | {"name": "Starbucks", "eatType": "coffee shop"},
            "zh": both["zh"] | {"name": "星巴克", "eatType": "咖啡馆"},
        }
    table = both[spoken]
    if rng.random() < 0.3:
        table = dict(rng.sample(list(table.items()), len(table)))
    english = tables.SLOTS if style is tables.bracketed else tables.PLAIN_KEYS
    record = style(table, english if spoken == "en" else tables.KEYS_ZH)
    lines = [record, DESCRIBE[told](rng, both[told])]
    return "\n".join(lines if rng.random() < 5 / 6 else reversed(lines))


def profile_records(rng: random.Random) -> str:
    """A record of a person, a film, the weather or a lost thing with its description."""
    profile, spoken = Profile(rng), language(rng)
    told = rng.choice(LANGUAGES) if rng.random() < 2 * CROSSED else spoken
    fields = profile.record(spoken).items()
    if rng.random() < 0.5:
        record = " | ".join(f"{key}: {value}" for key, value in fields)
    else:
        record = ", ".join(f"{key}[{value}]" for key, value in fields)
    return f"{record}\n{profile.describe(told)}"


def paraphrases(rng: random.Random) -> str:
    """Two or three texts that say the same in one language."""
    spoken, kind = language(rng), rng.random()
    if kind < 0.6:
        table = dict(zip(LANGUAGES, tables.draw_table(rng), strict=True))[spoken]
        return "\n".join(DESCRIBE[spoken](rng, table) for _ in range(rng.choice((2, 3))))
    profile = Profile(rng)
    return "\n".join(profile.describe(spoken) for _ in range(2))


def parallel_sentences(rng: random.Random) -> str:
    """Three to five sentences, each with its translation on the next line."""
    english_first, marked = rng.random() < 0.6, rng.random() < 0.3
    lines = []
    for _ in range(rng.randint(3, 5)):
        chinese, english = parallel(rng)
        both = [("English: ", english[0]), ("中文：", chinese)]
        for mark, text in both if english_first else reversed(both):
            lines.append(mark * marked + text)
    return "\n".join(lines)


def review_pairs(rng: random.Random) -> str:
    """Reviews with their verdicts, or two people who disagree about one place or film."""
    spoken, domain = language(rng), rng.choice(DOMAINS)
    if rng.random() < 0.5:
        return "\n".join(
            judged(rng, spoken, domain, rng.randrange(2), Scene(rng), "\n")
            for _ in range(rng.choice((1, 2, 3)))
        )
    scene, label = Scene(rng), rng.randrange(2)
    colon, space = (": ", " ") if spoken == "en" else ("：", "")
    return "\n".join(
        scene.say(who, spoken) + colon + judged(rng, spoken, domain, opinion, scene, space)
        for who, opinion in (("{person3}", label), ("{person4}", 1 - label))
    )


def judged(rng, spoken: str, domain: str, label: int, scene: Scene, between: str) -> str:
    """A review and the verdict that follows from it."""
    text = review(rng, spoken, label, scene=scene, domain=domain).text
    return text + between + verdict(rng, spoken, domain, label)


def news(rng: random.Random) -> str:
    """An article under its headline and above its summary, which may be in the other language."""
    item, spoken = News(rng), language(rng)
    told = rng.choice(LANGUAGES) if rng.random() < CROSSED else spoken
    short = {"en": "In short: ", "zh": "总之："}[told] + item.part("summary", told)
    return "\n".join([item.part("headline", told), item.article(spoken), short])


def dialogues(rng: random.Random) -> str:
    return dialogue(rng, language(rng))


def lists(rng: random.Random) -> str:
    return list_twice(rng, language(rng))


# How often each kind is drawn: prose is 14 % of the characters.
KINDS: dict[Callable[[random.Random], str], int] = {
    prose: 20,
    stories: 8,
    venue_tables: 18,
    profile_records: 10,
    paraphrases: 12,
    parallel_sentences: 14,
    review_pairs: 12,
    news: 5,
    dialogues: 4,
    lists: 20,
}


def corpus(seed: int, documents: int) -> Iterator[str]:
    """The documents of the corpus, the same for the same seed; none holds a blank line."""
    rng = random.Random(seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    for _ in range(documents):
        yield rng.choices(kinds, weights)[0](rng)


def write_corpus(path: Path, documents: Iterator[str]) -> None:
    """Write JSON lines with a field `text` to a .jsonl file, else text with blank lines between."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            if path.suffix == ".jsonl":
                file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
            else:
                file.write(document + "\n\n")
