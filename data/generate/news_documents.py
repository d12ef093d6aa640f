"""Pretraining documents with stories and news: told, told again, and put under headlines."""

import random
from collections.abc import Callable

from data.generate import LANGUAGES
from data.generate.news import News
from data.generate.news_task import ASKED
from data.generate.stories import story, story_twice

ENGLISH = 0.6  # of the documents; of those with two parts, a quarter are in two languages
CROSSED = 0.25
MARKED = 0.5  # of the headlines and summaries: with the word that says what they are


def languages(rng: random.Random) -> tuple[str, str]:
    """The language of a document, and of what says the same again in it."""
    spoken = "en" if rng.random() < ENGLISH else "zh"
    return spoken, rng.choice(LANGUAGES) if rng.random() < 2 * CROSSED else spoken


def prose(rng: random.Random) -> str:
    """A story or a report that stands alone."""
    spoken, _ = languages(rng)
    return story(rng, spoken) if rng.random() < 0.75 else News(rng).article(spoken)


def stories(rng: random.Random) -> str:
    """A story told twice."""
    return story_twice(rng, languages(rng)[0])


def marked(rng: random.Random, item: News, part: str, language: str) -> str:
    """A headline or a summary, with its mark or without."""
    mark = ASKED[language][part] + (" " if language == "en" else "")
    return mark * (rng.random() < MARKED) + item.part(part, language)


def news(rng: random.Random) -> str:
    """An article under its headline and above its summary, or above both of them."""
    item, (spoken, told) = News(rng), languages(rng)
    headline, article = marked(rng, item, "headline", told), item.article(spoken)
    short = marked(rng, item, "summary", told)
    layouts = [headline, article, short], [article, headline], [article, short, headline]
    return "\n".join(rng.choice(layouts))


def headlines(rng: random.Random) -> str:
    """Headlines with their summaries, one by one or one list after the other."""
    items, (spoken, told) = [News(rng) for _ in range(rng.choice((2, 3)))], languages(rng)
    above = [item.part("headline", spoken) for item in items]
    below = [item.part("summary", told) for item in items]
    if rng.random() < 0.5:
        return "\n".join(line for pair in zip(above, below, strict=True) for line in pair)
    return "\n".join(above + below)


def all_headlines(rng: random.Random) -> str:
    """What happened once, in all its headlines and in summaries of both languages."""
    item, (spoken, told) = News(rng), languages(rng)
    lines = item.answers("headline", spoken) + item.answers("summary", told)
    return "\n".join(lines if rng.random() < 0.5 else reversed(lines))


def retold(rng: random.Random) -> str:
    """An article, and again in other words or in the other language."""
    item, (spoken, told) = News(rng), languages(rng)
    return f"{item.article(spoken)}\n{item.article(told)}"


# How often each kind is drawn.
KINDS: dict[Callable[[random.Random], str], int] = {
    prose: 22,
    stories: 20,
    news: 34,
    headlines: 8,
    all_headlines: 8,
    retold: 8,
}


def document(rng: random.Random) -> str:
    """A document of one of these kinds."""
    return rng.choices(list(KINDS), list(KINDS.values()))[0](rng)
