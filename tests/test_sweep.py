"""Sweeps: every cell once, whatever stops the process, and tables that say how sure they are."""

import errno
import json
import os
import subprocess
import sys

import numpy
import pytest

from minift import ROOT, sweep

GRID, SEEDS = {"rank": [1, 4], "method": ["lora", "full"]}, (0, 1, 2)


def measure(rank, method, seed):
    """A cell whose numbers depend on its setting alone."""
    return {"loss": rank + 0.1 * seed * seed, "stored": rank * len(method)}


class Counting:
    """`measure`, with a list of the cells that ran; stops at the given call."""

    def __init__(self, stop=None):
        self.ran, self.stop = [], stop

    def __call__(self, **setting):
        if len(self.ran) == self.stop:
            raise RuntimeError("out of memory")
        self.ran.append(setting)
        return measure(**setting)


def test_every_combination_runs_once_with_every_seed(tmp_path):
    """The rows are those of three nested loops, in their order, and the file holds the same."""
    run = Counting()
    rows = sweep.sweep(tmp_path / "a.jsonl", run, GRID, SEEDS)
    want = [
        {"rank": rank, "method": method, "seed": seed}
        for rank in GRID["rank"] for method in GRID["method"] for seed in SEEDS
    ]  # fmt: skip
    assert run.ran == want == [row["setting"] for row in rows]
    assert [row["result"] for row in rows] == [measure(**setting) for setting in want]
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").open()] == rows


def test_a_list_of_settings_is_a_grid_too(tmp_path):
    """Each dictionary is a cell; one that stands there twice runs once."""
    run = Counting()
    grid = [{"rank": 1, "method": "a", "seed": 0}, {"seed": 0, "method": "a", "rank": 1}]
    assert len(sweep.sweep(tmp_path / "a.jsonl", run, grid)) == 1 == len(run.ran)


def test_a_stopped_sweep_goes_on_where_it_was(tmp_path):
    """The error names the cell; started again, only the missing ones run; the rows are the same."""
    path = tmp_path / "a.jsonl"
    with pytest.raises(ValueError, match='a.jsonl: cell .*"rank": 1.*"seed": 2.*: out of memory'):
        sweep.sweep(path, Counting(stop=5), GRID, SEEDS)
    run = Counting()
    rows = sweep.sweep(path, run, GRID, SEEDS)
    assert len(run.ran) == 12 - 5
    assert rows == sweep.sweep(tmp_path / "b.jsonl", measure, GRID, SEEDS)
    nothing = Counting()
    assert sweep.sweep(path, nothing, GRID, SEEDS) == rows and nothing.ran == []


DIES = """
import os, signal, sys
from minift import sweep
from tests.test_sweep import GRID, SEEDS, measure
write, calls = os.write, []
def torn(handle, data):
    calls.append(data)
    if len(calls) == 4:
        write(handle, data[:len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write(handle, data)
os.write = torn
sweep.sweep(sys.argv[1], measure, GRID, SEEDS)
"""


def test_a_kill_in_the_middle_of_a_line_costs_one_cell(tmp_path):
    """A process killed with half a line written: the line is dropped and its cell runs again."""
    path = tmp_path / "a.jsonl"
    command = [sys.executable, "-c", DIES, str(path)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == -9 and not path.read_bytes().endswith(b"\n")
    assert len(sweep.read(path)) == 3
    run = Counting()
    rows = sweep.sweep(path, run, GRID, SEEDS)
    assert len(run.ran) == 9
    assert [json.loads(line) for line in path.open()] == rows


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    """One line of error with the cause; the finished cells stay readable."""
    path = tmp_path / "a.jsonl"
    sweep.sweep(path, measure, GRID, (0,))
    before, write = path.read_bytes(), os.write

    def full(handle, data):
        write(handle, data[:7])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ValueError, match="a.jsonl: cell not saved: No space left on device"):
        sweep.sweep(path, measure, GRID, (0, 1))
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
    with pytest.raises(ValueError, match="only 7 of"):
        sweep.sweep(path, measure, GRID, (0, 1))
    assert path.read_bytes() == before


