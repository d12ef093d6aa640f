r"""The one training loop (chapter: 大模型微调概述); full fine-tuning and every method use it.

    L  = Σ_a Σ_i ℓ_i / N                                     (1)   a: micro-batches of all processes
    g  = ∇L · min(1, c / ‖∇L‖)                               (2)
    η_s = η · s/w                             for s ≤ w      (3)   s: steps done, this one included
    η_s = η · (0.1 + 0.45 (1 + cos π (s−w)/(S−w)))  after it
    θ ← θ − η_s (m̂ / (√v̂ + ε) + λ θ)                         (4)   AdamW

| symbol | name here    | meaning                                                               |
|--------|--------------|-----------------------------------------------------------------------|
| ℓ_i    | loss         | the loss of target i; `loss(model, batch)` returns the *sum* of them  |
| N      | targets      | the targets of the whole step: a mean of means would weigh them wrong |
| c      | clip         | limit of the norm of all gradients seen as one vector                 |
| w, S   | warmup, steps| linear warm-up (the first rate is η/w, not 0), cosine to a tenth      |
| λ      | weight_decay | for matrices only: biases and norms are vectors (ndim < 2), left out  |

Sources: Loshchilov & Hutter 2017, arXiv 1711.05101 (decoupled decay) and 1608.03983 (cosine).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from minift import distributed
from minift.checkpoint import fingerprint
from minift.journal import Journal, mode


@dataclass(frozen=True)
class Plan:
    """The numbers of a run; a run resumes only with the same ones."""

    steps: int
    lr: float
    warmup: int | None = None
    accumulate: int = 1
    clip: float | None = 1.0
    weight_decay: float = 0.01
    bf16: bool = False

    def __post_init__(self):
        if self.warmup is None:
            object.__setattr__(self, "warmup", max(1, self.steps // 10))
        counts = self.steps >= 1 and self.accumulate >= 1 and 0 <= self.warmup <= self.steps
        if not (counts and self.lr > 0):
            word = "expected lr > 0, steps and accumulate >= 1, warmup from 0 to steps"
            raise ValueError(f"{self}: {word}")


@dataclass(frozen=True)
class Run:
    """What the loop works with."""

    model: nn.Module
    batches: Any
    loss: Callable
    optimizer: Any
    plan: Plan
    team: distributed.Team
    penalty: Callable
    after_step: Callable


def zero(*_):
    """Stands where no penalty or after_step was given."""
    return 0.0


def schedule(step, steps, warmup):
    """The factor on lr of step 1, 2, …, steps."""
    if step <= warmup:
        return step / warmup  # (3)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))  # (3)


def groups(model, weight_decay):
    """Two groups of what trains: matrices with weight decay, vectors (biases, norms) without."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def build_optimizer(optimizer, model, plan, team):
    """AdamW, or the caller's optimizer or function of the parameters, checked against the model."""
    names = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    if not names:
        raise ValueError("nothing to train: no parameter of the model has requires_grad")
    if optimizer is None:
        fused = team.device.type in ("cpu", "cuda")
        optimizer = torch.optim.AdamW(groups(model, plan.weight_decay), lr=plan.lr, fused=fused)
    elif callable(optimizer):
        optimizer = optimizer([p for p in model.parameters() if p.requires_grad])
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if missing := [name for key, name in names.items() if key not in held]:
        raise ValueError(f"the optimizer lacks {len(missing)} parameters that train: {missing[0]}…")
    if held - {id(p) for p in model.parameters()}:
        raise ValueError("the optimizer holds tensors that are not, or no longer, in the model")
    if getattr(optimizer, "fused_backward", False) and plan.accumulate * team.world > 1:
        raise ValueError(
            f"{type(optimizer).__name__} steps inside backward: expected accumulate=1 and one "
            f"process, not accumulate={plan.accumulate} and {team.world}"
        )
    return optimizer


