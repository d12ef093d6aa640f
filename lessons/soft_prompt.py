r"""Prompts for a prefix to be held against: examples in words, or trained vectors in their place.

    [example₁; …; example_k; x]      in context: the frozen base reads k examples, nothing trains
    [E; x]                           embedding only: E (p, c) trains ("prompt tuning")

A GPT reads E as it reads words, each vector looking to its left alone. So the layers' keys and
values of E do not depend on x, and E can move in where a prefix does. A prefix is free to have any
keys and values, 2plc numbers; those of E are what the base makes of p·c.
"""

import torch
from torch import nn

from minift.models.attention import Extra
from minift.peft import inject


class SoftPrompt(nn.Module):
    """`length` trained vectors that a GPT reads before every text; it starts as words drawn."""

    def __init__(self, model, length):
        super().__init__()
        self.whole = (model,)  # in a tuple, since the base is no part of the prompt
        self.length = length
        some = torch.randint(model.config.vocab_size, (length,))
        self.E = nn.Parameter(model.embedding.weight[some].detach().clone())

    def forward(self, b, rows=None):
        """{bank: [`Extra` of each layer]} for b rows, as a `Prefix` gives it."""
        [base] = self.whole
        x = self.E[None] + base.position_embedding.weight[: self.length]  # (1, p, c)
        made = []
        for block in base.blocks:
            normed = block.norm1(x)
            k, v = block.attention.keys_values(normed, normed, None)  # (1, h, p, d), (1, h, p, d)
            made.append(Extra(k.expand(b, -1, -1, -1), v.expand(b, -1, -1, -1)))
            x = block(x, causal=True)
        return {"self": made}


def add_soft_prompt(model, length):
    """Put a `SoftPrompt` before a plain GPT, of which nothing else trains. Returns the model."""
    inject.freeze(model).prefix = SoftPrompt(model, length)
    return model


def in_words(examples):
    """The examples one after another, as the base read its texts: a list of tokens."""
    return [token for example in examples for token in example.ids]
