r"""The Transformer block of each family, with the doors that fine-tuning methods go through.

    x ← x + A₁(Attention(LN(x)))             (1)   pre-LN, as in GPT-2
    x ← x + A₂(FFN(LN(x)))                   (2)   FFN(x) = W_down GELU(W_up x)
    x ← LN(x + A₁(Attention(x)))             (3)   post-LN, as in BERT and BART
    x ← LN(x + A₃(Attention(x, memory)))     (4)   a decoder's look at what the encoder has read
    x ← LN(x + A₂(FFN(x)))                   (5)

A₁, A₂ and A₃ are the doors `after_attention`, `after_feedforward` and `after_cross_attention`: a
`Pass` until an adapter moves in. They stand after the dropout of the sub-layer's output and before
the residual add, where Houlsby et al. put their adapters.
"""

import torch.nn.functional as F
from torch import nn

from minift.models.attention import MultiHeadAttention


class Pass(nn.Module):
    """A door nobody uses: it returns the sub-layer's output and ignores the sub-layer's input."""

    def forward(self, output, input):
        return output  # (b, t, c)


def dropout_layer(p):
    """Dropout that costs nothing at p = 0."""
    return nn.Dropout(p) if p else nn.Identity()


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them: (b, t, c) → (b, t, f) → (b, t, c)."""

    def __init__(self, d_model, hidden, approximate="tanh"):
        super().__init__()
        self.up_proj = nn.Linear(d_model, hidden)
        self.down_proj = nn.Linear(hidden, d_model)
        self.approximate = approximate  # "tanh" is GPT-2's GELU, "none" BERT's and BART's

    def forward(self, x):
        hidden = F.gelu(self.up_proj(x), approximate=self.approximate)  # (b, t, f)
        return self.down_proj(hidden)  # (b, t, c)


class PreNormBlock(nn.Module):
    """GPT-2's block: a layer norm before each sub-layer, none on the residual stream."""

    def __init__(self, d_model, n_heads, dropout=0.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model, n_heads, dropout)
        self.after_attention = Pass()
        self.norm2 = nn.LayerNorm(d_model)
        self.feedforward = FeedForward(d_model, 4 * d_model)
        self.after_feedforward = Pass()
        self.dropout = dropout_layer(dropout)

    def forward(self, x, **attending):
        normed = self.norm1(x)
        attended = self.dropout(self.attention(normed, **attending))  # (b, t, c)
        x = x + self.after_attention(attended, normed)  # (b, t, c)   (1)
        normed = self.norm2(x)
        transformed = self.dropout(self.feedforward(normed))  # (b, t, c)
        return x + self.after_feedforward(transformed, normed)  # (b, t, c)   (2)


class PostNormBlock(nn.Module):
    """The block of BERT and of BART's encoder: a layer norm behind each residual add."""

    def __init__(self, d_model, n_heads, dropout=0.0, eps=1e-5):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads, dropout)
        self.after_attention = Pass()
        self.norm1 = nn.LayerNorm(d_model, eps)
        self.feedforward = FeedForward(d_model, 4 * d_model, approximate="none")
        self.after_feedforward = Pass()
        self.norm2 = nn.LayerNorm(d_model, eps)
        self.dropout = dropout_layer(dropout)

    def forward(self, x, **attending):
        attended = self.dropout(self.attention(x, **attending))  # (b, t, c)
        x = self.norm1(x + self.after_attention(attended, x))  # (b, t, c)   (3)
        transformed = self.dropout(self.feedforward(x))  # (b, t, c)
        return self.norm2(x + self.after_feedforward(transformed, x))  # (b, t, c)   (5)


class DecoderBlock(nn.Module):
    """The block of BART's decoder: between the two sub-layers it looks at the encoder's output."""

    def __init__(self, d_model, n_heads, dropout=0.0, eps=1e-5):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads, dropout)
        self.after_attention = Pass()
        self.norm1 = nn.LayerNorm(d_model, eps)
        self.cross_attention = MultiHeadAttention(d_model, n_heads, dropout)
        self.after_cross_attention = Pass()
        self.norm2 = nn.LayerNorm(d_model, eps)
        self.feedforward = FeedForward(d_model, 4 * d_model, approximate="none")
        self.after_feedforward = Pass()
        self.norm3 = nn.LayerNorm(d_model, eps)
        self.dropout = dropout_layer(dropout)

    def forward(
        self, x, memory=None, memory_allowed=None, memory_extra=None, crossed=None, layer=0,
        **attending,
    ):  # fmt: skip
        attended = self.dropout(self.attention(x, layer=layer, **attending))  # (b, t, c)
        x = self.norm1(x + self.after_attention(attended, x))  # (b, t, c)   (3)
        crossing = {"allowed": memory_allowed, "extra": memory_extra, "crossed": crossed}
        crossing["layer"] = layer
        attended = self.dropout(self.cross_attention(x, memory, **crossing))  # (b, t, c)
        x = self.norm2(x + self.after_cross_attention(attended, x))  # (b, t, c)   (4)
        transformed = self.dropout(self.feedforward(x))  # (b, t, c)
        return self.norm3(x + self.after_feedforward(transformed, x))  # (b, t, c)   (5)
