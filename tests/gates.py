"""The gates of the house: what a reader may count on in every file, checked by reading the sources.

Each gate takes a `File` (its path and its text), or all of them, and gives its findings as lines
`file:line: what is wrong`. `test_gates.py` runs them on the project and on planted violations.
"""

import ast
import builtins
import io
import re
import sys
import tokenize
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property

from torch import nn

PACKAGES = {"torch", "numpy", "tiktoken", "matplotlib", "pytest", "triton"}
OURS = {"minift", "lessons", "tests", "data"}
# who may import whom inside minift; "" stands for the files at the top
ARROWS = {
    "": set(),
    "models": {""},
    "quant": {"", "models"},
    "optim": {""},
    "peft": {"", "models", "quant"},
    "instruct": {"", "models"},
    "rlhf": {"", "models", "instruct", "peft"},
    "commands": {"", "models", "quant", "optim", "peft", "instruct", "rlhf"},
}
# verbs that say what they do with their module: delta.save, pretrained.save; run, one a command
VERBS = {"read", "write", "load", "save", "merge", "arguments", "run", "main"}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


@dataclass(frozen=True)
class File:
    """A source file: `path` from the root, with forward slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self):
        return ast.parse(self.text)

    @cached_property
    def nodes(self):
        return list(ast.walk(self.tree))

    @cached_property
    def functions(self):
        return [n for n in self.nodes if isinstance(n, FUNCTIONS)]

    @property
    def room(self):
        """The folder below minift ("" for a file at its top), None outside of minift."""
        parts = self.path.split("/")
        return None if parts[0] != "minift" else parts[1] if len(parts) > 2 else ""

    @property
    def python(self):
        return self.path.endswith(".py")

    @property
    def homework(self):
        return self.path.startswith("lessons/homework/")

    @property
    def lesson(self):
        return bool(re.fullmatch(r"lessons/\d\d_\w+\.py", self.path))

    def imports(self):
        """(line, dotted name, whether it is a name out of a module) of all that is imported."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name, False) for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    package = self.path.split("/")[: -node.level]
                    base = ".".join([*package, *filter(None, [base])])
                yield node.lineno, base, False
                yield from ((node.lineno, f"{base}.{alias.name}", True) for alias in node.names)

    def say(self, line, text):
        return f"{self.path}:{line}: {text}"


# one file at a time


def equation_tags(file):
    """A tag `(1)` behind code is an equation of the docstring, and each equation has a line."""
    if file.room is None:
        return
    text = ast.get_docstring(file.tree, clean=False) or ""
    stated = Counter(re.findall(r"^ +\S.*?[ ]{2,}\((\d{1,2}[a-z]?)\)(?= {2}|$)", text, re.M))
    tags = {}
    for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
            for tag in re.findall(r"(?<=[\s#])\((\d{1,2}[a-z]?)\)", token.string):
                tags.setdefault(tag, token.start[0])
    for tag, line in tags.items():
        if tag not in stated:
            yield file.say(line, f"equation ({tag}) is not in the module's docstring")
    for tag, times in stated.items():
        if tag not in tags:
            yield file.say(1, f"equation ({tag}) of the docstring is computed by no line")
        if times > 1:
            yield file.say(1, f"the docstring has {times} equations ({tag})")


def control_characters(file):
    """No control character in the file, nor in a string that an escape like \\b of LaTeX made."""
    for number, row in enumerate(file.text.split("\n"), 1):
        for found in re.findall(r"[\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff]", row):
            yield file.say(number, f"control character U+{ord(found):04X}")
            return
    for node in file.nodes if file.python else ():
        docstring = isinstance(node, (ast.Module, *DEFINITIONS)) and ast.get_docstring(node, False)
        if docstring and re.search(r"[^\n -\ud7ff\ue000-\U0010ffff]", docstring):
            line = getattr(node, "lineno", 1)
            yield file.say(line, "control character in the docstring; a backslash needs r-quotes")


