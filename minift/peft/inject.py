"""How a method gets into a model: freeze it, put modules through its doors, know what trains.

`begin` opens every method's `add_…`: it refuses a model that already carries one, takes the base's
hash, freezes everything but the task's head, and leaves a `Delta` on the model, from which
`delta.py` saves and restores.
"""

import hashlib
from dataclasses import dataclass, field

from torch import nn

from minift.models.block import Pass
from minift.safetensors import to_bytes


@dataclass
class Delta:
    """What a model knows of the method it carries.

    method, arguments  how to add it again;  base  the SHA-256 of the frozen base
    originals          copies of the base tensors that the method writes (BitFit's biases)
    in_file            arguments that a file has otherwise (a prefix comes without its network)
    """

    method: str
    arguments: dict
    base: str
    originals: dict = field(default_factory=dict)
    in_file: dict = field(default_factory=dict)


def task_head(model):
    """The head of the task at hand, or None. A language model's tied output layer is not one."""
    return getattr(model, "head", None)


def body(model):
    """The language model under a task's head, or the model itself."""
    return getattr(model, "body", model)


def head_parameters(model):
    """{name: parameter} of the task's head; empty for a plain language model."""
    head = task_head(model)
    return {} if head is None else {f"head.{n}": p for n, p in head.named_parameters()}


def base_hash(model):
    """SHA-256 of the base's tensors, names and shapes, the same with and without a task's head."""
    digest = hashlib.sha256()
    for name, tensor in sorted(body(model).state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(to_bytes(tensor))
    return digest.hexdigest()


def freeze(model):
    """Nothing trains but the task's head (its parameters stay as they are); return the model."""
    for parameter in model.parameters():
        parameter.requires_grad = False
    for parameter in head_parameters(model).values():
        parameter.requires_grad = True
    return model


def refuse_second(model):
    """One method at a time: raise ValueError if the model already carries one."""
    if carried := getattr(model, "delta", None):
        raise ValueError(f"the model already carries {carried.method}; remove or merge it first")


def begin(model, method, **arguments):
    """Open a method. Raises ValueError if the model already carries one."""
    refuse_second(model)
    model.delta = Delta(method, arguments, base_hash(model))
    return freeze(model)


def matches(name, targets):
    """True if a target is the module's name or a dotted suffix of it (`attention.v_proj`)."""
    return any(name == target or name.endswith(f".{target}") for target in targets)


def choose(model, targets):
    """The linear layers that `targets` name.

    Raises ValueError for a target that names none, or no linear layer.
    """
    modules, inside = dict(model.named_modules()), set(body(model).modules())
    linear = [n for n, m in modules.items() if isinstance(m, nn.Linear) and m in inside]
    for target in targets:
        named = [n for n in modules if matches(n, [target])]
        if any(isinstance(modules[n], nn.Embedding) for n in named):
            raise ValueError(
                f"target {target} is an embedding tied to the output layer: changing one "
                "would change both; expected a linear layer"
            )
        if not any(matches(n, [target]) for n in linear):
            there = ", ".join(sorted({n.rpartition(".")[2] for n in linear}))
            raise ValueError(f"target {target} matches no linear layer; there are: {there}")
    return [n for n in linear if matches(n, targets)]


def replace(model, match, make):
    """Swap every submodule whose name matches for make(it); return the names.

    No match is an error. Where `make` refuses, the model is plain again, as before `begin`.
    """
    names = [name for name, _ in model.named_modules() if name and match(name)]
    if not names:
        raise ValueError("no module of the model matches; nothing was replaced")
    try:
        made = {name: make(model.get_submodule(name)) for name in names}
    except ValueError:
        release(model)
        raise
    for name, new in made.items():
        parent, _, child = name.rpartition(".")
        parent = model.get_submodule(parent)
        setattr(parent, child, new.train(parent.training))
    return names


def release(model):
    """The model carries nothing any more, and all of it trains."""
    model.delta = None
    return model.requires_grad_(True)


def trainable_parameters(model):
    """{name: parameter} of all that trains."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@dataclass(frozen=True)
class Attachment:
    """A module that moved in through a door: where it stands, and what stood there."""

    path: str
    parent: nn.Module
    child: str
    module: nn.Module
    plain: nn.Module | None

    def take_out(self):
        """The plain model has its own module there again."""
        setattr(self.parent, self.child, self.plain)

    def put_back(self):
        """Move in again, in the mode that the model has by now."""
        self.module.train(self.parent.training)
        setattr(self.parent, self.child, self.module)


def attachments(model):
    """Every module that a method put through one of the three doors, in the body's order."""
    found = []
    for path, parent in body(model).named_modules():
        for child, module in parent.named_children():
            name = f"{path}.{child}" if path else child
            if hasattr(module, "frozen"):
                found.append(Attachment(name, parent, child, module, module.frozen))
            elif child.startswith("after_") and not isinstance(module, Pass):
                found.append(Attachment(name, parent, child, module, Pass()))
            elif child == "prefix":
                found.append(Attachment(name, parent, child, module, None))
    return found
