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

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from minift.models.attention import Cache, visible
from minift.models.block import PreNormBlock, dropout_layer
from minift.models.context import Context, CurrentContext


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
        sizes = (self.vocab_size, self.context, self.d_model, self.n_layers, self.n_heads)
        if min(sizes) < 1 or self.context < 2:
            raise ValueError(f"{self}: expected sizes of at least 1 and a context of at least 2")


def right_padded(mask):
    """True if the padding of each row, if any, stands right of its tokens."""
    return bool((mask[:, :-1] >= mask[:, 1:]).all())


class GPT(nn.Module):
    """`GPT(config)(ids) -> logits (b, t, v)`, ids (b, t) long."""

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
        documents (b, t) long numbers the texts of a packed row; pool and rows go into the `Context`
        for gates and banks. Raises ValueError beyond the context length.
        """
        first = cache is None or cache.length == 0
        if documents is not None and not first:
            raise ValueError(
                "a cache that is filled goes on with one text a row, not with documents"
            )
        extra = self.prefix(ids.shape[0], rows) if self.prefix is not None and first else None
        p = extra[0].keys.shape[2] if extra else 0
        start = p + (cache.length if cache else 0)
        self._check_length(start + ids.shape[1])
        slots = self._slots(mask, ids, p, cache)
        if positions is None:
            positions = self._positions(slots, documents, start, ids)
        elif self.prefix is not None:
            positions = positions + self.prefix.length  # the text's own, counted behind the prefix
        allowed = self._allowed(slots, documents, start, ids, cache)
        here = Context(mask, pool, rows, start, cache.notes if cache else None)
        x = self.embedding(ids) + self.position_embedding(positions)  # (b, t, c)   (1)
        x = self.dropout(x)
        for layer, block in enumerate(self.blocks):
            attending = {"allowed": allowed, "causal": True, "cache": cache, "layer": layer}
            attending["extra"] = extra[layer] if extra else None
            x = self._run(block, x, here, attending)  # (b, t, c)   (2)
        if cache is not None:
            cache.length, cache.mask = start + ids.shape[1], slots
        return self.norm(x)  # (b, t, c)

    def loss(self, batch):
        """Summed negative log-likelihood of the labels; only their positions get logits."""
        call = {"mask": batch.mask, "positions": batch.positions, "documents": batch.documents}
        call |= {"pool": getattr(batch, "pool", None), "rows": getattr(batch, "rows", None)}
        hidden = self.hidden(batch.ids, **call)
        target = batch.labels != -100
        logits = self.logits(hidden[target]).float()
        return F.cross_entropy(logits, batch.labels[target], reduction="sum")

    def new_cache(self, tokens):
        """An empty cache with room for `tokens` tokens (and the prefix, if there is one)."""
        prefix = 0 if self.prefix is None else self.prefix.length
        return Cache(min(tokens + prefix, self.config.context))

    def _run(self, block, x, here, attending):
        def run(x):
            with self.context.using(here):
                return block(x, **attending)

        if self.checkpoint_activations and torch.is_grad_enabled():
            return checkpoint(run, x, use_reentrant=False)
        return run(x)

    def _check_length(self, length):
        if length > self.config.context:
            raise ValueError(
                f"{length} positions (prefix included) exceed the context of {self.config.context}"
            )

    def _slots(self, mask, ids, p, cache):
        """Which of all slots (prefix, cached, new) are real: (b, s), or None if all are."""
        past = cache.mask if cache else None
        if mask is None and past is None:
            return None
        b, t = ids.shape
        new = ids.new_ones(b, t, dtype=torch.bool) if mask is None else mask
        left = p + (cache.length if cache else 0)
        if past is None:
            past = new.new_ones(b, left)
        return torch.cat([past, new], dim=1)  # (b, s)

    def _positions(self, slots, documents, start, ids):
        """Positions count the real slots on the left; each document of a packed row starts anew."""
        t = ids.shape[1]
        count = torch.arange(start, start + t, device=ids.device)  # (t)
        if documents is not None:
            first = torch.ones_like(documents, dtype=torch.bool)  # (b, t)
            first[:, 1:] = documents[:, 1:] != documents[:, :-1]
            return count - (count - start).where(first, 0).cummax(dim=1).values  # (b, t)
        if slots is None or (start == 0 and right_padded(slots)):
            return count
        return (slots.cumsum(dim=1) - 1).clamp(min=0)[:, start:]  # (b, t)

    def _allowed(self, slots, documents, start, ids, cache):
        """The table of `visible`; padding on the right needs none: nobody looks to the right."""
        t = ids.shape[1]
        if slots is not None and cache is None and right_padded(slots):
            slots = None
        return visible(
            t, start + t, causal=True, mask=slots, documents=documents, device=ids.device
        )
