"""The answer check itself: what is put in place, what is refused, and what the student reads."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lessons import mine
from minift import ROOT
from minift.peft import lora
from tests import answer_check, test_lora
from tests.answer_check import NOT_STARTED, RIGHT, WAITS, WRONG
from tests.compare import Wrong, close, hold_bits, hold_shape
from tests.mistakes import source_of

SKELETON = ROOT / "lessons" / "homework" / "05_lora.py"
TEXT = source_of("minift.peft.lora")


def answer(text):
    """An answer to homework 05 with this text."""
    return answer_check.open_answer("05_lora.py", "minift.peft.lora", text)


def result_of(text, check):
    """How one check of test_lora comes out for this text."""
    return answer_check.attempt(getattr(test_lora, check), answer(text))


def text_of(call):
    """The one line that a failed comparison gives."""
    with pytest.raises(Wrong) as caught:
        call()
    return str(caught.value)


# ---- comparisons ----


def test_order_of_finding():
    """Type, shape, a named slip, a constant ratio, the worst position with both numbers."""
    want = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    slip = [("you forgot the root", want**2)]
    cases = [
        (None, "h: NoneType, expected a tensor; is the return missing?"),
        (want.long(), "h: torch.int64, expected torch.float32"),
        (want[:1], "h: shape (1, 2), expected (2, 2)"),
        (want**2, "h: you forgot the root"),
        (4 * want, "h: yours is 4 times the expected value everywhere"),
        (0 * want, "h: yours is 0 everywhere"),
        (
            want + torch.tensor([[0, 0], [1, 0]]),
            "h: 4, expected 3 at (1, 0), where it differs most",
        ),
        (want / torch.tensor([[1, 1], [0, 1]]), "h: inf, expected 3 at (1, 0), where it differs"),
    ]
    for got, text in cases:
        assert text_of(lambda got=got: close(got, want, "h", slip)).startswith(text)
    close(want + 1e-6, want, "h", slip)


def test_zeros_never_pass_for_small_numbers():
    """All zeros are wrong however small the expected numbers are held to."""
    small = torch.full((3,), 1e-4)
    assert "0 everywhere" in text_of(lambda: close(torch.zeros(3), small, "h"))


def test_no_number_is_wrong():
    """NaN is neither right nor a slip."""
    nan = torch.full((2, 3), float("nan"))
    assert "nan, expected 1 at (0, 0)" in text_of(lambda: close(nan, torch.ones(2, 3), "h"))


def test_bits_and_shapes():
    """`hold_bits` has no tolerance; `hold_shape` knows a transposed shape by name."""
    one = torch.ones(3)
    hold_bits(one, one.clone(), "h")
    assert "to the last bit" in text_of(lambda: hold_bits(one + 1e-7, one, "h"))
    transposed = text_of(lambda: hold_shape(torch.ones(2, 3), (3, 2), "A", [("Aᵀ", (2, 3))]))
    assert transposed == "A: shape (2, 3), expected (3, 2); Aᵀ"


# ---- what is put in place ----


def test_one_slip_is_one_red_line():
    """A wrong forward leaves the checks of init, merge and add_lora green."""
    text = TEXT.replace("self.scale * up", "self.scale * self.scale * up")
    results = answer_check.run(test_lora, answer(text))
    assert [r.check for r in results if r.kind == WRONG] == ["test_forward"]
    assert {r.task.todo for r in results if r.kind == WAITS} == {"5.3"}


def test_everything_is_put_back():
    """After a check the reference is the reference, helpers of the student's class gone."""
    before = {**vars(lora), **vars(lora.LoRALinear)}
    helper = "    def down(self, x):\n        return x @ self.A.T\n\n    def forward(self, x):"
    text = TEXT.replace("    def forward(self, x):", helper)
    text = text.replace("F.linear(self.dropout(x), self.A)", "self.down(self.dropout(x))")
    assert result_of(text, "test_forward").kind == RIGHT
    assert {**vars(lora), **vars(lora.LoRALinear)} == before


def test_zero_argument_super_finds_the_class_it_moved_to():
    """`super().__init__()` and `__class__` work in a method on another class."""
    assert "super().__init__()" in TEXT
    assert result_of(TEXT, "test_shapes").kind == RIGHT
    two = TEXT.replace("super().__init__()", "super(LoRALinear, self).__init__()")
    assert result_of(two, "test_shapes").kind == RIGHT


