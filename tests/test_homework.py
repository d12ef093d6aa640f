"""Skeletons are the references with holes: names, parameters, docstrings and TODOs do not drift.

Each homework file has a test module that checks it and a file of mistakes (tests/test_mistakes.py
holds the checks to those).
"""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from lessons import mine
from minift import ROOT
from tests import answer_check
from tests.mistakes import nodes, source_of

FILES = sorted(Path(ROOT, "lessons", "homework").glob("[0-9][0-9]_*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
TODO = re.compile(r"# TODO (\d+\.\d+)  (.+)")


def module_of(path):
    """The test module that checks a homework file."""
    return import_module(f"tests.test_{path.stem.partition('_')[2]}")


def reference_of(path):
    """The text of the module that a homework file stands for."""
    return source_of(module_of(path).REFERENCE)


def body(node):
    """A function's statements without its docstring, each as text."""
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return [ast.dump(statement) for statement in statements]


def drift(skeleton, reference):
    """Where a skeleton differs from its reference otherwise than by a hole, one line each."""
    theirs, ours = nodes(skeleton), nodes(reference)
    if theirs.keys() != ours.keys():
        return [f"names: {sorted(theirs.keys() ^ ours.keys())} are in one of the two only"]
    found = [f"{n}: parameters" for n in ours if ast.dump(theirs[n].args) != ast.dump(ours[n].args)]
    docs = {n: (ast.get_docstring(theirs[n]), ast.get_docstring(ours[n])) for n in ours}
    found += [f"{name}: docstring" for name, (a, b) in docs.items() if a != b]
    for name in ours:
        mine_, whole = body(theirs[name]), body(ours[name])
        hole = "NotImplementedError" in mine_[-1]
        if (mine_[:-1] != whole[: len(mine_) - 1]) if hole else (mine_ != whole):
            found.append(f"{name}: what the skeleton keeps is not the reference's")
    return found + frame_drift(ast.parse(skeleton), ast.parse(reference))


def frame_drift(skeleton, reference):
    """The same for what stands around the functions: docstrings, imports, constants, bases."""
    found = []
    if ast.get_docstring(skeleton) != ast.get_docstring(reference):
        found.append("module: docstring")
    for kind in (ast.ClassDef, ast.FunctionDef, ast.Import, ast.ImportFrom, ast.Assign):
        pair = [
            [outline(n) for n in tree.body if isinstance(n, kind)] for tree in (skeleton, reference)
        ]
        if pair[0] != pair[1]:
            found.append(f"module: {kind.__name__}")
    return found


def outline(node):
    """A statement as text; of a class its name, docstring and what is not a method; of a function
    its name and decorators.
    """
    if isinstance(node, ast.FunctionDef):
        return node.name, [ast.dump(d) for d in node.decorator_list]
    if not isinstance(node, ast.ClassDef):
        return ast.dump(node)
    rest = [ast.dump(n) for n in node.body if not isinstance(n, ast.FunctionDef)]
    methods = [outline(n) for n in node.body if isinstance(n, ast.FunctionDef)]
    return node.name, [ast.dump(b) for b in node.bases], rest, methods


def holes(text):
    """{dotted name: (number, words of the comment, what is raised, statements to write)}."""
    found, lines = {}, text.split("\n")
    for name, node in nodes(text).items():
        inside = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        raised = re.findall(r'raise NotImplementedError\("TODO (.+?)"\)', inside)
        comments = TODO.findall(inside)
        if raised or comments:
            found[name] = (comments, raised)
    return found


@each_file
def test_skeleton_has_not_drifted(path):
    """Names, parameters, docstrings, imports and what is kept of a body are the reference's."""
    assert not drift(path.read_text(encoding="utf-8"), reference_of(path))


@each_file
def test_each_hole_is_one_numbered_todo(path):
    """A hole has one comment "TODO 5.1  equation, n lines" and raises the same number, in order."""
    number, found = path.stem[:2].lstrip("0"), holes(path.read_text(encoding="utf-8"))
    assert found
    for name, (comments, raised) in found.items():
        assert len(comments) == 1 and raised == [comments[0][0]], (name, comments, raised)
        assert re.search(r"\d+ lines?\b", comments[0][1]), f"{name}: how many lines?"
    order = [comments[0][0] for comments, _ in found.values()]
    assert order == [f"{number}.{n + 1}" for n in range(len(order))]


@each_file
def test_the_promised_lines_are_about_right(path):
    """The number of lines that a TODO promises is what the reference takes, give or take three."""
    text, reference = path.read_text(encoding="utf-8"), nodes(reference_of(path))
    for name, (comments, _) in holes(text).items():
        kept = len(body(nodes(text)[name])) - 1
        rest = reference[name].body[-(len(body(reference[name])) - kept) :]
        written = sum(isinstance(n, ast.stmt) for part in rest for n in ast.walk(part))
        promised = int(re.search(r"(\d+) lines?\b", comments[0][1]).group(1))
        assert abs(promised - written) <= 3, f"{name}: promised {promised}, reference {written}"


@each_file
def test_each_todo_is_checked(path):
    """Each TODO is cited by a check that asks for its function, and no check cites another."""
    tests = module_of(path)
    assert tests.HOMEWORK == path.name
    assert mine.reference_of(path) == tests.REFERENCE
    todos = {n: comments[0][0] for n, (comments, _) in holes(path.read_text("utf-8")).items()}
    checks = answer_check.checks_of(tests)
    assert {name for check in checks for name in check.task.names} == todos.keys()
    for check in checks:
        assert check.task.todo in {todos[name] for name in check.task.names}, check.__name__


@each_file
def test_checks_are_plain_functions_with_words(path):
    """No fixtures, a property in the docstring, a line of the chapter, a longer hint."""
    for check in answer_check.checks_of(module_of(path)):
        assert check.__name__.startswith("test_") and check.__doc__
        assert not inspect.signature(check).parameters, check.__name__
        assert check.task.chapter and len(check.task.hint) > len(check.task.chapter)


@each_file
def test_stubs_are_short_and_tell_how_to_go_on(path):
    """A stub is at most 60 lines; the head of the file names the commands."""
    text = path.read_text(encoding="utf-8")
    assert all(n.end_lineno - n.lineno < 60 for n in nodes(text).values())
    for command in (f"check {path.stem[:2]}", "--hint", f"{path.stem[:2]} --mine"):
        assert f"python -m lessons {command}" in text or command == "--hint" and command in text


REFERENCE = '''"""Doc."""
import math

class Layer:
    """A layer."""

    def run(self, x, y=1):
        """Run."""
        z = x
        return z + y

def merge(layer):
    """Merge."""
    return layer
'''
SKELETON = REFERENCE.replace(
    "        return z + y\n",
    '        # TODO 5.1  (1), 1 line\n        raise NotImplementedError("TODO 5.1")\n',
)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("y=1", "y=2", "Layer.run: parameters"),
        ('"""Run."""', '"""Walk."""', "Layer.run: docstring"),
        ("z = x", "z = 2 * x", "Layer.run: what the skeleton keeps"),
        ("return layer", "return None", "merge: what the skeleton keeps"),
        ("def merge", "def unmerge", "names: ['merge', 'unmerge']"),
        ("import math", "import torch", "module: Import"),
        ('"""Doc."""', '"""Dog."""', "module: docstring"),
        ('"""A layer."""', '"""A hen."""', "module: ClassDef"),
        ("class Layer:", "class Layer(dict):", "module: ClassDef"),
    ],
)
def test_drift_is_seen(old, new, found):
    """A planted drift of each kind is named."""
    assert not drift(SKELETON, REFERENCE)
    lines = drift(SKELETON.replace(old, new), REFERENCE)
    assert any(line.startswith(found) for line in lines), lines
