"""Checkpoints: a run that is stopped anywhere goes on to the same bits, and no file is trusted."""

import errno
import json
import os
import random
import resource
import subprocess
import sys
import zipfile

import numpy
import pytest
import torch

from minift import ROOT, checkpoint, train
from tests.toy_run import ToyBatches, noisy_evaluation, toy, toy_loss

SETTINGS = {"steps": 12, "lr": 0.01, "device": "cpu", "save_every": 2, "log_every": 1}


class Stopped(Exception):
    pass


def fit(out, model=None, batches=None, **settings):
    """Twelve quiet steps with two micro-batches, an evaluation that draws numbers, and dropout."""
    model = model or toy()
    settings = {"accumulate": 2, "evaluate": noisy_evaluation, "evaluate_every": 5} | settings
    settings = SETTINGS | settings | {"out": out, "quiet": True}
    return train.fit(model, batches or ToyBatches(), toy_loss, **settings)


def stop_at(last):
    """An after_step that draws a number a step, and stops the run at step `last`."""

    def after_step(step, model):
        random.random(), numpy.random.rand()
        if step == last:
            raise Stopped

    return after_step


def newest(folder):
    return checkpoint.read(next(iter(checkpoint.files(folder).values())))


def same(one, other):
    """True if two nested states hold the same bits."""
    if torch.is_tensor(one):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def rows(folder):
    """The log without what a clock or the memory decides."""
    measured = {"tokens_per_second", "memory_mb"}
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in measured} for row in log]


@pytest.fixture
def run(tmp_path):
    """A finished run of twelve steps; its folder."""
    fit(tmp_path / "run")
    return tmp_path / "run"


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path):
    """Weights, buffers, optimizer, generators, rows: equal to a run that was never stopped."""
    random.seed(1), numpy.random.seed(1)
    whole = fit(tmp_path / "whole", after_step=stop_at(None))
    random.seed(1), numpy.random.seed(1)
    for last in (1, 7, 8):
        with pytest.raises(Stopped):
            fit(tmp_path / "parts", after_step=stop_at(last), resume=True)
        torch.manual_seed(last), random.seed(last), numpy.random.seed(last)
        if last == 1:  # nothing was saved yet: the run starts anew, from the same seeds
            assert checkpoint.files(tmp_path / "parts") == {}
            random.seed(1), numpy.random.seed(1)
    parts = fit(tmp_path / "parts", after_step=stop_at(None), resume=True)
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "parts"))
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")
    assert [row["step"] for row in parts] == [row["step"] for row in whole] == list(range(1, 13))


def test_a_finished_run_is_not_trained_again(run):
    """Resumed at its last step, the model gets the weights and the rows come from the log."""
    model = toy(seed=4)
    model.frozen.load_state_dict(toy().frozen.state_dict())
    history = fit(run, model=model, resume=True)
    assert same(dict(newest(run)["trained"]), checkpoint.trained(model))
    assert [row["step"] for row in history] == list(range(1, 13))


def endings(out, *attempts):
    """How each process that `tests.toy_run kill` started has ended."""
    command = [sys.executable, "-m", "tests.toy_run", "kill", str(out), *attempts]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    return done.stdout.split()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="finds its file through /proc")
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    """SIGKILL at three random steps, once with half a checkpoint written; then on to the end."""
    draw = random.Random(20)
    places = draw.sample(["step", "saving", "row"], 3)
    steps = sorted(draw.sample(range(2, 19), 3))
    kills = [f"killed:{step}:{place}" for step, place in zip(steps, places, strict=True)]
    assert endings(tmp_path, "whole:0:", *kills, "killed:0:") == ["0", "-9", "-9", "-9", "0"]
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "killed"))
    assert rows(tmp_path / "whole") == rows(tmp_path / "killed")
    assert not list((tmp_path / "killed").glob(".step_*"))  # the half file has been swept up