def test_a_line_is_flushed_to_the_disk(tmp_path, monkeypatch):
    """Every finished cell is written at once and synced before the next one starts."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    run = Counting()
    sweep.sweep(tmp_path / "a.jsonl", run, GRID, (0,))
    assert len(synced) == 4 and synced == sorted(set(synced))


def test_a_changed_grid_keeps_the_finished_cells(tmp_path):
    """Cells left out are not returned but stay; named again, they are not run again."""
    path = tmp_path / "a.jsonl"
    sweep.sweep(path, measure, GRID, SEEDS)
    run = Counting()
    rows = sweep.sweep(path, run, {"method": ["full"], "rank": [8, 4]}, SEEDS)
    assert [s["rank"] for s in run.ran] == [8, 8, 8]
    assert [(r["setting"]["rank"], r["setting"]["method"]) for r in rows] == (
        [(8, "full")] * 3 + [(4, "full")] * 3
    )
    again = Counting()
    assert len(sweep.sweep(path, again, GRID, SEEDS)) == 12 and again.ran == []


def test_a_broken_line_names_file_and_line(tmp_path):
    """A line in the middle that is no finished cell is an error, not a cell to run again."""
    path = tmp_path / "a.jsonl"
    sweep.sweep(path, measure, GRID, (0,))
    lines = path.read_text().splitlines()
    for broken in ('{"setting"', "[1, 2]", '{"setting": {}}', '{"setting": 3, "result": {}}', ""):
        path.write_text("\n".join([lines[0], broken, *lines[2:]]) + "\n")
        with pytest.raises(ValueError, match="a.jsonl:2: not a finished cell"):
            sweep.sweep(path, measure, GRID, (0,))


def test_a_result_must_be_numbers(tmp_path):
    """A list or a text in a result is refused with the cell and the name."""
    with pytest.raises(ValueError, match=r'cell {"x": 1}: curve is a list, not a number'):
        sweep.sweep(tmp_path / "a.jsonl", lambda x: {"curve": [1, 2]}, {"x": [1]})


def test_the_table_is_mean_and_sd_over_the_seeds(tmp_path):
    """numpy's mean and sample deviation of each group, in the order of the grid."""
    rows = sweep.sweep(tmp_path / "a.jsonl", measure, GRID, SEEDS)
    lines = sweep.table(rows, by=("rank", "method")).splitlines()
    assert [c.strip() for c in lines[0].split("|")[1:-1]] == ["rank", "method", "loss", "stored"]
    wanted = [(rank, method) for rank in (1, 4) for method in ("lora", "full")]
    for line, (rank, method) in zip(lines[2:], wanted, strict=True):
        losses = [rank + 0.1 * seed * seed for seed in SEEDS]
        loss = f"{numpy.mean(losses):.3f} ± {numpy.std(losses, ddof=1):.3f}"
        cells = [c.strip() for c in line.split("|")[1:-1]]
        assert cells == [str(rank), method, loss, f"{rank * 4:.3f} ± 0.000"]
    assert len({len(line) for line in lines}) == 1


def test_one_value_has_no_deviation(tmp_path):
    """A single seed shows the mean alone; a result that a group lacks shows a dash."""
    run = lambda rank, seed: {"loss": 1.5} if rank == 1 else {"bleu": 0.25}  # noqa: E731
    rows = sweep.sweep(tmp_path / "a.jsonl", run, {"rank": [1, 2]}, (0,))
    lines = sweep.table(rows, by="rank", digits=2).splitlines()
    assert [c.strip() for c in lines[2].split("|")[1:-1]] == ["1", "1.50", "–"]
    assert [c.strip() for c in lines[3].split("|")[1:-1]] == ["2", "–", "0.25"]
    with pytest.raises(ValueError, match="no setting 'width'; there are: rank, seed"):
        sweep.table(rows, by="width")


def test_recompute_runs_one_finished_cell_again(tmp_path):
    """The seed chooses the cell; equal code gives equal numbers, changed code does not."""
    path = tmp_path / "a.jsonl"
    sweep.sweep(path, measure, GRID, SEEDS)
    before, chosen = path.read_bytes(), []
    for seed in range(20):
        run, again = Counting(), Counting()
        stored, new = sweep.recompute(path, run, seed)
        sweep.recompute(path, again, seed)
        assert stored == new and run.ran == again.ran and len(run.ran) == 1
        chosen.append(str(run.ran))
    assert len(set(chosen)) > 5 and path.read_bytes() == before
    stored, new = sweep.recompute(path, lambda **setting: {"loss": -1.0}, 0)
    assert stored != new
    with pytest.raises(ValueError, match="holds no finished cell"):
        sweep.recompute(tmp_path / "none.jsonl", measure, 0)
