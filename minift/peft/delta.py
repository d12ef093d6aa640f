"""A delta is what a task owns: the same five acts for every method.

    count_parameters   what trains, what is stored, and what stays frozen; the task's head apart
    save, load         only what the task owns goes into the file: kilobytes
    swap               another task's delta on the same base
    off                the plain base inside a `with` block (PPO's reference policy)
    remove, merge      the plain base for good; or, where exact, the delta in the base's weights

All but `merge` are exact to the bit: a replaced layer and `Delta.originals` keep what was there.
"""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from minift import safetensors
from minift.peft import inject, methods


@dataclass(frozen=True)
class Count:
    """Parameters trained by the method, of the head, stored per task without it, of the base."""

    trained: int
    head: int
    stored: int
    base: int

    @property
    def share(self):
        return self.trained / self.base


@dataclass(frozen=True)
class Saved:
    """A delta as read from the file `path`, with the metadata that was given to `save`."""

    tensors: dict
    method: str
    arguments: dict
    base: str
    path: str
    metadata: dict


def owned(model):
    """{name: tensor} of what moved in through a door, written base tensors, and the head."""
    tensors = {}
    for spot in inject.attachments(model):
        stored = getattr(spot.module, "stored", None)  # where less is stored than trained
        held = stored() if stored else spot.module.state_dict(keep_vars=True)
        for name, tensor in held.items():
            if not name.startswith(("frozen.", "running_")):  # the base's, the run's
                tensors[f"{spot.path}.{name}"] = tensor
    tensors |= {name: inject.body(model).get_parameter(name) for name in carried(model).originals}
    return tensors | inject.head_parameters(model)


def carried(model):
    """The `Delta` on the model. Raises ValueError if there is none."""
    if getattr(model, "delta", None) is None:
        raise ValueError("the model carries no method; add one first (for example add_lora)")
    return model.delta


def count_parameters(model):
    """Count what trains, the head, what a task stores, what stays frozen (a tied tensor once)."""
    delta, head = getattr(model, "delta", None), inject.head_parameters(model)
    own = owned(model) if delta else {}
    trained = [p for n, p in inject.trainable_parameters(model).items() if n not in head]
    stored = {n: t for n, t in own.items() if n not in head}
    moved_in = [p for spot in inject.attachments(model) for p in spot.module.named_parameters()]
    new = [p for name, p in moved_in if not name.startswith("frozen.")]
    sizes = [sum(t.numel() for t in group) for group in (trained, head.values(), stored.values())]
    base = sum(p.numel() for p in model.parameters()) - sizes[1] - sum(t.numel() for t in new)
    return Count(*sizes, base)


def file_of(path):
    """A folder stands for the file delta.safetensors in it."""
    path = Path(path)
    return path if path.suffix == ".safetensors" else path / "delta.safetensors"


def save(model, path, metadata=None):
    """Write what the task owns to a folder or a .safetensors file; return the file's path."""
    delta = carried(model)
    header = {**(metadata or {}), "minift": "delta", "method": delta.method, "base": delta.base}
    header["arguments"] = json.dumps(delta.arguments | delta.in_file)
    safetensors.write(file_of(path), owned(model), header)
    return file_of(path)


def read(path):
    """The delta in a file, not yet on any model. Raises ValueError if the file is not one."""
    tensors, header = safetensors.read(file_of(path))
    if header.get("minift") != "delta" or header.get("method") not in methods.METHODS:
        raise ValueError(f"{file_of(path)}: not a delta of minift: no known method in its header")
    arguments, origin = json.loads(header["arguments"]), str(file_of(path))
    return Saved(tensors, header["method"], arguments, header["base"], origin, header)


def check_base(base, saved):
    """A delta fits only the base it was trained on."""
    if base != saved.base:
        raise ValueError(f"{saved.path}: this {saved.method} delta was trained on another base")


def load(model, path):
    """Put the delta in a file (or one from `read`) on a plain model of its base. Returns it."""
    saved = path if isinstance(path, Saved) else read(path)
    inject.refuse_second(model)
    check_base(inject.base_hash(model), saved)
    methods.add(model, saved.method, **saved.arguments)
    try:
        copy_into(model, saved)
    except ValueError:
        remove(model)  # a file that does not fit leaves the model as it was
        raise
    return model


def copy_into(model, saved):
    """Copy a saved delta's tensors over the model's own; names and shapes must be the same."""
    own = owned(model)
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in saved.tensors.items()}
    if wrong := {name for name, _ in shapes.items() ^ theirs.items()}:
        raise ValueError(f"{saved.path}: {len(wrong)} tensors do not fit, first {min(wrong)}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(saved.tensors[name])


def swap(model, saved):
    """Put another delta (from `read`) in place of the model's own. Returns the model."""
    delta = carried(model)
    check_base(delta.base, saved)
    if (delta.method, delta.arguments) == (saved.method, saved.arguments):
        copy_into(model, saved)
        return model
    mine = {name: tensor.detach().clone() for name, tensor in owned(model).items()}
    try:
        return load(remove(model), saved)
    except ValueError:  # a file that does not fit leaves the model's own delta where it was
        load(model, Saved(mine, delta.method, delta.arguments | delta.in_file, delta.base, "", {}))
        raise


def write_originals(model):
    """Write the originals back into the base; return what the method had there."""
    trained = {}
    with torch.no_grad():
        for name, original in carried(model).originals.items():
            tensor = inject.body(model).get_parameter(name)
            trained[name] = tensor.clone()
            tensor.copy_(original)
    return trained


@contextmanager
def off(model):
    """The plain base inside the block; the delta is back, bit for bit, after it."""
    spots, trained = inject.attachments(model), write_originals(model)
    for spot in spots:
        spot.take_out()
    try:
        yield model
    finally:
        for spot in spots:
            spot.put_back()
        with torch.no_grad():
            for name, tensor in trained.items():
                inject.body(model).get_parameter(name).copy_(tensor)


def remove(model):
    """Take the method out for good; all parameters of the base train again. Returns the model."""
    write_originals(model)
    for spot in inject.attachments(model):
        spot.take_out()
    return inject.release(model)


def merge(model):
    """Write the delta into the base's own weights. Returns the model, plain again.

    Raises ValueError for a method without a merge (a nonlinear module or a gate is no matrix).
    """
    method = methods.module_of(carried(model).method)
    if not hasattr(method, "merge"):
        raise ValueError(f"{carried(model).method} cannot be merged: {method.NO_MERGE}")
    for spot in inject.attachments(model):
        setattr(spot.parent, spot.child, method.merge(spot.module))
    return inject.release(model)