def test_only_what_trains_is_stored_and_two_are_kept(run):
    """The frozen base is named with dtype and shape but not stored; the two newest files stay."""
    state = newest(run)
    assert sorted(checkpoint.files(run)) == [10, 12]
    assert set(state["trained"]) == {n for n, p in toy().named_parameters() if p.requires_grad}
    assert set(state["buffers"]) == {"seen"}
    assert state["tensors"]["frozen.weight"] == "float32 (7, 7)"


def test_the_file_and_its_folder_reach_the_disk(tmp_path, monkeypatch):
    """The order is: file synced, renamed, folder synced, and only then an old one removed."""
    calls = []
    for name in ("fsync", "replace", "unlink"):
        plain = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, n=name, p=plain, **k: (calls.append((n, *map(str, a))), p(*a, **k))
        )
    model = toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in (1, 2, 3):
        calls.clear()
        checkpoint.save(tmp_path, step, model, optimizer, {}, [checkpoint.random_state()])
    names = [call[0] for call in calls]
    assert names[:3] == ["fsync", "replace", "fsync"]
    assert calls[1][2].endswith("step_00000003.pt")
    assert sorted(checkpoint.files(tmp_path)) == [2, 3]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.95, 0.9999])
def test_a_cut_off_newest_gives_way_to_the_one_before(run, capsys, share):
    """Its name and fault are said in one line; the run goes on from the other to the same bits."""
    whole = newest(run)
    path = run / "step_00000012.pt"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    fit(run, resume=True)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"{path}: not a checkpoint, or cut off")
    assert same(whole["trained"], newest(run)["trained"])


def test_a_flipped_bit_is_found(run):
    """One wrong bit anywhere in a stored tensor: torch.load would take it, `read` does not."""
    path = run / "step_00000012.pt"
    data, draw = path.read_bytes(), random.Random(3)
    with zipfile.ZipFile(path) as archive:
        records = [i for i in archive.infolist() if "/data/" in i.filename and i.file_size > 8]
    for record in draw.sample(records, 8):
        start = data.index(record.filename.encode(), record.header_offset) + len(record.filename)
        padding = int.from_bytes(
            data[record.header_offset + 28 : record.header_offset + 30], "little"
        )
        broken = bytearray(data)
        broken[start + padding + draw.randrange(record.file_size)] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="damaged: the checksum of .*/data/"):
            checkpoint.read(path)


class Runs:
    """Unpickled carelessly, it would run a command."""

    def __reduce__(self):
        return os.mkdir, ("ran-as-code",)


