r"""Heads: what turns a language model into something else.

    scores = W_head h + b_head        (1)   h: hidden state of the last real token of a causal model

The head is the task's own: every method trains it, and it is counted apart from the method
(`delta.count_parameters`). A language model's tied output layer is no task head and never trains.
"""

import torch
import torch.nn.functional as F
from torch import nn


def last_real(mask):
    """Index (b,) of the last real token of each row of mask (b, t), wherever the padding stands."""
    t = mask.shape[1]
    return t - 1 - mask.flip(1).int().argmax(dim=1)  # (b)


class TextClassifier(nn.Module):
    """`TextClassifier(body, classes)(ids, mask=mask) -> scores (b, classes)`."""

    def __init__(self, body, classes):
        super().__init__()
        self.body = body
        self.head = nn.Linear(body.config.d_model, classes)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids, *, mask=None, **call):
        hidden = self.body.hidden(ids, mask=mask, **call)  # (b, t, c)
        mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
        rows = torch.arange(ids.shape[0], device=ids.device)  # (b)
        summary = hidden[rows, last_real(mask)]  # (b, c)
        return self.head(summary)  # (b, o)   (1)

    def loss(self, batch):
        """Summed cross-entropy of batch.labels (b,)."""
        scores = self(batch.ids, mask=batch.mask)
        return F.cross_entropy(scores.float(), batch.labels, reduction="sum")
