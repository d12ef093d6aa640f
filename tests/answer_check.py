"""The answer check: the tests that hold the reference to account, run against a student's file.

    pytest --mine lessons/homework/05_lora.py tests/test_lora.py [--hint]

A test module that checks homework declares REFERENCE (the module) and HOMEWORK (the file's name). A
check is a plain function without fixtures that names what the student writes:

    @asks("LoRALinear.forward", todo="5.3", chapter="h = Wx + (α/r)BAx", hint="…")
    def test_forward():

Under `--mine` the named functions, and only they, stand in the reference module while the check
runs; all else is the reference, so that one slip is one red line. Plain `pytest` checks the
reference itself.
"""

from collections.abc import Callable
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from importlib import import_module
from inspect import getdoc
from io import StringIO
from pathlib import Path
from types import CellType, FunctionType, ModuleType
from unittest.mock import patch

import pytest
import torch

from lessons import mine
from minift import ROOT
from tests.answer_sheet import NOT_STARTED, RIGHT, WAITS, WRONG, sheet
from tests.compare import Wrong

# ---- what a check asks for ----


@dataclass(frozen=True)
class Task:
    """names: dotted names that the student writes; chapter: the line that holds the answer;
    after: a check that must be right before this one says anything of its own.
    """

    names: tuple
    todo: str = ""
    chapter: str = ""
    hint: str = ""
    after: Callable | None = None


def asks(*names, todo, chapter, hint, after=None):
    """Mark a test as a check of `names`; `hint` is the longer one, shown on request."""

    def mark(check):
        check.task = Task(names, todo, chapter, hint, after)
        return check

    return mark


def checks_of(module):
    """The checks of a test module, in its order."""
    return [f for f in vars(module).values() if isinstance(f, FunctionType) and hasattr(f, "task")]


# ---- the student's functions in the reference's place ----


@dataclass(frozen=True)
class Answer:
    """A student's module, the reference that it answers, and {check: Result} of what has run."""

    path: Path
    student: ModuleType
    reference: ModuleType
    done: dict = field(default_factory=dict)


def open_answer(path, reference, source=None):
    """Load a homework file (or `source` in its name). Raises mine.UnusableAnswer in one line."""
    student = mine.load(path, reference, source=source)
    return Answer(Path(path), student, import_module(reference))


def find(answer, dotted):
    """The student's function or class of that name. Raises Wrong if it is missing or borrowed."""
    value = answer.student
    for part in dotted.split("."):
        if part not in vars(value):
            raise Wrong(f"{answer.path.name} has no {dotted}; the skeleton has it")
        value = vars(value)[part]
    code = getattr(getattr(value, "__func__", value), "__code__", None)
    borrowed = getattr(value, "__module__", None) == answer.reference.__name__
    if borrowed or (code and code.co_filename == answer.reference.__file__):
        raise Wrong(f"{dotted} is the reference's own; the homework is to write it yourself")
    return value


def rehomed(value, owner):
    """A method for another class: zero-argument super() looks into its `__class__` cell."""
    if isinstance(value, staticmethod | classmethod):
        return type(value)(rehomed(value.__func__, owner))
    if not isinstance(value, FunctionType) or "__class__" not in value.__code__.co_freevars:
        return value
    cells = dict(zip(value.__code__.co_freevars, value.__closure__, strict=True))
    cells["__class__"] = CellType(owner)
    arguments = (value.__globals__, value.__name__, value.__defaults__, tuple(cells.values()))
    moved = FunctionType(value.__code__, *arguments)
    moved.__kwdefaults__, moved.__dict__ = value.__kwdefaults__, dict(value.__dict__)
    return moved


def own_names(reference):
    """What a reference module defines itself (and does not import)."""
    defined = vars(reference).items()
    return [n for n, v in defined if getattr(v, "__module__", None) == reference.__name__]


def beside(theirs, ours):
    """What a student's class has beside the names of the reference's."""
    if not isinstance(theirs, type) or not isinstance(ours, type):
        return {}
    extra = vars(theirs).keys() - vars(ours).keys()
    return {name: vars(theirs)[name] for name in extra if not name.startswith("__")}


@contextmanager
def in_place(answer, names):
    """The student's `names`, and only they, are used; all else of either module is the reference's.

    A method moves onto the reference's class, with the helpers that the student's class has beside.
    """
    found = {name: find(answer, name) for name in names}
    with ExitStack() as stack:

        def put(target, name, value):
            stack.enter_context(patch.object(target, name, value, create=True))

        for name in set(own_names(answer.reference)) - found.keys():
            part = getattr(answer.reference, name)
            for extra, helper in beside(vars(answer.student).get(name), part).items():
                put(part, extra, rehomed(helper, part))
            put(answer.student, name, part)
        for name, value in found.items():
            owner, _, method = name.rpartition(".")
            target = getattr(answer.reference, owner) if owner else answer.reference
            put(target, method, rehomed(value, target) if owner else value)
        yield


# ---- one check, one result ----


@dataclass(frozen=True)
class Result:
    """How a check came out; `text` is the one line that says what is wrong."""

    check: str
    title: str
    task: Task
    kind: str
    text: str = ""
    reference: str = ""
    printed: str = ""


def title(check):
    """A check's property: the first line of its docstring."""
    return (getdoc(check) or check.__name__).splitlines()[0].removesuffix(".")


