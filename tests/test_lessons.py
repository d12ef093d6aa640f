"""The lessons' runner: cells, the list, what is done, pauses, options, and what goes wrong."""

import json
import subprocess
import sys

import pytest
import torch

from lessons import __main__ as course
from lessons import cells, done, findings, run, timing
from minift import ROOT

TOY = '''"""Lesson 07. A toy (玩具)

Words for the reader. About 2 min on two cores.
"""

# %% First
# Prose of the first cell,
# on two lines.
import inspect

seen = [1]


def double(x):
    return 2 * x


# %% [markdown] Only words
# Nothing to run.

# %% Last

seen.append(double(2))
print("seen", seen, inspect.getsource(double).count("return"))
'''


def toy(tmp_path, text=TOY):
    """The toy as a lesson on disk."""
    path = tmp_path / "07_toy.py"
    path.write_text(text, encoding="utf-8")
    return cells.read_lesson(path)


def test_cells_are_split_where_an_editor_would(tmp_path):
    """Each cell has its head, its prose without #, and its code with the line it starts on."""
    parts = cells.split_cells(toy(tmp_path).path)
    assert [part.head for part in parts] == ["First", "Only words", "Last"]
    assert parts[0].prose == "Prose of the first cell,\non two lines."
    assert parts[1].code == "" and parts[1].prose.startswith("Nothing to run.")
    rows = TOY.splitlines()
    for part in (parts[0], parts[2]):
        assert part.code.splitlines()[0] == rows[part.line - 1]
    assert "\n".join(part.code for part in parts).count("def double") == 1


def test_the_docstring_names_a_lesson(tmp_path):
    """Number, title, words and seconds come from the docstring; one without them is an error."""
    lesson = toy(tmp_path)
    assert (lesson.number, lesson.title, lesson.seconds) == ("07", "A toy (玩具)", 120)
    assert lesson.words.startswith("Words for the reader.")
    with pytest.raises(ValueError, match="07_toy.py:1: docstring"):
        toy(tmp_path, '"""A script."""\n')


def test_a_run_shares_names_keeps_lines_and_is_noted(tmp_path, capsys):
    """Cells see each other's names, getsource finds the file, and the end is noted as done."""
    file = tmp_path / "out" / "progress.json"
    assert run.run(toy(tmp_path), file=file) == 0
    printed = capsys.readouterr().out
    assert "seen [1, 4] 1" in printed and "3/3 Last" in printed and "Nothing to run." in printed
    assert json.loads(file.read_text())["lessons"].keys() == {"07"}
    assert done.read(file)["homework"] == {}


def test_a_fast_run_is_not_noted(tmp_path):
    """A run that does not count leaves no trace; an unreadable state is an empty one."""
    file = tmp_path / "progress.json"
    assert run.run(toy(tmp_path), counts=False, file=file) == 0
    assert not file.exists()
    file.write_text("[1")
    assert done.read(file) == {"lessons": {}, "homework": {}}


def test_step_shows_the_source_and_q_leaves(tmp_path, capsys, monkeypatch):
    """--step prints each cell's code with its lines; Enter goes on, q leaves without "done"."""
    file, answers = tmp_path / "progress.json", iter(["", "q"])
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    assert run.run(toy(tmp_path), step=True, file=file) == 0
    printed = capsys.readouterr().out
    assert "  14 │ def double(x):" in printed
    assert "2/3 Only words" in printed and "3/3 Last" not in printed
    assert not file.exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("assert seen == [2], seen", "AssertionError: [1, 4]\n    assert seen == [2], seen\n"),
        ("raise ValueError('data.csv:3: no field')", "ValueError: data.csv:3: no field"),
        ("raise NotImplementedError('TODO 5.1')", "not started: TODO 5.1 (07_toy.py:"),
        ("double()", "TypeError: double() missing 1 required"),
    ],
)
def test_a_failure_names_the_lesson_line(tmp_path, capsys, line, told):
    """What a cell raises is told with the lesson's line; only a surprise shows the calls."""
    file = tmp_path / "progress.json"
    assert run.run(toy(tmp_path, TOY + line + "\n"), file=file) == 1
    printed = capsys.readouterr().err
    assert f"07_toy.py:{len(TOY.splitlines()) + 1}: " in printed and told in printed
    assert ("File " in printed) == line.startswith("double")
    assert not file.exists()


