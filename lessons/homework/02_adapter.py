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

# Homework of lesson 02: six parts, TODO 2.1 to 2.6, in any order. Names, parameters and docstrings
# stay as they are; the symbol table above says what is called what.
#
#     python -m lessons check 02           what is right, what is wrong, what is not started
#     python -m lessons check 02 --hint    with a longer hint for each thing that is wrong
#     python -m lessons 02 --mine          the lesson, with your adapters training the model
#
# ruff: noqa: F401 (the imports are for what you will write)

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
        # TODO 2.1  symbol table: φ and the two layers of equation (1); 4 lines
        #   1. self.activation, the function that look_up finds in ACTIVATIONS
        #   2. self.down_proj, from c = width numbers to m = bottleneck
        #   3. self.up_proj, back again; both with a bias
        #   4. let self.reset(init_std) fill them
        raise NotImplementedError("TODO 2.1")

    def reset(self, init_std=1e-2):
        """Both matrices from N(0, init_std²) cut at two deviations, both biases zero."""
        if init_std <= 0:  # from two zero matrices only b_up would ever learn
            raise ValueError(f"init_std {init_std}; expected more than 0")
        # TODO 2.2  symbol table, last column; about 3 lines, all in place (torch.nn.init)
        #   1. W_down and W_up from N(0, σ²), σ = init_std, cut at ±2σ
        #   2. b_down and b_up are zero
        raise NotImplementedError("TODO 2.2")

    def change(self, h):
        """Δ(h), what the adapter adds to h (b, t, c)."""
        # TODO 2.3  equation (1), 2 lines
        #   1. bent (b, t, m) = φ(W_down h + b_down)
        #   2. W_up bent + b_up, (b, t, c)
        raise NotImplementedError("TODO 2.3")

    def forward(self, output, input):
        """A(output); the door hands over the sub-layer's input too, which only others read."""
        # TODO 2.4  equation (2), 1 line; h is the sub-layer's output
        raise NotImplementedError("TODO 2.4")


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
    # TODO 2.5  γ and β of the symbol table, about 5 lines
    #   1. walk over the named modules of inject.body(model); take each nn.LayerNorm
    #   2. keep a copy of its weight and bias in model.delta.originals, a dictionary, each under
    #      its name in the body, as "blocks.0.norm1.weight"
    #   3. both train
    raise NotImplementedError("TODO 2.5")


def add_adapters(
    model, bottleneck=64, activation="gelu", init_std=1e-2, train_layernorm=True,
    placement="houlsby",
):  # fmt: skip
    """Put an adapter behind the sub-layers of each block; freeze all else but layer norms and head.

    placement: "houlsby", behind each sub-layer, or "pfeiffer", behind the feed-forward layer alone.
    Returns the model. Raises ValueError for an argument out of place, or if the model already
    carries a method.
    """
    # TODO 2.6  two adapters a block, about 9 lines; read minift/peft/inject.py first
    #   1. doors = doors_of(...): the pairs (block, name of the door)
    #   2. one new Adapter for each door, as wide as the model (inject.body(model).config.d_model);
    #      an argument out of place is refused here, before anything is changed
    #   3. inject.begin(model, "adapter", ...) freezes the model and notes every argument, so that
    #      a saved file can add the adapters again
    #   4. each adapter moves into its door (setattr), in the type of the model's embedding
    #   5. train_layer_norms(model), if they are to train; return the model
    raise NotImplementedError("TODO 2.6")
