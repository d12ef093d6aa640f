"""Watching a model's biases: how many there are, which get a gradient, which move, which matter."""

import copy

import torch

from lessons import task
from minift.models.encoder import Encoder
from minift.peft import bitfit, inject

KINDS = ("norm1", "q_proj", "k_proj", "v_proj", "out_proj", "norm2", "up_proj", "down_proj")


def kinds_of(model):
    """The kinds of bias that a model has: the last names of its layers, in the model's order."""
    return tuple(dict.fromkeys(name.rpartition(".")[2] for name in bitfit.biases(model)))


def of_kind(model, kind):
    """{layer: bias} of the layers of that kind, block by block."""
    return bitfit.select(bitfit.biases(model), (kind,))


def count_biases(config):
    """An encoder's (biases, of them in the paper's subset, all parameters), without its memory."""
    with torch.device("meta"):
        model = Encoder(config)
    there = bitfit.biases(model)
    chosen = (there, bitfit.select(there, bitfit.SUBSET), dict(model.named_parameters()))
    return tuple(sum(tensor.numel() for tensor in group.values()) for group in chosen)


def bias_gradients(model, batch):
    """{kind: the largest |∂L/∂b| over all blocks} of the mean loss of a batch."""
    model.zero_grad()
    (model.loss(batch) / batch.targets).backward()
    largest = {
        kind: max(bias.grad.abs().max().item() for bias in of_kind(model, kind).values())
        for kind in kinds_of(model)
    }
    model.zero_grad()
    return largest


def originals(model):
    """{layer: the base's bias} of the biases that BitFit trains."""
    return {name.removesuffix(".bias"): b for name, b in model.delta.originals.items()}


def bias_moves(model):
    """{layer: mean |b − b₀|} of the biases that BitFit has trained."""
    there, before = bitfit.biases(model), originals(model)
    return {name: (there[name] - bias).abs().mean().item() for name, bias in before.items()}


def put_back(model, kind):
    """A copy of the model in which the biases of that kind are the base's again."""
    copied, before = copy.deepcopy(model), originals(model)
    with torch.no_grad():
        for name, bias in of_kind(copied, kind).items():
            bias.copy_(before[name])
    return copied


def columns_of_biases(model, words):
    """A result's columns: how far each layer's biases moved; the dev loss without each kind."""
    found = {f"moved {name}": way for name, way in bias_moves(model).items()}
    for kind in kinds_of(model):
        found[f"without {kind}"] = task.dev_loss(put_back(model, kind), words)
    return found


def sizes_of_biases(base):
    """{layer: mean |b₀|}: what a move is to be compared with."""
    there = bitfit.biases(inject.body(base))
    return {name: bias.abs().mean().item() for name, bias in there.items()}
