"""Adapters: equations (1) and (2), the start, where they stand, what trains (spec: peft §2).

The checks marked `asks` are the homework's; the other tests hold the reference alone.
"""

import math
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import nn

from minift.models.block import DecoderBlock, PostNormBlock, PreNormBlock
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.gpt import GPT
from minift.models.seq2seq import Seq2Seq
from minift.peft import adapter, delta, inject
from tests import contract
from tests.answer_check import asks
from tests.compare import close, hold, hold_bits, hold_refusal, hold_shape

REFERENCE = "minift.peft.adapter"
HOMEWORK = "02_adapter.py"

EQUATION = (
    "Adapter(h) = h + W_up φ(W_down h + b_down) + b_up: down to m numbers, bent, up to c again"
)
START = (
    "near-identity start: W_down and W_up small, both biases zero, so training starts at the base"
)
PHI = {
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "relu": lambda x: max(x, 0.0),
    "swish": lambda x: x / (1 + math.exp(-x)),
    "tanh": math.tanh,
}


def trained_adapter(c=5, m=3, activation="gelu"):
    """An adapter whose every number is of size 1."""
    torch.manual_seed(11)
    layer = adapter.Adapter(c, m, activation)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer


def linear(layer, rows, bias=True):
    """W x + b of each row, by loops."""
    w, b = layer.weight.tolist(), layer.bias.tolist()
    return [
        [sum(w[o][i] * x[i] for i in range(len(x))) + b[o] * bias for o in range(len(w))]
        for x in rows
    ]


def bend(rows, activation="gelu"):
    """φ of each number."""
    return [[PHI[activation](x) for x in row] for row in rows]


def by_loops(layer, h, activation="gelu"):
    """Δ(h), equation (1), for h (b, t, c)."""
    down = linear(layer.down_proj, h.flatten(0, 1).tolist())
    return torch.tensor(linear(layer.up_proj, bend(down, activation))).view_as(h)


# ---- 2.1: the layers ----

layer_task = {
    "todo": "2.1",
    "chapter": EQUATION,
    "hint": "Read the symbol table row by row. nn.Linear(i, o) keeps its weight as (o, i) and has "
    "a bias: down_proj takes the model's width to the bottleneck, up_proj takes it back. Print "
    "[(n, p.shape) for n, p in layer.named_parameters()].",
}


def unfilled(*arguments, **options):
    """(an adapter that is made without being filled, how it called self.reset)."""
    calls = []
    with patch.object(adapter.Adapter, "reset", lambda self, *a, **k: calls.append((a, k))):
        return adapter.Adapter(*arguments, **options), calls


@asks("Adapter.__init__", **layer_task)
def test_shapes():
    """W_down is (m, c) and W_up is (c, m), each with a bias; all 2mc + m + c numbers train."""
    layer, _ = unfilled(5, 3)
    swapped = "down_proj and up_proj have changed places"
    wants = {"down_proj": ((3, 5), (3,), (5, 3)), "up_proj": ((5, 3), (5,), (3, 5))}
    for name, (weight, bias, slip) in wants.items():
        part = getattr(layer, name)
        hold_shape(part.weight, weight, f"{name}.weight", slips=[(swapped, slip)])
        hold_shape(part.bias, bias, f"{name}.bias, which equation (1) has")
    numbers = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    close(numbers, 2 * 3 * 5 + 3 + 5, "trained numbers")


@asks("Adapter.__init__", **layer_task)
def test_activation_is_the_one_asked_for():
    """self.activation is φ: gelu, relu, swish or tanh, as the name says."""
    x = [-2.0, -0.5, 0.3, 1.7]
    for name in PHI:
        layer, _ = unfilled(5, 3, activation=name)
        slips = [
            (f'"{name}" was asked for, and your φ is {other}', torch.tensor(bend([x], other)[0]))
            for other in PHI
        ]
        close(layer.activation(torch.tensor(x)), torch.tensor(bend([x], name)[0]), "φ", slips)


@asks("Adapter.__init__", **layer_task)
def test_unknown_activation_is_refused():
    """A misspelt activation is met by an error that names those there are."""
    hold_refusal(lambda: adapter.Adapter(5, 3, "gelo"), ("gelo", *PHI), 'activation="gelo"')