def compiles(file):
    """The file compiles with every warning an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            compile(file.text, file.path, "exec", dont_inherit=True)
        except (SyntaxError, Warning) as error:
            yield file.say(getattr(error, "lineno", 1) or 1, f"does not compile: {error}")


def sizes(file):
    """One idea a file, one act a function, and lines that fit the page."""
    lines = file.text.splitlines()
    limit = 200 if file.room is not None else 150 if file.lesson else None
    if limit and len(lines) > limit:
        yield file.say(limit, f"{len(lines)} lines; the limit is {limit}")
    for number, row in enumerate(lines, 1):
        if len(row) > 100:
            yield file.say(number, f"{len(row)} columns wide; the limit is 100")
    for node in file.functions:
        length, limit = node.end_lineno - node.lineno + 1, 60 if file.homework else 40
        if length > limit and not file.path.startswith("tests/"):
            yield file.say(node.lineno, f"{node.name} is {length} lines long; the limit is {limit}")
        if (deep := depth(node.body)) > 3:
            yield file.say(node.lineno, f"{node.name} is nested {deep} deep; the limit is 3")


def depth(body):
    """How deep if, for, while, with and try are nested; `elif` is no deeper than its `if`."""
    deepest = 0
    for node in body:
        if isinstance(node, NESTING):
            elif_ = isinstance(node, ast.If) and [type(n) for n in node.orelse] == [ast.If]
            blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
            blocks += [part.body for part in getattr(node, "handlers", getattr(node, "cases", []))]
            inner = max(depth(block) for block in blocks if not (elif_ and block is node.orelse))
            deepest = max(deepest, 1 + inner, depth(node.orelse) if elif_ else 0)
    return deepest


def cells(file):
    """A lesson's cell has at most 15 lines of code (prose, comments and empty lines are free)."""
    if not file.lesson:
        return
    prose = [
        n for n in file.tree.body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
    ]
    free = {line for n in prose for line in range(n.lineno, n.end_lineno + 1)}
    start, count = 1, 0
    for number, row in enumerate([*file.text.splitlines(), "# %%"], 1):
        if row.startswith("# %%"):
            if count > 15:
                yield file.say(start, f"cell of {count} lines of code; the limit is 15")
            start, count = number, 0
        elif row.strip() and not row.strip().startswith("#") and number not in free:
            count += 1


def arrows(file):
    """Imports run downward: lessons → methods → models → the files at the top of minift."""
    here = file.room
    for line, name, _ in file.imports():
        head, _, rest = name.partition(".")
        there = rest.split(".")[0] if rest.split(".")[0] in ARROWS else ""
        if head in OURS and head != "minift" and here is not None:
            yield file.say(line, f"minift imports {head}: arrows run downward only")
        if name.startswith(("data.generate", "lessons.")) and not file.path.startswith(
            (name.split(".")[0] + "/", "tests/")
        ):
            yield file.say(line, f"imports {name}; nobody imports from there")
        if head == "minift" and here is not None and there not in {"", here}:
            if file.path != "minift/__main__.py" and there not in ARROWS.get(here, set()):
                yield file.say(line, f"minift/{here or file.path} may not import minift/{there}")
        if head and head not in PACKAGES | OURS | sys.stdlib_module_names:
            if not file.path.startswith("tests/peers/"):
                yield file.say(line, f"imports {head}, which is not one of the packages")


def whole_modules(file):
    """A method is used through its module, `lora.LoRALinear`: a student's takes its place."""
    for line, name, is_name in file.imports():
        if file.room is not None and is_name and re.match(r"minift\.peft\.\w+\.", name):
            yield file.say(line, f"imports the name {name}; import its module")


def argparse_at_the_door(file):
    """argparse is imported by the command lines alone."""
    for line, name, _ in file.imports():
        if name == "argparse" and not file.path.endswith("/__main__.py"):
            yield file.say(line, "imports argparse, which belongs to __main__.py")


def nothing_unpickled(file):
    """No pickle in minift and lessons; torch.load only with weights_only=True."""
    for line, name, _ in file.imports():
        pickles = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib"}
        if name.split(".")[0] in pickles and not file.path.startswith("tests/"):
            yield file.say(line, f"imports {name}: nothing is unpickled here")
        if name == "torch.load":
            yield file.say(
                line, "imports torch.load by name; write torch.load(…, weights_only=True)"
            )
    for node in (n for n in file.nodes if isinstance(n, ast.Call)):
        given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if ast.unparse(node.func) == "torch.load" and given.get("weights_only") is not True:
            yield file.say(node.lineno, "torch.load without weights_only=True")
        if given.get("allow_pickle"):
            yield file.say(node.lineno, "allow_pickle: nothing is unpickled here")


def tests_assert(file):
    """Every test asserts something and says in a docstring which property it holds."""
    for node in file.functions if file.path.startswith("tests/") else ():
        if node.name.startswith("test_"):
            if not any(holds(n) for n in ast.walk(node)):
                yield file.say(node.lineno, f"{node.name} asserts nothing")
            if not ast.get_docstring(node):
                yield file.say(node.lineno, f"{node.name} does not say which property it holds")


def holds(node):
    called = isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", ""))
    words = ("assert", "check_", "hold")
    by_call = called and (
        called in {"raises", "warns", "fail", "close"} or called.startswith(words)
    )
    return isinstance(node, ast.Assert) or bool(by_call)


def no_stubs(file):
    """Nothing in minift is left to be written, and no bare except hides what went wrong."""
    for node in file.nodes if file.room is not None else ():
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield file.say(node.lineno, "a bare except hides what went wrong")
        if isinstance(node, FUNCTIONS):
            words = [n for n in node.body if isinstance(getattr(n, "value", None), ast.Constant)]
            empty = [n for n in words if isinstance(n, ast.Expr)]
            empty += [n for n in node.body if isinstance(n, ast.Pass)]
            missing = [n for n in node.body if isinstance(n, ast.Raise)]
            if len(empty) == len(node.body) or "NotImplemented" in "".join(map(ast.dump, missing)):
                yield file.say(node.lineno, f"{node.name} is a stub")


