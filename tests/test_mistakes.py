"""The test of the tests: every listed wrong answer is caught, by its check, with its own words.

pytest tests/test_mistakes.py -s        prints the confusion matrix and the table of the spec
"""

from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from lessons import mine
from minift import ROOT
from tests import answer_check
from tests.answer_check import NOT_STARTED, RIGHT, WRONG
from tests.mistakes import source_of, with_function

NAMES = sorted(
    path.stem for path in Path(ROOT, "tests", "mistakes").glob("*.py") if path.stem != "__init__"
)
listed = {name: import_module(f"tests.mistakes.{name}") for name in NAMES}
ALL = [(name, mistake) for name in NAMES for mistake in listed[name].MISTAKES]
pytestmark = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
each_name = pytest.mark.parametrize("name", NAMES)
each_mistake = pytest.mark.parametrize(
    ("name", "mistake"), ALL, ids=[f"{name}: {mistake.name}" for name, mistake in ALL]
)


def module_of(name):
    """The test module whose checks the mistakes are for."""
    return import_module(f"tests.test_{name}")


@cache
def outcome(name, mistake_name):
    """{check: its line} of all checks that a mistake fails."""
    mistake = {m.name: m for m in listed[name].MISTAKES}[mistake_name]
    tests = module_of(name)
    source = mistake.source(tests.REFERENCE)
    answer = answer_check.open_answer(tests.HOMEWORK, mistake.of or tests.REFERENCE, source)
    if mistake.of:
        return planted_elsewhere(mistake, answer)
    results = answer_check.run(tests, answer, mistake.changed(tests.REFERENCE))
    return {r.check: r.text for r in results if r.kind == WRONG}


def planted_elsewhere(mistake, answer):
    """A mistake in another module than the homework's: the named plain test must see it."""
    module, _, test = mistake.fails.rpartition(".")
    check = getattr(import_module(module), test)
    names = mistake.changed(mistake.of)
    task = answer_check.Task(names)
    result = answer_check.attempt(check, answer, task)
    return {mistake.fails: result.text} if result.kind == WRONG else {}


def says(mistake, text):
    """Whether a line holds the mistake's words."""
    return all(word in text for word in mistake.words)


@each_mistake
def test_mistake_is_caught_with_its_own_words(name, mistake):
    """The named check fails, its line holds the mistake's words, and no line another's."""
    lines = outcome(name, mistake.name)
    assert mistake.fails in lines, f"not caught by {mistake.fails}; caught by {sorted(lines)}"
    assert says(mistake, lines[mistake.fails]), lines[mistake.fails]
    assert not any("\n" in line for line in lines.values())
    others = [m for m in listed[name].MISTAKES if m is not mistake]
    for check, line in lines.items():
        mixed = [m.name for m in others if says(m, line)]
        assert not mixed, f"{check} says “{line}”, the words of {mixed}"


@each_name
def test_each_mistake_changes_what_its_check_asks_for(name):
    """A mistake sits in a function that the check names, so that one slip is one task's."""
    tests = module_of(name)
    asked = {check.__name__: check.task.names for check in answer_check.checks_of(tests)}
    for mistake in (m for m in listed[name].MISTAKES if not m.of):
        changed = set(mistake.changed(tests.REFERENCE))
        assert changed and changed <= set(asked[mistake.fails]), (mistake.name, changed)


@each_name
def test_each_check_has_a_mistake(name):
    """A check that no wrong answer fails proves nothing."""
    checks = {check.__name__ for check in answer_check.checks_of(module_of(name))}
    idle = checks - {mistake.fails for mistake in listed[name].MISTAKES}
    assert not idle, f"no wrong answer is listed for {sorted(idle)}"


