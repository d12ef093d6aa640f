r"""A masked language model: BERT's head on an encoder (Devlin et al. 2018, arXiv 1810.04805).

    z = LN(GELU(W h + b))       (1)
    logits = z Eᵀ + b_v         (2)   E is the encoder's embedding again: "tied"

The head belongs to the base, not to a task: no method trains it, and a classifier does without it.
"""

import torch
import torch.nn.functional as F
from torch import nn

from minift.models.context import call_of
from minift.models.encoder import EPS
from minift.models.heads import token_loss


class MaskedLM(nn.Module):
    """`MaskedLM(encoder)(ids) -> logits (b, t, v)` of the token at each position."""

    def __init__(self, body):
        super().__init__()
        c = body.config.d_model
        self.body = body
        self.dense = nn.Linear(c, c)
        self.norm = nn.LayerNorm(c, EPS)
        self.bias = nn.Parameter(torch.zeros(body.config.vocab_size))
        nn.init.normal_(self.dense.weight, std=(0.3 / c) ** 0.5)  # as `start_weights`
        nn.init.zeros_(self.dense.bias)

    @property
    def config(self):
        return self.body.config

    def forward(self, ids, **call):
        """Logits; the keyword arguments are those of the encoder's `hidden`."""
        return self.logits(self.body.hidden(ids, **call))  # (b, t, v)

    def logits(self, hidden):
        """Scores of the vocabulary for hidden states of any leading shape."""
        z = self.norm(F.gelu(self.dense(hidden)))  # (..., c)   (1)
        return F.linear(z, self.body.embedding.weight, self.bias)  # (..., v)   (2)

    def loss(self, batch):
        """Summed negative log-likelihood of the labels, each the token that stood there."""
        return token_loss(self, self.body.hidden(batch.ids, **call_of(batch)), batch.labels)
