r"""What BERT's encoder and both halves of BART have in common: a stack of post-LN blocks.

    x₀ = LN(E[ids] + P[positions])      (1)   BERT adds the embedding of the token's type
    xₗ = block(xₗ₋₁), l = 1 … L         (2)

There is no layer norm at the end: the last block has its own.
"""

from torch import nn

from minift.models.block import dropout_layer


def check_sizes(config):
    """Raise ValueError unless a model of this configuration can be built."""
    sizes = (config.vocab_size, config.context, config.d_model, config.n_layers, config.n_heads)
    if min(sizes) < 1 or config.context < 2:
        raise ValueError(f"{config}: expected sizes of at least 1 and a context of at least 2")


def start_weights(model):
    """Matrices and embeddings N(0, 0.3/c), biases zero: 0.02² at the width 768 of BERT and BART.

    With 0.02² a narrow model of ours spent twice as many steps until it attended to anything.
    """
    std = (0.3 / model.config.d_model) ** 0.5
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


class Stack(nn.Module):
    """Positions, the embedding's layer norm and n_layers blocks; the tokens' embedding is outside.

    block: the class of its blocks; eps: what each of its layer norms adds to the variance.
    """

    def __init__(self, config, block, eps):
        super().__init__()
        self.position_embedding = nn.Embedding(config.context, config.d_model)
        self.norm = nn.LayerNorm(config.d_model, eps)
        self.blocks = nn.ModuleList(
            block(config.d_model, config.n_heads, config.dropout, eps)
            for _ in range(config.n_layers)
        )
        self.dropout = dropout_layer(config.dropout)

    def through(self, embedded, positions, run, prefixes, **attending):
        """Hidden states (b, t, c) of embedded (b, t, c), token embeddings.

        run(block, x, …) runs a block in its context; prefixes: {argument of a block: an Extra or
        None for each layer}; `attending` is the same for all layers.
        """
        x = self.norm(embedded + self.position_embedding(positions))  # (b, t, c)   (1)
        x = self.dropout(x)
        for layer, block in enumerate(self.blocks):
            own = {name: bank[layer] for name, bank in prefixes.items() if bank}
            x = run(block, x, layer=layer, **own, **attending)  # (b, t, c)   (2)
        return x  # (b, t, c)
