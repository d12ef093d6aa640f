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

# Homework of lesson 04: three parts, TODO 4.1 to 4.3, in any order. Names, parameters, docstrings
# stay as they are; the symbol table above says what is called what.
#
#     python -m lessons check 04           what is right, what is wrong, what is not started
#     python -m lessons check 04 --hint    with a longer hint for each thing that is wrong
#     python -m lessons 04 --mine          the lesson, with your BitFit training the model
#
# ruff: noqa: F401 (the imports are for what you will write)

from torch import nn

from minift.peft import inject

SUBSET = ("q_proj", "up_proj")  # b_q and b_m2: m1 is out_proj, m2 the MLP's c → f, m3 its f → c


def biases(model):
    """{name of a layer of the base: its bias}; the task's head is no part of the base."""
    # TODO 4.1  equation (1), about 3 lines
    #   1. go through all modules of the base, inject.body(model), by name (named_modules)
    #   2. a layer's bias is its attribute `bias`; many modules have no such attribute, a layer
    #      without a bias holds None there, and GPT-2 keeps its causal mask there, as a buffer
    #   3. return the biases that are parameters, each under the name of its layer
    raise NotImplementedError("TODO 4.1")


def select(there, only):
    """The biases in `there` of the layers that `only` names by dotted suffixes; None: all of them.

    Raises ValueError for a name that no layer with a bias has.
    """
    # TODO 4.2  equation (2), about 7 lines
    #   1. without names, all of them
    #   2. a name that matches no layer (inject.matches): a ValueError that holds the name and the
    #      names there are; look at each name by itself
    #   3. return the biases of the layers that match
    raise NotImplementedError("TODO 4.2")


def bitfit(model, only=None):
    """Train the biases alone, or those of the layers that `only` names, and the task's head.

    Returns the model. Raises ValueError if a name of `only` matches no layer with a bias, if there
    is no bias to train, or if the model already carries a method.
    """
    # TODO 4.3  BitFit, about 8 lines; read `begin` in minift/peft/inject.py first
    #   1. choose the biases, (1) and (2); if there is none, a ValueError says so
    #   2. inject.begin(model, "bitfit", ...) freezes the model and notes `only` (as a list, or
    #      None), so that a saved file can add BitFit again
    #   3. model.delta.originals: {name of the parameter in the base: a copy of the bias}
    #   4. let the chosen biases train; return the model
    raise NotImplementedError("TODO 4.3")


def merge(layer):
    """Nothing moved in, so nothing is merged: the biases are in the base's layers already."""
    return layer
