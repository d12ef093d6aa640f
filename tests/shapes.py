"""Shape comments, executed: each is held to the tensor that its line made.

    x = self.split(self.q_proj(x))           # (b, h, t, d)   words, or an equation's tag
    k, v = cache.append(layer, k, v)         # (b, h, s, d), (b, h, s, d)
    return self.out_proj(joined)             # (b, t, h*d)

A letter is bound where a call first shows it (in a shape, in an argument's shape in the docstring,
`mask (b, t)`, or as a local integer of that name) and held to afterwards. There are `h*d`, `p+s`,
integers, `(..., v)`, `(t, s) or None`, and `…` for a value that is not held. A comment that has
letters not known yet waits for the end of the call. A dataclass's fields are held when one is made.
"""

import ast
import io
import re
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

LETTERS = set("btschdvrpmnkiofl")
ONE = r"(?:\([^()]*\)|…|None)"
EACH = rf"{ONE}(?:,? or {ONE})*"
TERM = r"(?:[A-Za-z]|\d+)"
SIZE = re.compile(rf"{TERM}(?:(?:\*|\+|-|//){TERM})*|\.\.\.")
DESCRIBED = re.compile(r"((?:`?\w+`?(?:, | and ))*`?\w+`?) (\([^()]*\))")
SHAPING = set(
    "view reshape transpose permute cat matmul bmm linear einsum stack flatten unflatten".split()
)
SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr)


@dataclass(frozen=True)
class Comment:
    """`shapes` has one entry a value, each a list of alternatives: sizes, or "…" or "None"."""

    line: int
    text: str
    shapes: tuple


def sizes(text):
    """The sizes in `(b, h*d)`; None for words or a tag. Raises ValueError for half a shape."""
    if text in {"…", "None"}:
        return text
    entries = [e.strip().replace("…", "...") for e in text[1:-1].split(",")]
    entries = [e for e in entries if e]
    fits = [bool(SIZE.fullmatch(e)) for e in entries]
    if (len(entries) == 1 and (entries[0].isdigit() or not fits[0])) or (entries and not any(fits)):
        return None
    unknown = set(re.findall("[A-Za-z]", " ".join(entries))) - LETTERS
    if not all(fits) or unknown or "..." in entries[1:]:
        raise ValueError(f"{text} looks like a shape, but {entries} are not sizes of our letters")
    return entries


def parse(line, comment):
    """The shapes at the start of a comment as a `Comment`; None if it starts with none."""
    found = re.match(rf"#\s*({EACH}(?:, {EACH})*)", comment)
    if not found:
        return None
    shapes = tuple(
        [sizes(one) for one in re.findall(ONE, each)] for each in re.findall(EACH, found[1])
    )
    held = [one for each in shapes for one in each]
    if None in held or not any(isinstance(one, list) for one in held):
        return None
    return Comment(line, found[1], shapes)


class Source:
    """A file: its statements by line, and the shape comments that belong to them."""

    def __init__(self, path, name=None):
        self.path, self.name, self.faults = str(path), name or Path(path).name, []
        text = Path(path).read_text(encoding="utf-8")
        self.statements, self.functions, self.comments, self.fields = {}, {}, {}, {}
        for node in ast.walk(ast.parse(text)):  # from the outside in: the innermost stays
            if isinstance(node, ast.stmt):
                lines = range(node.lineno, node.end_lineno + 1)
                self.statements.update(dict.fromkeys(lines, node))
            if isinstance(node, ast.ClassDef):
                named = {n: n.target.id for n in node.body if isinstance(n, ast.AnnAssign)}
                self.fields[node.name] = named
            if isinstance(node, ast.FunctionDef):
                self.functions[min([node.lineno, *(d.lineno for d in node.decorator_list)])] = node
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                self.add(token.start[0], token.string, trailing=token.line[: token.start[1]])

    def add(self, line, text, trailing):
        try:
            comment = parse(line, text)
        except ValueError as error:
            return self.faults.append(f"{self.name}:{line}: {error}")
        node = self.statements.get(line)
        if comment and trailing.strip() and isinstance(node, SIMPLE):
            field = any(node in fields for fields in self.fields.values())
            values = field or targets(node) or returns(node)
            if line in (node.lineno, node.end_lineno) and values:
                return self.comments.setdefault(node, []).append(comment)
        if comment:
            self.faults.append(f"{self.name}:{line}: {comment.text} stands behind no value")

    def parameters(self, code):
        """(argument, shape) for each `name (b, t)` in the docstring of the function."""
        node = self.functions.get(code.co_firstlineno)
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        for words, shape in DESCRIBED.findall(node and ast.get_docstring(node) or ""):
            named = [name for name in re.findall(r"\w+", words) if name in names]
            comment = parse(node.lineno, f"# {shape}") if named else None
            yield from ((name, comment) for name in named if comment)


