"""The gates of the house (`tests/gates.py`) on the project, and each on a planted violation."""

import os
import socket
import subprocess
import sys

import pytest

from minift import ROOT
from tests import gates
from tests.conftest import NetworkBlocked
from tests.gates import File

TEXTS = ("*.py", "*.md", "*.toml", "*.txt")


def project(*patterns):
    """The files of the project as the gates read them; not what runs leave behind."""
    paths = [p for folder in sorted(gates.OURS) for p in sorted((ROOT / folder).rglob("*"))]
    paths = [p for p in [*sorted(ROOT.iterdir()), *paths] if any(map(p.match, patterns))]
    names = [p.relative_to(ROOT) for p in paths if p.is_file()]
    kept = [n for n in names if not {"out", "__pycache__"} & set(n.parts)]
    return [File(n.as_posix(), (ROOT / n).read_text(encoding="utf-8")) for n in kept]


def assert_clean(findings):
    findings = list(findings)
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize("gate", gates.GATES, ids=lambda gate: gate.__name__)
def test_gate(gate):
    """No file of the project is caught by the gate."""
    assert_clean(finding for file in project("*.py") for finding in gate(file))


@pytest.mark.parametrize("gate", gates.TOGETHER, ids=lambda gate: gate.__name__)
def test_gate_on_all_files(gate):
    """The project's files, read together, are not caught by the gate."""
    assert_clean(gate(project("*.py")))


def test_texts():
    """README and the other texts hold no control character and no path of one machine."""
    for gate in (gates.control_characters, gates.one_machine):
        assert_clean(finding for file in project(*TEXTS) for finding in gate(file))


def test_readme_names_files_that_are_there():
    """README's map, and every other README's, points at files that exist."""
    readmes = project("README.md")
    assert "README.md" in [file.path for file in readmes]
    assert_clean(finding for file in readmes for finding in gates.readme_map(file, ROOT))