@asks("Adapter.__init__", **layer_task)
def test_is_filled_by_reset():
    """The layer is filled by self.reset(init_std): nn.Linear's own start is far too large."""
    _, asked = unfilled(5, 3, init_std=0.5)
    hold(asked, "self.reset is never called, so both layers start as nn.Linear does")
    passed = asked[-1] in [((0.5,), {}), ((), {"init_std": 0.5})]
    hold(passed, f"the adapter was asked for init_std=0.5, but reset got {asked[-1]}")


# ---- 2.2: the start ----

start_task = {
    "todo": "2.2",
    "chapter": START,
    "hint": "nn.init.trunc_normal_ takes the deviation as std and the cuts as numbers, not as "
    "multiples: a = -2σ, b = 2σ. What is cut away makes the deviation 0.88 σ. If both matrices "
    "were zero, dL/dW_up would be zero as φ(0) is, and dL/dW_down as W_up is: for ever.",
}
SIGMA = 0.03
CUT = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


def started():
    """An adapter that held 9 everywhere before reset."""
    layer = adapter.Adapter(101, 97)
    for parameter in layer.parameters():
        nn.init.constant_(parameter, 9.0)
    torch.manual_seed(13)
    layer.reset(SIGMA)
    return layer


@asks("Adapter.reset", **start_task)
def test_biases_start_at_zero():
    """b_down and b_up are zero, whatever they held before."""
    layer = started()
    for name in ("down_proj", "up_proj"):
        bias = getattr(layer, name).bias
        hold(not (bias == 9).all(), f"reset leaves the bias of {name} as it was, expected 0")
        hold_bits(bias, torch.zeros_like(bias), f"bias of {name} after reset")


@asks("Adapter.reset", **start_task)
def test_both_matrices_are_drawn():
    """Neither W_down nor W_up is zero, and both are new."""
    layer = started()
    down, up = layer.down_proj.weight, layer.up_proj.weight
    for name, weight in {"W_down": down, "W_up": up}.items():
        hold(not (weight == 9).all(), f"reset leaves {name} as it was; expected new random numbers")
    hold(bool(down.any() or up.any()), "both matrices are zero: only b_up will ever learn")
    hold(bool(up.any()), "W_up is zero: that start equals the base, the paper's is near it")
    hold(bool(down.any()), "W_down is zero, though both are drawn")


@asks("Adapter.reset", **start_task, after=test_both_matrices_are_drawn)
def test_deviation():
    """N(0, σ²) cut at two deviations has the deviation 0.88 σ, σ as it was asked for."""
    layer = started()
    for name, i in (("down_proj", 101), ("up_proj", 97)):
        slips = [
            ("the deviation is σ itself: the tails are not cut at ±2σ", SIGMA),
            ("what lies beyond ±2σ is moved to the bound; it must be drawn again", 0.959 * SIGMA),
            ("σ is 0.01 whatever init_std says", CUT * 0.01),
            ("this is nn.Linear's own start, U(±1/√i)", 1 / math.sqrt(3 * i)),
            ("σ is 0.02, BERT's, as in the library adapters", 0.02),
            ("σ² stands where the deviation was asked for", CUT * SIGMA**2),
        ]
        got = getattr(layer, name).weight.std().item()
        close(got, CUT * SIGMA, f"deviation of {name}.weight", slips, rtol=0.03)


@asks("Adapter.reset", **start_task, after=test_deviation)
def test_is_a_cut_gaussian():
    """No number lies beyond ±2σ, and 28.5% lie beyond ±σ: a Gaussian without its tails."""
    layer = started()
    tail = math.erfc(math.sqrt(2))
    share = (math.erfc(math.sqrt(0.5)) - tail) / (1 - tail)
    for name in ("down_proj", "up_proj"):
        size = getattr(layer, name).weight.detach().abs() / SIGMA
        hold(
            size.max() < 2.0001, f"{name}.weight reaches {size.max():.2f} σ; the paper cuts at 2 σ"
        )
        got = (size > 1).float().mean().item()
        slips = [("these numbers are uniform, not Gaussian", 1 - 1 / (math.sqrt(3) * CUT))]
        close(got, share, f"share of {name}.weight beyond ±σ", slips, rtol=0.06)


# ---- 2.3: equation (1) ----

