"""The translation tasks: phrasings say all, splits share no template, the exercise stays new."""

import random
import re
from itertools import islice

import pytest

from data.generate import LANGUAGES
from data.generate.reading import phrases
from data.generate.translation import BOOKS, parts_of_exercise, translations
from data.generate.translation_documents import document
from data.generate.translation_task import rows_en_zh, rows_zh_en

EXERCISE = "这是一个关于大模型微调的问题，希望通过前缀微调的方式来适应中文翻译成英文的任务。"
MEANINGS = [p for book in BOOKS for group in phrases(book).values() for p in group.values()]


def templates(language, split):
    """All phrasings of a language and split, the slots without their names."""
    found = [t for meaning in MEANINGS for t in meaning.get(language + split, [])]
    return [re.sub(r"{[\w.]+}", "{}", t) for t in found]


def test_phrasings_of_a_meaning_have_the_same_facts():
    """Each of at least three phrasings a language, of test two, names the facts of the others."""
    for meaning in MEANINGS:
        for side, texts in meaning.items():
            assert len(set(texts)) == len(texts) >= (2 if "test" in side else 3), meaning
        told = [re.findall(r"{(\w+)", text) for texts in meaning.values() for text in texts]
        assert len({frozenset(slots) for slots in told}) == 1, meaning


@pytest.mark.parametrize("language", LANGUAGES)
def test_train_and_test_share_no_template(language):
    """At least 40 templates of train and of test a language, none in both under any slot's name."""
    train, test = set(templates(language, "")), set(templates(language, " test"))
    assert len(train) >= 40 and len(test) >= 40 and not train & test


def test_most_meanings_of_test_are_told_in_train_too():
    """Test mostly tells train's meanings in other words; some, at most a fifth, are new."""
    new = ["zh" not in meaning for meaning in MEANINGS if "zh test" in meaning]
    assert len(new) >= 40 and 0 < sum(new) <= len(new) / 5


@pytest.mark.parametrize("split", ("train", "dev", "test", "corpus"))
def test_no_text_has_two_parts_of_the_exercise(split):
    """5,000 draws of each split: at most one part of the chapter's sentence in all phrasings."""
    assert parts_of_exercise(EXERCISE) == 3
    rng = random.Random(11)
    for _ in range(5000):
        texts = translations(rng, split)
        assert parts_of_exercise("\n".join(texts["zh"] + texts["en"])) < 2


def test_documents_have_no_two_parts_of_the_exercise():
    """2,000 documents: no two parts of the sentence, no blank line, no mark of the models."""
    rng = random.Random(12)
    for text in (document(rng) for _ in range(2000)):
        assert parts_of_exercise(text) < 2 and "\n\n" not in text and "<" not in text


@pytest.mark.parametrize("rows", (rows_zh_en, rows_en_zh))
def test_references_are_all_phrasings(rows):
    """Held-out rows have all phrasings, the response first: dev three, test two or three."""
    assert all("references" not in row for row in islice(rows(random.Random(1), "train"), 50))
    for split, fewest in (("dev", 3), ("test", 2)):
        for row in islice(rows(random.Random(1), split), 300):
            references = row["references"]
            assert references[0] == row["response"] and fewest <= len(set(references)) <= 3


@pytest.mark.parametrize("split", ("dev", "test"))
def test_prompts_are_unseen_in_train(split):
    """No prompt of 1,000 rows is among 5,000 of train."""
    train = {row["prompt"] for row in islice(rows_zh_en(random.Random(1), "train"), 5000)}
    held_out = {row["prompt"] for row in islice(rows_zh_en(random.Random(1), split), 1000)}
    assert not train & held_out