@each_name
def test_each_mistake_of_the_spec_is_accounted_for(name):
    """Every mistake that the spec numbers is caught by a check or cannot be seen, with a reason."""
    section, count = listed[name].SPEC
    numbers = {f"{section}{n}" for n in range(1, count + 1)}
    caught = {m.spec for m in listed[name].MISTAKES if m.spec != "-"}
    unseen = listed[name].UNSEEN
    assert caught | unseen.keys() == numbers, numbers ^ (caught | unseen.keys())
    assert not caught & unseen.keys()
    print(f"\n{name}: mistakes of the spec")
    for number in sorted(numbers, key=lambda text: int(text.removeprefix(section))):
        by = dict.fromkeys(m.fails for m in listed[name].MISTAKES if m.spec == number)
        reason = ", ".join(by) or f"not testable because {unseen[number]}"
        print(f"  {number:<8}{reason}")


@each_name
def test_confusion_matrix(name):
    """Printed: mistake by mistake, whose words its lines hold. Only the diagonal is filled."""
    mistakes, off_diagonal, red = listed[name].MISTAKES, 0, 0
    print(f"\n{name}: row = wrong answer, column = whose words; the last number: red lines")
    for row, mistake in enumerate(mistakes):
        lines = outcome(name, mistake.name)
        cells = ["x" if any(says(m, t) for t in lines.values()) else "." for m in mistakes]
        off_diagonal += sum(c == "x" for c in cells) - (cells[row] == "x")
        red += len(lines)
        print(f"  {''.join(cells)}  {len(lines)}  {mistake.name}")
    caught = sum(mistake.fails in outcome(name, mistake.name) for mistake in mistakes)
    print(f"  caught {caught} of {len(mistakes)}; {red / len(mistakes):.2f} red lines each")
    assert off_diagonal == 0


@each_name
def test_lazy_answers_pass_nothing(name):
    """All zeros, or nothing at all, is not accepted by any check of that name."""
    tests, lazy = module_of(name), listed[name].ZEROS
    checks = answer_check.checks_of(tests)
    assert lazy.keys() == {n for check in checks for n in check.task.names}
    nothing = "def {}(*arguments, **options):\n    return None"
    for asked, zeros in lazy.items():
        for function in (zeros, nothing.format(asked.rpartition(".")[2])):
            source = with_function(source_of(tests.REFERENCE), asked, function)
            answer = answer_check.open_answer(tests.HOMEWORK, tests.REFERENCE, source)
            about = [check for check in checks if asked in check.task.names]
            passed = [c.__name__ for c in about if answer_check.attempt(c, answer).kind == RIGHT]
            assert not passed, f"{asked} that does nothing passes {passed}"


@each_name
def test_right_answers_in_other_words_pass(name):
    """No false alarm: another way to write each function is right, alone and all together."""
    tests, otherwise = module_of(name), listed[name].OTHERWISE
    reference = source_of(tests.REFERENCE)
    assert otherwise.keys() == listed[name].ZEROS.keys()
    together = reference
    for asked, function in otherwise.items():
        together = with_function(together, asked, function)
    alone = [with_function(reference, asked, function) for asked, function in otherwise.items()]
    for source in (*alone, together):
        answer = answer_check.open_answer(tests.HOMEWORK, tests.REFERENCE, source)
        wrong = [(r.check, r.text) for r in answer_check.run(tests, answer) if r.kind != RIGHT]
        assert not wrong, wrong


@each_name
def test_the_reference_is_right_and_not_borrowed(name):
    """The reference's text, handed in as an answer, is all right; imported, it is refused."""
    tests = module_of(name)
    source = source_of(tests.REFERENCE)
    results = answer_check.run(tests, answer_check.open_answer("05.py", tests.REFERENCE, source))
    assert {r.kind for r in results} == {RIGHT}, [r for r in results if r.kind != RIGHT]
    with pytest.raises(mine.UnusableAnswer, match="the reference"):
        answer_check.open_answer("05.py", tests.REFERENCE, f"from {tests.REFERENCE} import *")


@each_name
def test_the_skeleton_is_not_started(name):
    """As shipped every check of the homework says "not started", and where."""
    tests = module_of(name)
    path = Path(ROOT, "lessons", "homework", tests.HOMEWORK)
    for result in answer_check.run(tests, answer_check.open_answer(path, tests.REFERENCE)):
        assert result.kind == NOT_STARTED, result
        assert f"TODO {result.task.todo}" in result.text and f"({path.name}:" in result.text
