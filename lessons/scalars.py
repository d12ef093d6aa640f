"""The control of lesson 04: as many scalars of the base as BitFit trains, but drawn at random.

The optimiser is given whole tensors. A mask on each gradient leaves 0 where nothing was drawn, and
Adam does not move a scalar whose gradients were all 0, so that it stays to the last bit, provided
that there is no weight decay. (The released code of BitFit has this control as `rand_uniform`, with
100,000 scalars drawn with replacement.)
"""

from functools import partial

import torch

from minift.peft import inject


def masks(model, count, seed):
    """{name of a parameter of the base: True where one of `count` scalars was drawn}."""
    held = dict(inject.body(model).named_parameters())
    sizes = [parameter.numel() for parameter in held.values()]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.zeros(sum(sizes), dtype=torch.bool)
    drawn[torch.randperm(len(drawn), generator=generator)[:count]] = True
    parts = zip(held.items(), drawn.split(sizes), strict=True)
    return {name: part.view_as(parameter) for (name, parameter), part in parts}


def free_scalars(model, count, seed):
    """Train `count` scalars of the base, drawn by the seed, and the task's head. Returns the model.

    It is to be trained without weight decay: decay reaches a weight without any gradient.
    """
    inject.freeze(model)
    for name, mask in masks(model, count, seed).items():
        parameter = inject.body(model).get_parameter(name)
        parameter.requires_grad = bool(mask.any())
        if parameter.requires_grad:
            parameter.register_hook(partial(torch.mul, mask))
    return model