change_task = {
    "todo": "2.3",
    "chapter": EQUATION,
    "hint": "Two lines: bent = φ(W_down h + b_down), (b, t, m), then W_up bent + b_up, (b, t, c). "
    "Without φ between the two the product W_up W_down is one matrix of rank m: a LoRA. h itself "
    "is added in forward, equation (2).",
}


@asks("Adapter.change", **change_task)
def test_change():
    """Δ(h) = W_up φ(W_down h + b_down) + b_up, by loops."""
    layer = trained_adapter()
    h = torch.randn(2, 3, 5)
    rows, down, up = h.flatten(0, 1).tolist(), layer.down_proj, layer.up_proj
    z = linear(down, rows)
    slips = [
        ("φ is missing: a linear bottleneck is a LoRA that cannot be merged", linear(up, z)),
        ("φ stands behind W_up; it stands between the two", bend(linear(up, z))),
        ("φ stands behind W_up too", bend(linear(up, bend(z)))),
        ("φ stands in front of W_down", linear(up, linear(down, bend(rows)))),
        ("you leave out b_up", linear(up, bend(z), bias=False)),
        ("you leave out b_down", linear(up, bend(linear(down, rows, bias=False)))),
    ]
    slips = [(message, torch.tensor(value).view_as(h)) for message, value in slips]
    want = by_loops(layer, h)
    slips += [("h is added already here; the skip is equation (2)", h + want)]
    close(layer.change(h), want, "Δ(h)", slips, atol=1e-5)


@asks("Adapter.change", **change_task, after=test_change)
def test_change_takes_its_own_activation():
    """φ is self.activation, not always GELU."""
    h = torch.randn(2, 3, 5)
    for name in PHI:
        layer = trained_adapter(activation=name)
        slips = [("you apply GELU whatever self.activation is", by_loops(layer, h))]
        close(layer.change(h), by_loops(layer, h, name), f"Δ(h) with {name}", slips, atol=1e-5)


@asks("Adapter.change", **change_task, after=test_change)
def test_gradients_of_the_biases():
    """dL/db_up = Σ g and, with ReLU, dL/db_down = Σ [z > 0] W_upᵀ g: both layers learn."""
    layer = trained_adapter(activation="relu")
    h, g = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    (layer.change(h) * g).sum().backward()
    for name in ("up_proj", "down_proj"):
        cut = getattr(layer, name).bias.grad is None
        hold(not cut, f"no gradient reaches {name}: is something detached or under no_grad?")
    rows, weight = g.flatten(0, 1).tolist(), layer.up_proj.weight.tolist()
    z = linear(layer.down_proj, h.flatten(0, 1).tolist())
    back = [[sum(weight[o][n] * x[o] for o in range(5)) for n in range(3)] for x in rows]
    want = [sum(b[n] * (s[n] > 0) for b, s in zip(back, z, strict=True)) for n in range(3)]
    close(layer.down_proj.bias.grad, torch.tensor(want), "dL/db_down", atol=1e-5)
    close(layer.up_proj.bias.grad, g.sum((0, 1)), "dL/db_up", atol=1e-5)


# ---- 2.4: equation (2) ----

forward_task = {
    "todo": "2.4",
    "chapter": "A(h) = h + Δ(h): the adapter has a skip of its own, beside the block's residual",
    "hint": "One line. h is the sub-layer's output; the block adds the sub-layer's input itself, "
    "behind the door. Set W_up and b_up to zero: what must come out? And a frozen base is no "
    "reason for no_grad or detach: the adapters below need the gradient that passes through.",
}


@asks("Adapter.forward", **forward_task)
def test_forward():
    """A(h) = h + Δ(h), h the sub-layer's output; the sub-layer's input x is not read."""
    layer = trained_adapter()
    h, x = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    of_h, of_x = by_loops(layer, h), by_loops(layer, x)
    slips = [
        ("the skip is missing: a small Δ leaves nothing of the sub-layer's output", of_h),
        ("the block adds its input x itself, behind the door; you add it twice", x + h + of_h),
        ("you add Δ to the sub-layer's input; it belongs to the output", x + of_h),
        ("you adapt the sub-layer's input; h is its output", x + of_x),
        ("Δ reads the sub-layer's input: that is a parallel adapter", h + of_x),
        ("you add h twice", 2 * h + of_h),
        ("Δ is missing", h),
    ]
    close(layer(h, x), h + of_h, "A(h)", slips, atol=1e-5)


