"""Facts about the study of language models: concepts, ways of training, and tasks."""

import random

from data.generate.reading import words

Fact = tuple[str, str]  # English, Chinese
TRANSLATING, NEAR = 0.5, 0.4  # of the tasks; of these, with the first three languages


def concept(rng: random.Random, split: str, kind: str = "") -> Fact:
    """'reward models' 奖励模型; of this kind of concept, if one is given."""
    found = rng.choice([w for w in words("concepts") if kind in ("", w["kind"])])
    return found["en"], found["zh"]


def way(rng: random.Random, split: str) -> Fact:
    """'prefix tuning' 前缀微调: a way of training."""
    return concept(rng, split, "way")


def task(rng: random.Random, split: str) -> Fact:
    """'translating French into Greek' 法文翻译成希腊文, or 'sentiment analysis' 情感分析."""
    if rng.random() < TRANSLATING:
        a, b = rng.sample(words("tongues")[: 3 if rng.random() < NEAR else None], 2)
        return f"translating {a['en']} into {b['en']}", f"{a['zh']}翻译成{b['zh']}"
    return concept(rng, split, "task")
