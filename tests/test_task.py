"""What the lessons measure with: tasks, their metrics, the bag of words, lesson 01's table."""

import random

import pytest
import torch

from lessons import bag, pictures_full, task
from lessons.sweeps import lesson01, lesson01_bases
from minift.batching import Batch
from minift.records import Chat, Pair, Turn
from minift.tokenizer import Tokenizer
from tests.compare import close


def answered(replies):
    """A stand-in for `task.respond`, which gives these replies."""
    return lambda model, words, asked: replies


@pytest.mark.parametrize("name", task.MAIN)
def test_every_task_opens(name):
    """As many examples as asked for, rows of test with their right answers, classes if any."""
    words = task.open_task(name, 256, train=12, dev=5, test=3, data=None)
    assert (len(words.train), len(words.dev), len(words.test)) == (12, 5, 3)
    assert words.labels == ((0, 1) if name == "sentiment" else ())
    assert words.labels or all(len(task.references(record)) >= 1 for record in words.test)


def test_a_task_that_there_is_not():
    """One line names the file that is missing."""
    with pytest.raises(FileNotFoundError, match="data/nothing_dev: no such file"):
        task.read_part("nothing", "dev")


def test_values_are_words_of_their_own():
    """“no” is not in “not”, case does not count, and a value may hold signs."""
    assert task.holds("It is NO pub.", "no") and not task.holds("It is not.", "no")
    assert not task.holds("There is a piano.", "no")
    assert task.holds("It costs £20-25.", "£20-25") and not task.holds("£20-250", "£20-25")


def test_references_of_a_pair_and_of_a_dialogue():
    """A pair's references, else its response; a dialogue's last turn where it has none."""
    assert task.references(Pair("a", "b", ("c", "d"))) == ("c", "d")
    assert task.references(Pair("a", "b")) == ("b",)
    turns = (Turn("user", "Hello."), Turn("assistant", "Good day."))
    assert task.references(Chat(turns)) == ("Good day.",)


def test_all_metrics_run_from_0_to_100(monkeypatch):
    """Right answers get 100 everywhere; of two answers, one wrong leaves 50."""
    asked = task.read_part("summary", "test", 2)
    words = task.Task("summary", Tokenizer.load(), [], [], asked)
    right = [task.references(record)[0] for record in asked]
    monkeypatch.setattr(task, "respond", answered(right))
    whole = {"bleu": 100.0, "complete": 100.0, "exact": 100.0}
    assert task.measure_all(None, words, asked) == pytest.approx(whole)
    table = task.Task("table_to_text", words.tokenizer, [], [], asked)
    assert "all_slots" in task.measure_all(None, table, asked)
    monkeypatch.setattr(task, "respond", answered([right[0], "?"]))
    found = task.measure_all(None, words, asked)
    assert found["exact"] == found["complete"] == 50.0 and found["bleu"] < 100


def test_a_classifier_is_measured_by_its_classes():
    """A bag that knows one token is right where that token decides, and only there."""
    words = task.open_task("sentiment", 256, 4, 4, 64, data=None)
    model = bag.BagOfWords(words.tokenizer.vocab_size, 2)
    assert (
        task.measure_all(model, words, words.test)["accuracy"] == 50.0
    )  # all scores equal: class 0
    one = words.test[0]
    token = words.tokenizer.encode(one.text)[0]
    with torch.no_grad():
        model.weight[token, int(one.label)] = 5.0
    holders = [r for r in words.test if token in words.tokenizer.encode(r.text)]
    right = sum(r.label == one.label for r in holders)
    assert task.classify(model, words, holders) == pytest.approx(right / len(holders))