def test_other_parts_come_from_the_reference():
    """add_lora is checked with the reference's layer, though the student's own is a stub."""
    text = SKELETON.read_text(encoding="utf-8")
    function = TEXT[TEXT.index("def add_lora") :]
    text = text[: text.index("def add_lora")] + function
    kinds = {r.task.todo: r.kind for r in answer_check.run(test_lora, answer(text))}
    assert kinds.pop("5.5") == RIGHT and set(kinds.values()) == {NOT_STARTED}


# ---- what is refused ----


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import math\ndef merge(:\n", "05_lora.py:2: syntax error: "),
        ("import math\nmath.tau = 1 / 0\n", "05_lora.py:2: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "05_lora.py:1: SystemExit: 3"),
        ("import no_such_module", "05_lora.py:1: ModuleNotFoundError: No module named"),
        ("\nfrom minift.peft.lora import merge\n", "05_lora.py:2: imports minift.peft.lora"),
        ("from minift.peft import lora as theirs", "05_lora.py:1: imports minift.peft.lora"),
        ("import minift.peft.lora", "05_lora.py:1: imports minift.peft.lora"),
        ("merge = '\0'", "05_lora.py"),
    ],
)
def test_an_unusable_file_is_one_line(text, line):
    """A file that does not parse, does not run or imports the reference: where and why."""
    with pytest.raises(mine.UnusableAnswer) as caught:
        answer(text)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there():
    """No file: one line with its path; no module of that name: one line as well."""
    with pytest.raises(mine.UnusableAnswer, match="gone_05_lora.py: no such file"):
        mine.load("gone_05_lora.py", "minift.peft.lora")
    with pytest.raises(mine.UnusableAnswer, match="names no module of minift"):
        mine.reference_of("05_lara.py")


def test_a_borrowed_function_is_refused():
    """The reference's own function under the student's name is no answer."""
    by_stealth = (
        "\nimport importlib\nmerge = importlib.import_module('minift.peft.' + 'lora').merge\n"
    )
    result = result_of(TEXT + by_stealth, "test_merge")
    assert result.kind == WRONG and result.text.startswith("merge is the reference's own")
    by_stealth = by_stealth.replace("merge = ", "LoRALinear.forward = ").replace(
        ").merge", ").LoRALinear.forward"
    )
    assert "reference's own" in result_of(TEXT + by_stealth, "test_forward").text


def test_a_missing_name_is_one_line():
    """A function that was deleted or renamed fails its own checks only, in one line."""
    text = TEXT.replace("def merge(", "def fuse(")
    assert result_of(text, "test_merge").text == "05_lora.py has no merge; the skeleton has it"
    assert result_of(text, "test_forward").kind == RIGHT


# ---- what the student reads ----


def test_an_error_in_the_students_line_is_placed():
    """An exception is one line: file, line, type and message, never a traceback."""
    text = TEXT.replace("return self.frozen(x) + self.scale * up", "return self.frozen(x, 3)")
    result = result_of(text, "test_forward")
    number = 1 + text[: text.index("self.frozen(x, 3)")].count("\n")
    assert result.text.startswith(f"05_lora.py:{number}: TypeError: ") and "\n" not in result.text


def test_changed_parameters_are_told():
    """A function with other parameters fails with its name and Python's words."""
    text = TEXT.replace("def forward(self, x):", "def forward(self, x, y):")
    result = result_of(text, "test_forward")
    assert result.text.startswith("LoRALinear.forward: TypeError: ") and "'y'" in result.text


def test_attributes_of_ones_own_are_told():
    """A forward that counts on what only the student's __init__ sets hears what there is."""
    text = TEXT.replace("self.scale * up", "self.alpha / self.rank * up")
    result = result_of(text, "test_forward")
    assert "no attribute 'alpha'" in result.text
    assert result.text.endswith("which has: A, B, dropout, frozen, scale")


def test_sheet_of_a_fresh_skeleton():
    """One line a task: not started, which TODO, where, how many checks wait."""
    fresh = answer_check.open_answer(SKELETON, "minift.peft.lora")
    lines = answer_check.sheet(answer_check.run(test_lora, fresh))
    waiting = [line for line in lines if "not started: TODO" in line]
    assert [line.split()[3] for line in waiting] == ["5.1", "5.2", "5.3", "5.4", "5.5"]
    assert all("(05_lora.py:" in line and "checks wait" in line for line in waiting)
    assert lines[-1].startswith("0 of ") and "not started" in lines[-1]


