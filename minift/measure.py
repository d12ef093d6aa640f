"""The loss of a model over many examples, as training watches it and as a report quotes it.

mean loss = Σ over all examples Σ over their targets −log p(target) ÷ number of targets
"""

import torch

from minift import batching
from minift.journal import mode


def loss_over(model, batches):
    """The summed loss and the number of targets of batches. The model's mode is kept."""
    device, total, targets = next(model.parameters()).device, 0.0, 0
    with mode(model, training=False), torch.no_grad():
        for batch in batches:
            total += model.loss(batch.to(device)).item()
            targets += batch.targets
    return total, targets


def total_loss(model, examples, pad_id, size=32):
    """The summed loss and the number of targets of all examples.

    Rows of like length share a batch, so that little is padded.
    """
    by_length = sorted(examples, key=lambda example: len(example.ids))
    starts = range(0, len(by_length), size)
    return loss_over(model, (batching.pad(by_length[n : n + size], pad_id) for n in starts))


def mean_loss(model, examples, pad_id):
    """The loss a target, in nats."""
    total, targets = total_loss(model, examples, pad_id)
    return total / targets
