r"""Full fine-tuning: every parameter trains (chapter: 大模型微调概述), the baseline of all methods.

    θ ← θ − η · AdamW(∇θ L)        for all of θ, the task's head included

It changes everything and stores everything: a task owns a copy of the whole model. Under the same
five acts as the other methods (`delta.py`) it keeps the base's tensors as originals, so that `off`,
`swap` and `remove` give the base back to the last bit.
"""

from minift.peft import inject


def add_full(model):
    """Let every parameter train, and keep a copy of the base. Returns the model."""
    inject.begin(model, "full")
    base = dict(inject.body(model).named_parameters())
    model.delta.originals = {name: p.detach().clone() for name, p in base.items()}
    for parameter in base.values():
        parameter.requires_grad = True
    return model


def merge(layer):
    """Nothing moved in, so nothing is merged: the weights are the trained ones already."""
    return layer
