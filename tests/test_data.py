"""The generated data: the same bytes every time, nothing of a test set in a training file."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import islice

import pytest

from data.generate import LANGUAGES, corpus, report, sentiment_task
from data.generate import instruction_clusters as clusters
from data.generate.corpus import corpus as documents_of
from data.generate.forms import named
from data.generate.grammar import sentences
from data.generate.names import film_titles, venue_names
from data.generate.reading import HERE, phrases
from data.generate.reviews import review
from data.generate.scene import Scene
from data.generate.tasks import OTHER_DOMAINS, SIZES, TASKS, asked
from minift import ROOT, records
from tests.test_translation_data import EXERCISE

DATA = ROOT / "data"
SLOT = re.compile(r"(\w[\w ]*)\[([^\]]*)\]|(\w+): ([^|]+?)(?: \||$)")
PARAGRAPH = (
    "自然语言处理（Natural Language Processing，简称NLP）是人工智能领域中与计算机和人类语言之间"
    "交互的研究。NLP的目标是使计算机能够理解、解释、生成人类语言，使计算机与人的交互更加自然。"
    "它涉及到文本处理、语音处理、机器翻译等多个方面的任务。"
)
# which phrase books shape the prompts or answers of a task
BOOKS = {
    "table_to_text": ["venues"], "sentiment": ["reviews"], "zh_en": ["translation", "study"],
    "en_zh": ["translation", "study"], "headline": ["news"], "summary": ["concepts"],
    "qa": ["questions", "profiles"], "instruct_single": ["instructions", "instruct_requests"],
    "instruct_tasks": ["instructions"], "chat": ["chat"], "preference": ["requests"],
}  # fmt: skip


def file_of(task, split):
    return next(DATA.glob(f"{task}_{split}.*"))


def rows(task, split):
    """The committed rows; a label stays a text."""
    return report.load(file_of(task, split))


def whole(task, split):
    """A file's text."""
    return file_of(task, split).read_text(encoding="utf-8")


def lines_of(book, language, test):
    """The templates of a book in one language, slots blanked: those of test, or all others."""
    meanings = [part for group in phrases(book).values() for part in group.values()]
    found = [line for part in meanings for line in part.get(language + " test" * test, [])]
    return {re.sub(r"{[^}]*}", "{}", line) for line in found}


@pytest.fixture(scope="module")
def documents():
    return list(documents_of(seed=3, documents=3000))