def returns(node):
    return isinstance(node, ast.Return) and node.value is not None


def targets(node):
    """What a statement leaves: its targets, or the receiver of an in-place call (`x.copy_(…)`)."""
    if isinstance(node, ast.Assign):
        return node.targets
    if isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        return [node.target] if node.value else []
    call = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
    inplace = isinstance(call, ast.Call) and getattr(call.func, "attr", "").endswith("_")
    return [call.func.value] if inplace else []


def look(target, frame):
    """The value of a target now, a tuple for a tuple of targets."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return tuple(look(part, frame) for part in target.elts)
    expression = ast.parse(ast.unparse(target), mode="eval")
    return eval(compile(expression, "<target>", "eval"), frame.f_globals, frame.f_locals)


def solve(shape, made, letters):
    """(letters, those still unknown), or None if the sizes made do not fit the shape."""
    if shape[:1] == ["..."]:
        shape = shape[1:]
        made = made[max(len(made) - len(shape), 0) :]
    if len(shape) != len(made):
        return None
    letters, left, before = dict(letters), list(zip(shape, made, strict=True)), None
    while left and len(left) != before:
        before, waiting = len(left), []
        for size, number in left:
            unknown = sorted(set(re.findall("[a-z]", size)) - letters.keys())
            values = range(number + 100) if len(unknown) == 1 else [None]
            fits = [
                n for n in values if len(unknown) < 2 and is_size(size, number, letters, unknown, n)
            ]
            if len(unknown) < 2 and not fits:
                return None
            if len(unknown) == 1 and len(fits) == 1:
                letters[unknown[0]] = fits[0]
            elif unknown:
                waiting.append((size, number))
        left = waiting
    return letters, sorted({c for size, _ in left for c in size if c.isalpha()} - letters.keys())


def is_size(size, number, letters, unknown, n):
    return eval(size, {"__builtins__": {}}, letters | dict.fromkeys(unknown, n)) == number


class Call:
    """One call of a watched function: where it is, its letters, the comments that wait for one."""

    def __init__(self, trace, source, frame):
        self.trace, self.source, self.letters = trace, source, {}
        self.now, self.returning, self.waiting = None, None, []
        self.generator = bool(frame.f_code.co_flags & 0x20)
        try:
            described = list(source.parameters(frame.f_code))
        except ValueError as error:
            described = self.fault(f"{source.name}:{frame.f_lineno}: docstring: {error}") or []
        for name, comment in described:
            if hasattr(frame.f_locals[name], "shape"):
                self.hold(comment, frame.f_locals[name], frame, f"docstring says {name} is")

    def event(self, frame, event, value):
        if event == "line":
            statement = self.source.statements.get(frame.f_lineno)
            if statement is not self.now:
                self.finish(frame)
                self.now = statement
        elif event == "exception" and not issubclass(value[0], StopIteration):
            self.now = self.returning = None
        elif event == "return" and not self.generator:
            self.finish(frame)
            for comment in self.source.comments.get(self.returning, []):
                self.hold(comment, value, frame)
            self.wait_no_longer()
        return self.event

    def wait_no_longer(self):
        waiting, self.waiting = self.waiting, None
        for arguments in waiting:
            self.hold(*arguments)

    def finish(self, frame):
        """The statement at hand has run: hold its comments to what it left behind."""
        if isinstance(self.now, ast.Return):
            self.returning = self.now
        elif self.now in self.source.comments:
            for target in targets(self.now):
                for comment in self.source.comments[self.now]:
                    self.hold(comment, look(target, frame), frame)

    def hold(self, comment, value, frame, says="comment says"):
        self.trace.seen.add((self.source.name, comment.line))
        where, many = f"{self.source.name}:{comment.line}", len(comment.shapes)
        values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
        shapes = comment.shapes * len(values) if many == 1 else comment.shapes
        made = tuple(tuple(v.shape) if hasattr(v, "shape") else v for v in values)
        if len(shapes) != len(made):
            return self.fault(f"{where}: {says} {many} shapes, the line made {len(made)} values")
        named = LETTERS & set(re.findall("[a-z]", comment.text))
        local = {n: s for n, s in frame.f_locals.items() if type(s) is int}
        known = {n: s for n, s in (self.trace.letters | local).items() if n in named}
        for alternatives, one in zip(shapes, made, strict=True):
            found = [self.match(shape, one, known | self.letters) for shape in alternatives]
            fitting = [f for f in found if f is not None]
            if not fitting:
                made = made[0] if len(made) == 1 else made
                used = {n: s for n, s in (known | self.letters).items() if n in comment.text}
                given = ", ".join(f"{n} = {s}" for n, s in sorted(used.items()))
                given = f" with {given}" if given else ""
                return self.fault(f"{where}: {says} {comment.text}, the line made {made}{given}")
            self.letters, unknown = fitting[0]
            if unknown and self.waiting is None:
                names = " and ".join(unknown)
                return self.fault(f"{where}: {comment.text} cannot be checked: unknown {names}")
            if unknown:
                return self.waiting.append((comment, value, frame, says))

    def match(self, shape, made, letters):
        if shape == "…" or (shape == "None" and made is None):
            return self.letters, []
        return solve(shape, made, letters) if isinstance(made, tuple) and shape != "None" else None

    def fault(self, text):
        if text not in self.trace.faults:
            self.trace.faults.append(text)


class Trace:
    """`with Trace(sources) as trace:` gathers `trace.faults`, the lies, and `trace.seen`.

    letters: sizes that are the same in every call, so that no two axes can be named crosswise.
    """

    def __init__(self, sources, letters=()):
        self.letters = dict(letters)
        self.sources = {source.path: source for source in sources}
        self.seen, self.faults = set(), [f for source in sources for f in source.faults]

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.call)
        return self

    def __exit__(self, *error):
        sys.settrace(self.before)

    def call(self, frame, event, value):
        code = frame.f_code
        source = self.sources.get(code.co_filename)
        if source and not code.co_name.startswith("<"):  # a comprehension is part of its line
            return Call(self, source, frame).event
        if (code.co_filename, code.co_name) == ("<string>", "__init__"):
            self.made(frame)

    def made(self, frame):
        """A dataclass (whose `__init__` has no file) is being made: hold its fields."""
        kind = type(frame.f_locals["self"])
        module = sys.modules.get(kind.__module__)
        source = self.sources.get(getattr(module, "__file__", None))
        if source is None:
            return
        call, values = Call(self, source, frame), frame.f_locals
        for node, name in source.fields.get(kind.__name__, {}).items():
            for comment in source.comments.get(node, []):
                if hasattr(values.get(name), "shape"):
                    call.hold(comment, values[name], frame, f"{name} is said to be")
        call.wait_no_longer()

    def unseen(self, source):
        """Comments of the file that no line executed."""
        comments = [c for group in source.comments.values() for c in group]
        missed = [c for c in comments if (source.name, c.line) not in self.seen]
        return [f"{source.name}:{c.line}: {c.text} was never executed" for c in missed]


def shaping(source):
    """{True: [...], False: [...]}: lines that reshape or multiply, with and without a comment."""
    found = {True: [], False: []}
    for node in {n: None for n in source.statements.values() if isinstance(n, SIMPLE)}:
        calls = {getattr(n.func, "attr", "") for n in ast.walk(node) if isinstance(n, ast.Call)}
        matmul = any(isinstance(n, ast.MatMult) for n in ast.walk(node))
        if calls & SHAPING or matmul:
            found[node in source.comments].append(f"{source.name}:{node.lineno}")
    return found


def bare_forwards(source):
    """Public forwards whose returned value carries no shape comment; a dictionary has none."""
    forwards = [f for f in source.functions.values() if f.name == "forward"]
    nodes = [n for f in forwards for n in ast.walk(f) if returns(n) and n not in source.comments]
    nodes = [n for n in nodes if not isinstance(n.value, (ast.Dict, ast.DictComp))]
    return [f"{source.name}:{n.lineno}: forward returns a value without its shape" for n in nodes]