def set_rate(optimizer, rate):
    """Give every group its learning rate: `rate` times the group's own `lr_scale` (default 1)."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


def fetch(run, step):
    """This process's micro-batches of a step, and the targets and tokens of everyone's."""
    first, team = step * run.plan.accumulate, run.team
    micro = [run.batches[(first + a) * team.world + team.rank] for a in range(run.plan.accumulate)]
    tokens = sum(getattr(batch, "tokens", batch.targets) for batch in micro)
    targets, tokens = team.count(sum(batch.targets for batch in micro), tokens)
    if not targets:
        raise ValueError(f"step {step + 1}: no position is a target (all labels are -100)")
    return [batch.to(team.device) for batch in micro], targets, tokens


def clip_gradients(parameters, limit):
    """Scale all gradients as one vector to norm `limit` if they are longer; return their norm."""
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if limit is not None:
        nn.utils.clip_grads_with_norm_(parameters, limit, norm)  # (2)
    return norm


def settings(run):
    """What must be the same for a run to be resumed."""
    parameters = list(run.model.parameters())
    first = vars(run.batches[0]).values()
    return asdict(run.plan) | {
        "optimizer": type(run.optimizer).__name__,
        "trained": sum(p.numel() for p in parameters if p.requires_grad),
        "processes": run.team.world,
        "method": str(getattr(run.model, "delta", None) and vars(run.model.delta)["base"]),
        "base": fingerprint(p for p in parameters if not p.requires_grad),
        "data": fingerprint(value for value in first if torch.is_tensor(value)),
    }


def loop(run, journal):
    """The loop. Steps are counted from 1 wherever they are shown or handed out."""
    trained = [p for p in run.model.parameters() if p.requires_grad]
    plan, team, optimizer = run.plan, run.team, run.optimizer
    for step in range(journal.start + 1, plan.steps + 1):
        micro, targets, tokens = fetch(run, step - 1)
        rate = plan.lr * schedule(step, plan.steps, plan.warmup)
        set_rate(optimizer, rate)
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for a, batch in enumerate(micro):
            with torch.autocast(team.device.type, torch.bfloat16, enabled=plan.bf16):
                loss = run.loss(run.model, batch) / targets  # (1)
            whole = loss + (run.penalty(run.model) / team.world if a == 0 else 0.0)
            seen = team.sum(torch.stack([loss, whole]).detach())
            journal.finite(step, "loss", seen[1])  # before backward: an optimizer may step in it
            whole.backward()
            total += seen[0].item()
        team.sum_gradients(trained)
        norm = journal.finite(step, "gradient norm", clip_gradients(trained, plan.clip))
        optimizer.step()  # (4)
        run.after_step(step, run.model)
        journal.end(step, total, tokens, lr=rate, grad_norm=norm)


def fit(
    model, batches, loss, *, steps, lr, optimizer=None, penalty=None, after_step=None,
    accumulate=1, warmup=None, clip=1.0, weight_decay=0.01, device="auto", bf16=False, out=None,
    save_every=None, log_every=10, evaluate=None, evaluate_every=None, resume=False, quiet=False,
):  # fmt: skip
    """Train the parameters that have requires_grad; return the History of the run.

    loss(model, batch) is summed over batch.targets; penalty(model) is added once a step.
    after_step(step, model) comes after the optimizer's step, with the gradients still there.
    evaluate(model, step) returns a dict of numbers. `out` is the folder of the log and the
    checkpoints; resume=True goes on from the newest. `optimizer` is an instance, or a function of
    the list of parameters. Whatever is wrong is a ValueError in one line.
    """
    plan = Plan(steps, lr, warmup, accumulate, clip, weight_decay, bf16)
    team = distributed.join(device)
    model.to(team.device)
    optimizer = build_optimizer(optimizer, model, plan, team)
    team.share(model)
    run = Run(model, batches, loss, optimizer, plan, team, penalty or zero, after_step or zero)
    journal = Journal(run, out, save_every, log_every, evaluate, evaluate_every, quiet)
    with mode(model, training=True), journal:
        journal.open(resume, settings(run) if out is not None else None)
        loop(run, journal)
    return journal.history
