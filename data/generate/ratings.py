"""Reviews, clauses and words that are called praise or blame in a word: what a base learns from.

Where nothing but a verdict of a sentence follows a review, a small base does not learn what the
review amounts to: one bit among many words. Here every line ends with it.
"""

import random

from data.generate.opinions import draw_opinion, fill, lines_of
from data.generate.reviews import DOMAINS, draw_plan, finished, tell
from data.generate.scene import Scene
from data.generate.splits import CORPUS

ENGLISH = 0.6  # of the documents that are in one language
RATINGS = {  # blame, praise
    "en": (("bad", "good"), ("blame", "praise"), ("unhappy", "happy"), ("negative", "positive")),
    "zh": (("差评", "好评"), ("不满意", "满意"), ("坏", "好"), ("批评", "表扬")),
}


def language(rng: random.Random) -> str:
    return "en" if rng.random() < ENGLISH else "zh"


def rated(rng: random.Random) -> str:
    """Three to seven reviews, each with a word for praise or blame behind it, or before."""
    spoken, lines = language(rng), []
    words, first = rng.choice(RATINGS[spoken]), rng.random() < 0.2
    between = rng.choice((": ", " | ") if first else (" ", " | ", ": ", "\n"))
    for _ in range(rng.randint(3, 7)):
        plan = draw_plan(rng, rng.randrange(2))
        both = [tell(plan, Scene(rng), spoken, opened=False), words[plan.label]]
        lines.append(between.join(both[::-1] if first else both))
    return "\n".join(lines)


def rated_clauses(rng: random.Random) -> str:
    """Clauses, plain and negated, each called praise or blame: 'The bed was not dirty: good'."""
    spoken, lines = language(rng), []
    words, between = rng.choice(RATINGS[spoken]), rng.choice((": ", " | ", " = ", " "))
    for _ in range(rng.randint(5, 10)):
        opinion = draw_opinion(rng, DOMAINS, rng.randrange(2), CORPUS, (spoken,))
        clause = fill(rng.choice(lines_of(opinion, spoken, CORPUS)), opinion, spoken)
        lines.append(finished(clause, spoken) + between + words[opinion.label])
    return "\n".join(lines)


def rated_words(rng: random.Random) -> str:
    """Words that praise and words that blame, each called so: 'dirty: bad'."""
    spoken, found = language(rng), {}
    words, between = rng.choice(RATINGS[spoken]), rng.choice((": ", " | ", " = "))
    for _ in range(rng.randint(5, 12)):
        opinion = draw_opinion(rng, DOMAINS, rng.randrange(2), CORPUS, (spoken,))
        found[opinion.word(spoken)] = words[opinion.side]
    return "\n".join(f"{word}{between}{rating}" for word, rating in found.items())