@asks("Adapter.forward", **forward_task, after=test_forward)
def test_gradient_passes_through():
    """dL/dh = g + W_downᵀ [z > 0] W_upᵀ g (ReLU): what stands below still learns."""
    layer = trained_adapter(activation="relu")
    h, g = torch.randn(2, 3, 5, requires_grad=True), torch.randn(2, 3, 5)
    (layer(h, h.detach()) * g).sum().backward()
    hold(h.grad is not None, "no gradient reaches h: to freeze a base is not to cut the graph")
    z = torch.tensor(linear(layer.down_proj, h.flatten(0, 1).tolist())).view(2, 3, 3)
    through = (g @ layer.up_proj.weight * (z > 0)) @ layer.down_proj.weight
    slips = [
        ("h is detached on its way into Δ", g),
        ("the skip is detached: gradient goes through Δ alone", through),
    ]
    close(h.grad, g + through, "dL/dh", slips, atol=1e-5)


# ---- 2.5: the layer norms ----

norm_task = {
    "todo": "2.5",
    "chapter": "each task keeps its own layer norms: an adapter changes what they were trained on",
    "hint": "Walk over inject.body(model).named_modules() and take what is an nn.LayerNorm; its "
    "parameters are weight (γ) and bias (β). First copy (detach().clone()) into "
    "model.delta.originals under the name in the body, then requires_grad = True.",
}


def with_norms(make):
    """A frozen model whose layer norms train."""
    model = inject.begin(make(), "adapter")
    adapter.train_layer_norms(model)
    return model


def norms_of(model):
    """Names in the body of every γ and β."""
    return {name for name, _ in inject.body(model).named_parameters() if "norm" in name}


def trained_in(model):
    """Names in the body of all that trains."""
    return {n for n, p in inject.body(model).named_parameters() if p.requires_grad}


@asks("train_layer_norms", **norm_task)
def test_every_layer_norm_trains():
    """γ and β of every layer norm train: of blocks and embedding, and a GPT's last; no other."""
    for family, make in contract.MODELS.items():
        model = with_norms(make)
        got, want = trained_in(model), norms_of(model)
        hold(got, f"no layer norm of the {family} trains")
        missing = sorted(want - got)
        if missing and not any("blocks" in n for n in missing):
            hold(False, f"{missing[:1]} outside the blocks does not train")
        if missing and all(n.endswith("bias") for n in missing):
            hold(False, f"β does not train: {missing[:1]}; γ alone does")
        hold(not missing, f"layer norms of the {family} that do not train: {missing[:2]}")
        stray = sorted(got - want)
        hold(not stray, f"{stray[:1]} is no layer norm, and trains")


@asks("train_layer_norms", **norm_task, after=test_every_layer_norm_trains)
def test_originals_are_kept():
    """delta.originals has a copy of each under its name in the body, so that `off` is exact."""
    for make in (contract.tiny_classifier, contract.tiny_seq2seq):
        base = contract.clone(inject.body(make()).state_dict())
        model = with_norms(make)
        kept = model.delta.originals
        hold(kept, "delta.originals is empty: the base cannot come back, and no file has γ and β")
        above = [name for name in kept if name.startswith("body.")]
        hold(not above, f"{above[:1]}: names are those in the body, without the classifier on top")
        hold(kept.keys() == norms_of(model), f"kept: {sorted(kept)[:3]} …, expected γ and β of all")
        with torch.no_grad():
            for name in kept:
                inject.body(model).get_parameter(name).add_(1.0)
        for name, tensor in kept.items():
            moved = torch.equal(tensor, base[name] + 1)
            hold(not moved, "the original is no copy: it changes as the parameter learns")
            hold(not tensor.requires_grad, f"the copy of {name} hangs on a graph; detach it")
            hold_bits(tensor, base[name], f"original of {name}")


@asks("train_layer_norms", **norm_task, after=test_originals_are_kept)
def test_a_masked_models_head_stays():
    """The head of a masked language model is outside the body: its layer norm does not train."""
    model = with_norms(contract.tiny_encoder)
    hold(not model.norm.weight.requires_grad, "the norm of the masked model's own head trains")


