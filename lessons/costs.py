"""What one step of training holds in memory, and the step itself, for a model with any method.

    weights        every parameter and buffer of the model
    gradients      of the parameters that train
    optimiser      AdamW's two moments of the same parameters
    activations    what the forward pass keeps for the backward pass

Each storage counts once, however many operations look into it. Their sum is the most that a step
can hold at one time, but for the scratch memory of single operations, and without the copy of base
tensors in `delta.originals`, which only takes a method out again.
"""

from itertools import count

import torch

from minift import train
from minift.peft import inject, methods


def bytes_of(tensors):
    """The bytes of the storages under some tensors, each storage once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


class Step:
    """A step of `train.loop` on one batch, to be called again and again."""

    def __init__(self, model, batch, lr=1e-3):
        self.model, self.batch, self.numbers = model, batch, count(1)
        self.trained = list(inject.trainable_parameters(model).values())
        self.optimizer = torch.optim.AdamW(train.groups(model, 0.01), lr=lr, fused=True)
        self.beside = methods.while_training(model)

    def loss(self):
        """The loss a target, with what the method adds to it."""
        loss = self.model.loss(self.batch) / self.batch.targets
        return loss + self.beside["penalty"](self.model) if self.beside else loss

    def __call__(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        if self.beside:
            self.beside["after_step"](next(self.numbers), self.model)


def kept_for_backward(step):
    """The bytes that the graph of a step's loss keeps beside the weights."""
    weights = {p.untyped_storage().data_ptr() for p in step.model.parameters()}
    kept = []

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            kept.append(tensor.detach())  # held, so that no other tensor gets its place
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = step.loss()
    total = bytes_of(kept)
    del loss
    return total


def memory(step):
    """{what: bytes} of a training step, one of which is made here."""
    step()
    states = [t for state in step.optimizer.state.values() for t in state.values()]
    return {
        "weights": bytes_of([*step.model.parameters(), *step.model.buffers()]),
        "gradients": bytes_of(p.grad for p in step.trained),
        "optimiser": bytes_of(states),
        "activations": kept_for_backward(step),
    }
