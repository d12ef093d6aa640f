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
        nn.init.normal_(self.P, std=0.02)
        nn.init.zeros_(self.lam)
        nn.init.normal_(self.Q, std=0.02)

    def forward(self, x):
        down = self.lam * F.linear(self.dropout(x), self.Q)  # (b, t, r)   Λ Q x
        up = F.linear(down, self.P)  # (b, t, o)   P Λ Q x
        return self.frozen(x) + self.scale * up  # (b, t, o)   (1)

    @torch.no_grad()
    def measure(self, beta1=0.85, beta2=0.85):
        """Take the gradients at hand into Ī and Ū. A row is a triplet: P's column, λ, Q's row."""
        parts = (self.P.T, self.lam[:, None], self.Q)
        slopes = (self.P.grad.T, self.lam.grad[:, None], self.Q.grad)
        now = (torch.cat(parts, 1) * torch.cat(slopes, 1)).abs()  # (r, o+1+i)   (4)
        mean = beta1 * self.running_mean + (1 - beta1) * now  # (5)
        spread = beta2 * self.running_spread + (1 - beta2) * (now - mean).abs()  # (6)
        self.running_mean.copy_(mean)
        self.running_spread.copy_(spread)

    def scores(self):
        """What each triplet is worth (r): means, or a wide matrix would win by its width."""
        s = self.running_mean * self.running_spread  # (r, o+1+i)
        o = len(self.P)
        return s[:, o] + s[:, :o].mean(1) + s[:, o + 1 :].mean(1)  # (r)   (7)


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
    gaps = []
    for layer in layers_of(model):
        eye = torch.eye(len(layer.lam)).to(layer.lam)
        gaps += [layer.P.T @ layer.P - eye, layer.Q @ layer.Q.T - eye]  # (r, r)
    if form == "code":
        return torch.stack([gap.norm() for gap in gaps]).mean()
    if form != "paper":
        raise ValueError(f'form "{form}"; expected "paper" or "code"')
    return torch.stack([gap.square().sum() for gap in gaps]).sum()  # (3)


def budget(step, b0, bT, total, t_i, t_f):
    """How many triplets may live after this step: b₀ at first, b_T at last, a whole number."""
    if step <= t_i:
        return b0
    if step >= total - t_f:
        return bT
    left = 1 - (step - t_i) / (total - t_i - t_f)
    return int(bT + (b0 - bT) * left**3)  # (8)


def best(scores, count):
    """A mask for each layer's scores: True where one is among the `count` largest of all layers."""
    together = torch.cat(scores)  # (l*r)
    kept = torch.zeros_like(together, dtype=torch.bool)
    kept[together.topk(count).indices] = True
    return kept.split([len(one) for one in scores])


@torch.no_grad()
def allocate(step, model):
    """For `train.fit(after_step=allocate)`, where gradients are there and the step is made.

    Measures, and lets the best live. From T − t_f on the choice stays, and is made good each time.
    """
    layers, plan = layers_of(model), pruning.plan_of(model)
    total, t_i, t_f = plan["total"], plan["t_i"], plan["t_f"]
    last = total - t_f
    if step <= last:
        for layer in layers:
            layer.measure(plan["beta1"], plan["beta2"])
    choose = step == last or (t_i < step < last and step % plan["every"] == 0)
    if choose:
        b0, bT = plan["rank"] * len(layers), plan["target_rank"] * len(layers)
        count = budget(step, b0, bT, total, t_i, t_f)
        for layer, kept in zip(layers, best([n.scores() for n in layers], count), strict=True):
            layer.running_kept.copy_(kept)
    if choose or step > last:  # the optimiser moves a λ of 0 too: it has a gradient
        for layer in layers:
            layer.lam.masked_fill_(~layer.running_kept, 0.0)  # (9)


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
