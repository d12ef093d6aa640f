"""Wrong answers: each an edit of the reference that a check must catch with words of its own.

    Mistake("alpha", "5(d)1", "test_scale", ("scale by alpha;",), [("alpha / rank", "alpha")])

A file of mistakes holds MISTAKES; SPEC, where the spec lists them, and how many; UNSEEN, those that
no edit can show, each with the reason; ZEROS, for each asked name a lazy answer, which no check of
that name may accept; OTHERWISE, for each a right answer in other words, which every check accepts.
"""

import ast
import textwrap
from dataclasses import dataclass
from pathlib import Path

from minift import ROOT


@dataclass(frozen=True)
class Mistake:
    """name, where the spec lists it, the check that must fail, the words of that check's line.

    edits: [(old text, new text)], each old text once in the source; whole: {dotted name: function};
    of: the module that is edited, where it is not the homework's reference.
    """

    name: str
    spec: str
    fails: str
    words: tuple
    edits: tuple = ()
    whole: tuple = ()
    of: str | None = None

    def source(self, reference):
        """The text of the module with the mistake in it."""
        text = source_of(self.of or reference)
        for old, new in self.edits:
            if text.count(old) != 1:
                raise ValueError(f"mistake {self.name}: {old!r} is there {text.count(old)} times")
            text = text.replace(old, new)
        for dotted, function in dict(self.whole).items():
            text = with_function(text, dotted, function)
        return text

    def changed(self, reference):
        """The dotted names of the functions that the mistake changes."""
        before = functions(source_of(self.of or reference))
        after = functions(self.source(reference))
        return tuple(n for n in before if n in after and before[n] != after[n])


def source_of(module):
    """A module's text, by its dotted name."""
    return Path(ROOT, *module.split(".")).with_suffix(".py").read_text(encoding="utf-8")


def nodes(text):
    """{dotted name: node} of the functions of a module and of its classes' methods."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            found |= {f"{node.name}.{method.name}": method for method in methods}
    return found


def functions(text):
    """{dotted name: its tree as text}; two functions are the same if these are."""
    return {name: ast.dump(node) for name, node in nodes(text).items()}


def with_function(text, dotted, function):
    """The text with one function replaced, indented as it was."""
    node, lines = nodes(text)[dotted], text.split("\n")
    new = textwrap.indent(textwrap.dedent(function).strip("\n"), " " * node.col_offset)
    return "\n".join([*lines[: node.lineno - 1], new, *lines[node.end_lineno :]])