def attempt(check, answer, task=None):
    """Run a check (of `task`, its own) against a student's file; every error becomes one line."""
    if check not in answer.done:
        answer.done[check] = judge(check, answer, task or check.task)
    return answer.done[check]


def judge(check, answer, task):
    """The result of a check; it waits where the one before it is not right."""
    result = Result(check.__name__, title(check), task, RIGHT, reference=answer.reference.__file__)
    if task.after and (first := attempt(task.after, answer)).kind in (WRONG, WAITS):
        text = first.text if first.kind == WAITS else f"first: {first.title}"
        return replace(result, kind=WAITS, text=text)
    torch.manual_seed(0)
    printed = StringIO()
    try:
        with in_place(answer, task.names), redirect_stdout(printed):
            check()
    except (Exception, SystemExit) as error:
        why = explained(error, answer, task)
        return replace(result, **why, printed=printed.getvalue())
    return result


def explained(error, answer, task):
    """kind and text of a check that raised."""
    if isinstance(error, NotImplementedError) and (not str(error) or "TODO" in str(error)):
        return {"kind": NOT_STARTED, "text": mine.not_started(error, answer.path)}
    if isinstance(error, Wrong):
        return {"kind": WRONG, "text": str(error)}
    where = mine.place(error, answer.path) or " and ".join(task.names)
    return {"kind": WRONG, "text": f"{where}: {mine.describe(error)}{there_is(error, answer)}"}


def there_is(error, answer):
    """Where an attribute is missing from an object of the reference: the attributes there are."""
    thing = getattr(error, "obj", None)
    if not isinstance(error, AttributeError) or type(thing).__module__ != answer.reference.__name__:
        return ""
    kept = vars(thing)
    names = {*kept.get("_parameters", ()), *kept.get("_modules", ()), *kept}
    names = sorted(n for n in names if not n.startswith("_") and n != "training")
    return f"; the other parts come from the reference, which has: {', '.join(names)}"


def run(module, answer, names=None):
    """All checks of a test module (or those that ask for `names`) against one answer."""
    checks = checks_of(module)
    if names is not None:
        checks = [check for check in checks if set(check.task.names) & set(names)]
    return [attempt(check, answer) for check in checks]


# ---- the plugin ----

ANSWERS = pytest.StashKey[dict]()  # {test module: Answer}
RESULTS = pytest.StashKey[list]()


def pytest_addoption(parser):
    group = parser.getgroup("answer check")
    group.addoption("--mine", action="append", metavar="FILE", help="check this homework file")
    group.addoption("--hint", action="store_true", help="with --mine: a longer hint for each slip")


def pytest_configure(config):
    """Under --mine the sheet is all there is to read."""
    if config.getoption("mine"):
        config.option.verbose, config.option.tbstyle = -2, "no"
        config.option.reportchars, config.option.disable_warnings = "", True
        config.stash[ANSWERS], config.stash[RESULTS] = {}, []


def checked_by(file, modules):
    """The test module of a homework file: by the file's name, or the only one at hand."""
    for module in modules:
        if module.HOMEWORK == Path(file).name:
            return module
    if len(modules) == 1:
        return modules[0]
    raise mine.UnusableAnswer(f"{file}: no check for a file of this name; keep the skeleton's name")


def pytest_collection_modifyitems(config, items):
    """Under --mine only the checks of the named files are left."""
    if not (files := config.getoption("mine")):
        return
    modules = list(dict.fromkeys(i.module for i in items if hasattr(i.module, "HOMEWORK")))
    answers = config.stash[ANSWERS]
    try:
        for file in files:
            module = checked_by(file, modules)
            answers[module] = open_answer(file, module.REFERENCE)
    except mine.UnusableAnswer as error:
        raise pytest.UsageError(str(error)) from None
    kept = [i for i in items if i.module in answers and hasattr(i.function, "task")]
    config.hook.pytest_deselected(items=[i for i in items if i not in kept])
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    answers = pyfuncitem.config.stash.get(ANSWERS, {})
    if pyfuncitem.module not in answers:
        return None
    result = attempt(pyfuncitem.function, answers[pyfuncitem.module])
    pyfuncitem.config.stash[RESULTS].append(result)
    if result.kind != RIGHT:
        pytest.fail(result.text, pytrace=False)
    return True


def pytest_report_teststatus(report, config):
    """No dots: the sheet tells."""
    if config.getoption("mine") and report.when == "call":
        return report.outcome, "", ""
    return None


def pytest_terminal_summary(terminalreporter, config):
    if not config.getoption("mine") or not config.stash[RESULTS]:
        return
    for answer in config.stash[ANSWERS].values():
        path = answer.path.resolve()
        path = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        line = f"checking {path} in place of {answer.reference.__name__}"
        terminalreporter.write_line(line)
    for line in sheet(config.stash[RESULTS], config.getoption("hint")):
        terminalreporter.write_line(line)


def check(files, hint=False):
    """Check homework files and print the sheet. 0: all right, 1: not yet, 2: a file is unusable."""
    arguments = ["--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), *["--hint"] * hint]
    try:
        for file in map(Path, files):
            mine.load(file, mine.reference_of(file))
            test = ROOT / "tests" / f"test_{file.stem.partition('_')[2]}.py"
            arguments += ["--mine", str(file), str(test)]
    except mine.UnusableAnswer as error:
        print(error)
        return 2
    return min(int(pytest.main(arguments)), 2)