def test_the_list_names_every_lesson(capsys):
    """`python -m lessons` lists number, file, time and title of each script there is."""
    assert course.main([]) == 0
    printed = capsys.readouterr().out
    scripts = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
    assert scripts
    for script in scripts:
        lesson = cells.read_lesson(script)
        assert f"lessons/{script.name}" in printed and lesson.title in printed
        assert lesson.number == script.name[:2]


@pytest.mark.parametrize(
    "words", [["77"], ["check"], ["check", "77"], ["05", "05"], ["lora"], ["sweep", "77"]]
)
def test_a_wrong_number_is_one_line(capsys, words):
    """A lesson that there is not ends with exit code 2 and one line that lists those there are."""
    assert course.main(words) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "there are: " in told and "05" in told


def test_a_missing_data_file_is_one_line(capsys, monkeypatch):
    """--data is looked at before anything runs."""
    monkeypatch.delenv("MINIFT_DATA", raising=False)
    assert course.main(["05", "--data", "nowhere.csv"]) == 2
    assert "nowhere.csv: no such file" in capsys.readouterr().err


def test_options_reach_the_lesson(tmp_path):
    """--fast and --data arrive as settings in a fresh process, and nothing needs the runner."""
    code = "from lessons import settings; print(settings.FAST, settings.DATA)"
    for given, told in (({}, "False None"), ({"MINIFT_FAST": "1", "MINIFT_DATA": "x"}, "True x")):
        environment = {"PYTHONPATH": str(ROOT), "PATH": "", **given}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == told


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_green_check_is_noted(monkeypatch, code):
    """`check 05` hands the skeleton to the answer check; only exit code 0 is noted as done."""
    from tests import answer_check

    checked, noted = [], []
    monkeypatch.setattr(answer_check, "check", lambda files, hint: checked.append(files) or code)
    monkeypatch.setattr(course.finished, "record", lambda *what: noted.append(what))
    assert course.main(["check", "5"]) == code
    assert [path.name[:3] for path in checked[0]] == ["05_"]
    assert noted == ([("homework", "05", 1)] if code == 0 else [])


AHEAD = set()


def test_every_homework_has_its_lesson():
    """A skeleton lessons/homework/NN_name.py belongs to a lesson of that number, or is AHEAD."""
    numbers = set(cells.course(course.FOLDER))
    asked = {path.name[:2] for path in course.FOLDER.glob("homework/[0-9]*.py")}
    assert asked - numbers == AHEAD


def test_every_lesson_is_a_whole_script():
    """Each lesson compiles, imports minift before torch, and its cells are all of its code."""
    for lesson in cells.course(course.FOLDER).values():
        text = lesson.path.read_text(encoding="utf-8")
        compile(text, str(lesson.path), "exec")
        assert text.index("\nimport minift") < text.index("\nimport torch")
        parts = cells.split_cells(lesson.path)
        assert sum(len(part.code.split()) for part in parts) > 0
        assert not text[: text.index("# %%")].rpartition('"""')[2].strip()


def test_a_finding_needs_more_than_chance():
    """Shown only if the mean of the differences lies beyond Student's 95 % of their spread."""
    assert findings.judge("x", [0.30, 0.31, 0.29]).startswith("shown: x: +0.300 ± 0.010")
    unsure = findings.judge("x", [0.3, -0.2, 0.1])
    # sd 0.2517, n 3: 4.30 · 0.2517 / √3 = 0.625
    assert unsure.startswith("not shown at this scale") and "below 0.625 would" in unsure
    assert findings.judge("x", [-0.30, -0.31, -0.29]).startswith("the opposite is seen here: x")
    assert "three seeds" in findings.judge("x", [1.0, 1.0])


def test_a_finding_is_paired_by_seed():
    """Two settings are compared seed by seed, whatever the order of the rows."""
    rows = [
        {"setting": {"rank": r, "seed": s, "lr": 1}, "result": {"bleu": 10 * s + r}}
        for s in (2, 0, 1)
        for r in (1, 4)
    ]
    told = findings.against(rows, "bleu", "4 beats 1", {"rank": 4}, {"rank": 1})
    assert told.startswith("shown: 4 beats 1: +3.000 ± 0.000 (mean ± sd of 3)")


