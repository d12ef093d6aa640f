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

# Homework of lesson 08: eight parts, TODO 8.1 to 8.8, in any order. Names, parameters and
# docstrings stay as they are; the symbol table above says what is called what.
#
#     python -m lessons check 08           what is right, what is wrong, what is not started
#     python -m lessons check 08 --hint    with a longer hint for each thing that is wrong
#     python -m lessons 08 --mine          the lesson, with your UniPELT training the model
#
# ruff: noqa: F401 (the imports are for what you will write)

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
    # TODO 8.1  the mean of equation (1), 3 lines
    #   1. inside (b, t, 1): pool, so that it can be multiplied with each
    #   2. total (b, 1, 1): the sum of each over the positions inside
    #   3. total divided by how many these are (at least 1), in the type of each
    raise NotImplementedError("TODO 8.1")


class Gate(nn.Module):
    """How far a part is let through, one number a row: h (b, t, c) → (b, 1, 1).

    context: the model's `CurrentContext`; memory: h is the memory that a decoder looks at.
    """

    def __init__(self, width, context, memory=False, masked=True):
        super().__init__()
        self.context, self.memory, self.masked = context, memory, masked
        # TODO 8.2  symbol table: w and b, 3 lines
        #   1. self.score, a linear layer from c = width numbers to one, with a bias
        #   2. w is drawn from N(0, 0.02²), b is zero
        raise NotImplementedError("TODO 8.2")

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
        # TODO 8.3  equation (1), about 8 lines
        #   1. self.context.now.notes is a dictionary while a text is written, and None else; if
        #      this gate (self) has its value there already, that is the answer
        #   2. each (b, t, 1): σ(w·h + b) of each token
        #   3. made (b, 1, 1): mean_over it and self.pool(h)
        #   4. where there are notes, made is noted under self
        raise NotImplementedError("TODO 8.3")


class GatedLoRALinear(lora.LoRALinear):
    """LoRA on W_q or W_v, with a gate for its scale: x (b, t, c) → (b, t, c)."""

    def __init__(self, linear, rank, gate):
        super().__init__(linear, rank, alpha=rank)
        self.gate = gate.to(linear.weight)

    def forward(self, x):
        # TODO 8.4  equation (2), 3 lines
        #   1. down (b, t, r): A x;  up (b, t, c): B A x
        #   2. W x + b, which is self.frozen(x), and up behind its gate; nothing else scales it
        raise NotImplementedError("TODO 8.4")


class GatedAdapter(adapter.Adapter):
    """An adapter whose change is gated, and its skip is not: h (b, t, c) → (b, t, c)."""

    def __init__(self, width, bottleneck, activation, gate):
        super().__init__(width, bottleneck, activation)
        self.gate = gate

    def forward(self, output, input):
        # TODO 8.5  equation (3), 1 line; h is the sub-layer's output
        raise NotImplementedError("TODO 8.5")


class GatedPrefix(prefix.Prefix):
    """A prefix with a gate for each layer of each bank; gate() makes one."""

    def __init__(self, config, banks, length, hidden, reparameterize, gate):
        super().__init__(config, banks, length, hidden, reparameterize)
        # TODO 8.6  a gate for each layer of each bank, about 3 lines
        #   1. self.gates, an nn.ModuleDict: {bank: nn.ModuleList of config.n_layers gates}
        #   2. each of them is made by a call of gate()
        raise NotImplementedError("TODO 8.6")

    def stored(self):
        """What a task keeps: P of each bank, and the gates."""
        return super().stored() | {f"gates.{name}": p for name, p in self.gates.named_parameters()}

    def forward(self, b, rows=None):
        """{bank: [`Extra` of each layer]} for b rows, each with its gate, which has yet to read."""
        # TODO 8.7  equation (4), about 4 lines
        #   1. what a prefix without gates gives: super().forward(b, rows)
        #   2. each Extra with the gate of its bank and layer; attention.py calls it and multiplies
        raise NotImplementedError("TODO 8.7")


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
    # TODO 8.8  into a model, about 15 lines; read minift/peft/inject.py first
    #   1. inject.refuse_second(model); names = inject.choose(...) of TARGETS;
    #      doors = adapter.doors_of(...), Pfeiffer's: pairs (block, name of the door)
    #   2. base = inject.body(model); partial(Gate, ...) with its width (base.config.d_model),
    #      base.context and masked makes gates
    #   3. a GatedAdapter for each door; a GatedPrefix for base.BANKS
    #   4. inject.begin(model, "unipelt", ...) freezes the model and notes every argument; a file
    #      comes without the prefix's network: model.delta.in_file = {"reparameterize": False}
    #   5. inject.replace puts a GatedLoRALinear at each of names; the gate of one whose name
    #      inject.matches OF_MEMORY is made with memory=True
    #   6. adapters move into their doors (setattr) and the prefix to base.prefix, in the type of
    #      base.embedding.weight and in the mode (training or not) of what is around them
    raise NotImplementedError("TODO 8.8")
