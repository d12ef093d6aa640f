r"""What is left of AdaLoRA after training: the triplets that survived, and nothing of the others.

    prune          drops the dead triplets for good, so that a task's file holds only the living
    rank_pattern   how many live in each layer: it goes into the file, and `resize` into a new model
    check          the plan of a run, before anything is changed

A layer may end with no triplet at all: then it is the base's layer again. The scale stays α/r of
the first rank, so pruning changes no output. The layers are known by their `running_…` buffers.
"""

import torch
from torch import nn

from minift.peft import inject


def check(plan, names):
    """Raise ValueError if AdaLoRA cannot keep the plan on the layers of these names."""
    rank, target, ranks = plan["rank"], plan["target_rank"], plan["ranks"]
    total, t_i, t_f = plan["total"], plan["t_i"], plan["t_f"]
    if not 1 <= target <= rank:
        raise ValueError(f"rank {rank}, target_rank {target}; expected 1 <= target_rank <= rank")
    if t_i < 0 or t_f < 0 or t_i >= total - t_f:
        raise ValueError(
            f"total {total}, t_i {t_i}, t_f {t_f}: no step is left between t_i and total - t_f"
        )
    if not (0 <= plan["beta1"] < 1 and 0 <= plan["beta2"] < 1) or plan["every"] < 1:
        raise ValueError(
            f"beta1 {plan['beta1']}, beta2 {plan['beta2']}, every {plan['every']}; "
            "expected 0 <= beta < 1 and every >= 1"
        )
    layers = {name.removeprefix("body.") for name in names}
    if ranks and (ranks.keys() != layers or not all(0 <= r <= rank for r in ranks.values())):
        raise ValueError(f"ranks of {len(ranks)} layers; expected 0 to {rank} for {sorted(layers)}")


def plan_of(model):
    """The arguments of add_adalora. Raises ValueError where no rank can be allocated any more."""
    plan = model.delta.arguments
    if plan["ranks"]:
        raise ValueError("the model is pruned, its ranks are settled: train it without after_step")
    missing = [n for n, p in inject.trainable_parameters(model).items() if p.grad is None]
    if any(name.endswith((".P", ".lam", ".Q")) for name in missing):
        raise ValueError(f"{missing[0]} has no gradient: allocate before zero_grad, after backward")
    return plan


def rank_pattern(model):
    """{layer: how many of its triplets live}, with the layers' names inside the base."""
    spots = inject.attachments(model)
    return {spot.path: int(spot.module.running_kept.sum()) for spot in spots}


def shrink(layer, kept):
    """Only the triplets where `kept` is True stay in the layer."""
    layer.P = nn.Parameter(layer.P.detach()[:, kept])
    layer.lam = nn.Parameter(layer.lam.detach()[kept])
    layer.Q = nn.Parameter(layer.Q.detach()[kept])
    for name in ("mean", "spread", "kept"):
        layer.register_buffer(f"running_{name}", getattr(layer, f"running_{name}")[kept])


def prune(model):
    """Drop all triplets that allocation has left out, once training is over; return the model."""
    for spot in inject.attachments(model):
        shrink(spot.module, spot.module.running_kept)
    model.delta.arguments["ranks"] = rank_pattern(model)
    return model


def resize(model, ranks):
    """Give each layer its rank of the pattern, as a pruned model has it; return the model."""
    for spot in inject.attachments(model):
        shrink(spot.module, torch.arange(len(spot.module.lam)) < ranks[spot.path])
    return model
