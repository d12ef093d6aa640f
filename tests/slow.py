"""Slow specifications of a post-LN model, one row at a time, with loops over heads and tokens."""

import math

import torch


def everyone(i, j):
    """Query i may look at every key j."""
    return True


def not_ahead(i, j):
    """Query i may look at keys up to its own place."""
    return j <= i


def attention(layer, x, memory, sees, extra=None):
    """x (t, c) looks at memory (s, c) where sees(i, j), and at the keys and values of a prefix."""
    q, k, v = layer.q_proj(x), layer.k_proj(memory), layer.v_proj(memory)
    d = x.shape[-1] // layer.n_heads
    joined = torch.zeros_like(x)
    for head in range(layer.n_heads):
        part = slice(head * d, (head + 1) * d)
        prefix = [] if extra is None else list(zip(extra[0][head], extra[1][head], strict=True))
        for i in range(len(x)):
            seen = prefix + [(k[j, part], v[j, part]) for j in range(len(k)) if sees(i, j)]
            weight = torch.stack([q[i, part] @ key / math.sqrt(d) for key, _ in seen]).exp()
            total = sum(w * value for w, (_, value) in zip(weight, seen, strict=True))
            joined[i, part] = total / weight.sum()
    return layer.out_proj(joined)


def layer_norm(norm, x, eps):
    """Mean 0 and variance 1 over the width, then the norm's own scale and shift."""
    centred = x - x.mean(-1, keepdim=True)
    return (
        centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt() * norm.weight + norm.bias
    )


def feedforward(layer, x):
    """W_down GELU(W_up x), with the exact GELU: x times the normal distribution's share below x."""
    hidden = layer.up_proj(x)
    return layer.down_proj(hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2)


def encoder_block(block, x, eps, extra=None):
    """Attention and feed-forward, a layer norm behind each residual add."""
    x = layer_norm(block.norm1, x + attention(block.attention, x, x, everyone, extra), eps)
    return layer_norm(block.norm2, x + feedforward(block.feedforward, x), eps)


def decoder_block(block, x, memory, eps, extra=None, memory_extra=None):
    """The same with a causal attention, and between the two the look at the memory."""
    x = layer_norm(block.norm1, x + attention(block.attention, x, x, not_ahead, extra), eps)
    crossed = attention(block.cross_attention, x, memory, everyone, memory_extra)
    x = layer_norm(block.norm2, x + crossed, eps)
    return layer_norm(block.norm3, x + feedforward(block.feedforward, x), eps)