# ---- 2.6: into a model ----

add_task = {
    "todo": "2.6",
    "chapter": "two adapters a block, behind attention and feed-forward; the base is frozen",
    "hint": "The order: doors_of, one new Adapter for each (their checks come before anything is "
    "changed), inject.begin, which freezes all there is at that moment, then setattr(block, door, "
    "adapter). Print [n for n, p in model.named_parameters() if p.requires_grad].",
}


def adapters_of(model):
    """{name: adapter}"""
    return {n: m for n, m in model.named_modules() if isinstance(m, adapter.Adapter)}


@asks("add_adapters", **add_task)
def test_returns_the_model():
    """add_adapters works in place and returns the model: a copy would untie tied weights."""
    model = contract.tiny_gpt()
    got = adapter.add_adapters(model)
    hold(got is not None, "add_adapters returns None, expected the model")
    hold(got is model, "add_adapters returns another model; a copy has its own embedding")
    hold(adapters_of(model), "no adapter has moved in")


@asks("add_adapters", **add_task, after=test_returns_the_model)
def test_one_behind_each_sub_layer():
    """Two adapters a block, three where a block looks at a memory too; none shared by two doors."""
    sides = {"encoder": ("attention", "feedforward")}
    sides["decoder"] = ("attention", "cross_attention", "feedforward")
    want = {
        f"{s}.blocks.{n}.after_{d}" for s, doors in sides.items() for n in range(2) for d in doors
    }
    model = adapter.add_adapters(contract.tiny_seq2seq())
    everywhere = model.named_modules(remove_duplicate=False)
    got = {name for name, m in everywhere if isinstance(m, adapter.Adapter)}
    kinds = {name.rpartition("after_")[2] for name in want - got}
    hold(kinds != {"attention", "cross_attention"}, "one adapter a block is Pfeiffer's placement")
    hold(kinds != {"cross_attention"}, "no adapter behind the decoder's look at the memory")
    hold(got == want, f"adapters at {sorted(got)[:3]} …, missing {sorted(want - got)[:3]}")
    shared = len(adapters_of(model)) < len(got)
    hold(not shared, "doors share one adapter: [x] * n holds the same module n times")


@asks("add_adapters", **add_task, after=test_one_behind_each_sub_layer)
def test_pfeiffer_leaves_the_second():
    """placement="pfeiffer": one adapter a block, behind the feed-forward layer."""
    got = set(adapters_of(adapter.add_adapters(contract.tiny_gpt(), placement="pfeiffer")))
    want = {f"blocks.{n}.after_feedforward" for n in range(2)}
    hold(len(got) != 4, 'placement="pfeiffer" gives two adapters a block, expected one')
    hold(got == want, f"adapters at {sorted(got)}, expected {sorted(want)}")


@asks("add_adapters", **add_task, after=test_returns_the_model)
def test_what_trains():
    """Adapters, layer norms and the head train; the base and its pooler do not."""
    model = adapter.add_adapters(contract.CLASSIFIERS["encoder classifier"]())
    got = set(inject.trainable_parameters(model))
    norms = {f"body.{name}" for name in norms_of(model)}
    parts = ("down_proj.weight", "down_proj.bias", "up_proj.weight", "up_proj.bias")
    own = {f"{name}.{part}" for name in adapters_of(model) for part in parts}
    hold(not own - got, "no adapter trains: were they frozen with the rest, after they moved in?")
    hold("head.weight" in got, "the task's head does not train; it belongs to the task")
    hold(not norms - got, "the layer norms are frozen, though train_layernorm is true")
    stray = got - own - norms - {"head.weight", "head.bias"}
    pooler = stray == {"body.pooler.weight", "body.pooler.bias"}
    hold(not pooler, "the pooler trains; it is the base's, and only the head is the task's")
    hold(not stray, f"the base still trains: {len(stray)} tensors, first {sorted(stray)[:1]}")


@asks("add_adapters", **add_task, after=test_what_trains)
def test_layer_norms_stay_on_request():
    """train_layernorm=False: the adapters alone train, and no original is kept."""
    model = adapter.add_adapters(contract.tiny_gpt(), train_layernorm=False)
    trained = [n for n in inject.trainable_parameters(model) if "norm" in n]
    hold(not trained, f"train_layernorm=False, and {trained[:1]} trains")
    hold(not model.delta.originals, "originals are kept of what does not train")


