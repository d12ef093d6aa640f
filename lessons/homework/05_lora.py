r"""LoRA: low-rank adaptation (chapter: 重参数化微调 – LoRA; Hu et al. 2021, arXiv 2106.09685).

A pretrained model has a low intrinsic dimension, so the change that a task needs has a low rank
too: W stays frozen, and the change is learned as a product of two thin matrices. A starts Gaussian,
B starts at zero.

    h = W x + (α/r) · B A x        (1)
    W' = W + (α/r) · B A           (2)   merged: no cost at inference

    symbol   here      shape    trained   start
    W        frozen    (o, i)   no        the base's
    A        A         (r, i)   yes       N(0, σ²), σ = 1/√(3 i)
    B        B         (o, r)   yes       0, so that the first output is the base's, to the last bit
    α/r      scale     number   no        α is held while r is varied, so the change stays alike

Paper: A "random Gaussian", of unsaid deviation. Released code (loralib, and Hugging Face PEFT by
default): `kaiming_uniform_(A, a=√5)`, which is U(±1/√i), of deviation 1/√(3 i). Here: the paper's
Gaussian at the code's deviation; `init="kaiming"` gives the code's. Dropout falls on the input of
A, never on W's. The released code merges whenever `.eval()` is called; here merging is a function
that makes a new layer and leaves the old one as it was.
"""

# Homework of lesson 05: five parts, TODO 5.1 to 5.5, in any order. Names, parameters and docstrings
# stay as they are; the symbol table above says what is called what.
#
#     python -m lessons check 05           what is right, what is wrong, what is not started
#     python -m lessons check 05 --hint    with a longer hint for each thing that is wrong
#     python -m lessons 05 --mine          the lesson, with your LoRA training the model
#
# ruff: noqa: F401 (the imports are for what you will write)

import math

import torch
import torch.nn.functional as F
from torch import nn

from minift.peft import inject


class LoRALinear(nn.Module):
    """A frozen linear layer with a trained low-rank change: x (b, t, i) → (b, t, o)."""

    def __init__(self, linear, rank, alpha, dropout=0.0, init="gaussian"):
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank {rank}; expected at least 1")
        # TODO 5.1  symbol table: W, A, B, α/r; about 7 lines
        #   1. keep the very layer that was given as self.frozen; neither W nor its bias trains
        #   2. self.scale is the factor of equation (1)
        #   3. self.dropout, a module (p = 0 included)
        #   4. self.A (r, i) and self.B (o, r): parameters, in the type of W
        #   5. let self.reset(init) fill them
        raise NotImplementedError("TODO 5.1")

    def reset(self, init="gaussian"):
        """Draw A ("gaussian": deviation 1/√(3 i); "kaiming": as the released code); B is zero."""
        # TODO 5.2  symbol table, last column; about 7 lines, all in place (torch.nn.init)
        #   1. "gaussian": A from N(0, σ²), σ = 1/√(3 i)
        #   2. "kaiming": A as the released code draws it
        #   3. any other word: a ValueError that names the two
        #   4. B = 0
        raise NotImplementedError("TODO 5.2")

    def forward(self, x):
        # TODO 5.3  equation (1), 3 lines
        #   1. down (b, t, r) = A x; the dropout falls on this x
        #   2. up (b, t, o) = B A x
        #   3. the frozen layer's output, on x without dropout, plus the scaled change
        raise NotImplementedError("TODO 5.3")


def merge(layer):
    """A new plain linear layer with weight W' = W + (α/r) B A; `layer` stays as it was, so nothing
    merges twice.
    """
    # TODO 5.4  equation (2), about 7 lines
    #   1. a new nn.Linear of the same sizes and type, with a bias only if the frozen layer has one
    #   2. under torch.no_grad(): copy W' of equation (2) into its weight (o, i)
    #   3. copy the bias, if there is one; return the new layer
    raise NotImplementedError("TODO 5.4")


def add_lora(model, rank=8, alpha=16, targets=("q_proj", "v_proj"), dropout=0.0, init="gaussian"):
    """Give each linear layer that `targets` name a low-rank change; freeze all else but the head.

    targets are dotted suffixes of module names. Returns the model. Raises ValueError if a target
    matches no linear layer, or if the model already carries a method.
    """
    # TODO 5.5  W_q and W_v of every block, 4 lines; read minift/peft/inject.py first
    #   1. names = inject.choose(...): the linear layers that the targets name
    #   2. inject.begin(model, "lora", ...) freezes the model and notes every argument
    #      (targets as a list), so that a saved file can add LoRA again
    #   3. inject.replace(...) puts a LoRALinear in place of each of the names
    #   4. return the model
    raise NotImplementedError("TODO 5.5")
