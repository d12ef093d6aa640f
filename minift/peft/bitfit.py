r"""BitFit: only the biases train (chapter: 指定式微调 – BitFit; Ben Zaken et al. 2021, arXiv
2106.10199).

Nothing is added to the model. What a layer adds whatever its input is, its bias, is trained: about
0.1% of all numbers. The matrices and the gains of the layer norms stay as they are.

    linear, convolution    y = W x + b
    layer norm             y = g ⊙ (x − μ)/σ + b

    θ = { b of every layer of the base that has one }      (1)
    θ = { b of the layers that are named }                 (2)   the paper's b_q and b_m2: 0.04%

    symbol   here           shape   trained                       start
    W, g     weight         -       no                            the base's
    b        bias           (o)     yes                           the base's
    b_q      q_proj.bias    (c)     yes, in SUBSET too            the base's
    b_m2     up_proj.bias   (f)     yes, in SUBSET too            the base's
    b_k      k_proj.bias    (c)     yes, but its gradient is 0    the base's

b_k adds q·b_k to all scores of a query alike, and softmax ignores what is added to all: b_k learns
nothing, unless a prefix, whose keys have no bias, stands beside. In float32 its gradient is 10⁻⁶ of
b_q's, all of it rounding. Adam divides a gradient by its size, so b_k drifts all the same (in runs
on our base by 1 to 7% of b_q's way), which no output shows.

Paper: all biases and the task's classifier. Released code: finds biases by parts of their names
("output" hits two layers); with the subset, too, it trains the pooler's and the whole classifier.
Here: a bias is the parameter that a module holds as `bias`, whatever its class (a convolution's is
one, T5's table relative_attention_bias is none); the head trains; SUBSET is b_q and b_m2 alone.
Biases are written in place: inference costs nothing, and `delta.originals` keeps the base's.
"""

from torch import nn

from minift.peft import inject

SUBSET = ("q_proj", "up_proj")  # b_q and b_m2: m1 is out_proj, m2 the MLP's c → f, m3 its f → c


def biases(model):
    """{name of a layer of the base: its bias}; the task's head is no part of the base."""
    layers = inject.body(model).named_modules()
    held = {name: getattr(layer, "bias", None) for name, layer in layers}
    # a layer without a bias holds None; GPT-2's causal mask is a buffer of that name
    return {name: bias for name, bias in held.items() if isinstance(bias, nn.Parameter)}  # (1)


def select(there, only):
    """The biases in `there` of the layers that `only` names by dotted suffixes; None: all of them.

    Raises ValueError for a name that no layer with a bias has.
    """
    if only is None:
        return there
    for target in only:
        if not any(inject.matches(name, [target]) for name in there):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in there}))
            raise ValueError(f"{target} names no layer with a bias; there are: {known}")
    return {name: bias for name, bias in there.items() if inject.matches(name, only)}  # (2)


def bitfit(model, only=None):
    """Train the biases alone, or those of the layers that `only` names, and the task's head.

    Returns the model. Raises ValueError if a name of `only` matches no layer with a bias, if there
    is no bias to train, or if the model already carries a method.
    """
    chosen = select(biases(model), only)
    if not chosen:
        raise ValueError("no bias to train: the model has none, or `only` is empty")
    inject.begin(model, "bitfit", only=None if only is None else list(only))
    model.delta.originals = {f"{name}.bias": b.detach().clone() for name, b in chosen.items()}
    for bias in chosen.values():
        bias.requires_grad = True
    return model


def merge(layer):
    """Nothing moved in, so nothing is merged: the biases are in the base's layers already."""
    return layer