def test_sheet_of_a_slip():
    """The slip's line and the chapter's, and on request the longer hint."""
    text = TEXT.replace("self.scale = alpha / rank", "self.scale = alpha")
    results = answer_check.run(test_lora, answer(text))
    lines = [line.strip() for line in answer_check.sheet(results)]
    assert "scale: you scale by alpha; equation (1) says alpha / r" in lines
    assert f"the chapter: {test_lora.EQUATION}" in lines
    assert lines[-1].startswith("a longer hint") and not any("hint: " in x for x in lines[:-1])
    hinted = answer_check.sheet(results, hint=True)
    assert f"hint: {test_lora.test_scale.task.hint}" in " ".join(" ".join(hinted).split())
    assert max(map(len, hinted)) <= 100


def test_what_the_student_prints_is_shown():
    """A print in the student's function stands under the check that it fails."""
    text = TEXT.replace("return self.frozen(x) + self", "print(x.shape)\n        return self")
    lines = answer_check.sheet(answer_check.run(test_lora, answer(text)))
    assert "your code printed: torch.Size([2, 3, 5])" in [line.strip() for line in lines]


def test_sheet_when_all_is_right():
    """All green: the file to compare with."""
    lines = answer_check.sheet(answer_check.run(test_lora, answer(TEXT)))
    assert lines[-1].startswith("all ") and lines[-1].endswith("with minift/peft/lora.py")


# ---- the commands ----


def run_python(*arguments):
    """(exit code, output) of this Python on the repository."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_of_the_plugin(tmp_path):
    """pytest --mine FILE: the sheet, no traceback, exit code 1; plain tests are not run."""
    text = TEXT.replace("layer.scale * layer.B @ layer.A", "layer.B @ layer.A")
    path = tmp_path / "05_lora.py"
    path.write_text(text, encoding="utf-8")
    code, out = run_python("-m", "pytest", "--mine", str(path), "tests/test_lora.py")
    assert code == 1 and "Traceback" not in out and "Error" not in out
    assert out.lstrip().startswith(f"checking {path} in place of minift.peft.lora")
    assert "W': you leave α/r out of W'" in out and "a longer hint" in out


ENTRY = """
from tests.answer_check import check
raise SystemExit(check([{path!r}], hint=True))
"""


def test_the_entry_point(tmp_path, capsys):
    """check(files) gives 0 when all is right and 2, with one line, for an unusable file."""
    path = tmp_path / "05_lora.py"
    path.write_text(TEXT, encoding="utf-8")
    code, out = run_python("-c", ENTRY.format(path=str(path)))
    assert code == 0 and "compare with minift/peft/lora.py" in out, out
    path.write_text("def merge(:", encoding="utf-8")
    assert answer_check.check([path]) == 2
    assert capsys.readouterr().out == "05_lora.py:1: syntax error: invalid syntax\n"
    code, out = run_python("-m", "pytest", "--mine", str(path), "tests/test_lora.py")
    assert code == 4 and out.strip() == "ERROR: 05_lora.py:1: syntax error: invalid syntax"


INSTALLED = """
from pathlib import Path
from lessons import mine
mine.install(Path({path!r}))
from minift.peft import delta, lora
from tests import contract
assert lora.__file__ == {path!r}
model = lora.add_lora(contract.tiny_gpt())
print(type(model.blocks[0].attention.q_proj).forward.__code__.co_filename)
"""


def test_install_puts_the_students_module_everywhere(tmp_path):
    """After install every `import minift.peft.lora` is the student's file."""
    path = tmp_path / "05_lora.py"
    path.write_text(TEXT, encoding="utf-8")
    code, out = run_python("-c", INSTALLED.format(path=str(path)))
    assert code == 0 and out.strip() == str(path), out


def test_a_stub_in_a_lesson_is_one_line():
    """What a lesson says when it comes to a part that is not written: which, and where."""
    student = mine.load(SKELETON, "minift.peft.lora")
    with pytest.raises(NotImplementedError) as caught:
        student.add_lora(None)
    line = mine.not_started(caught.value, SKELETON)
    assert line.startswith("not started: TODO 5.5 (05_lora.py:")


def test_install_comes_before_the_import():
    """The reference is imported already: one line, nothing is changed."""
    with pytest.raises(mine.UnusableAnswer, match="already imported"):
        mine.install(SKELETON)
    assert Path(lora.__file__) == ROOT / "minift" / "peft" / "lora.py"