@asks("add_adapters", **add_task, after=test_returns_the_model)
def test_starts_near_the_base():
    """The first output is within 1% of the base's, but not equal to it."""
    ids = contract.tokens()
    base = contract.out(contract.tiny_gpt(), ids)
    first = contract.out(adapter.add_adapters(contract.tiny_gpt()), ids)
    away = ((first - base).norm() / base.norm()).item()
    hold(away > 0, "the first output equals the base's: does no adapter run?")
    hold(away < 0.01, f"the first output is {away:.0%} away from the base's, expected under 1%")


@asks("add_adapters", **add_task, after=test_returns_the_model)
def test_options_reach_every_adapter():
    """bottleneck, activation and init_std go to each adapter, whose width is the model's."""
    options = {"bottleneck": 5, "activation": "relu", "init_std": 0.3}
    model = adapter.add_adapters(contract.tiny_gpt(), **options)
    for layer in adapters_of(model).values():
        slips = [("width and bottleneck have changed places", (12, 5))]
        slips += [("bottleneck=5 does not arrive", (64, 12))]
        hold_shape(layer.down_proj.weight, (5, 12), "W_down of an adapter", slips)
        below = layer.activation(torch.tensor(-1.0)).item()
        hold(below == 0, f"activation does not arrive: φ(-1) = {below:.3f}, relu's is 0")
        largest = layer.down_proj.weight.abs().max().item()
        hold(largest > 0.1, f"init_std=0.3 does not arrive: W_down reaches {largest:.3f} at most")
        hold(largest < 0.601, f"W_down reaches {largest:.3f}, expected at most 2 init_std, 0.6")


@asks("add_adapters", **add_task, after=test_returns_the_model)
def test_takes_the_type_of_the_model():
    """Adapters have the dtype of the model, or one in 16 bits cannot run them."""
    model = adapter.add_adapters(contract.tiny_gpt().bfloat16())
    for layer in adapters_of(model).values():
        dtype = layer.down_proj.weight.dtype
        hold(dtype == torch.bfloat16, f"an adapter is {dtype}, expected the model's torch.bfloat16")


@asks("add_adapters", **add_task, after=test_returns_the_model)
def test_is_recorded_for_the_file():
    """model.delta holds the method and every argument, so that a saved file can add them again."""
    options = {"bottleneck": 5, "activation": "tanh", "init_std": 0.1}
    options |= {"train_layernorm": False, "placement": "pfeiffer"}
    model = adapter.add_adapters(contract.tiny_gpt(), **options)
    record = getattr(model, "delta", None)
    hold(record is not None, "the model does not know that it carries adapters: inject.begin")
    hold(record.method == "adapter", f"method {record.method}, expected adapter")
    lost = sorted(k for k in options if record.arguments.get(k) != options[k])
    hold(not lost, f"not recorded as given: {', '.join(lost)}")


@asks("add_adapters", **add_task, after=test_is_recorded_for_the_file)
def test_one_method_at_a_time():
    """A model that already carries a method refuses a second one."""
    model = adapter.add_adapters(contract.tiny_gpt())
    again = "add_adapters on a model that has them"
    hold_refusal(lambda: adapter.add_adapters(model, placement="pfeiffer"), ("already",), again)


@asks("add_adapters", **add_task, after=test_returns_the_model)
def test_a_refused_call_changes_nothing():
    """An argument out of place is met by an error that names it; the model is as it was."""
    wrong = {"bottleneck": 0, "activation": "gelo", "init_std": 0, "placement": "both"}
    for name, value in wrong.items():
        model = contract.tiny_gpt()
        what = f"{name}={value!r}"
        hold_refusal(lambda m=model, o={name: value}: adapter.add_adapters(m, **o), (name,), what)
        plain = getattr(model, "delta", None) is None and not adapters_of(model)
        hold(plain, f"{what}: the refused call has changed the model; check before begin")
        frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
        hold(not frozen, f"{what}: the refused call has left {len(frozen)} tensors frozen")


# ---- where adapters stand, and what follows from the equations (the reference alone) ----