def docstrings(file):
    """Each module, and each public function of more than 8 lines, says what it is."""
    if file.room is None:
        return
    if not ast.get_docstring(file.tree) and file.text.strip():
        yield file.say(1, "has no module docstring")
    for node in file.functions:
        long = node.end_lineno - node.lineno + 1 > 8
        public = not node.name.startswith("_") and node.name != "forward"
        if long and public and not ast.get_docstring(node):
            yield file.say(node.lineno, f"public {node.name} has no docstring")


def names(file):
    """No name that says nothing, and none that torch or Python has taken."""
    stem = file.path.rpartition("/")[2].removesuffix(".py")
    found = [(1, stem)] + [(n.lineno, n.name) for n in file.nodes if isinstance(n, DEFINITIONS)]
    for line, name in found:
        if re.search(r"^(my_|My)|(^|_)(utils?|helpers?|common|misc)$|_v\d+$", name):
            yield file.say(line, f"the name {name} says nothing")
    for node in (n for n in file.nodes if isinstance(n, (ast.Name, ast.arg))):
        name = getattr(node, "id", getattr(node, "arg", ""))
        if re.search(r"^my_|_v\d+$", name):
            yield file.say(node.lineno, f"the name {name} says nothing")
    for node in file.tree.body if file.room is not None else ():
        taken = isinstance(node, DEFINITIONS) and node.name
        if taken and (hasattr(builtins, taken) or hasattr(nn, taken)):
            yield file.say(node.lineno, f"{taken} is a name of torch or Python")


def one_machine(file):
    """No file names a path of one machine, and minift leaves no TODO."""
    for number, row in enumerate(file.text.split("\n"), 1):
        if re.search(r"(?<![\w.~])/(work|root|home|tmp)/", row):
            yield file.say(number, "names a path of one machine")
        if file.room is not None and re.search(r"\b(TODO|FIXME|XXX)\b", row):
            yield file.say(number, "leaves something to do")


# all files together


def one_definition(files):
    """No second class or function of a name in minift; a lesson has none of minift's names.

    The course's runner, which is no lesson, may have functions of such a name, but no classes.
    """
    first = {}
    for file in (f for f in files if f.room is not None):
        for node in (n for n in file.tree.body if isinstance(n, DEFINITIONS)):
            if node.name in first and node.name not in VERBS:
                yield file.say(node.lineno, f"{node.name} is defined in {first[node.name]} too")
            first.setdefault(node.name, file.path)
    for file in (f for f in files if f.path.startswith("lessons/") and not f.homework):
        kinds = DEFINITIONS if file.lesson else ast.ClassDef
        for node in (n for n in file.nodes if isinstance(n, kinds)):
            if node.name in first and node.name not in VERBS:
                yield file.say(node.lineno, f"{node.name} is defined in {first[node.name]}")


def no_circles(files):
    """No module of minift imports itself by way of others."""
    modules = {f.path.removesuffix(".py").replace("/", "."): f for f in files if f.room is not None}
    edges = defaultdict(set)
    for name, file in modules.items():
        edges[name] = {to for _, to, _ in file.imports() if to in modules and to != name}
    for name in modules:
        reached, todo = set(), list(edges[name])
        while todo:
            to = todo.pop()
            todo += edges[to] - reached if to not in reached else ()
            reached.add(to)
        if name in reached:
            yield modules[name].say(1, "imports itself by way of others: a circle")


def torch_waits(files):
    """`import minift` loads no torch, so that OMP_WAIT_POLICY can still be set."""
    for file in (f for f in files if f.path == "minift/__init__.py"):
        for line, name, _ in file.imports():
            if name.split(".")[0] not in sys.stdlib_module_names:
                yield file.say(line, f"imports {name}; torch must not be loaded yet")


def readme_map(file, root):
    """Every file that README names is there."""
    for number, row in enumerate(file.text.split("\n"), 1):
        quoted = re.findall(r"`((?:minift|lessons|tests|data)/[\w./-]*)`", row)
        linked = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", row)
        here = (root / file.path).parent
        for place in [*(root / name for name in quoted), *(here / name for name in linked)]:
            if not place.exists():
                name = place.relative_to(root)
                yield file.say(number, f"points at {name}, which is not there")


GATES = [
    equation_tags, control_characters, compiles, sizes, cells, arrows, whole_modules,
    argparse_at_the_door, nothing_unpickled, tests_assert, no_stubs, docstrings, names, one_machine,
]  # fmt: skip
TOGETHER = [one_definition, no_circles, torch_waits]
