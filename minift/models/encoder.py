r"""An encoder in BERT's layout (Devlin et al. 2018, arXiv 1810.04805): post-LN, exact GELU, pooler.

    x₀ = LN(E[ids] + P[positions] + T[types])     (1)   computed in stack.py but for E + T
    xₗ = block(xₗ₋₁), l = 1 … L                   (2)   every token sees every token
    summary = tanh(W h + b)                       (3)   the pooler; h: the first token, or the last

The doors are those of the GPT: linear layers, `model.prefix`, `after_attention` and
`after_feedforward`. Behind a prefix the tokens keep their positions 0, 1, 2 …: the prefix is no
part of the text, as in the released code for encoders, and unlike a GPT.

Where we differ from BERT, which teaches the pooler and its first token by predicting the next
sentence: nothing here does. So the pooler starts as the identity, since under a frozen base random
numbers would stay random; and bases of ours read the last token (`reads`), close to where a text
says how it ends. data/README.md has what that is worth.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from minift.models.attention import visible
from minift.models.block import PostNormBlock
from minift.models.context import Context, CurrentContext
from minift.models.slots import (
    check_length,
    count_positions,
    first_real,
    last_real,
    pick,
    prefix_slots,
    real_tokens,
)
from minift.models.stack import Stack, check_sizes, start_weights

EPS = 1e-12  # BERT's: the layer norms divide by √(variance + EPS)
READS = {"first": first_real, "last": last_real}  # the index of a row's real token


@dataclass(frozen=True)
class EncoderConfig:
    """vocab_size tokens, context positions, width d_model, n_layers blocks of n_heads heads.

    types: how many types of token there are (BERT: first and second sentence). reads: the real
    token that a classifier reads from, "first" (BERT's) or "last".
    """

    vocab_size: int
    context: int
    d_model: int
    n_layers: int
    n_heads: int
    dropout: float = 0.0
    types: int = 2
    reads: str = "first"

    def __post_init__(self):
        check_sizes(self)
        if self.reads not in READS:
            raise ValueError(f"reads {self.reads!r}: expected one of {', '.join(READS)}")


class Encoder(Stack):
    """`Encoder(config)(ids) -> hidden states (b, t, c)`, ids (b, t) long."""

    BANKS = ("self",)  # what `prefix(b, rows)` gives: {bank: [Extra of each layer]}

    def __init__(self, config):
        super().__init__(config, PostNormBlock, EPS)
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.type_embedding = nn.Embedding(config.types, config.d_model)
        self.pooler = nn.Linear(config.d_model, config.d_model)
        self.prefix = None
        self.context = CurrentContext()
        self.checkpoint_activations = False
        self.reset()

    def reset(self):
        """BERT's start (`start_weights`); the pooler is the identity."""
        start_weights(self)
        nn.init.eye_(self.pooler.weight)

    def forward(self, ids, **call):
        """The hidden states; the keyword arguments are those of `hidden`."""
        return self.hidden(ids, **call)  # (b, t, c)

    def hidden(
        self, ids, *, mask=None, positions=None, cache=None, documents=None, pool=None, rows=None,
        types=None,
    ):  # fmt: skip
        """Hidden states (b, t, c) of the last block.

        ids (b, t) long; mask (b, t) bool, True for a real token; positions (b, t), counted by the
        model where absent; documents (b, t) long numbers the texts of a packed row; types (b, t)
        long, 0 where absent; pool (b, t) and rows go into the `Context` for gates and banks, pool
        is all real tokens where absent. Raises ValueError beyond the context, or given a cache.
        """
        if cache is not None:
            raise ValueError("an Encoder keeps no cache: every token sees the whole text at once")
        (b, t), device = ids.shape, ids.device
        check_length(t, self.config, "positions")
        bank = None if self.prefix is None else self.prefix(b, rows)["self"]
        p = prefix_slots(bank)
        if positions is None:
            positions = count_positions(ids, mask, 0, documents)
        slots = None if mask is None else F.pad(mask, (p, 0), value=True)  # (b, p+t)
        allowed = visible(t, p + t, causal=False, mask=slots, documents=documents, device=device)
        pool = real_tokens(mask, ids) if pool is None else pool
        here = Context(mask, pool, rows, p, documents=documents)
        run = partial(self.context.run, here=here, recompute=self.checkpoint_activations)
        types = torch.zeros_like(ids) if types is None else types
        embedded = self.embedding(ids) + self.type_embedding(types)  # (b, t, c)   (1)
        x = self.through(embedded, positions, run, {"extra": bank}, allowed=allowed)
        return x  # (b, t, c)   (2)

    def summary(self, ids, *, mask=None, **call):
        """The pooler's (b, c): what a classifier reads."""
        hidden = self.hidden(ids, mask=mask, **call)  # (b, t, c)
        index = READS[self.config.reads](real_tokens(mask, ids))  # (b)
        return torch.tanh(self.pooler(pick(hidden, index)))  # (b, c)   (3)