def lively_block(kind):
    """A block with a trained adapter behind each of its sub-layers."""
    torch.manual_seed(21)
    block = kind(12, 3)
    for name in [n for n, _ in block.named_children() if n.startswith("after_")]:
        setattr(block, name, adapter.Adapter(12, 5))
    with torch.no_grad():
        for name, parameter in block.named_parameters():
            parameter.normal_(std=0.4).add_("norm" in name and name.endswith("weight"))
    return block


def by_hand(block, x, memory, join):
    """The block's output where join(adapter, residual, sub-layer's output, norm) is one step."""
    subs = [(block.attention, block.after_attention)]
    if hasattr(block, "cross_attention"):
        subs += [(lambda y: block.cross_attention(y, memory), block.after_cross_attention)]
    subs += [(block.feedforward, block.after_feedforward)]
    norms = [m for m in block.children() if isinstance(m, nn.LayerNorm)]
    for (sub, behind), norm in zip(subs, norms, strict=True):
        if isinstance(block, PreNormBlock):
            x = join(behind, x, sub(norm(x)), lambda y: y)
        else:
            x = join(behind, x, sub(x), norm)
    return x


def right(layer, x, f, norm):
    """Norm, residual add, adapter, from the outside in."""
    return norm(x + layer(f, None))


def test_adapters_stand_before_the_residual_add():
    """x + A(f) and LN(x + A(f)) in all three blocks: the residual does not go through A."""
    for kind in (PreNormBlock, PostNormBlock, DecoderBlock):
        block, x, memory = lively_block(kind), torch.randn(2, 7, 12), torch.randn(2, 5, 12)
        slips = [
            ("A stands behind the residual add", lambda a, x, f, norm: norm(a(x + f, None))),
            ("A stands behind the layer norm", lambda a, x, f, norm: a(norm(x + f), None)),
        ]
        slips = [(message, by_hand(block, x, memory, join)) for message, join in slips]
        got = block(x, memory) if kind is DecoderBlock else block(x)
        close(got, by_hand(block, x, memory, right), kind.__name__, slips, atol=1e-5)


def test_adapters_stand_behind_the_dropout():
    """With all of a sub-layer's output dropped, A(0) is what is added: dense, dropout, adapter."""
    for kind in (PreNormBlock, PostNormBlock, DecoderBlock):
        block, x, memory = lively_block(kind).train(), torch.randn(2, 7, 12), torch.randn(2, 5, 12)
        block.dropout = nn.Dropout(1.0)
        bare = by_hand(block, x, memory, lambda a, x, f, norm: norm(x))
        want = by_hand(block, x, memory, lambda a, x, f, norm: right(a, x, 0 * f, norm))
        got = block(x, memory) if kind is DecoderBlock else block(x)
        slips = [("the dropout falls on the adapter's output", bare)]
        close(got, want, f"{kind.__name__} with p = 1", slips, atol=1e-5)


@pytest.mark.parametrize("name", contract.MODELS)
def test_without_w_up_the_base_is_there(name):
    """W_up = 0 and b_up = 0: the adapted model is the base, to the last bit."""
    ids, base = contract.tokens(), contract.out(contract.MODELS[name](), contract.tokens())
    model = adapter.add_adapters(contract.MODELS[name](), bottleneck=5)
    for layer in adapters_of(model).values():
        nn.init.zeros_(layer.up_proj.weight)
    hold_bits(contract.out(model, ids), base, "output with W_up = 0")


def test_every_adapter_runs_once():
    """A forward pass runs 2L adapters, each once."""
    model, runs = adapter.add_adapters(contract.tiny_gpt(), bottleneck=5), []
    for name, layer in adapters_of(model).items():
        layer.register_forward_hook(lambda *_, name=name: runs.append(name))
    contract.out(model, contract.tokens())
    assert sorted(runs) == sorted(adapters_of(model)) and len(runs) == 4


def test_change_has_rank_m():
    """Δ(h) − b_up of many h spans m dimensions and no more."""
    layer = trained_adapter(c=13, m=3)
    change = layer.change(torch.randn(101, 13)) - layer.up_proj.bias
    close(int(torch.linalg.matrix_rank(change, rtol=1e-5)), 3, "rank of Δ − b_up")


