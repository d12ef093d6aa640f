r"""Multi-head attention, from which every model here is built (Vaswani et al. 2017, 1706.03762).

    Attention(Q, K, V) = softmax(Q Kᵀ / √d) V        (1)

for each of h heads, with Q = x W_q, K = x W_k, V = x W_v and an output projection W_o. In
cross-attention the keys and values are made from `memory` (the encoder's output) and not from x.

Two doors of the fine-tuning methods are here: the four projections are separate linear layers, so
that each can be replaced (LoRA and its relatives); and a prefix may bring `extra` keys and values,
which stand left of the real ones and which every query sees.

Letters of the whole project: b batch, t query time, s key time, c width, h heads, d head width,
v vocabulary, r rank, p prefix length, m bottleneck, n quantisation block, k responses a prompt,
i/o in and out features, f feed-forward width, l layers; c = h·d. Here s counts every slot: prefix,
cached and new.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Extra:
    """A layer's prefix: keys and values (b, h, p, d); in UniPELT also their gate, x → (b, 1, 1)."""

    keys: Tensor
    values: Tensor
    gate: nn.Module | None = None


@dataclass
class Cache:
    """Keys and values of all slots so far, per layer (b, h, capacity, d), filled up to `length`.

    `length` counts prefix slots (once) and tokens. `mask` (b, length) is None while all are
    real. A decoder that looks at a memory keeps that one's keys and values (b, h, s, d) too: made
    once, `crossed[layer]`; `memory_mask` (b, s) says which of them are real. A cache is for
    decoding: it is written in place, under `torch.no_grad()`.
    """

    capacity: int
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    length: int = 0
    mask: Tensor | None = None
    notes: dict = field(default_factory=dict)
    crossed: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    memory_mask: Tensor | None = None

    def append(self, layer, k, v):
        """Write k, v (b, h, t, d) behind the slots of `layer`; return all of them (b, h, s, d)."""
        if layer not in self.keys:
            shape = (*k.shape[:2], self.capacity, k.shape[3])
            self.keys[layer], self.values[layer] = k.new_empty(shape), v.new_empty(shape)
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"a cache with room for {self.capacity} slots cannot hold {end}")
        self.keys[layer][:, :, self.length : end] = k
        self.values[layer][:, :, self.length : end] = v
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def select(self, rows):
        """Keep the given rows, in that order (a beam that goes on from another); one may repeat."""
        for layer in self.keys:
            self.keys[layer] = self.keys[layer][rows]
            self.values[layer] = self.values[layer][rows]
        for layer, (k, v) in self.crossed.items():
            self.crossed[layer] = k[rows], v[rows]
        if self.mask is not None:
            self.mask = self.mask[rows]
        if self.memory_mask is not None:
            self.memory_mask = self.memory_mask[rows]
        for name, note in self.notes.items():
            self.notes[name] = note[rows]


def visible(t, s, *, causal, mask=None, documents=None, device=None):
    """Who may look at whom: (b or 1, 1, t, s) bool, True where query t may see key s.

    t queries are the last t of s slots. `mask` (b, s) hides padding; `documents` (b, t) keeps the
    texts of a packed row apart (slots left of them, a prefix, belong to all). None is returned
    where no mask is needed: a causal square (torch has a fast path for it) or a single query that
    sees everything.
    """
    if mask is None and documents is None and (t == 1 or not causal or t == s):
        return None
    slot = torch.arange(s, device=device)  # (s)
    own = slot[s - t :, None] == slot  # (t, s)
    allowed = slot <= slot[s - t :, None] if causal else slot >= 0  # (t, s) or (s)
    allowed = allowed.expand(1, 1, t, s)  # (1, 1, t, s)
    if mask is not None:
        allowed = allowed & mask[:, None, None, :]  # (b, 1, t, s)
    if documents is not None:
        same = documents[:, None, :, None] == documents[:, None, None, :]  # (b, 1, t, t)
        allowed = allowed & F.pad(same, (s - t, 0), value=True)  # (b, 1, t, s)
    return allowed | own  # a padded query still sees itself: a softmax over nothing would be NaN


def attend(q, k, v, allowed=None, causal=False, dropout=0.0):
    """Equation (1) in the open. q (b, h, t, d), k and v (b, h, s, d)."""
    score = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (b, h, t, s)
    if causal and allowed is None:
        allowed = torch.ones(score.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if allowed is not None:
        score = score.masked_fill(~allowed, float("-inf"))
    weight = F.dropout(score.softmax(dim=-1), dropout)  # (b, h, t, s)
    return weight @ v  # (b, h, t, d)   (1)


def attend_fused(q, k, v, allowed=None, causal=False, dropout=0.0):
    """Equation (1) by torch's fused kernel, which never stores the (t, s) table of weights."""
    causal = causal and allowed is None
    return F.scaled_dot_product_attention(q, k, v, allowed, dropout, causal)  # (b, h, t, d)


def slow_fused(q):
    """Whether the fused kernel is the slower one: its backward in bf16 on a CPU (2 to 7 times)."""
    return q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad


class MultiHeadAttention(nn.Module):
    """x (b, t, c) → (b, t, c). `fused = False` takes the readable path."""

    def __init__(self, d_model, n_heads, dropout=0.0):
        super().__init__()
        if d_model % n_heads:
            raise ValueError(f"d_model {d_model} is not a multiple of n_heads {n_heads}")
        self.n_heads, self.dropout, self.fused = n_heads, dropout, True
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def split(self, x):
        """Cut the width into heads."""
        return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)  # (b, h, t, d)

    def forward(
        self, x, memory=None, *, allowed=None, causal=False, extra=None, cache=None, crossed=None,
        layer=0,
    ):  # fmt: skip
        if memory is not None and cache is not None:
            raise ValueError("a cache holds the slots of self-attention, not those of a memory")
        q = self.split(self.q_proj(x))  # (b, h, t, d)
        if crossed and layer in crossed:
            k, v = crossed[layer]  # (b, h, s, d), (b, h, s, d)
        else:
            k, v = self.keys_values(x if memory is None else memory, x, extra)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        if crossed is not None:
            crossed[layer] = k, v
        attended = attend_fused if self.fused and not slow_fused(q) else attend
        causal = causal and q.shape[2] > 1  # a single new query may look at every slot there is
        heads = attended(q, k, v, allowed, causal, self.dropout if self.training else 0.0)
        joined = heads.transpose(1, 2).flatten(2)  # (b, t, h*d)
        return self.out_proj(joined)  # (b, t, c)

    def keys_values(self, source, x, extra):
        """Keys and values of `source` (x itself, or a memory), behind those of the prefix.

        The prefix stands left of the real ones and has no queries. Its gate reads x.
        """
        k = self.split(self.k_proj(source))  # (b, h, s, d)
        v = self.split(self.v_proj(source))  # (b, h, s, d)
        if extra is None:
            return k, v
        gate = 1.0 if extra.gate is None else extra.gate(x)[:, None]
        k = torch.cat([(extra.keys * gate).to(k.dtype), k], dim=2)  # (b, h, p+s, d)
        v = torch.cat([(extra.values * gate).to(v.dtype), v], dim=2)  # (b, h, p+s, d)
        return k, v
