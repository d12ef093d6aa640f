"""Pretraining documents with stories and news: told, told again, put under headlines, talked of."""

import random
from collections.abc import Callable

from data.generate import LANGUAGES
from data.generate.news import News
from data.generate.news_task import ASKED
from data.generate.reading import phrases
from data.generate.scene import Scene
from data.generate.stories import story, story_twice

ENGLISH = 0.6  # of the documents; of those with two parts, a quarter are in two languages
CROSSED = 0.25
MARKED = 0.3  # of the headlines and summaries: with the word that says what they are
LISTS = ("films today", "weather today")
SHORT = {"en": "In short: ", "zh": "总之："}


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
    short = SHORT[told] + item.part("summary", told)
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
    lines = item.answers("headline", spoken) + item.answers("summary", told)[:2]
    return "\n".join(lines if rng.random() < 0.5 else reversed(lines))


def retold(rng: random.Random) -> str:
    """A short article, and again in other words or in the other language."""
    item, (spoken, told) = News(rng, extras=0), languages(rng)
    return f"{item.article(spoken)}\n{item.article(told)}"


def listing(rng: random.Random) -> str:
    """Films or the weather of a day as a list, and each line again in a sentence."""
    book, (spoken, told) = phrases("news")[rng.choice(LISTS)], languages(rng)
    scenes = [Scene(rng) for _ in range(rng.choice((2, 3)))]
    title = scenes[0].tell(book["title"], spoken)
    lines = [scene.tell(book["line"], spoken) for scene in scenes]
    sentences = [scene.tell(book["told"], told) for scene in scenes]
    return "\n".join([title, *lines, (" " if told == "en" else "").join(sentences)])


def talk(rng: random.Random) -> str:
    """Two people talk about the news; one of them has read the article above."""
    item, (spoken, _) = News(rng, extras=0), languages(rng)
    colon = ": " if spoken == "en" else "："
    asks, knows = (item.scene.say(who, spoken) + colon for who in ("{person4}", "{person5}"))
    book = phrases("news")["talk of the day"]
    question, answer = (item.scene.tell(book[part], spoken) for part in ("question", "answer"))
    summary = item.part("summary", spoken)
    lines = [knows + question, asks + answer, knows + summary]
    return "\n".join(lines if rng.random() < 0.5 else [item.article(spoken), *lines])


# How often each kind is drawn.
KINDS: dict[Callable[[random.Random], str], int] = {
    prose: 32,
    stories: 20,
    news: 16,
    headlines: 8,
    all_headlines: 6,
    retold: 8,
    listing: 5,
    talk: 5,
}


def document(rng: random.Random) -> str:
    """A document of one of these kinds."""
    return rng.choices(list(KINDS), list(KINDS.values()))[0](rng)
