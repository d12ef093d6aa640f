r"""A GPT in GPT-2's layout (Radford et al. 2019): pre-LN, learned positions, tanh-GELU, tied head.

    x₀ = E[ids] + P[positions]          (1)
    xₗ = block(xₗ₋₁), l = 1 … L         (2)
    logits = LN(x_L) Eᵀ                 (3)   the output layer is the embedding again: "tied"

The three doors of the fine-tuning methods: any linear layer can be replaced; `model.prefix` may
hold a bank of extra keys and values; each block has `after_attention` and `after_feedforward`.
Positions are counted on behind a prefix, as the chapter's index table has it (P_idx = 1, 2; X_idx =
3 …) and as GPT-2's released code does.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import nn

from minift.models.attention import Cache
from minift.models.block import PreNormBlock, dropout_layer
from minift.models.context import Context, CurrentContext, call_of
from minift.models.heads import token_loss
from minift.models.slots import (
    causal_view,
    check_length,
    count_positions,
    first_token,
    last_real,
    pick,
    prefix_slots,
    real_slots,
    real_tokens,
)
from minift.models.stack import check_sizes


@dataclass(frozen=True)
class GPTConfig:
    """vocab_size tokens, context positions, width d_model, n_layers blocks of n_heads heads."""

    vocab_size: int
    context: int
    d_model: int
    n_layers: int
    n_heads: int
    dropout: float = 0.0

    def __post_init__(self):
        check_sizes(self)


class GPT(nn.Module):
    """`GPT(config)(ids) -> logits (b, t, v)`, ids (b, t) long."""

    BANKS = ("self",)  # what `prefix(b, rows)` gives: {bank: [Extra of each layer]}

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.position_embedding = nn.Embedding(config.context, config.d_model)
        self.blocks = nn.ModuleList(
            PreNormBlock(config.d_model, config.n_heads, config.dropout)
            for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.d_model)
        self.dropout = dropout_layer(config.dropout)
        self.prefix = None
        self.context = CurrentContext()
        self.checkpoint_activations = False
        self.reset()

    def reset(self):
        """GPT-2's start: N(0, 0.02²), zero biases, projections onto the residual ÷ √(2L)."""
        for name, module in self.named_modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                onto_residual = name.endswith(("out_proj", "down_proj"))
                scale = math.sqrt(2 * self.config.n_layers) if onto_residual else 1.0
                nn.init.normal_(module.weight, std=0.02 / scale)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, ids, **call):
        """Logits (b, t, v) of the next token; the keyword arguments are those of `hidden`."""
        return self.logits(self.hidden(ids, **call))  # (b, t, v)

    def logits(self, hidden):
        """Scores of the vocabulary for hidden states of any leading shape."""
        return F.linear(hidden, self.embedding.weight)  # (..., v)   (3)

    def hidden(
        self, ids, *, mask=None, positions=None, cache=None, documents=None, pool=None, rows=None
    ):
        """Hidden states (b, t, c) behind the last layer norm.

        ids (b, t) long; mask (b, t) bool, True for a real token; positions (b, t) in the text, the
        prefix not included, counted by the model where absent; cache a `Cache`, which is extended;
        documents (b, t) long numbers the texts of a packed row; pool (b, t), the prompt, the first
        token where absent, and rows go into the `Context` for gates and banks. Raises ValueError
        beyond the context length.
        """
        first = cache is None or cache.length == 0
        if documents is not None and not first:
            raise ValueError(
                "a cache that is filled goes on with one text a row, not with documents"
            )
        prefixed = self.prefix is not None and first
        bank = self.prefix(ids.shape[0], rows)["self"] if prefixed else None
        start = prefix_slots(bank) + (cache.length if cache else 0)
        check_length(start + ids.shape[1], self.config)
        slots = real_slots(mask, ids, start, cache.mask if cache else None)
        if positions is None:
            positions = count_positions(ids, slots, start, documents)
        elif self.prefix is not None:
            positions = positions + self.prefix.length  # the text's own, counted behind the prefix
        pool = first_token(mask, ids) if pool is None and first else pool
        notes = cache.notes if cache else None
        here = Context(mask, pool, rows, start, notes, documents=documents)
        run = partial(self.context.run, here=here, recompute=self.checkpoint_activations)
        allowed = causal_view(ids, slots, start, documents, cache)
        attending = {"allowed": allowed, "causal": True, "cache": cache}
        x = self.embedding(ids) + self.position_embedding(positions)  # (b, t, c)   (1)
        x = self.dropout(x)
        for layer, block in enumerate(self.blocks):
            own = bank[layer] if bank else None
            x = run(block, x, layer=layer, extra=own, **attending)  # (b, t, c)   (2)
        if cache is not None:
            cache.length, cache.mask = start + ids.shape[1], slots
        return self.norm(x)  # (b, t, c)

    def summary(self, ids, *, mask=None, pool=None, **call):
        """The hidden state of the last real token of each row: it has seen the whole text.

        Nothing is written behind it, so that the whole text is the prompt where pool is absent.
        """
        real = real_tokens(mask, ids)
        pool = real if pool is None else pool
        hidden = self.hidden(ids, mask=mask, pool=pool, **call)  # (b, t, c)
        return pick(hidden, last_real(real))  # (b, c)

    def loss(self, batch):
        """Summed negative log-likelihood of the labels; only their positions get logits."""
        return token_loss(self, self.hidden(batch.ids, **call_of(batch)), batch.labels)

    def new_cache(self, tokens):
        """An empty cache with room for `tokens` tokens (and the prefix, if there is one)."""
        prefix = 0 if self.prefix is None else self.prefix.length
        return Cache(min(tokens + prefix, self.config.context))

    def room(self, prompt):
        """How many new tokens fit behind a prompt of so many."""
        prefix = 0 if self.prefix is None else self.prefix.length
        return self.config.context - prefix - prompt

    def advance(self, ids, mask, cache, rows):
        """Scores (b, v) of the token behind ids (b, t), which go into the cache."""
        pool = None if cache.length else real_tokens(mask, ids)  # what is read first is the prompt
        hidden = self.hidden(ids, mask=mask, cache=cache, pool=pool, rows=rows)
        return self.logits(hidden[:, -1])  # (b, v)