def test_a_bag_counts_words_and_forgets_their_order():
    """Equation (1) with loops; another order of the real tokens gives the same scores."""
    torch.manual_seed(0)
    model = bag.BagOfWords(11, 3)
    with torch.no_grad():
        model.weight.normal_()
        model.bias.normal_()
    ids = torch.tensor([[2, 7, 7, 5], [3, 1, 0, 0]])
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    expected = torch.stack(
        [
            model.bias + sum(model.weight[t] for t, real in zip(row, keep, strict=True) if real)
            for row, keep in zip(ids.tolist(), mask.tolist(), strict=True)
        ]
    )
    close(model(ids, mask=mask), expected, "scores of the bag")
    close(model(ids[:1, [3, 1, 0, 2]], mask=mask[:1]), expected[:1], "another order")
    labels = torch.tensor([2, 0])
    loss = -expected.log_softmax(1)[torch.arange(2), labels].sum()
    close(model.loss(Batch(ids, labels, mask)), loss, "summed loss")


def test_how_far_two_settings_are_apart():
    """(10 ± 2) and (4 ± 1) differ by 6, which is 6 / √2.5 pooled deviations."""
    difference, deviations = lesson01.apart((10.0, 2.0), (4.0, 1.0))
    close(torch.tensor([difference, deviations]), torch.tensor([6.0, 6 / 2.5**0.5]), "apart")


def stored_runs(sweep_of=lesson01):
    """Rows as a finished sweep of lesson 01 would leave them; a run's score is 10 · seed."""
    rows = []
    for setting in sweep_of.grid("0123abcd"):
        score = 10.0 * setting["seed"] + (50 if setting["start"] == "base" else 0)
        name = setting["name"]
        metrics = {task.MAIN[name], lesson01.FAR.get(name, task.MAIN[name])}
        result = {f"{part} {m}": score for part in ("dev", "test", "far") for m in metrics}
        rows.append({"setting": setting, "result": result})
    random.Random(0).shuffle(rows)
    return rows


def test_the_table_has_every_setting_with_its_spread():
    """Seeds 0, 1, 2 give 0, 10, 20: mean 10 and deviation 10; the base's runs lie 50 above."""
    told = lesson01.table(stored_runs())
    assert set(told) == set(task.MAIN)
    size = lesson01.SIZES[-1]
    for name, lines in told.items():
        assert lines["metric"] == task.MAIN[name]
        for part in ("dev", "test"):
            assert lines[f"base, LoRA, {size}"][part] == (60.0, 10.0)
            assert lines[f"random, full, {size}"][part] == (10.0, 10.0)
    assert [n for n, lines in told.items() if f"bag of words, {size}" in lines] == ["sentiment"]
    text = lesson01.as_text(told).splitlines()
    assert len(text) == 2 + 2 * len(task.MAIN) and len({line.count("|") for line in text}) == 1


def test_the_other_bases_have_tables_too():
    """Each task of the encoder and of the encoder-decoder has all its lines, from its own runs."""
    for family, names in lesson01_bases.TASKS.items():
        rows = [r for r in stored_runs(lesson01_bases) if r["setting"]["family"] == family]
        told = lesson01.table(rows, names)
        assert set(told) == set(names)
        sizes = {name: len(lesson01.sizes_of(name)) for name in names}
        lines = {name: len(lines) - 1 for name, lines in told.items()}
        assert lines == {name: n + len(lesson01.RIVALS) for name, n in sizes.items()}
        assert told["sentiment"]["base, LoRA, 50"]["dev"] == (60.0, 10.0)


def test_lesson_01_draws_what_the_grid_has(tmp_path):
    """Every curve of its pictures finds its runs."""
    for draw in (pictures_full.sizes, pictures_full.domains):
        assert draw(stored_runs(), tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_seed_draws_the_examples():
    """The same seed draws the same ones, another seed others; none twice, at most all there are."""
    words = task.Task("toy", None, list(range(100)), [], [])
    drawn = [task.drawn(words, 7, seed).train for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(some)) == 7 and set(some) < set(words.train) for some in drawn)
    assert sorted(task.drawn(words, 999, 0).train) == words.train == list(range(100))
