r"""An encoder-decoder in BART's layout (Lewis et al. 2019, arXiv 1910.13461): post-LN, exact GELU.

    memory = blocks(LN(E[source] + P_e[positions]))         (1)   every token sees every token
    y = blocks(LN(E[target] + P_d[positions]), memory)      (2)   causal; it looks at the memory
    logits = y Eᵀ                                           (3)   one E for all three: "tied"

The decoder starts by itself with the token `start`: BART's is </s>, number 2, as is our <eos>.

Door 2 has three banks here: extra keys and values for the encoder's own attention ("encoder"), for
the decoder's own ("decoder"), and for its look at the memory ("cross"), where they stand left of
the memory's keys and are visible to all. Behind a prefix the tokens keep their positions 0, 1, 2 …,
as in the released code for BART, and unlike a GPT.

Released checkpoints keep two unused rows at the front of their position tables, which are cut off
when one is loaded; their `final_logits_bias` is zero, and a checkpoint where it is not is refused.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch.nn.functional as F
from torch import nn

from minift.models.attention import Cache, visible
from minift.models.block import DecoderBlock, PostNormBlock
from minift.models.context import Context, CurrentContext
from minift.models.heads import token_loss
from minift.models.slots import (
    causal_view,
    check_length,
    count_positions,
    first_real,
    last_real,
    pick,
    prefix_slots,
    real_slots,
    real_tokens,
)
from minift.models.stack import Stack, check_sizes, start_weights
from minift.sides import two_sides

EPS = 1e-5


@dataclass(frozen=True)
class Seq2SeqConfig:
    """vocab_size tokens, context positions a side, width d_model, n_layers a side, n_heads heads.

    start: the token with which the decoder begins.
    """

    vocab_size: int
    context: int
    d_model: int
    n_layers: int
    n_heads: int
    dropout: float = 0.0
    start: int = 2

    def __post_init__(self):
        check_sizes(self)


class Seq2Seq(nn.Module):
    """`Seq2Seq(config)(source, target) -> logits (b, t, v)`, source (b, s), target (b, t) long."""

    BANKS = ("encoder", "decoder", "cross")  # what `prefix(b, rows)` gives: {bank: [Extra, …]}

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config, PostNormBlock, EPS)
        self.decoder = Stack(config, DecoderBlock, EPS)
        self.prefix = None
        self.context = CurrentContext()
        self.checkpoint_activations = False
        self.reset()

    def reset(self):
        """BART's start (`start_weights`)."""
        start_weights(self)

    def forward(self, source, target, **call):
        """Logits of the token behind each of target; the other arguments are those of `hidden`."""
        return self.logits(self.hidden(source, target, **call))  # (b, t, v)

    def logits(self, hidden):
        """Scores of the vocabulary for hidden states of any leading shape."""
        return F.linear(hidden, self.embedding.weight)  # (..., v)   (3)

    def hidden(
        self, source, target, *, source_mask=None, target_mask=None, cache=None, pool=None,
        rows=None,
    ):  # fmt: skip
        """The decoder's hidden states (b, t, c).

        source (b, s), target (b, t) long; masks of their shapes, bool, True for a real token; cache
        a `Cache`, which is extended: once it is filled, source is not read again and may be None;
        pool (b, s), the source's, and rows go into the `Context` for gates and banks. Raises
        ValueError beyond the context.
        """
        filled = cache is not None and cache.length > 0
        banks, memory = dict.fromkeys(self.BANKS), None
        if self.prefix is not None and not filled:
            banks = self.prefix(target.shape[0], rows)
        there = Context(source_mask, pool, rows, notes=cache.notes if cache else None)
        if not filled:
            there = replace(there, pool=real_tokens(source_mask, source) if pool is None else pool)
            memory = self.encode(source, there, banks["encoder"])  # (b, s, c)
        return self.decode(target, memory, target_mask, there, cache, banks)  # (b, t, c)

    def encode(self, source, here=None, bank=None):
        """The memory (b, s, c): what the encoder makes of source (b, s).

        here: the source's `Context`, of which its mask matters; bank: the encoder's prefix.
        """
        here = here or Context()
        p, t = prefix_slots(bank), source.shape[1]
        check_length(t, self.config, "positions of the source")
        here = replace(here, start=p)
        run = partial(self.context.run, here=here, recompute=self.checkpoint_activations)
        positions = count_positions(source, here.mask, 0)
        slots = None if here.mask is None else F.pad(here.mask, (p, 0), value=True)  # (b, p+s)
        allowed = visible(t, p + t, causal=False, mask=slots, device=source.device)
        embedded = self.embedding(source)  # (b, s, c)
        memory = self.encoder.through(embedded, positions, run, {"extra": bank}, allowed=allowed)
        return memory  # (b, s, c)   (1)

    def decode(self, target, memory, mask=None, there=None, cache=None, banks=None):
        """The decoder's hidden states (b, t, c), which look at memory (b, s, c).

        there: the `Context` of the memory. memory is None once the cache has its keys and values.
        """
        there, banks = there or Context(), banks or dict.fromkeys(self.BANKS)
        p = 0 if self.prefix is None else self.prefix.length
        start = cache.length if memory is None else p
        check_length(start - p + target.shape[1], self.config, "positions of the target")
        slots = real_slots(mask, target, start, cache.mask if cache else None)
        text = None if slots is None else slots[:, p:]
        positions = count_positions(target, text, start - p)
        first = (positions == 0) & real_tokens(mask, target)  # (b, t)
        here = Context(mask, first, there.rows, start, there.notes, there)
        run = partial(self.context.run, here=here, recompute=self.checkpoint_activations)
        attending = {"allowed": causal_view(target, slots, start, cache=cache), "causal": True}
        attending |= self.crossing(memory, there.mask, prefix_slots(banks["cross"]), cache)
        prefixes = {"extra": banks["decoder"], "memory_extra": banks["cross"]}
        embedded = self.embedding(target)  # (b, t, c)
        y = self.decoder.through(embedded, positions, run, prefixes, cache=cache, **attending)
        if cache is not None:
            cache.length, cache.mask = start + target.shape[1], slots
        return y  # (b, t, c)   (2)

    def crossing(self, memory, mask, p, cache):
        """The decoder's arguments for its look at the memory: p slots of a prefix, all visible."""
        if memory is None:
            mask = cache.memory_mask
        elif mask is not None:
            mask = F.pad(mask, (p, 0), value=True)[:, None, None]  # (b, 1, 1, p+s)
        if cache is not None:
            cache.memory_mask = mask
        crossed = None if cache is None else cache.crossed
        return {"memory": memory, "memory_allowed": mask, "crossed": crossed}

    def summary(self, ids, *, mask=None, pool=None, rows=None):
        """The decoder's state (b, c) at the last token; both sides read the text ids (b, t)."""
        real = real_tokens(mask, ids)
        target = ids.roll(1, dims=1)
        target.scatter_(1, first_real(real)[:, None], self.config.start)
        masks = {"source_mask": mask, "target_mask": mask}
        hidden = self.hidden(ids, target, pool=pool, rows=rows, **masks)  # (b, t, c)
        return pick(hidden, last_real(real))  # (b, c)

    def loss(self, batch):
        """Summed negative log-likelihood of the labels of `two_sides(batch)`."""
        sides, rows = two_sides(batch, self.config.start), getattr(batch, "rows", None)
        masks = {"source_mask": sides.source_mask, "target_mask": sides.target_mask}
        rows = None if rows is None else rows[sides.row]
        hidden = self.hidden(sides.source, sides.target, rows=rows, **masks)  # (b, t, c)
        return token_loss(self, hidden, sides.labels)

    def new_cache(self, tokens):
        """An empty cache with room for `tokens` tokens of the target (and the prefix)."""
        prefix = 0 if self.prefix is None else self.prefix.length
        return Cache(min(tokens, self.config.context) + prefix)

    def room(self, prompt):
        """How many new tokens fit where the source has so many: each side has a context."""
        return self.config.context if prompt <= self.config.context else 0

    def advance(self, ids, mask, cache, rows):
        """Scores (b, v) of the next token: at first ids is the source, then what was written."""
        if cache.length:
            hidden = self.hidden(None, ids, target_mask=mask, cache=cache, rows=rows)
        else:
            target = ids.new_full((ids.shape[0], 1), self.config.start)
            hidden = self.hidden(ids, target, source_mask=mask, cache=cache, rows=rows)
        return self.logits(hidden[:, -1])  # (b, v)
