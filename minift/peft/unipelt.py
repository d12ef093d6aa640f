r"""UniPELT: prefix, LoRA and adapter at once, each behind a gate (chapter: 混合式微调 – UniPELT;
Mao et al. 2022, arXiv 2110.07577).

Which of the three does best differs from task to task. So a layer has all of them, and each has a
gate that reads what the part itself reads and lets through as much of it as this text needs. The
base stays frozen; the gates are trained with the parts.

    G = mean over the pool of σ(w·h + b)        (1)   one number for each gate and row
    W_q x + G_L · B A x                         (2)   and for W_v: G_L stands where α/r stood
    A(h) = h + G_A · Δ(h)                       (3)   one adapter a block: Pfeiffer's place
    [G_P · P_K; K], [G_P · P_V; V]              (4)   `attention.py` multiplies and joins

    symbol    here         shape         trained   start
    w, b      gate.score   (1, c), (1)   yes       N(0, 0.02²) and 0: every gate is half open
    h, G_L    x            (b, t, c)     -         what W_q, or W_v, reads
    h, G_A    output       (b, t, c)     -         what the adapter reads: the sub-layer's output
    h, G_P    x            (b, t, c)     -         the attention's input; one gate for P_K and P_V
    A, B      A, B         as in lora.py
    Δ         change       as in adapter.py, with ReLU
    P         prefix       as in prefix.py

L blocks have 4 (c + 1) L numbers in gates. BERT-base with p = 10, r = 8 and m = 48: 36,912 beside
184,320 of the prefix, 294,912 of LoRA and 894,528 of the adapters. A decoder that looks at a memory
has three gates more: G_L for W_q and W_v, of which the latter reads the memory, and G_P.

With all gates shut the base is not back: keys of zeros keep a share of the softmax (`prefix.py`).

The pool: no token may see its future through a gate. In an encoder it is all real tokens; in a GPT
the prompt, up to the first answer (of a text that is all to be learnt, its first token; under a
classifier, all of it); in a decoder the start. A gate is computed when the prompt is read, and a
text that is being written keeps it. The texts of a packed row would share a gate: refused.

Paper: the gate's "average" is not said to leave out padding; W_q and W_v in the text, Q and K in
Figure 1. Released code, and the library `adapters`: the mean over all positions, so that padding
changes the output and a GPT's token sees its future; b of `adapters` starts as nn.Linear's. Here:
the pool above; `masked=False` gives the code's mean. The code's adapter reads what the layer norm
makes of it, ours the sub-layer's output: see adapter.py.
"""

from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from minift.peft import adapter, inject, lora, prefix

TARGETS, OF_MEMORY = ("q_proj", "v_proj"), ("cross_attention.v_proj",)
NO_MERGE = "its gates depend on the text, and a weight cannot"


def mean_over(each, pool):
    """The mean of each (b, t, 1) over the positions where pool (b, t) is True, row by row.

    A row without any has 0: its gates are shut.
    """
    inside = pool[:, :, None]  # (b, t, 1)
    total = (each * inside).sum(dim=1, keepdim=True)  # (b, 1, 1)
    return (total / inside.sum(dim=1, keepdim=True).clamp(min=1)).to(each.dtype)  # (b, 1, 1)


class Gate(nn.Module):
    """How far a part is let through, one number a row: h (b, t, c) → (b, 1, 1).

    context: the model's `CurrentContext`; memory: h is the memory that a decoder looks at.
    """

    def __init__(self, width, context, memory=False, masked=True):
        super().__init__()
        self.context, self.memory, self.masked = context, memory, masked
        self.score = nn.Linear(width, 1)
        nn.init.normal_(self.score.weight, std=0.02)
        nn.init.zeros_(self.score.bias)

    def pool(self, h):
        """Where a row of h (b, t, c) is averaged: (b, t). Raises ValueError for packed rows."""
        here = self.context.now.memory if self.memory else self.context.now
        if here.documents is not None:
            raise ValueError("the texts of a packed row share its gates; expected one text a row")
        if not self.masked:
            return torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)  # (b, t)
        if here.pool is None:
            raise ValueError("a gate has nothing to read: no pool in the model's context")
        return here.pool  # (b, t)

    def forward(self, h):
        notes = self.context.now.notes
        if notes and self in notes:  # of the prompt: what is written later does not move a gate
            return notes[self]  # (b, 1, 1)
        each = torch.sigmoid(self.score(h))  # (b, t, 1)
        made = mean_over(each, self.pool(h))  # (b, 1, 1)   (1)
        if notes is not None:
            notes[self] = made
        return made  # (b, 1, 1)