def test_from_two_zero_matrices_only_b_up_learns():
    """Why init_std = 0 is refused: φ(0) = 0 and W_up = 0 stop all gradients but b_up's."""
    layer = trained_adapter()
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    layer(torch.randn(2, 3, 5), None).square().sum().backward()
    learns = {name for name, p in layer.named_parameters() if p.grad.any()}
    assert learns == {"up_proj.bias"}
    hold_refusal(lambda: adapter.Adapter(5, 3, init_std=0.0), ("init_std 0.0",), "init_std=0.0")


@pytest.mark.parametrize(
    ("config", "options", "numbers", "norms"),
    [
        (EncoderConfig(30522, 512, 768, 12, 12), {"bottleneck": 64}, 2_379_264, 38_400),
        (EncoderConfig(30522, 512, 1024, 24, 16), {"bottleneck": 64}, 6_343_680, 100_352),
        (
            EncoderConfig(30522, 512, 768, 12, 12),
            {"bottleneck": 48, "placement": "pfeiffer", "train_layernorm": False},
            894_528,
            0,
        ),
    ],
    ids=["BERT-base m=64", "BERT-large m=64", "BERT-base Pfeiffer m=48"],
)
def test_counts_of_the_paper(config, options, numbers, norms):
    """2L (2mc + m + c) numbers in adapters, 2c in each layer norm, on models without memory."""
    with torch.device("meta"), patch.object(inject, "base_hash", lambda model: ""):
        model = adapter.add_adapters(Encoder(config), **options)
    trained = inject.trainable_parameters(model)
    in_norms = sum(p.numel() for name, p in trained.items() if "norm" in name)
    close(in_norms, norms, "numbers in layer norms")
    close(sum(p.numel() for p in trained.values()) - in_norms, numbers, "numbers in adapters")


def test_layer_norms_are_in_the_file():
    """Each task has its own γ and β: they are saved beside the adapters."""
    model = adapter.add_adapters(contract.tiny_gpt(), bottleneck=5)
    with tempfile.TemporaryDirectory() as folder:
        saved = delta.read(delta.save(model, Path(folder)))
    missing = sorted(norms_of(model) - saved.tensors.keys())
    hold(not missing, f"γ and β are not in the file, first {missing[:1]}")


def test_adapters_move_in_in_the_mode_of_the_model():
    """eval() before add_adapters holds for the adapters too, and so does train()."""
    for mode in (True, False):
        model = adapter.add_adapters(contract.tiny_gpt().train(mode))
        assert {layer.training for layer in adapters_of(model).values()} == {mode}


def test_a_model_without_doors_is_refused():
    """A module that is none of our models has no door to go through."""
    words = ("no block", "after_feedforward")
    hold_refusal(lambda: adapter.add_adapters(nn.Linear(5, 7)), words, "nn.Linear")


# how many adapters and layer norms two layers (a side) have
ADAPTERS = {GPT: 4, Encoder: 4, Seq2Seq: 10}
NORMS = {GPT: 5, Encoder: 5, Seq2Seq: 12}


def adapter_count(model):
    """(2mc + m + c) for each adapter and 2c for each layer norm, by hand: c = 12, m = 5."""
    body = type(inject.body(model))
    return ADAPTERS[body] * (2 * 5 * 12 + 5 + 12) + NORMS[body] * 2 * 12


def pfeiffer_count(model):
    """One adapter a block, no layer norm."""
    return {GPT: 2, Encoder: 2, Seq2Seq: 4}[type(inject.body(model))] * (2 * 5 * 12 + 5 + 12)


CASE = contract.Case(
    adapter.add_adapters, {"bottleneck": 5}, count=adapter_count, starts="near",
    writes=lambda name: "norm" in name, merges=False,
)  # fmt: skip
OPTIONS = {"bottleneck": 5, "activation": "relu", "train_layernorm": False, "placement": "pfeiffer"}
PFEIFFER = contract.Case(
    adapter.add_adapters, OPTIONS, count=pfeiffer_count, starts="near", merges=False
)


@contract.each(CASE, contract.ALL_MODELS)
def test_contract(case, point):
    """Adapters hold to what every method must, on each model and under a classifier's head."""
    assert point.__doc__
    point(case)


@contract.each(PFEIFFER, contract.MODELS)
def test_contract_of_pfeiffer(case, point):
    """The same with one adapter a block and frozen layer norms."""
    assert point.__doc__
    point(case)
