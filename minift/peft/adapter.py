r"""Adapters: a small network with a skip behind each sub-layer (chapter: 增量式微调 – 适配器;
Houlsby et al. 2019, arXiv 1902.00751).

The base stays frozen. What a sub-layer puts out is squeezed from c numbers to m, m ≪ c, bent, and
brought back to c; what comes of it is added before the block's own residual add.

    Δ(h) = W_up φ(W_down h + b_down) + b_up      (1)
    A(h) = h + Δ(h)                              (2)   the skip: A starts near the identity

    symbol   here               shape       trained   start
    h        output             (b, t, c)   -         the sub-layer's, behind its dropout
    W_down   down_proj.weight   (m, c)      yes       N(0, σ²) cut at ±2σ, σ = init_std
    b_down   down_proj.bias     (m)         yes       0
    W_up     up_proj.weight     (c, m)      yes       as W_down, so that A(h) is near h, not h
    b_up     up_proj.bias       (c)         yes       0
    φ        activation         -           -         GELU
    γ, β     every layer norm   (c), (c)    yes       the base's
    θ        all else           -           no        the base's

L blocks with two adapters each train 2L (2mc + m + c) numbers, and 2c for each layer norm.

Paper: behind the attention and behind the feed-forward layer, before the residual add; σ = 0.01, φ
not named, layer norms train. Released code (google-research/adapter-bert): σ = 0.001, GELU by tanh;
every layer norm trains, the embedding's too, and the pooler does not. The library `adapters` trains
no layer norm and draws N(0, 0.02²). Here: the paper's σ, exact GELU, every layer norm of the base.
The last one of a GPT is among them: before it nothing norms what the last adapter wrote. A decoder
that looks at a memory has a third sub-layer and gets a third adapter, which the library adds only
with `cross_adapter=True`.

placement="pfeiffer" leaves the adapter behind the feed-forward layer alone, in the same place. The
library's `SeqBnConfig`, its Pfeiffer (arXiv 2005.00247), differs: with x the residual and f what
the feed-forward layer puts out, a post-LN block runs its layer norm twice there,
LN(x + f + Δ(LN(x + f))), so that Δ reads normed numbers; here it is LN(x + f + Δ(f)).
"""

import torch
import torch.nn.functional as F
from torch import nn

from minift.peft import inject

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu, "swish": F.silu, "tanh": torch.tanh}
PLACEMENTS = {
    "houlsby": ("after_attention", "after_cross_attention", "after_feedforward"),
    "pfeiffer": ("after_feedforward",),
}
NO_MERGE = "φ stands between W_down and W_up, so that no matrix equals an adapter"


def look_up(table, name, what):
    """table[name]. Raises ValueError that lists the names there are."""
    if name not in table:
        raise ValueError(f'{what} "{name}"; expected {" or ".join(table)}')
    return table[name]


class Adapter(nn.Module):
    """A bottleneck of m = `bottleneck` numbers with a skip: h (b, t, c) → (b, t, c)."""

    def __init__(self, width, bottleneck, activation="gelu", init_std=1e-2):
        super().__init__()
        if bottleneck < 1:
            raise ValueError(f"bottleneck {bottleneck}; expected at least 1")
        self.activation = look_up(ACTIVATIONS, activation, "activation")
        self.down_proj = nn.Linear(width, bottleneck)
        self.up_proj = nn.Linear(bottleneck, width)
        self.reset(init_std)

    def reset(self, init_std=1e-2):
        """Both matrices from N(0, init_std²) cut at two deviations, both biases zero."""
        if init_std <= 0:  # from two zero matrices only b_up would ever learn
            raise ValueError(f"init_std {init_std}; expected more than 0")
        for linear in (self.down_proj, self.up_proj):
            nn.init.trunc_normal_(linear.weight, std=init_std, a=-2 * init_std, b=2 * init_std)
            nn.init.zeros_(linear.bias)

    def change(self, h):
        """Δ(h), what the adapter adds to h (b, t, c)."""
        bent = self.activation(self.down_proj(h))  # (b, t, m)
        return self.up_proj(bent)  # (b, t, c)   (1)

    def forward(self, output, input):
        """A(output); the door hands over the sub-layer's input too, which only others read."""
        return output + self.change(output)  # (b, t, c)   (2)


def doors_of(model, placement):
    """[(block, name of the door)] where adapters move in. Raises ValueError if there are none."""
    names = look_up(PLACEMENTS, placement, "placement")
    blocks = inject.body(model).modules()
    doors = [(block, name) for block in blocks for name in names if hasattr(block, name)]
    if not doors:
        raise ValueError(f"no block of the model has a door; expected {' or '.join(names)}")
    return doors


def train_layer_norms(model):
    """Every layer norm of the base trains; `delta.originals` keeps copies of what it held."""
    modules = inject.body(model).named_modules()
    for name, norm in [(n, m) for n, m in modules if isinstance(m, nn.LayerNorm)]:
        for part, parameter in norm.named_parameters():
            model.delta.originals[f"{name}.{part}"] = parameter.detach().clone()
            parameter.requires_grad = True


def add_adapters(
    model, bottleneck=64, activation="gelu", init_std=1e-2, train_layernorm=True,
    placement="houlsby",
):  # fmt: skip
    """Put an adapter behind the sub-layers of each block; freeze all else but layer norms and head.

    placement: "houlsby", behind each sub-layer, or "pfeiffer", behind the feed-forward layer alone.
    Returns the model. Raises ValueError for an argument out of place, or if the model already
    carries a method.
    """
    doors = doors_of(model, placement)
    base = inject.body(model)
    adapters = [Adapter(base.config.d_model, bottleneck, activation, init_std) for _ in doors]
    inject.begin(
        model, "adapter", bottleneck=bottleneck, activation=activation, init_std=init_std,
        train_layernorm=train_layernorm, placement=placement,
    )  # fmt: skip
    for (block, door), adapter in zip(doors, adapters, strict=True):
        setattr(block, door, adapter.to(base.embedding.weight).train(block.training))
    if train_layernorm:
        train_layer_norms(model)
    return model