def test_a_claim_that_fails_stops_a_full_run(monkeypatch, capsys):
    """`state` raises on a false claim, except in a fast run, which finds nothing."""
    monkeypatch.setattr(findings.settings, "FAST", False)
    monkeypatch.setattr(findings.settings, "DATA", None)
    with pytest.raises(AssertionError, match="water is dry"):
        findings.state("water is dry", False)
    monkeypatch.setattr(findings.settings, "FAST", True)
    findings.state("water is dry", False)
    assert capsys.readouterr().out == "a fast run finds nothing: water is dry\n"


def test_candidates_take_turns():
    """Each round calls every candidate once, and none is always the first."""
    calls = []
    times = timing.take_turns({n: lambda n=n: calls.append(n) for n in "abc"}, rounds=6, warm=0)
    rounds = ["".join(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert rounds == ["abc", "bca", "cab"] * 2
    assert [len(times[name]) for name in "abc"] == [6, 6, 6]


def stored_runs(lesson05):
    """Rows as a finished sweep of lesson 05 would leave them, with numbers made up."""
    result = {"dev_loss": 1.0, "bleu": 50.0, "exact": 0.5, "trained": 2048}
    return [{"setting": cell, "result": result} for cell in lesson05.grid("0123abcd")]


def test_the_sweep_spends_the_same_parameters():
    """The places of lesson 05 train equally many numbers: r · (i + o) summed over a block."""
    from lessons.sweeps import lesson05

    c = 128
    sides = {"up_proj": 5 * c, "down_proj": 5 * c}
    spent = {
        sum(rank * sides.get(name, 2 * c) for name in targets.split())
        for targets, rank in lesson05.PLACES.items()
    }
    assert len(spent) == 1
    assert lesson05.place("q v") == lesson05.lora_cell("q_proj v_proj", 10)


def test_the_grid_has_what_the_pictures_show(tmp_path):
    """Every curve and row of lesson 05's pictures finds its runs, three or five seeds each."""
    from lessons import pictures_lora
    from lessons.sweeps import lesson05

    rows = stored_runs(lesson05)
    for draw in (pictures_lora.ranks, pictures_lora.places):
        assert draw(rows, tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    for setting, seeds in ((lesson05.lora_cell(rank=1), 3), (lesson05.place("q v"), 5)):
        assert sum(setting.items() <= row["setting"].items() for row in rows) == seeds


def test_stored_runs_name_their_base(tmp_path, monkeypatch, capsys):
    """Runs of another base are read with a warning, and a rebuild drops them; none is an error."""
    from lessons import settings
    from lessons.sweeps import lesson05, stored
    from minift import sweep

    monkeypatch.setattr(settings, "RESULTS", tmp_path)
    monkeypatch.setattr(settings, "FAST", False)
    monkeypatch.setattr(stored, "fingerprint", lambda base: base)
    runs = lesson05.STORED
    with pytest.raises(ValueError, match="python -m lessons sweep 05"):
        runs.rows("0123abcd")
    for row in stored_runs(lesson05)[:3]:
        sweep.append(runs.file, row)
    assert len(runs.rows("0123abcd")) == 3 and not capsys.readouterr().out
    assert len(runs.rows("ffffffff")) == 3 and "0123abcd" in capsys.readouterr().out
    runs.forget_others("0123abcd")
    assert len(sweep.read(runs.file)) == 3
    runs.forget_others("ffffffff")
    assert sweep.read(runs.file) == []


def test_changes_of_low_rank_use_few_directions():
    """The share that k directions hold: singular values 3, 4, 0 give 16/25, 1, 1."""
    from lessons import pictures_lora

    change = torch.tensor([[3.0, 0, 0], [0, 0, 4], [0, 0, 0]])
    share = pictures_lora.spectrum(change)
    torch.testing.assert_close(share, torch.tensor([0.64, 1.0, 1.0]), rtol=1e-4, atol=1e-6)


def test_slots_are_told_or_not():
    """A value counts if a reference repeats it; all slots means every such value is there."""
    from lessons import task
    from minift.records import Pair

    told = ("The Bell is a pub by the river, for families.",)
    pair = Pair("name[The Bell], eatType[pub], familyFriendly[yes]", told[0], told)
    assert task.slot_values(pair) == ["The Bell", "pub"]
    assert task.slot_values(Pair("name: The Bell | type: pub", told[0], told)) == [
        "The Bell",
        "pub",
    ]
    right = task.score(["A pub: the bell."], [pair])
    assert right["all_slots"] == 1 and task.score(["The Bell."], [pair])["all_slots"] == 0
