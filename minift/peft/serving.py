"""One base, many prefixes: each row of a batch is of another task or user (chapter: 增量式微调 –
前缀: one base, one prefix a task, one prefix a user, nobody meets another's).

    model = serve(base, ["out/table_to_text", "out/summary", "out/translation"])
    generate(model, prompts, 20, rows=torch.tensor([2, 0, 0]))    # a translation and two tables

The base is in memory once and runs once for all rows. All prefixes have one length: a shorter one
cannot be filled up, since no slot is seen by nobody, one of zeros least of all.
"""

import torch
from torch import nn

from minift.peft import delta, inject, prefix


class Shelf(nn.Module):
    """The prefixes of several tasks side by side; tasks is a list of {bank: P (p, 2*l*c)}."""

    def __init__(self, config, tasks):
        super().__init__()
        self.layers, self.heads, self.tasks = config.n_layers, config.n_heads, len(tasks)
        stacks = {bank: torch.stack([task[bank] for task in tasks]) for bank in tasks[0]}
        self.length = next(iter(stacks.values())).shape[1]
        self.banks = nn.ParameterDict(
            {bank: nn.Parameter(stack, requires_grad=False) for bank, stack in stacks.items()}
        )

    def stored(self):
        """There is no delta of the model's own: each prefix has its file. Raises ValueError."""
        raise ValueError(f"the model serves {self.tasks} prefixes, each from a file of its own")

    def forward(self, b, rows=None):
        """{bank: [`Extra` of each layer]} for b rows, each that of its number in rows (b).

        Raises ValueError for rows that do not say whose prefix each row gets.
        """
        if rows is None or rows.shape != (b,) or rows.dtype != torch.long:
            raise ValueError(f"rows: whose prefix does each row get? expected {b} whole numbers")
        if int(rows.min()) < 0 or int(rows.max()) >= self.tasks:  # -1 would be another user's
            raise ValueError(f"rows {rows.tolist()}; there are prefixes 0 to {self.tasks - 1}")
        chosen = {bank: P[rows] for bank, P in self.banks.items()}
        return {bank: prefix.by_layer(P, self.layers, self.heads) for bank, P in chosen.items()}


def prefixes_of(model, deltas):
    """[{bank: P}] of deltas, paths or what `delta.read` gave, in their order.

    Raises ValueError for one of another base, method or length, or with a task's head beside it.
    """
    saved = [one if isinstance(one, delta.Saved) else delta.read(one) for one in deltas]
    if not saved:
        raise ValueError("serve: no delta; expected at least one")
    base = inject.base_hash(model)
    names = {bank: f"prefix.banks.{bank}.P" for bank in inject.body(model).BANKS}
    lengths = [one.arguments.get("length") for one in saved]
    for one, length in zip(saved, lengths, strict=True):
        delta.check_base(base, one)
        if one.method != "prefix":
            raise ValueError(f"{one.path}: a delta of {one.method}; expected a prefix")
        if length != lengths[0]:
            raise ValueError(f"{one.path}: a prefix of {length} slots, the first has {lengths[0]}")
        if odd := one.tensors.keys() ^ names.values():
            raise ValueError(f"{one.path}: {min(odd)}; expected a prefix alone: rows share a head")
    return [{bank: one.tensors[name] for bank, name in names.items()} for one in saved]


def serve(model, deltas):
    """Put the prefixes of several tasks on a plain base; `rows` (b) of a call says whose is whose.

    deltas: paths, or what `delta.read` gave; a prefix's place in them is its number. Nothing of
    them trains. Returns the model. Raises ValueError if one does not fit, or if the model already
    carries a method.
    """
    inject.refuse_second(model)
    tasks = prefixes_of(model, deltas)
    inject.begin(model, "prefix", tasks=len(tasks))
    base = inject.body(model)
    base.prefix = Shelf(base.config, tasks).to(base.embedding.weight).train(base.training)
    return model