class GatedLoRALinear(lora.LoRALinear):
    """LoRA on W_q or W_v, with a gate for its scale: x (b, t, c) → (b, t, c)."""

    def __init__(self, linear, rank, gate):
        super().__init__(linear, rank, alpha=rank)
        self.gate = gate.to(linear.weight)

    def forward(self, x):
        down = F.linear(x, self.A)  # (b, t, r)   A x
        up = F.linear(down, self.B)  # (b, t, c)   B A x
        return self.frozen(x) + self.gate(x) * up  # (b, t, c)   (2)


class GatedAdapter(adapter.Adapter):
    """An adapter whose change is gated, and its skip is not: h (b, t, c) → (b, t, c)."""

    def __init__(self, width, bottleneck, activation, gate):
        super().__init__(width, bottleneck, activation)
        self.gate = gate

    def forward(self, output, input):
        return output + self.gate(output) * self.change(output)  # (b, t, c)   (3)


class GatedPrefix(prefix.Prefix):
    """A prefix with a gate for each layer of each bank; gate() makes one."""

    def __init__(self, config, banks, length, hidden, reparameterize, gate):
        super().__init__(config, banks, length, hidden, reparameterize)
        self.gates = nn.ModuleDict()
        for bank in banks:
            self.gates[bank] = nn.ModuleList(gate() for _ in range(config.n_layers))

    def stored(self):
        """What a task keeps: P of each bank, and the gates."""
        return super().stored() | {f"gates.{name}": p for name, p in self.gates.named_parameters()}

    def forward(self, b, rows=None):
        """{bank: [`Extra` of each layer]} for b rows, each with its gate, which has yet to read."""
        made = super().forward(b, rows)
        pairs = {bank: zip(extras, self.gates[bank], strict=True) for bank, extras in made.items()}
        return {bank: [replace(e, gate=gate) for e, gate in pairs[bank]] for bank in made}  # (4)


def add_unipelt(
    model, length=10, rank=8, bottleneck=48, hidden=512, reparameterize=True, activation="relu",
    masked=True,
):  # fmt: skip
    """Give each layer a gated prefix, LoRA and adapter; freeze all else but the head.

    masked=False pools over all positions, as the released code does. Returns the model. Raises
    ValueError for an argument out of place, or if the model already carries a method.
    """
    sizes = {"length": length, "rank": rank, "bottleneck": bottleneck, "hidden": hidden}
    if small := [f"{name} {size}" for name, size in sizes.items() if size < 1]:
        raise ValueError(f"{small[0]}; expected at least 1")
    inject.refuse_second(model)  # before `choose`, which would not find W_q under another method
    names, doors = inject.choose(model, TARGETS), adapter.doors_of(model, "pfeiffer")
    base = inject.body(model)
    width, like = base.config.d_model, base.embedding.weight
    gate = partial(Gate, width, base.context, masked=masked)
    adapters = [GatedAdapter(width, bottleneck, activation, gate()) for _ in doors]
    slots = GatedPrefix(base.config, base.BANKS, length, hidden, reparameterize, gate)
    others = {"reparameterize": reparameterize, "activation": activation, "masked": masked}
    inject.begin(model, "unipelt", **sizes, **others)
    model.delta.in_file = {"reparameterize": False}
    memory = {model.get_submodule(name): inject.matches(name, OF_MEMORY) for name in names}
    inject.replace(
        model, names.__contains__, lambda old: GatedLoRALinear(old, rank, gate(memory=memory[old]))
    )
    for (block, door), one in zip(doors, adapters, strict=True):
        setattr(block, door, one.to(like).train(block.training))
    base.prefix = slots.to(like).train(base.training)
    return model
