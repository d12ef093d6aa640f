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
        self.frozen = linear.requires_grad_(False)
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        weight = linear.weight
        self.A = nn.Parameter(weight.new_empty(rank, linear.in_features))
        self.B = nn.Parameter(weight.new_zeros(linear.out_features, rank))
        self.reset(init)

    def reset(self, init="gaussian"):
        """Draw A ("gaussian": deviation 1/√(3 i); "kaiming": as the released code); B is zero."""
        if init == "gaussian":
            nn.init.normal_(self.A, std=1 / math.sqrt(3 * self.A.shape[1]))
        elif init == "kaiming":
            nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        else:
            raise ValueError(f'init "{init}"; expected "gaussian" or "kaiming"')
        nn.init.zeros_(self.B)

    def forward(self, x):
        down = F.linear(self.dropout(x), self.A)  # (b, t, r)   A x
        up = F.linear(down, self.B)  # (b, t, o)   B A x
        return self.frozen(x) + self.scale * up  # (b, t, o)   (1)


def merge(layer):
    """A new plain linear layer with weight W' = W + (α/r) B A; `layer` stays as it was, so nothing
    merges twice.
    """
    plain = nn.Linear(
        layer.frozen.in_features, layer.frozen.out_features, layer.frozen.bias is not None
    )
    plain.to(layer.frozen.weight)
    with torch.no_grad():
        plain.weight.copy_(layer.frozen.weight + layer.scale * layer.B @ layer.A)  # (o, i)   (2)
        if plain.bias is not None:
            plain.bias.copy_(layer.frozen.bias)
    return plain


def add_lora(model, rank=8, alpha=16, targets=("q_proj", "v_proj"), dropout=0.0, init="gaussian"):
    """Give each linear layer that `targets` name a low-rank change; freeze all else but the head.

    targets are dotted suffixes of module names. Returns the model. Raises ValueError if a target
    matches no linear layer, or if the model already carries a method.
    """
    names = inject.choose(model, targets)
    inject.begin(
        model, "lora", rank=rank, alpha=alpha, targets=list(targets), dropout=dropout, init=init
    )
    inject.replace(
        model, names.__contains__, lambda linear: LoRALinear(linear, rank, alpha, dropout, init)
    )
    return model