def test_a_foreign_file_is_refused_and_never_run(tmp_path, monkeypatch):
    """Text, other torch files and one that would run code: one line each, naming it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "step_00000001.pt"
    for value in ({"a": torch.ones(2)}, [1, 2], Runs(), {"format": checkpoint.FORMAT}):
        torch.save(value, path)
        with pytest.raises(ValueError, match=f"^{path}: ") as error:
            checkpoint.read(path)
        assert "\n" not in str(error.value)
    path.write_text("not a checkpoint\n" * 50)
    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoint.read(path)
    with pytest.raises(ValueError, match="none of its 1 checkpoints can be read"):
        checkpoint.latest(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        checkpoint.read(tmp_path / "step_00000002.pt")
    assert not (tmp_path / "ran-as-code").exists()


def fill_disk(monkeypatch):
    """Every write fails as on a full disk, after some bytes."""

    def full(state, file):
        file.write(b"x" * 1000)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", full)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    """One line with the cause; the old checkpoint is intact, no half file stays; it goes on."""
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(ValueError) as error:
        fit(out, after_step=lambda step, model: fill_disk(patch) if step == 5 else None)
    assert str(error.value) == (
        f"{out}/step_00000006.pt: could not be saved: No space left on device; last good "
        "checkpoint: step_00000004.pt"
    )
    assert sorted(p.name for p in out.iterdir()) == [
        "log.jsonl", "step_00000002.pt", "step_00000004.pt"
    ]  # fmt: skip
    fit(out, resume=True)
    fit(tmp_path / "whole")
    assert same(newest(out)["trained"], newest(tmp_path / "whole")["trained"])


def test_a_limit_on_file_sizes_is_met_the_same_way(tmp_path):
    """The system itself cuts the write short: torch's puzzling error becomes the system's word."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = torch.nn.Linear(200, 300)  # larger than what a file object holds back
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    arguments = (model, optimizer, {}, [checkpoint.random_state()])
    checkpoint.save(tmp_path, 1, *arguments)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ValueError, match="could not be saved: File too large; last good"):
            checkpoint.save(tmp_path, 2, *arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["step_00000001.pt"]
    assert checkpoint.read(tmp_path / "step_00000001.pt")["step"] == 1


def without_branch():
    model = toy()
    model.branch.requires_grad_(False)
    return model


def other_base():
    model = toy()
    model.frozen.weight.data += 1
    return model


def wider():
    model = toy()
    model.register_buffer("more", torch.zeros(2))
    return model


@pytest.mark.parametrize(
    "change, message",
    [
        ({"steps": 13}, "steps was 12, is 13"),
        ({"lr": 0.02}, "lr was 0.01, is 0.02"),
        ({"accumulate": 1}, "accumulate was 2, is 1"),
        ({"weight_decay": 0.5}, "weight_decay was 0.01, is 0.5"),
        ({"clip": None}, "clip was 1.0, is None"),
        ({"bf16": True}, "bf16 was False, is True"),
        ({"optimizer": torch.optim.SGD}, "optimizer was AdamW, is SGD"),
        ({"batches": ToyBatches(seed=1)}, "data was"),
        ({"model": other_base}, "base was"),
        ({"model": without_branch}, "trained was 265, is 209"),
        ({"model": wider}, "made with another model: more was missing, is float32"),
    ],
)
def test_resuming_with_other_settings_is_one_line(run, change, message):
    """Each names what differs, and neither files nor model are touched."""
    model = change.pop("model", toy)()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    files = {p: p.read_bytes() for p in run.iterdir()}
    with pytest.raises(ValueError, match=message) as error:
        fit(run, model=model, resume=True, **change)
    assert "\n" not in str(error.value) and "step_00000012.pt" in str(error.value)
    assert same(before, dict(model.state_dict()))
    assert files == {p: p.read_bytes() for p in run.iterdir()}


def test_the_same_number_of_other_parameters_is_noticed(run):
    """Another choice of what trains with the same count is refused by name."""
    path, state = checkpoint.latest(run)
    state["trained"]["renamed"] = state["trained"].pop("out.bias")
    model = toy()
    optimizer = torch.optim.AdamW(train.groups(model, 0.01))
    with pytest.raises(ValueError, match="another choice of what trains: out.bias, renamed"):
        checkpoint.restore(path, state, model, optimizer)


def test_a_new_run_does_not_write_over_an_old_one(run):
    """Without resume=True a folder with checkpoints is refused; its files stay."""
    before = sorted(run.iterdir())
    with pytest.raises(ValueError, match="holds a run of 12 steps; resume it, or choose another"):
        fit(run)
    assert sorted(run.iterdir()) == before


def test_a_torn_log_line_comes_once(run):
    """Rows behind the checkpoint and a last line cut by a kill are dropped, and made again."""
    want = rows(run)
    (run / "step_00000012.pt").unlink()
    with open(run / "log.jsonl", "a") as file:
        file.write('{"step": 13, "lo')
    fit(run, resume=True)
    assert rows(run) == want


def test_random_state_brings_every_generator_back():
    """Python, numpy (with its half-used normal pair) and torch draw the same numbers again."""

    def draw():
        return random.random(), numpy.random.randn(), torch.rand(2).tolist()

    numpy.random.seed(0), numpy.random.randn()
    state = checkpoint.random_state()
    first = draw()
    draw()
    checkpoint.set_random_state(state)
    assert draw() == first