def test_import_loads_no_torch():
    """`import minift` sets OMP_WAIT_POLICY unless it is set, and leaves torch unloaded."""
    code = "import minift, os, sys; print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])"
    for given, kept in (({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")):
        env = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | given
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True)
        assert ran.stdout.decode().split() == ["False", kept]


GOOD = '''r"""A method (chapter: X).

    h = W x        (1)
    y = h / √2     (2)   halved
"""

import math

from minift.models import block
from minift.peft import inject


def method(x):
    """Do it."""
    if x is None:
        y = 1
    elif x == 1:
        for y in x:
            with x:
                y += 1
    elif x == 2:
        y = 2
    h = block.W @ x  # (b, t)   (1)
    return h / math.sqrt(2)  # (b, t)   (2)


def add_method(model):
    """Put it in."""
    return inject.replace(model, str.isalpha, method)
'''
LESSON = 'print(1)\n# %% prose\n"""\n' + "words\n" * 40 + '"""\n' + "a = 1\n\n# why\n" * 15
TEST = 'def test_one():\n    """One is one."""\n    assert 1 == 1\n'
M, L, T = "minift/peft/method.py", "lessons/05_method.py", "tests/test_method.py"
CLEAN = {M: GOOD, L: LESSON, T: TEST}
NESTED = (
    "        while x:\n            while y:\n                for y in x:\n                    y"
)
RETURNS = "return inject.replace(model, str.isalpha, method)"

# gate, file, what is replaced in the clean text (None: all of it), by what, words of the finding
PLANTED = [
    ("equation_tags", M, "(2)   halved", "(3)   halved", "(2) is not in the module's docstring"),
    ("equation_tags", M, "  (2)\n\n\ndef", "\n\n\ndef", "(2) of the doc"),
    ("equation_tags", M, "(2)   halved", "(1)   halved", "the docstring has 2 equations (1)"),
    ("control_characters", M, "x is None", "x is None\x0b", ":15: control character U+000B"),
    ("control_characters", M, '"""Put it in', '"""\\beta Put it in', "in the docstring"),
    ("control_characters", M, "halved", "hal\u200bved", ":4: control character U+200B"),
    ("compiles", M, '"""Put it in', '"""\\sigma Put it in', "does not compile: "),
    ("compiles", M, "x == 1", "x is 1", ":17: does not compile"),
    ("sizes", M, "import math\n", "import math\n" * 200, "228 lines; the limit is 200"),
    ("sizes", M, "    h = block", "    h = 1\n" * 40 + "    h = block", "method is 52 lines"),
    ("sizes", M, "        y = 2", NESTED, "method is nested 4 deep"),
    ("sizes", M, "x is None", f"x is {'None' * 30}", "columns wide; the limit is 100"),
    ("sizes", L, "words\n", "word\nword\nword\n", "lines; the limit is 150"),
    ("cells", L, "# %%", "a = 1\n" * 15 + "# %%", ":1: cell of 16 lines of code"),
    ("cells", L, "# why\na", "# why\nb = 1\na", ":2: cell of 29 lines of code"),
    ("arrows", M, "minift.models", "minift.rlhf", "minift/peft may not import minift/rlhf"),
    ("arrows", M, "from minift.models import block", "from ..rlhf import ppo", "minift/rlhf"),
    ("arrows", M, "import math", "import lessons", "minift imports lessons"),
    ("arrows", M, "import math", "import pandas", "pandas, which is not one of the packages"),
    ("arrows", L, "print(1)", "import data.generate.world", "nobody imports from there"),
    ("whole_modules", M, "peft import inject", "peft.inject import freeze", "import its module"),
    ("argparse_at_the_door", M, "import math", "import argparse", "imports argparse"),
    ("argparse_at_the_door", M, "import math", "from argparse import Action", "imports argparse"),
    ("nothing_unpickled", M, "import math", "import pickle", "imports pickle"),
    ("nothing_unpickled", M, "y = 2", "y = torch.load(x)", "torch.load without weights_only"),
    ("nothing_unpickled", T, "1 == 1", "torch.load(1, weights_only=False)", "without weights_only"),
    ("nothing_unpickled", M, "import math", "from torch import load", "imports torch.load by name"),
    ("nothing_unpickled", M, "y = 2", "y = np.load(x, allow_pickle=True)", "allow_pickle"),
    ("tests_assert", T, "assert 1 ==", "print(1) ==", "test_one asserts nothing"),
    ("tests_assert", T, '"""One is one."""', "", "does not say which property"),
    ("no_stubs", M, RETURNS, "raise NotImplementedError", "add_method is a stub"),
    ("no_stubs", M, RETURNS, "raise NotImplementedError('later')", "add_method is a stub"),
    ("no_stubs", M, RETURNS, "pass", "add_method is a stub"),
    ("no_stubs", M, RETURNS, "...", "add_method is a stub"),
    ("no_stubs", M, RETURNS, "try:\n        1\n    except:\n        2", "bare except"),
    ("docstrings", M, 'r"""A method', 'd = r"""A method', ":1: has no module docstring"),
    ("docstrings", M, '    """Do it."""\n', "", "public method has no docstring"),
    ("names", M, "def method", "def my_method", "my_method says nothing"),
    ("names", M, "    h = block", "    h_v2 = block", "h_v2 says nothing"),
    ("names", M, "def add_method(", "class Linear(", "Linear is a name of torch or Python"),
    ("names", "minift/peft/lora_utils.py", None, GOOD, "lora_utils says nothing"),
    ("names", "minift/peft/helpers.py", None, GOOD, "helpers says nothing"),
    ("one_machine", M, "y = 2", f"y = '/{'home'}/me/x'", "a path of one machine"),
    ("one_machine", M, "import math", f"import math  # {'TO'}DO", "leaves something to do"),
]  # fmt: skip


@pytest.mark.parametrize(
    "name, path, old, new, words", PLANTED, ids=[f"{p[0]}-{n}" for n, p in enumerate(PLANTED)]
)
def test_planted_violation(name, path, old, new, words):
    """The gate catches the violation with these words, and lets the file without it pass."""
    gate, before = getattr(gates, name), CLEAN.get(path, new)
    assert old is None or old in before
    if path in CLEAN:
        assert_clean(gate(File(path, before)))
    findings = list(gate(File(path, before if old is None else before.replace(old, new))))
    assert any(words in finding for finding in findings), findings
    assert all(finding.startswith(f"{path}:") for finding in findings)


OTHER = "minift/peft/other.py"
BETWEEN = [
    ("one_definition", OTHER, "def method(y):\n    y = y\n", "method is defined in minift/peft/"),
    ("one_definition", L, "if 1:\n    def add_method():\n        return 1\n", "is defined in"),
    ("one_definition", "lessons/run.py", "class method:\n    a = 1\n", "is defined in"),
    ("no_circles", "minift/models/block.py", "from minift.peft import method\n", "a circle"),
    ("torch_waits", "minift/__init__.py", "import torch\n", "imports torch; torch must not"),
    ("torch_waits", "minift/__init__.py", "from . import peft\n", "imports minift"),
]
ALLOWED = [
    ("one_definition", OTHER, "def merge(layer):\n    return 1\n"),
    ("one_definition", OTHER, "class A:\n    def method(self):\n        return 1\n"),
    ("one_definition", "lessons/homework/05_method.py", "def method(x):\n    return 1\n"),
    ("no_circles", "minift/models/block.py", "import minift.models.attention\n"),
    ("torch_waits", "minift/__init__.py", "import os\nfrom pathlib import Path\n"),
]


@pytest.mark.parametrize("name, path, text, words", BETWEEN)
def test_planted_violation_between_files(name, path, text, words):
    """A gate on all files catches what is wrong only with both files in view."""
    gate, both = getattr(gates, name), [File(M, GOOD), File(path, text)]
    findings = list(gate(both))
    assert any(words in finding for finding in findings), findings
    assert_clean(gate([both[0]]))


@pytest.mark.parametrize("name, path, text", ALLOWED)
def test_what_is_allowed_between_files(name, path, text):
    """A class's methods, a module's verbs and homework may share a name with another module."""
    others = File(M, GOOD + "\n\ndef merge(layer):\n    return layer\n")
    assert_clean(getattr(gates, name)([others, File(path, text)]))


def test_planted_readme(tmp_path):
    """A quoted or linked file that is missing is caught; a web page or one that is there, not."""
    (tmp_path / "minift").mkdir()
    (tmp_path / "minift/gpt.py").write_text("")
    text = (
        "`minift/gpt.py` [it](minift/gpt.py) [web](https://example.org/a)\n\n| `minift/lost.py` |\n"
    )
    findings = list(gates.readme_map(File("README.md", text + "[b](lost.md)"), tmp_path))
    assert findings == [
        "README.md:3: points at minift/lost.py, which is not there",
        "README.md:4: points at lost.md, which is not there",
    ]


NOBODY = ("192.0.2.1", 9)  # an address that belongs to nobody (RFC 5737)


@pytest.mark.parametrize("host", [NOBODY, ("127.0.0.1", 9), ("::1", 9, 0, 0)])
def test_network_is_blocked(host):
    """A connection, even to this machine, is refused by the tests' own block, before any packet."""
    family = socket.AF_INET6 if len(host) == 4 else socket.AF_INET
    for kind, call in (("STREAM", "connect"), ("STREAM", "connect_ex"), ("DGRAM", "sendto")):
        data = [b"x"] if call == "sendto" else []
        with socket.socket(family, getattr(socket, f"SOCK_{kind}")) as one:
            with pytest.raises(NetworkBlocked, match=host[0]):
                getattr(one, call)(*data, host)
    for name in ("example.org", "localhost", b"example.org"):
        with pytest.raises(NetworkBlocked, match="no network"):
            socket.create_connection((name, 80), timeout=1)


@pytest.mark.loopback
def test_loopback_where_a_test_asks_for_it():
    """A test marked `loopback` reaches this machine, and nothing further."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname(), timeout=5) as one:
            assert one.getpeername() == server.getsockname()
    with socket.socket() as one, pytest.raises(NetworkBlocked):
        one.connect(NOBODY)
