r"""AdaLoRA: rank where it pays (chapter: LoRA变体 – AdaLoRA; Zhang et al. 2023, arXiv 2303.10512).

LoRA gives every matrix the same rank. Here a change is a sum of triplets (a column of P, λ, a row
of Q), as in a singular value decomposition. The triplets of all matrices compete for one budget,
which shrinks while training: those that matter least get λ = 0.

    h = W x + (α/r) · P Λ Q x                                      (1)   Λ = diag(λ)
    W' = W + (α/r) · P Λ Q                                         (2)   merged
    R = Σ ‖PᵀP − I‖²_F + ‖QQᵀ − I‖²_F                              (3)   training: loss + γ R
    I = |w · ∂L/∂w|                                                (4)   of each number w
    Ī ← β₁ Ī + (1 − β₁) I                                          (5)   how much it matters
    Ū ← β₂ Ū + (1 − β₂) |I − Ī|                                    (6)   how unsure: by the new Ī
    S = s(λ) + mean s(P's column) + mean s(Q's row),  s = Ī Ū      (7)   of each triplet
    b(t) = b_T + (b₀ − b_T) (1 − (t − tᵢ) / (T − tᵢ − t_f))³       (8)   between tᵢ and T − t_f
    λ ← λ if S is among the b(t) largest of all layers, else 0     (9)

    symbol    here                           shape            trained   start
    W         frozen                         (o, i)           no        the base's
    P, Q      P, Q                           (o, r), (r, i)   yes       N(0, 0.02²)
    λ         lam                            (r)              yes       0: the base, to the last bit
    α/r       scale                          number           no        r stays the first rank
    Ī, Ū      running_mean, running_spread   (r, o+1+i)       no        0; a row for each triplet
    b₀, b_T   rank, target_rank              number           no        each times the layers
    t, T      step, total                    number           no        steps count from 1

Paper: W + PΛQ, and α as LoRA's; I by the weights before the step; (8) is printed with t − tᵢ − t_f,
a slip, since it starts above b₀. Released code, and Hugging Face PEFT: t − tᵢ; b(t) cut to a whole
number; scale α/(r + 1e-5); I by the weights after the step; R the mean of the norms, not squared.
Here: the code's b(t) and I, the paper's R (`form="code"` for the other), and α/r with the first r
for ever, for to delete one triplet must not strengthen the others. As in both, L in (4) is the
whole loss, R included; Ī and Ū start at 0 and are not corrected for it; P and Q are never written,
so a triplet may win its place back until T − t_f. There the last choice is made, by all that was
measured so far (the code leaves this step out), and it is enforced after every step that follows.
"""

# Homework of lesson 06: eight parts, TODO 6.1 to 6.8, in any order. Names, parameters, docstrings
# stay as they are; the symbol table above says what is called what. What is as in LoRA is given.
#
#     python -m lessons check 06           what is right, what is wrong, what is not started
#     python -m lessons check 06 --hint    with a longer hint for each thing that is wrong
#     python -m lessons 06 --mine          the lesson, with your AdaLoRA training the model
#
# ruff: noqa: F401, F841 (imports and names are for what you will write)

import torch
import torch.nn.functional as F
from torch import nn

from minift.peft import inject, pruning

EVERY_MATRIX = ("q_proj", "k_proj", "v_proj", "out_proj", "up_proj", "down_proj")


class AdaLoRALinear(nn.Module):
    """A frozen linear layer with a change made of triplets: x (b, t, i) → (b, t, o)."""

    def __init__(self, linear, rank, alpha, dropout=0.0):
        super().__init__()
        self.frozen = linear.requires_grad_(False)
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        weight, (o, i) = linear.weight, linear.weight.shape
        self.P = nn.Parameter(weight.new_empty(o, rank))
        self.lam = nn.Parameter(weight.new_empty(rank))
        self.Q = nn.Parameter(weight.new_empty(rank, i))
        self.reset()
        # buffers of the run: its checkpoints hold them, the task's file does not
        self.register_buffer("running_mean", weight.new_zeros(rank, o + 1 + i))
        self.register_buffer("running_spread", weight.new_zeros(rank, o + 1 + i))
        self.register_buffer("running_kept", torch.ones_like(self.lam, dtype=torch.bool))

    def reset(self):
        """Draw P and Q; λ is zero."""
        # TODO 6.1  symbol table, last column; 3 lines, all in place (torch.nn.init)
        #   1. P and Q from N(0, 0.02²)
        #   2. λ so that the first output is the base's
        raise NotImplementedError("TODO 6.1")

    def forward(self, x):
        # TODO 6.2  equation (1), 3 lines
        #   1. down (b, t, r) = Λ Q x; the dropout falls on this x
        #   2. up (b, t, o) = P Λ Q x
        #   3. the frozen layer's output, on x without dropout, plus the scaled change
        raise NotImplementedError("TODO 6.2")

    @torch.no_grad()
    def measure(self, beta1=0.85, beta2=0.85):
        """Take the gradients at hand into Ī and Ū. A row is a triplet: P's column, λ, Q's row."""
        # TODO 6.3  equations (4) to (6), about 7 lines
        #   1. the numbers of P, λ, Q as one matrix (r, o+1+i), and their gradients as another
        #   2. I of each number, equation (4)
        #   3. the new Ī, equation (5), and with it the new Ū, equation (6)
        #   4. write them into self.running_mean and self.running_spread, in place
        raise NotImplementedError("TODO 6.3")

    def scores(self):
        """What each triplet is worth (r): means, or a wide matrix would win by its width."""
        # TODO 6.4  equation (7), 3 lines
        #   1. s = Ī · Ū of each number (r, o+1+i)
        #   2. a row holds o numbers of P, then one λ, then i numbers of Q
        raise NotImplementedError("TODO 6.4")