def test_command_rebuilds_the_committed_files_bit_for_bit(tmp_path):
    """A fresh process with another hash seed writes exactly the files that are committed."""
    environment = os.environ | {"PYTHONHASHSEED": "123"}
    command = [sys.executable, "-m", "data.generate", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    written = sorted(path.name for path in tmp_path.iterdir())
    committed = [path.name for path in DATA.iterdir() if path.suffix in (".jsonl", ".tsv")]
    assert written == sorted(committed)
    assert len(written) == len(TASKS) * len(SIZES) + len(OTHER_DOMAINS) + 1
    for name in written:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("split", SIZES)
def test_files_read_whole(task, split):
    """The package's own readers take every row of every file."""
    read = records.read(file_of(task, split))
    assert (len(read), read.skipped) == (SIZES[split], [])


@pytest.mark.parametrize("task", OTHER_DOMAINS)
def test_other_domains_read_whole(task):
    """So they do with the test of another domain, 500 rows."""
    read = records.read(file_of(task, "far"))
    assert (len(read), read.skipped) == (500, [])


@pytest.mark.parametrize("task", TASKS)
def test_splits_share_no_prompt(task):
    """Nothing is asked twice, within a split or across splits."""
    prompts = Counter(asked(row) for split in SIZES for row in rows(task, split))
    assert [p for p, count in prompts.items() if count > 1] == []


@pytest.mark.parametrize("task", TASKS)
def test_held_out_rows_have_references(task):
    """Rows of dev and test name every right answer once, the one of the row among them."""
    for split in ("dev", "test"):
        for row in rows(task, split):
            if "label" in row:
                assert row["label"] in ("0", "1")
                continue
            answer = row.get("response", row.get("output"))
            answer = row["messages"][-1]["content"] if answer is None else answer
            assert answer in row["references"]
            assert len(set(row["references"])) == len(row["references"])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task", TASKS)
def test_train_and_test_share_no_template(task, language):
    """At least 40 templates of train and 12 of test a task and language, none in both."""
    train = set().union(*(lines_of(book, language, test=False) for book in BOOKS[task]))
    test = set().union(*(lines_of(book, language, test=True) for book in BOOKS[task]))
    assert len(train) >= 40 and len(test) >= 12
    assert not train & test


def test_a_scene_of_test_uses_the_templates_of_test():
    """Every phrasing that a scene draws is of its own side."""
    meaning = {"en": ["{person} left."], "en test": ["Away went {person}."]}
    for split, start in (("train", ""), ("dev", ""), ("corpus", ""), ("test", "Away went ")):
        told = Scene(random.Random(0), split).tell(meaning, "en")
        assert told.startswith(start) and ("Away" in told) == (split == "test")


@pytest.mark.parametrize("task", TASKS)
def test_train_names_nobody_of_dev_and_test(task):
    """No person or town of dev or test occurs in a train file, in either language."""
    text = whole(task, "train")
    held_out = [
        w for table in ("people", "towns") for s in ("dev", "test") for w in named(table, s)
    ]
    found = [w["en"] for w in held_out if re.search(rf"\b{w['en']}\b", text)]
    found += [w["zh"] for w in held_out if len(w["zh"]) > 2 and w["zh"] in text]
    assert len(held_out) > 40 and found == []


@pytest.mark.parametrize("split", ("dev", "test"))
def test_tables_hold_names_and_slot_sets_unseen_in_train(split):
    """Names (their own and neighbours') and sets of slots of dev and test never occur in train."""

    def seen(split):
        found = [SLOT.findall(row["prompt"]) for row in rows("table_to_text", split)]
        keys = {"rating": "customer rating", "type": "eatType", "price": "priceRange"}
        keys |= {"family": "familyFriendly"}
        tables = [{keys.get(a or c, a or c): b or d for a, b, c, d in table} for table in found]
        names = {table[slot] for table in tables for slot in ("name", "near") if slot in table}
        return names, {frozenset(table) for table in tables}

    (names, sets), (train_names, train_sets) = seen(split), seen("train")
    assert len(sets) > 5 and not names & train_names and not sets & train_sets


@pytest.mark.parametrize("split", SIZES)
def test_descriptions_tell_the_slots_that_are_said_verbatim(split):
    """Name, neighbour, kind, pounds and scores stand in every reference of their table."""
    for row in rows("table_to_text", split):
        table = {a or c: b or d for a, b, c, d in SLOT.findall(row["prompt"])}
        verbatim = [v for k, v in table.items() if k in ("name", "near", "eatType", "type")]
        verbatim += [v for v in table.values() if "£" in v or "out of 5" in v]
        for answer in row.get("references", [row["response"]]):
            assert [value for value in verbatim if value not in answer] == [], answer


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentiment_judgement_of_test_is_unseen_in_train(language):
    """The parts and adjectives that decide a review of test decide none of train or corpus."""
    rng = random.Random(5)

    def decided(split):
        drawn = [review(rng, language, i % 2, split).decided for i in range(2000)]
        return {pair for pairs in drawn for pair in pairs}

    assert len(decided("test")) > 20
    assert not decided("test") & (decided("train") | decided("corpus"))


@pytest.mark.parametrize("split", (*SIZES, "far"))
def test_sentiment_is_balanced(split):
    """Labels and languages each make up half of a file, within two rows of a hundred."""
    found = rows("sentiment", split)
    praised = sum(row["label"] == "1" for row in found)
    english = sum(row["prompt"].isascii() for row in found)
    assert abs(praised / len(found) - 0.5) <= 0.02 and abs(english / len(found) - 0.5) <= 0.02


def test_far_reviews_are_of_other_things():
    """Books, concerts, journeys and shops: none of train's reviews judges their parts."""
    far = {row["prompt"] for row in islice(sentiment_task.far_rows(random.Random(1)), 300)}
    assert any("ticket" in text or "carriage" in text for text in far)
    assert not far & {row["prompt"] for row in rows("sentiment", "train")}


def test_training_asks_for_no_unseen_task():
    """Instructions of test and far are of kinds that no training or dev file asks for."""
    tuned = {
        row["task"].split(":")[0]
        for task in ("instruct_tasks", "instruct_single")
        for split in ("train", "dev")
        for row in rows(task, split)
    }
    assert tuned == set(clusters.TUNED) | {"open"}
    assert {row["task"] for row in rows("instruct_tasks", "test")} == set(clusters.UNSEEN)
    assert {row["task"] for row in rows("instruct_tasks", "far")} == set(clusters.FAR)
    assert not set(clusters.TUNED) & set(clusters.UNSEEN) and not set(clusters.ASKED) & set(
        clusters.FAR
    )


def test_corpus_asks_for_no_far_task(documents):
    """No instruction of far, without its item, is a line of the pretraining text."""
    lines = {line for document in documents for line in document.split("\n")}
    asks = {row["instruction"] for row in rows("instruct_tasks", "far") if row["input"]}
    assert len(asks) > 50 and not asks & lines


@pytest.mark.parametrize("name", sorted(path.stem for path in (HERE / "phrases").glob("*.txt")))
def test_phrase_books_are_in_their_language(name):
    """English phrasings are ASCII, pounds apart; all books but one speak both languages."""
    lines = {language: lines_of(name, language, test=False) for language in LANGUAGES}
    lines |= {f"{language} test": lines_of(name, language, test=True) for language in LANGUAGES}
    for language in ("en", "en test"):
        assert [line for line in lines[language] if not line.replace("£", "").isascii()] == []
    assert sum(map(len, lines.values())) > 10
    assert bool(lines["en"] | lines["en test"]) and (name == "places" or bool(lines["zh"]))


def test_corpus_is_the_same_for_the_same_seed(documents):
    """A prefix of the corpus is the corpus of fewer documents; another seed gives another one."""
    assert list(documents_of(3, 50)) == documents[:50] == list(islice(documents_of(3, 10**9), 50))
    assert list(documents_of(4, 50)) != documents[:50]


def test_corpus_shows_no_held_out_name(documents):
    """No venue or film of dev or test is in the pretraining text; their towns are."""
    text = "\n".join(documents)
    for split in ("dev", "test"):
        held_out = [name for kind in venue_names(split)[:2] for name, _ in kind]
        held_out += [title for title, _ in film_titles(split)]
        assert len(held_out) > 50
        found = [name for name in held_out if name in text]
        assert [name for name in found if re.search(rf"\b{name}\b", text)] == []
        assert all(town["en"] in text for town in named("towns", split))


def test_corpus_shows_no_prompt_of_dev_or_test(documents):
    """No task's dev or test prompt is a line, or a document, of the pretraining text."""
    lines = {line for document in documents for line in document.split("\n")} | set(documents)
    for task in TASKS:
        for split in ("dev", "test"):
            long = [asked(row) for row in rows(task, split) if len(asked(row)) > 12]
            assert [prompt for prompt in long if prompt in lines] == []


def test_exercises_of_the_chapter_are_nowhere(documents):
    """The two texts on which the chapter tries its models are in no file and no document."""
    files = "".join(whole(task, split) for task in TASKS for split in SIZES)
    seeds = "".join(path.read_text("utf-8") for path in sorted((DATA / "seeds").glob("*")))
    for text in (EXERCISE, PARAGRAPH, *PARAGRAPH.split("。")[:-1]):
        assert text not in files + seeds + "\n".join(documents)


def test_corpus_mix(documents):
    """Both styles of record, both languages, no layout marks, no blank lines."""
    text = "\n".join(documents)
    assert re.search(r"name\[[^]]+\], ", text) and re.search(r"name: [^|]+ \| ", text)
    assert re.search(r"名称\[[^]]+\], ", text) and not re.search(r"<\w|[{}\t]|\n\n", text)
    chinese = sum("\u4e00" <= c <= "\u9fff" for c in text) / len(text)
    assert 0.12 < chinese < 0.3 and len(corpus.KINDS) == 9


def test_english_is_tidy(documents):
    """Articles fit the next letter, no template mark is left, no space stands twice."""
    told = [report.text(row) for task in TASKS for split in SIZES for row in rows(task, split)]
    text = "\n".join(documents + told)
    for slip in (r"\b[Aa] [aeio]\w+", r"\b[Aa]n [b-dfgj-np-tv-z]\w+", r"\(n\)", r"\w  \w"):
        assert re.findall(slip, text)[:5] == [], slip


def test_sentences_settles_articles_and_capitals():
    """Frozen examples of the little grammar."""
    assert sentences("a(n) owl and a(n) fox. it ran.") == "An owl and a fox. It ran."
    assert sentences('"a(n) egg is here," said Tom.') == '"An egg is here," said Tom.'


@pytest.mark.parametrize(
    ("name", "count"),
    (("instructions", 175), ("dialogues", 60), ("passages", 80))
    + (("requests_helpful", 120), ("requests_harmful", 120)),
)
def test_seeds_are_enough_and_all_different(name, count):
    """The hand-written seeds: as many as the course wants, read whole, no id twice."""
    file = DATA / "seeds" / f"{name}.jsonl"
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len({row["id"] for row in found}) == len(found) >= count
    assert records.read(file).skipped == []


def test_report_measures_what_it_says(tmp_path):
    """A test row that is train's has BLEU 100; four words told twice are half as distinct."""
    for split in ("train", "test"):
        row = {"prompt": "Tom has one big red hat.", "response": "Yes."}
        (tmp_path / f"toy_{split}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    measured = report.measure(tmp_path, "toy")
    assert measured["nearest BLEU"] == pytest.approx(100) and measured["distinct-4"] == 1
    other = {"prompt": "Nobody there knew where it was.", "response": "No."}
    (tmp_path / "toy_test.jsonl").write_text(json.dumps(other) + "\n", encoding="utf-8")
    assert report.measure(tmp_path, "toy")["nearest BLEU"] < 10
