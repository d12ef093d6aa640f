"""The generated data: the same bytes every time, nothing of a test set in a training file."""

import itertools
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import islice, pairwise

import pytest

from data.generate.corpus import KINDS, corpus
from data.generate.describe_en import FRAMES
from data.generate.grammar import sentences
from data.generate.names import film_titles, venue_names
from data.generate.reading import phrases, words
from data.generate.scene import Scene
from data.generate.translation import parallel
from minift import ROOT, records

DATA = ROOT / "data"
PAIRED = ("table_to_text", "translation")
TASKS = (*PAIRED, "sentiment")
SIZES = {"train": 2000, "dev": 100, "test": 200}
SLOT = re.compile(r"(\w[\w ]*)\[([^\]]*)\]")


def rows(task, split):
    """The committed records as (prompt, answers): answers are texts or one label."""
    if task == "sentiment":
        lines = (DATA / f"{task}_{split}.tsv").read_text(encoding="utf-8").splitlines()
        return [(text, [label]) for text, label in (line.split("\t") for line in lines)]
    lines = (DATA / f"{task}_{split}.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [(r["prompt"], r.get("references", [r["response"]])) for r in found]


@pytest.fixture(scope="module")
def documents():
    return list(corpus(seed=3, documents=3000))


def test_command_rebuilds_the_committed_files_bit_for_bit(tmp_path):
    """A fresh process with another hash seed writes exactly the files that are committed."""
    environment = os.environ | {"PYTHONHASHSEED": "123"}
    command = [sys.executable, "-m", "data.generate", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert len(written) == 9
    for name in written:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("split", SIZES)
def test_files_read_whole(task, split):
    """The package's own readers take every row of every file."""
    read = records.read(next(DATA.glob(f"{task}_{split}.*")))
    assert (len(read), read.skipped) == (SIZES[split], [])


@pytest.mark.parametrize("task", TASKS)
def test_splits_share_no_prompt(task):
    """No prompt occurs twice, within a split or across splits."""
    prompts = Counter(prompt for split in SIZES for prompt, _ in rows(task, split))
    assert [p for p, count in prompts.items() if count > 1] == []


@pytest.mark.parametrize("split", ("dev", "test"))
def test_tables_hold_names_and_slot_sets_unseen_in_train(split):
    """Names (their own and neighbours') and sets of slots of dev and test never occur in train."""

    def seen(split):
        tables = [dict(SLOT.findall(prompt)) for prompt, _ in rows("table_to_text", split)]
        names = {table[slot] for table in tables for slot in ("name", "near") if slot in table}
        return names, {frozenset(table) for table in tables}

    (names, sets), (train_names, train_sets) = seen(split), seen("train")
    assert len(sets) > 5 and not names & train_names and not sets & train_sets


@pytest.mark.parametrize("split", SIZES)
def test_descriptions_tell_the_slots_that_are_said_verbatim(split):
    """Name, neighbour, kind, pounds and scores stand in every reference of their table."""
    for prompt, answers in rows("table_to_text", split):
        table = dict(SLOT.findall(prompt))
        verbatim = [v for k, v in table.items() if k in ("name", "near", "eatType")]
        verbatim += [v for v in table.values() if "£" in v or "out of 5" in v]
        for answer in answers:
            assert [value for value in verbatim if value not in answer] == [], answer


def opinions(text, domains):
    """The (part, word) pairs of a review, in the order of its clauses."""
    found = []
    for part_of in re.split(r"[,.;:，。：]", text):
        for part, word in domains:
            said = rf"\bthe {part}\b.*\b{word}\b" if word.isascii() else f"{part}.*{word}"
            if re.search(said, part_of, re.IGNORECASE):
                found.append((part, word))
    return found


def test_sentiment_judgement_of_test_is_unseen_in_train():
    """The deciding part and adjective of a test review never stand together in train."""
    pairs = [
        (part[language], word)
        for part in words("opinions")
        for language, prefix in (("en", ""), ("zh", "zh_"))
        for kind in ("good", "bad")
        for word in part[prefix + kind].split(", ")
    ]
    train = {pair for text, _ in rows("sentiment", "train") for pair in opinions(text, pairs)}
    decided = [opinions(text, pairs)[-1] for text, _ in rows("sentiment", "test")]
    assert len(train) > 200 and [pair for pair in decided if pair in train] == []


@pytest.mark.parametrize("split", SIZES)
def test_sentiment_is_balanced(split):
    """Labels and languages each make up half of a file, within two rows of a hundred."""
    found = rows("sentiment", split)
    praised = sum(answers == ["1"] for _, answers in found)
    english = sum(text.isascii() for text, _ in found)
    assert abs(praised / len(found) - 0.5) <= 0.02 and abs(english / len(found) - 0.5) <= 0.02


# Chinese patterns whose groups are the facts in the order in which they were drawn.
PATTERNS = (
    r"(.+)比(.+)大(.)岁。",
    r"(.+)的(.+)被(.+)拿走了。",
    r"(.+)是一名来自(.+)的(.+)。",
    r"(.+)觉得(《.+》)比(《.+》)好看。",
    r"(.+)喜欢(.+)，想当一名(.+)。",
    r"如果(.+)天气好，(.+)就去(.+)看(.+)。",
    r"从(.+)坐公交车到(.+)要(.+)。",
)


def test_translations_of_test_hold_word_pairs_that_train_never_shows():
    """Two neighbouring facts of a test sentence are in none of 20,000 train sentences."""

    def facts(sentences):
        found = [re.fullmatch(p, sentence) for p in PATTERNS for sentence in sentences]
        return [list(pairwise(match.groups())) for match in found if match]

    rng = random.Random(0)
    drawn = {parallel(rng)[0] for _ in range(20_000)}
    train = {pair for pairs in facts(drawn) for pair in pairs}
    test = facts([prompt for prompt, _ in rows("translation", "test")])
    assert len(test) > 20 and [pairs for pairs in test if set(pairs) <= train] == []


@pytest.mark.parametrize("name", ("translation", "story", "news", "dialogue", "profiles"))
def test_phrase_books_have_both_languages_and_fill(name):
    """Every meaning has phrasings in both languages, and every slot of a phrasing is known."""
    meanings = [phrasings for group in phrases(name).values() for phrasings in group.values()]
    for phrasings, language in itertools.product(meanings, ("en", "zh")):
        scene = Scene(random.Random(0))
        for template in phrasings[language]:
            told = scene.say(template, language, who="Tom", whom="Tom")
            assert told.isascii() == (language == "en"), told


def test_corpus_is_the_same_for_the_same_seed(documents):
    """A prefix of the corpus is the corpus of fewer documents; another seed gives another one."""
    assert list(corpus(3, 50)) == documents[:50] == list(islice(corpus(3, 10**9), 50))
    assert list(corpus(4, 50)) != documents[:50]


def test_corpus_shows_no_held_out_name(documents):
    """No venue or film of dev or test is in the pretraining text."""
    text = "\n".join(documents)
    for split in ("dev", "test"):
        held_out = [name for kind in venue_names(split) for name, _ in kind]
        held_out += [title for title, _ in film_titles(split)]
        assert len(held_out) > 50
        found = [name for name in held_out if name in text]
        assert [name for name in found if re.search(rf"\b{name}\b", text)] == []


def test_corpus_shows_no_prompt_of_dev_or_test(documents):
    """No task's dev or test prompt is a line of the pretraining text."""
    lines = {line for document in documents for line in document.split("\n")}
    for task in TASKS:
        for split in ("dev", "test"):
            assert [prompt for prompt, _ in rows(task, split) if prompt in lines] == []


def test_corpus_mix(documents):
    """Both styles of record, both languages, no layout marks, no blank lines, 14 % plain prose."""
    text = "\n".join(documents)
    assert re.search(r"name\[[^]]+\], ", text) and re.search(r"name: [^|]+ \| ", text)
    assert re.search(r"名称\[[^]]+\], ", text) and not re.search(r"[<>{}\t]|\n\n", text)
    chinese = sum("\u4e00" <= c <= "\u9fff" for c in text) / len(text)
    assert 0.12 < chinese < 0.3
    rng, sizes = random.Random(0), {}
    for kind, weight in KINDS.items():
        sizes[kind.__name__] = weight * sum(len(kind(rng)) for _ in range(200))
    assert 0.11 < sizes["prose"] / sum(sizes.values()) < 0.18


def test_english_is_tidy(documents):
    """Articles fit the next letter, no template mark is left, sentences begin with capitals."""
    told = [
        answer for task in PAIRED for split in SIZES for _, a in rows(task, split) for answer in a
    ]
    text = "\n".join(documents + told)
    for slip in (
        r"\b[Aa] [aeiou]\w+",
        r"\b[Aa]n [b-dfgj-np-tv-z]\w+",
        r"\(n\)",
        r"  ",
        r"[.!?] [a-z]",
    ):
        assert re.findall(slip, text) == [], slip


def test_sentences_settles_articles_and_capitals():
    """Frozen examples of the little grammar."""
    assert sentences("a(n) owl and a(n) fox. it ran.") == "An owl and a fox. It ran."
    assert sentences('"a(n) egg is here," said Tom.') == '"An egg is here," said Tom.'


def test_there_are_enough_frames():
    """At least 20 English frames, each with the name and the noun phrase."""
    assert len(set(FRAMES)) >= 20
    assert all("{name}" in frame and "{np}" in frame for frame in FRAMES)