def merge(layer):
    """A new plain linear layer with weight W' = W + (α/r) P Λ Q; `layer` stays as it was."""
    o, i = layer.frozen.weight.shape
    plain = nn.Linear(i, o, layer.frozen.bias is not None).to(layer.frozen.weight)
    with torch.no_grad():
        change = layer.scale * (layer.P * layer.lam) @ layer.Q  # (o, i)
        plain.weight.copy_(layer.frozen.weight + change)  # (o, i)   (2)
        if plain.bias is not None:
            plain.bias.copy_(layer.frozen.bias)
    return plain


def layers_of(model):
    """The AdaLoRA layers of a model, in its order."""
    return [module for module in model.modules() if isinstance(module, AdaLoRALinear)]


def orthogonality(model, form="paper"):
    """R, for `train.fit(penalty=…)` times γ (0.1 to 0.5). form="code": the mean of the norms."""
    # TODO 6.5  equation (3), about 9 lines
    #   1. for each layer of layers_of(model): what is left of I, for P and for Q, each (r, r)
    #   2. form="paper": the sum of all squared norms
    #   3. form="code": the mean of all norms, not squared
    #   4. any other word: a ValueError that names the two
    raise NotImplementedError("TODO 6.5")


def budget(step, b0, bT, total, t_i, t_f):
    """How many triplets may live after this step: b₀ at first, b_T at last, a whole number."""
    # TODO 6.6  equation (8), about 6 lines
    #   1. b0 up to and with step t_i; bT from step total - t_f on
    #   2. between them equation (8), cut to a whole number by int(…)
    raise NotImplementedError("TODO 6.6")


def best(scores, count):
    """A mask for each layer's scores: True where one is among the `count` largest of all layers."""
    # TODO 6.7  equation (9), the choice; about 5 lines
    #   1. the scores of all layers as one vector
    #   2. a mask of that length, True at exactly `count` places, however many scores are equal
    #   3. cut it to one mask for each layer
    raise NotImplementedError("TODO 6.7")


@torch.no_grad()
def allocate(step, model):
    """For `train.fit(after_step=allocate)`, where gradients are there and the step is made.

    Measures, and lets the best live. From T − t_f on the choice stays, and is made good each time.
    """
    layers, plan = layers_of(model), pruning.plan_of(model)
    total, t_i, t_f = plan["total"], plan["t_i"], plan["t_f"]
    # TODO 6.8  equation (9), about 13 lines
    #   1. up to and with step total - t_f: each layer measures, with the plan's beta1 and beta2
    #   2. at step total - t_f, and before it after t_i at each step that plan["every"] divides:
    #      the best of all layers, as many as the budget says (rank and target_rank are those of
    #      one layer), become each layer's running_kept, in place
    #   3. whenever that was done, and at each step after total - t_f: λ becomes 0 where
    #      running_kept is False, in place
    raise NotImplementedError("TODO 6.8")


def add_adalora(
    model, rank=12, target_rank=8, alpha=16, *, total, t_i, t_f, every=1, targets=EVERY_MATRIX,
    dropout=0.0, beta1=0.85, beta2=0.85, ranks=None,
):  # fmt: skip
    """Give each linear layer that `targets` name a change of triplets; freeze all but the head.

    total: the steps that training will take; no triplet is dropped in the first t_i, the choice is
    final in the last t_f, and is made after each `every` steps in between. ranks: {layer: rank} of
    a pruned model. Returns the model. Raises ValueError for a plan that cannot be kept.
    """
    names = inject.choose(model, targets)
    plan = {
        "rank": rank, "target_rank": target_rank, "alpha": alpha, "total": total, "t_i": t_i,
        "t_f": t_f, "every": every, "targets": list(targets), "dropout": dropout, "beta1": beta1,
        "beta2": beta2, "ranks": ranks,
    }  # fmt: skip
    pruning.check(plan, names)
    inject.begin(model, "adalora", **plan)
    inject.replace(
        model, names.__contains__, lambda linear: AdaLoRALinear(linear, rank, alpha, dropout)
    )
    return pruning.resize(model, ranks) if ranks else model
