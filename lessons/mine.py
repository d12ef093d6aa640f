"""Your homework in the reference's place.

    load      run a homework file; whatever is wrong with it is said in one line
    install   for `python -m lessons 05 --mine`: the file's module stands where the reference stood

The answer check (tests/answer_check.py) uses `load` and puts in single functions instead.
"""

import ast
import sys
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType

from minift import ROOT


class UnusableAnswer(ValueError):
    """The file cannot be used at all; the text is one line that says where and why."""


def reference_of(path):
    """The module that a homework file stands for: 05_lora.py → minift.peft.lora."""
    name = Path(path).stem.partition("_")[2]
    found = [p for p in (ROOT / "minift").rglob(f"{name}.py") if p.parent.name != "commands"]
    if len(found) != 1:
        raise UnusableAnswer(
            f"{path}: names no module of minift; expected a name such as 05_lora.py"
        )
    return ".".join(found[0].relative_to(ROOT).with_suffix("").parts)


def place(error, path):
    """ "05_lora.py:41", the innermost line of the file that the error went through, or None."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{Path(path).name}:{lines[-1]}" if lines else None


def describe(error):
    """An error's type and message on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def refuse_borrowing(tree, path, reference):
    """An answer that imports the reference is not one."""
    package, _, child = reference.rpartition(".")
    for node in ast.walk(tree):
        names = (
            [a.name for a in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        )
        source = getattr(node, "module", None)
        if reference in [*names, source] or (source == package and child in names):
            raise UnusableAnswer(
                f"{Path(path).name}:{node.lineno}: imports {reference}, the reference; "
                "the homework is to write it yourself"
            )


def load(path, reference, *, name="mine", source=None):
    """Run the file (or `source` in its name) as module `name`; return the module.

    Raises UnusableAnswer in one line: not there, a syntax error, an error while it runs, or a file
    that imports the reference instead of answering.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8") if source is None else source
        tree = ast.parse(text, filename=str(path))
    except FileNotFoundError:
        raise UnusableAnswer(f"{path}: no such file") from None
    except SyntaxError as error:
        raise UnusableAnswer(f"{path.name}:{error.lineno}: syntax error: {error.msg}") from None
    except (OSError, ValueError) as error:
        raise UnusableAnswer(f"{path}: cannot be read: {describe(error)}") from None
    refuse_borrowing(tree, path, reference)
    return execute(tree, path, name)


def execute(tree, path, name):
    """Run a parsed file as module `name`. While it runs, an import of that name finds it."""
    module = ModuleType(name)
    module.__file__ = str(path)
    before, sys.modules[name] = sys.modules.get(name), module
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise UnusableAnswer(f"{place(error, path) or path.name}: {describe(error)}") from None
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
    return module


def install(path):
    """Put the file's module where its reference stands, before anything imports it; return it.

    A part that is not written yet raises NotImplementedError("TODO 5.3") when the lesson gets to
    it. Raises UnusableAnswer if the file does not run, or if the reference is already imported.
    """
    path = Path(path).resolve()
    reference = reference_of(path)
    if reference in sys.modules:
        raise UnusableAnswer(
            f"{reference} is already imported; your file must be installed before that"
        )
    module = load(path, reference, name=reference)
    sys.modules[reference] = module
    package, _, child = reference.rpartition(".")
    setattr(import_module(package), child, module)
    return module


def not_started(error, path):
    """A NotImplementedError of the file in one line: which TODO, and where it stands."""
    where = place(error, Path(path).resolve()) or place(error, path) or Path(path).name
    return f"not started: {str(error) or 'a TODO'} ({where})"
