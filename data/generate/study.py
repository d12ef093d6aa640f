"""Facts about the study of language models: concepts, ways of training, and tasks."""

import random

from data.generate.reading import words

Fact = tuple[str, str]  # English, Chinese
TRANSLATING, NEAR = 0.5, 0.4  # of the tasks; of these, with the first three languages


def concept(rng: random.Random, split: str, *kinds: str) -> Fact:
    """'reward models' 奖励模型; of the kinds of concept, if any are given."""
    found = rng.choice([w for w in words("concepts") if not kinds or w["kind"] in kinds])
    return found["about"], found["zh"]


def way(rng: random.Random, split: str) -> Fact:
    """'prefix tuning' 前缀微调: a way of training."""
    return concept(rng, split, "way")


def topic(rng: random.Random, split: str) -> Fact:
    """'reward models' 奖励模型: no way of training."""
    return concept(rng, split, "task", "topic")


def task(rng: random.Random, split: str) -> Fact:
    """'translating French into Greek' 法文翻译成希腊文, or 'sentiment analysis' 情感分析."""
    if rng.random() < TRANSLATING:
        a, b = rng.sample(words("tongues")[: 3 if rng.random() < NEAR else None], 2)
        return f"translating {a['en']} into {b['en']}", f"{a['zh']}翻译成{b['zh']}"
    return concept(rng, split, "task")
