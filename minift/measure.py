"""The loss of a model over many examples, as training watches it and as a report quotes it.

mean loss = Σ over all examples Σ over their targets −log p(target) ÷ number of targets
"""

import torch

from minift import batching
from minift.journal import mode


def total_loss(model, examples, pad_id, size=32):
    """The summed loss and the number of targets of all examples.

    Rows of like length share a batch, so that little is padded. The model's mode is kept.
    """
    by_length = sorted(examples, key=lambda example: len(example.ids))
    device, total, targets = next(model.parameters()).device, 0.0, 0
    with mode(model, training=False), torch.no_grad():
        for start in range(0, len(by_length), size):
            batch = batching.pad(by_length[start : start + size], pad_id).to(device)
            total += model.loss(batch).item()
            targets += batch.targets
    return total, targets


def mean_loss(model, examples, pad_id):
    """The loss a target, in nats."""
    total, targets = total_loss(model, examples, pad_id)
    return total / targets
