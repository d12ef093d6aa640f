r"""A bag of words: the classifier that a language model has to beat.

    scores_c = b_c + Σ_t W[id_t, c]        (1)

It counts which tokens a text has and forgets their order, so “not good, but cheap” and “not cheap,
but good” are the same to it. Logistic regression on counts, with one weight a token and class.
"""

import torch
import torch.nn.functional as F
from torch import nn


class BagOfWords(nn.Module):
    """`BagOfWords(vocab_size, classes)(ids, mask=mask) -> scores (b, classes)`."""

    def __init__(self, vocab_size, classes):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocab_size, classes))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, ids, *, mask):
        each = self.weight[ids] * mask[:, :, None]  # (b, t, o)
        return self.bias + each.sum(dim=1)  # (b, o)   (1)

    def loss(self, batch):
        """Summed cross-entropy of batch.labels (b,)."""
        return F.cross_entropy(self(batch.ids, mask=batch.mask), batch.labels, reduction="sum")
