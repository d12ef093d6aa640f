"""Checkpoints: what a run needs to go on as if it had never stopped.

A file `step_00000120.pt` holds what trains and the buffers, the optimizer, the step, the state of
every random generator (of each process), the settings of the run, and name, dtype and shape of all
tensors of the model; not the frozen base. The position in the data is the step itself: batches are
random access. It is written to a temporary file beside it, flushed to the disk and renamed, so that
a reader sees a whole file or none; it is read with `weights_only=True` after every record's
checksum has been compared (torch itself does not), so nothing in it can run as code.
"""

import os
import random
import re
import sys
import zipfile
import zlib
from pathlib import Path

import numpy
import torch

from minift.safetensors import atomically, to_bytes

FORMAT = "minift checkpoint 1"
KEYS = {"format", "step", "settings", "tensors", "trained", "buffers", "optimizer", "random"}
KEEP = 2


def files(folder):
    """{step: path} of the checkpoints in `folder`, newest first."""
    paths = [p for p in Path(folder).glob("step_*.pt") if re.fullmatch(r"step_\d+\.pt", p.name)]
    return {int(path.stem[5:]): path for path in sorted(paths, reverse=True)}


def refuse_second_run(folder, resume):
    """A folder keeps one run: raise ValueError if it holds one that is not to be gone on with."""
    if not resume and (found := files(folder)):
        raise ValueError(
            f"{folder}: holds a run of {max(found)} steps; resume it, or choose another folder"
        )


def random_state():
    """The state of every random generator of this process, as plain lists and tensors."""
    kind, keys, *rest = numpy.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(keys.astype("int64")), *rest],
        "cpu": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state):
    """Put every generator back; one of a device that is not there is left out."""
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    numpy.random.set_state((kind, keys.numpy().astype("uint32"), *rest))
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


def trained(model):
    """{name: tensor} of the parameters that train."""
    return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}


def buffers(model):
    """{name: tensor} of the buffers that belong to the model's state."""
    kept = model.state_dict().keys()
    return {n: b for n, b in model.named_buffers() if n in kept}


def describe(model):
    """{name: 'float32 (3, 4)'} of every parameter and buffer, frozen ones too."""
    tensors = {**dict(model.named_parameters()), **buffers(model)}
    return {n: f"{str(t.dtype)[6:]} {tuple(t.shape)}" for n, t in tensors.items()}


def fingerprint(tensors):
    """A checksum, to notice that a run is resumed on another base or other data."""
    found = 0
    for tensor in tensors:
        found = zlib.crc32(to_bytes(tensor), found)
    return found


def why(error):
    """The operating system's word for a failed write, where it is in the chain of errors.

    torch.save reports a full disk as a wrong position in its own file; the cause is its context.
    """
    cause = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return (getattr(cause, "strerror", None) or str(error)).splitlines()[0]


def sync_folder(folder):
    """Make a rename survive a power cut (POSIX only: Windows opens no folders)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save(folder, step, model, optimizer, settings, randoms):
    """Write the checkpoint of `step` and drop all but the two newest; return its path.

    Raises ValueError in one line if it cannot be written; older checkpoints are then untouched.
    """
    path = Path(folder) / f"step_{step:08}.pt"
    state = {
        "format": FORMAT, "step": step, "settings": settings, "tensors": describe(model),
        "trained": trained(model), "buffers": buffers(model), "optimizer": optimizer.state_dict(),
        "random": randoms,
    }  # fmt: skip
    try:
        atomically(path, lambda file: torch.save(state, file))
        sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        left = next((p.name for p in files(folder).values()), "none")
        raise ValueError(
            f"{path}: could not be saved: {why(error)}; last good checkpoint: {left}"
        ) from error
    # A file of a later step is an unreadable one that a resume stepped over: not ours to count.
    for old in [p for s, p in files(folder).items() if s <= step][KEEP:]:
        old.unlink()
    return path


def sweep_up(folder):
    """Remove the temporary files of a process that was killed while it saved."""
    for path in Path(folder).glob(".step_*.pt.*"):
        path.unlink(missing_ok=True)


def read(path):
    """The state in a checkpoint file. Raises FileNotFoundError or ValueError in one line."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        state = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the two readers raise nearly anything
        kind = type(error).__name__
        raise ValueError(f"{path}: not a checkpoint, or cut off or damaged ({kind})") from None
    if damaged:
        raise ValueError(f"{path}: damaged: the checksum of {damaged} is wrong")
    if not isinstance(state, dict) or state.get("format") != FORMAT or state.keys() != KEYS:
        raise ValueError(f"{path}: a torch file, but not one of ours; expected {FORMAT!r}")
    return state


def latest(folder):
    """(path, state) of the newest readable checkpoint, or None if the folder holds none.

    Each unreadable one is named in a line. Raises ValueError if there are only unreadable ones.
    """
    found = list(files(folder).values())
    for path in found:
        try:
            return path, read(path)
        except ValueError as error:
            print(f"{error}; trying the one before", file=sys.stderr)
    if found:
        raise ValueError(f"{folder}: none of its {len(found)} checkpoints can be read")
    return None


def restore(path, state, model, optimizer, rank=0):
    """Put a state into a model and its optimizer, and the random generators back.

    Raises ValueError in one line, and changes nothing, if it was made with another model.
    """
    here, there = describe(model), state["tensors"]
    for name in [*there, *here]:
        if here.get(name) != there.get(name):
            now, then = here.get(name, "missing"), there.get(name, "missing")
            raise ValueError(f"{path}: made with another model: {name} was {then}, is {now}")
    if odd := sorted(trained(model).keys() ^ state["trained"].keys()):
        raise ValueError(f"{path}: made with another choice of what trains: {', '.join(odd[:3])}")
    with torch.no_grad():
        for tensors, saved in ((trained(model), "trained"), (buffers(model), "buffers")):
            for name, tensor in tensors.items():
                tensor.copy_(state[saved][name])
    optimizer.load_state_dict(state["optimizer"])
    set_random_state(state["random"][rank])
