"""Prefix tuning: equations (1) and (2), the banks, what is stored, one base for many (peft §3).

The checks marked `asks` are the homework's; the other tests hold the reference alone.
"""

import math
import tempfile
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minift import checkpoint
from minift.models.attention import Extra, MultiHeadAttention
from minift.models.encoder import EncoderConfig
from minift.models.generate import generate, generate_many
from minift.models.gpt import GPTConfig
from minift.models.seq2seq import Seq2SeqConfig
from minift.peft import delta, inject, lora, prefix, serving
from tests import contract
from tests.answer_check import asks
from tests.compare import close, hold, hold_bits, hold_refusal, hold_shape

REFERENCE = "minift.peft.prefix"
HOMEWORK = "03_prefix.py"

BANKS = {"gpt": ("self",), "encoder": ("self",), "seq2seq": ("encoder", "decoder", "cross")}
LAYERS, WIDTH, HEADS = 2, 12, 3  # the contract's models: heads of 4
SIZE = 2 * LAYERS * WIDTH
DEPTH, P, M = 7, 5, 11  # the layers, slots and hidden numbers of a Prefix that stands alone
CONFIG = GPTConfig(23, 24, WIDTH, DEPTH, HEADS)
ROW = 2 * DEPTH * WIDTH
FOLDER = tempfile.TemporaryDirectory(prefix="prefix-")  # removed when the tests end


def matrix(rows, columns, seed):
    """Numbers of size 1."""
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def filled(p=3, c=5, m=7, size=11):
    """A network whose every number is of size 1, made without its own start."""
    network = prefix.PrefixNetwork(p, c, m, size)
    with torch.no_grad():
        for n, parameter in enumerate(network.parameters()):
            parameter.copy_(matrix(1, parameter.numel(), n).view_as(parameter))
    return network


def linear(layer, rows, bias=True):
    """W x + b of each row, by loops."""
    w, b = layer.weight.tolist(), layer.bias.tolist()
    return [
        [sum(w[o][i] * x[i] for i in range(len(x))) + b[o] * bias for o in range(len(w))]
        for x in rows
    ]


def bend(rows):
    """tanh of each number."""
    return [[math.tanh(x) for x in row] for row in rows]


# ---- 3.1: the network ----

REPARAMETERIZE = (
    "P_θ[i,:] = MLP_θ(P′_θ[i,:]): training P itself is unsteady, so a network makes it from a "
    "smaller matrix, and is dropped afterwards"
)
network_task = {
    "todo": "3.1",
    "chapter": REPARAMETERIZE,
    "hint": "Read the symbol table row by row. P′ is no layer but an nn.Parameter, one row of c "
    "numbers a slot, drawn by torch.randn. nn.Linear(i, o) keeps its weight as (o, i) and has a "
    "bias. Print [(n, p.shape) for n, p in network.named_parameters()].",
}


@asks("PrefixNetwork.__init__", **network_task)
def test_shapes_of_the_network():
    """P′ is (p, c), W₁ takes c to m, W₂ takes m to the size of a row of P; all of it trains."""
    network = prefix.PrefixNetwork(3, 5, 7, 11)
    hold(isinstance(network.small, nn.Parameter), "P′ is no nn.Parameter: no optimizer sees it")
    slips = [("P′ has its axes swapped: one row a slot", (5, 3))]
    slips += [("P′ has the width of the network; in (1) W₁ takes c numbers", (3, 7))]
    hold_shape(network.small, (3, 5), "P′", slips)
    wants = {"first": (7, 5), "second": (11, 7)}
    for name, (o, i) in wants.items():
        layer = getattr(network, name)
        hold_shape(layer.weight, (o, i), f"{name}.weight", [(f"{name} is the wrong way", (i, o))])
        hold_shape(layer.bias, (o,), f"{name}.bias, which equation (1) has")
    numbers = sum(p.numel() for p in network.parameters() if p.requires_grad)
    close(numbers, 3 * 5 + 5 * 7 + 7 + 7 * 11 + 11, "trained numbers")


@asks("PrefixNetwork.__init__", **network_task, after=test_shapes_of_the_network)
def test_start_of_the_network():
    """P′ is N(0, 1), so that slots differ; both layers are nn.Linear's own, none is zero."""
    torch.manual_seed(11)
    network = prefix.PrefixNetwork(97, 101, 103, 89)
    small, second = network.small.detach(), network.second.weight.detach()
    hold(bool(small.any()), "P′ is zero: all slots are the same, and their gradients too, for ever")
    alike = bool((small == small[0]).all())
    hold(not alike, "all rows of P′ are the same: p slots that are one")
    slips = [("P′ has deviation 0.02, GPT-2's; that of nn.Embedding is 1", 0.02)]
    slips += [("P′ is uniform between 0 and 1, not N(0, 1)", 12**-0.5)]
    close(small.std().item(), 1.0, "deviation of P′", slips, rtol=0.03)
    close(small.mean().item(), 0.0, "mean of P′", atol=0.03)
    hold(bool(second.any()), "W₂ is zero, so P is; a prefix of zeros is not the base: λ > 0")
    close(second.std().item(), (3 * 103) ** -0.5, "deviation of W₂, nn.Linear's", rtol=0.05)


# ---- 3.2: equation (1) ----

matrix_task = {
    "todo": "3.2",
    "chapter": REPARAMETERIZE,
    "hint": "Two lines: bent = tanh(P′ W₁ᵀ + b₁), (p, m), then bent W₂ᵀ + b₂, (p, 2lc). A layer "
    "works on the last axis, so that all slots go through at once. Between the two stands tanh; "
    "behind W₂ nothing: keys and values are not bound to (−1, 1).",
}


@asks("PrefixNetwork.forward", **matrix_task)
def test_equation_1():
    """P = tanh(P′ W₁ᵀ + b₁) W₂ᵀ + b₂, by loops."""
    network = filled()
    small, first, second = network.small.tolist(), network.first, network.second
    z = linear(first, small)
    slips = [
        ("tanh is missing: W₂ W₁ is then one matrix", linear(second, z)),
        ("tanh stands behind W₂ alone; it stands between the two", bend(linear(second, z))),
        ("tanh stands behind W₂ too", bend(linear(second, bend(z)))),
        ("you bend with ReLU; the released code with tanh", linear(second, relu(z))),
        ("b₁ is left out", linear(second, bend(linear(first, small, bias=False)))),
        ("b₂ is left out", linear(second, bend(z), bias=False)),
    ]
    want = torch.tensor(linear(second, bend(z)))
    close(network(), want, "P", [(m, torch.tensor(v)) for m, v in slips], atol=1e-5)


def relu(rows):
    """max(x, 0) of each number."""
    return [[max(x, 0.0) for x in row] for row in rows]


@asks("PrefixNetwork.forward", **matrix_task, after=test_equation_1)
def test_gradients_of_the_network():
    """P′ and both layers learn: dL/db₂ = Σ g, and P′ gets its gradient through tanh."""
    network, g = filled(), matrix(3, 11, 9)
    (network() * g).sum().backward()
    for name, parameter in reversed(list(network.named_parameters())):
        hold(parameter.grad is not None, f"{name} gets no gradient: is something detached?")
    close(network.second.bias.grad, g.sum(0), "dL/db₂", atol=1e-5)
    bent = torch.tensor(bend(linear(network.first, network.small.tolist())))
    back = (g @ network.second.weight) * (1 - bent**2)
    close(network.small.grad, back @ network.first.weight, "dL/dP′", atol=1e-5)


# ---- 3.3: equation (2) ----

layer_task = {
    "todo": "3.3",
    "chapter": "each layer has keys and values of its own for every slot, cut into heads",
    "hint": "view splits an axis into neighbours, and that is all it does: of a row of P it can "
    "make (l, 2, h, d), since the numbers lie in that order. The slots come to their place by "
    "permute. Write 0, 1, 2 … into a small P and read off where each number must go.",
}
CUT = {"b": 3, "p": 5, "l": 7, "h": 11, "d": 13}


def by_loops(rows, layers, heads):
    """(l, 2, b, h, p, d): number by number, as equation (2) has them."""
    b, p, size = rows.shape
    c, d, rows = size // (2 * layers), size // (2 * layers * heads), rows.tolist()
    made = [
        rows[n][slot][part * c + head * d : part * c + (head + 1) * d]
        for part in range(2 * layers) for n in range(b) for head in range(heads)
        for slot in range(p)
    ]  # fmt: skip
    return torch.tensor(made).view(layers, 2, b, heads, p, d)


def joined(bank, layers):
    """(l, 2, b, h, p, d) of the `Extra` of each layer."""
    hold(isinstance(bank, list | tuple), f"a bank is a {type(bank).__name__}, expected a list")
    hold(len(bank) == layers, f"a bank has {len(bank)} entries, expected one a layer, {layers}")
    odd = [type(one).__name__ for one in bank if not isinstance(one, Extra)]
    hold(not odd, f"a layer's keys and values are in {odd[:1]}, expected an Extra")
    return torch.stack([torch.stack([one.keys, one.values]) for one in bank])


def misreadings(rows, want, layers, heads):
    """[(message, what that slip gives)] of a P that is read in another order."""
    b, p, _ = rows.shape
    only = (torch.arange(layers) == 0).view(-1, 1, 1, 1, 1, 1)
    at_once = rows.reshape(b, layers, 2, heads, p, -1).permute(1, 2, 0, 3, 4, 5)
    keys_first = rows.reshape(b, p, 2, layers, heads, -1).permute(3, 2, 0, 4, 1, 5)
    strided = rows.reshape(b, p, layers, 2, -1, heads).permute(2, 3, 0, 5, 1, 4)
    return [
        ("view alone: it splits axes and moves none, so slots mix with layers", at_once),
        ("the same view over all rows: it mixes rows, slots and layers", rows.reshape(want.shape)),
        ("keys and values have changed places: K₁ comes before V₁", want.flip(1)),
        ("you read all keys, then all values; (2) has them layer by layer", keys_first),
        ("a head takes every h-th number; heads are neighbours, d numbers each", strided),
        ("every layer gets the first layer's prefix", want[:1].expand_as(want)),
        ("only the first layer has a prefix: that is prompt tuning", want * only),
        ("the values are the keys again", want[:, :1].expand_as(want)),
        ("slots stand before heads: (b, p, h, d), expected (b, h, p, d)", want.transpose(3, 4)),
    ]


@asks("by_layer", **layer_task)
def test_by_layer():
    """Layer by layer keys, then values, each cut into heads, number by number."""
    b, p, layers, heads, d = CUT.values()
    rows = torch.arange(float(b * p * 2 * layers * heads * d)).view(b, p, -1)
    want = by_loops(rows, layers, heads)
    got = prefix.by_layer(rows, layers, heads)
    close(joined(got, layers), want, "keys and values", misreadings(rows, want, layers, heads))


@asks("by_layer", **layer_task, after=test_by_layer)
def test_by_layer_takes_one_p_for_many_rows():
    """One P that is expanded to all rows, without a copy, is cut too, and stays on the graph."""
    one = matrix(1, P * ROW, 4).view(1, P, ROW).requires_grad_()
    bank = prefix.by_layer(one.expand(3, -1, -1), DEPTH, HEADS)
    close(joined(bank, DEPTH), by_loops(one.repeat(3, 1, 1), DEPTH, HEADS), "keys and values")
    hold(bank[0].keys.requires_grad, "by_layer takes P off the graph: nothing of it would learn")


# ---- 3.4: the banks ----

banks_task = {
    "todo": "3.4",
    "chapter": "z = [PREFIX; x; PREFIX′; y]: an encoder-decoder has three attentions, each with a "
    "prefix of its own; in every layer 2c numbers a slot",
    "hint": "self.banks[bank] = … for each name, in a loop, so that each is another module. A row "
    "of P holds, for each of the l layers, a key and a value of c numbers: 2lc. Print "
    "sum(p.numel() for p in prefix.parameters()) and compare with the formulas.",
}


def made(banks=("self",), reparameterize=True):
    """A prefix of 5 slots for seven layers, 11 numbers wide between the two of its network."""
    torch.manual_seed(12)
    return prefix.Prefix(CONFIG, banks, P, M, reparameterize)


@asks("Prefix.__init__", **banks_task)
def test_a_network_for_each_bank():
    """Each bank has a network of its own, as wide as the model, whose P has rows of 2lc."""
    names = BANKS["seq2seq"]
    banks = made(names).banks
    missing = [name for name in names if name not in banks]
    hold(not missing, f"no prefix for {missing}: three attentions, three banks")
    hold(len({id(banks[name]) for name in names}) == 3, "banks share one network: three, not one")
    for name in names:
        kind = type(banks[name]).__name__
        hold(isinstance(banks[name], prefix.PrefixNetwork), f"{name} is a {kind}, not a network")
        slips = [("length and hidden have changed places", (M, WIDTH))]
        hold_shape(banks[name].small, (P, WIDTH), "P′ of a bank", slips)
        slips = [
            ("that is one layer's: each layer has keys and values of its own", (2 * WIDTH, M)),
            ("keys or values alone: a slot has both", (DEPTH * WIDTH, M)),
            ("that is c: prompt tuning, a prefix at the embedding alone", (WIDTH, M)),
        ]
        hold_shape(banks[name].second.weight, (ROW, M), "W₂ of a bank", slips)


@asks("Prefix.__init__", **banks_task, after=test_a_network_for_each_bank)
def test_without_a_network():
    """reparameterize=False: each bank is P itself, (p, 2lc)."""
    for name, bank in made(BANKS["seq2seq"], reparameterize=False).banks.items():
        kind = type(bank).__name__
        hold(isinstance(bank, prefix.PrefixMatrix), f"reparameterize=False, and {name} is {kind}")
        hold_shape(bank.P, (P, ROW), "P of a bank", [("P has its axes swapped", (ROW, P))])


@asks("Prefix.__init__", **banks_task, after=test_a_network_for_each_bank)
def test_counts_of_the_paper():
    """2plc numbers stored a bank; with the network pc + cm + m + 2lcm + 2lc trained: 53 times."""
    bert, medium = EncoderConfig(9, 9, 768, 12, 12), GPTConfig(9, 9, 1024, 24, 16)
    bart = Seq2SeqConfig(9, 9, 1024, 12, 16)
    cases = [(bert, ("self",), 10, 184_320, 9_857_024), (medium, ("self",), 10, 491_520, None)]
    cases += [(bart, BANKS["seq2seq"], 100, 7_372_800, None)]
    for config, banks, p, stored, trained in cases:
        with torch.device("meta"):
            one = prefix.Prefix(config, banks, p, 512)
        close(sum(t.numel() for t in one.stored().values()), stored, "stored numbers")
        numbers = sum(t.numel() for t in one.parameters())
        close(numbers, trained or numbers, "trained numbers, the network counted")
        hold(one.length == p, f"length {one.length}, expected {p}, which the model counts by")


# ---- 3.5: what is stored ----

stored_task = {
    "todo": "3.5",
    "chapter": "after training the network is dropped; only P_θ is stored: 0.1% of the model",
    "hint": "Call each bank: a network gives P by equation (1), a PrefixMatrix gives its own "
    "parameter. Hand over that very tensor, no copy: delta.load writes the file's numbers into it. "
    "state_dict would keep the network, which is 53 times as large for BERT-base.",
}


@asks("Prefix.stored", **stored_task)
def test_stored_is_p_alone():
    """A file gets P of each bank under banks.NAME.P, and nothing of the network."""
    one = made(BANKS["seq2seq"])
    got = one.stored()
    hold(isinstance(got, dict), f"stored gives {type(got).__name__}, expected a dictionary")
    network = sorted(n for n in got if n.endswith(("small", "weight", "bias")))
    hold(not network, f"the network is stored: {network[:1]}; it has done its work")
    want = {f"banks.{name}.P" for name in BANKS["seq2seq"]}
    hold(set(got) == want, f"stored under {sorted(got)[:3]}, expected {sorted(want)}")
    for name, bank in one.banks.items():
        close(got[f"banks.{name}.P"], bank(), f"stored P of {name}", atol=1e-6)


@asks("Prefix.stored", **stored_task, after=test_stored_is_p_alone)
def test_stored_hands_over_the_parameter():
    """Without a network it is the parameter itself, into which a file is read."""
    one = made(reparameterize=False)
    same = one.stored()["banks.self.P"] is one.banks["self"].P
    hold(same, "stored gives a copy of P: what a file is read into would be thrown away")


# ---- 3.6: once a forward ----

forward_task = {
    "todo": "3.6",
    "chapter": "all rows of a batch have the task's prefix before them",
    "hint": "For each bank: P once, P.expand(b, -1, -1) for the rows, then by_layer. expand makes "
    "no copy, and its gradient is the sum over rows. `.data`, a new nn.Parameter or a P kept from "
    "the last call all cut the way from the loss to P.",
}


@asks("Prefix.forward", **forward_task)
def test_every_row_gets_the_prefix():
    """{bank: one Extra a layer}: in every row the keys and values of equation (2)."""
    one = made(BANKS["seq2seq"])
    got = one(4)
    hold(isinstance(got, dict), f"forward gives {type(got).__name__}, expected a dictionary")
    hold(got.keys() == one.banks.keys(), f"banks {sorted(got)}, expected {sorted(one.banks)}")
    for name, bank in one.banks.items():
        rows = {other: one.banks[other]().repeat(4, 1, 1) for other in one.banks}
        want = by_loops(rows.pop(name), DEPTH, HEADS)
        slips = [("layers and heads have changed places", by_loops(bank().repeat(4, 1, 1), 3, 7))]
        slips += [
            ("it has the prefix of another", by_loops(other, DEPTH, HEADS))
            for other in rows.values()
        ]
        layers = len(got[name]) if isinstance(got[name], list) else DEPTH
        close(joined(got[name], layers), want, f"bank {name}", slips)


@asks("Prefix.forward", **forward_task, after=test_every_row_gets_the_prefix)
def test_the_gradient_is_the_sum_over_rows():
    """dL/dP of a batch is the sum of what its rows give one by one."""
    one, g = made(reparameterize=False), matrix(3, HEADS * P * 4, 5).view(3, HEADS, P, 4)
    (one(3)["self"][1].values * g).sum().backward()
    P_ = one.banks["self"].P
    hold(P_.grad is not None, "no gradient reaches P: `.data` and detach hide it from autograd")
    each = torch.zeros(3, P, DEPTH, 2, HEADS, 4)
    each[:, :, 1, 1] = g.transpose(1, 2)
    each = each.view(3, P, ROW)
    slips = [("the gradient is that of the last row alone", each[2])]
    close(P_.grad, each[0] + each[1] + each[2], "dL/dP", slips)


@asks("Prefix.forward", **forward_task, after=test_every_row_gets_the_prefix)
def test_p_is_made_anew_each_time():
    """After a step of the optimizer the next call sees the new numbers, in eval mode too."""
    one = made().eval()
    with torch.no_grad():
        before = joined(one(2)["self"], DEPTH)
        one.banks["self"].second.bias.add_(1.0)
        after = joined(one(2)["self"], DEPTH)
    stale = torch.equal(before, after)
    hold(not stale, "P is kept from an earlier call: after an optimizer step it is the old one")
    close(after, before + 1, "keys and values after b₂ has grown by 1", atol=1e-5)


# ---- 3.7: into a model ----

add_task = {
    "todo": "3.7",
    "chapter": "the language model is frozen; only the prefix trains; one base serves many tasks",
    "hint": "Make the Prefix first, from base.config and base.BANKS (its length and hidden were "
    "checked above), then inject.begin, which freezes all there is at that moment, then "
    "base.prefix = …. Print [n for n, p in model.named_parameters() if p.requires_grad].",
}


@asks("add_prefix", **add_task)
def test_returns_the_model():
    """add_prefix works in place: the prefix stands at the door of the body, under a head too."""
    for make in (contract.tiny_gpt, contract.tiny_classifier):
        model = make()
        got = prefix.add_prefix(model, 3, 5)
        hold(got is not None, "add_prefix returns None, expected the model")
        hold(got is model, "add_prefix returns another model; a copy has its own embedding")
        door = getattr(inject.body(model), "prefix", None)
        hold(isinstance(door, prefix.Prefix), "no Prefix at the door `prefix` of the body")


@asks("add_prefix", **add_task, after=test_returns_the_model)
def test_all_banks_of_an_encoder_decoder():
    """Three attentions, three banks, and after one backward pass a gradient in each."""
    for family, names in BANKS.items():
        model = prefix.add_prefix(contract.MODELS[family](), 3, 5)
        banks = model.get_submodule("body.prefix" if family == "encoder" else "prefix").banks
        missing = [name for name in names if name not in banks]
        hold(missing != ["encoder", "cross"], "only the decoder has a prefix: that is peft's slip")
        hold(missing != ["cross"], "the decoder's look at x has no prefix: the bank cross")
        hold(not missing, f"no prefix for {missing} of the {family}; there is model.BANKS")
        model.loss(contract.batch(model)).backward()
        for name in names:
            grad = banks[name].small.grad
            hold(grad is not None and grad.any(), f"no gradient reaches the bank {name}")


@asks("add_prefix", **add_task, after=test_returns_the_model)
def test_what_trains():
    """The prefix and the task's head train; nothing of the base does."""
    model = prefix.add_prefix(contract.tiny_classifier(), 3, 5)
    got = set(inject.trainable_parameters(model))
    own = {n for n, _ in model.named_parameters() if n.startswith("body.prefix.")}
    hold(not own - got, "the prefix is frozen: did it move in before the rest was frozen?")
    hold("head.weight" in got, "the task's head does not train; it belongs to the task")
    stray = sorted(got - own - {"head.weight", "head.bias"})
    hold(not stray, f"the base still trains: {len(stray)} tensors, first {stray[:1]}")


@asks("add_prefix", **add_task, after=test_returns_the_model)
def test_options_reach_the_prefix():
    """length, hidden and reparameterize arrive."""
    bank = prefix.add_prefix(contract.tiny_gpt(), length=3, hidden=5).prefix.banks["self"]
    hold(isinstance(bank, prefix.PrefixNetwork), "no network, though reparameterize is true")
    slips = [("length and hidden have changed places", (5, 12)), ("length=3 is lost", (10, 12))]
    hold_shape(bank.small, (3, 12), "P′", slips)
    hold_shape(bank.first.weight, (5, 12), "W₁", [("hidden=5 is lost", (512, 12))])
    flat = prefix.add_prefix(contract.tiny_gpt(), length=3, reparameterize=False)
    plain = isinstance(flat.prefix.banks["self"], prefix.PrefixMatrix)
    hold(plain, "reparameterize=False does not arrive")


@asks("add_prefix", **add_task, after=test_returns_the_model)
def test_is_recorded_for_the_file():
    """model.delta holds the arguments; its in_file says that a file has no network."""
    model = prefix.add_prefix(contract.tiny_gpt(), length=3, hidden=5)
    record = getattr(model, "delta", None)
    hold(record is not None, "the model does not know that it carries a prefix: inject.begin")
    hold(record.method == "prefix", f"method {record.method}, expected prefix")
    options = {"length": 3, "hidden": 5, "reparameterize": True}
    lost = sorted(k for k in options if record.arguments.get(k) != options[k])
    hold(not lost, f"not recorded as given: {', '.join(lost)}")
    right = record.in_file == {"reparameterize": False}
    hold(right, f"delta.in_file {record.in_file}: a file holds P, so load must make no network")


@asks("add_prefix", **add_task, after=test_returns_the_model)
def test_takes_type_and_mode_of_the_model():
    """The prefix has the dtype of the model and its mode."""
    model = prefix.add_prefix(contract.tiny_gpt().bfloat16().eval(), 3, 5)
    dtype = model.prefix.banks["self"].small.dtype
    hold(dtype == torch.bfloat16, f"the prefix is {dtype}, expected the model's torch.bfloat16")
    hold(not model.prefix.training, "the prefix is in training mode, the model in eval mode")


@asks("add_prefix", **add_task, after=test_returns_the_model)
def test_refuses_what_cannot_be():
    """No slot, no width, a second method: one line each, and the model is as it was."""
    for options in ({"length": 0}, {"hidden": 0}):
        model, name = contract.tiny_gpt(), next(iter(options))
        call = lambda m=model, o=options: prefix.add_prefix(m, **o)  # noqa: E731
        hold_refusal(call, (f"{name} 0",), f"{name}=0")
        trains = all(p.requires_grad for p in model.parameters())
        hold(trains and model.prefix is None, "the refused call has changed the model")
    model = lora.add_lora(contract.tiny_gpt())
    hold_refusal(lambda: prefix.add_prefix(model), ("already",), "a model that carries LoRA")
    hold(model.prefix is None, "the refused call has left a prefix on the model")


# ---- the contract ----


def stored_count(model):
    """2plc numbers a bank: 3 slots, two layers, width 12."""
    return len(inject.body(model).BANKS) * 2 * 3 * LAYERS * WIDTH


def trained_count(model):
    """P′ and the two layers of each bank's network, 5 numbers between them."""
    return len(inject.body(model).BANKS) * (3 * 12 + 12 * 5 + 5 + 5 * SIZE + SIZE)


CASE = contract.Case(
    prefix.add_prefix, {"length": 3, "hidden": 5}, count=trained_count, stored=stored_count,
    starts="elsewhere", merges=False,
)  # fmt: skip
FLAT = contract.Case(
    prefix.add_prefix, {"length": 3, "reparameterize": False}, count=stored_count,
    starts="elsewhere", merges=False,
)  # fmt: skip


@contract.each(CASE, contract.ALL_MODELS)
def test_contract(case, point):
    """A prefix holds to what every method must, on each model and under a classifier's head."""
    assert point.__doc__
    point(case)


@contract.each(FLAT, contract.MODELS)
def test_contract_without_a_network(case, point):
    """The same where P itself is trained."""
    assert point.__doc__
    point(case)


def trained(family="gpt", seed=2, length=3, **options):
    """A model whose prefix has keys and values of size 1."""
    model = prefix.add_prefix(contract.MODELS[family](), length, 5, **options).eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in inject.trainable_parameters(model).values():
            parameter.normal_()
    return model


def saved_file(model):
    """The delta's file, in a folder that lives as long as the test run."""
    return delta.save(model, Path(tempfile.mkdtemp(dir=FOLDER.name)))


# ---- what attention makes of it ----


def heads_of(layer, x, extra=None):
    """softmax(q kᵀ/√d) v of each head by loops, behind a prefix or without one: (b, h, t, d)."""
    q, k, v = (layer.split(proj(x)) for proj in (layer.q_proj, layer.k_proj, layer.v_proj))
    if extra is not None:
        k, v = torch.cat([extra.keys, k], 2), torch.cat([extra.values, v], 2)
    made = torch.zeros_like(q)
    for n, head, t in [(n, h, t) for n in range(2) for h in range(HEADS) for t in range(5)]:
        weight = torch.tensor([math.exp(q[n, head, t] @ key / 2) for key in k[n, head]])
        made[n, head, t] = (weight / weight.sum()) @ v[n, head]
    return made, q, k


def an_attention():
    """An attention of width 12 in three heads of 4, with a prefix of 3 slots and an input."""
    torch.manual_seed(13)
    layer, x = MultiHeadAttention(WIDTH, HEADS), torch.randn(2, 5, WIDTH)
    return layer, x, Extra(torch.randn(2, HEADS, 3, 4), torch.randn(2, HEADS, 3, 4))


@torch.no_grad()
def test_a_slot_has_no_query():
    """Behind a prefix an attention gives as many outputs as it had inputs, on both paths."""
    layer, x, extra = an_attention()
    for layer.fused in (True, False):
        try:
            hold_shape(layer(x, extra=extra), (2, 5, WIDTH), "output behind a prefix")
        except RuntimeError as error:
            hold(False, f"the prefix asks questions of its own: {error}")


@torch.no_grad()
def test_the_closed_form():
    """(1 − λ) Attention(q, K, V) + λ Attention(q, P_K, P_V), λ the prefix's share of softmax."""
    layer, x, extra = an_attention()
    whole, q, k = heads_of(layer, x, extra)
    text, _, _ = heads_of(layer, x)
    score = (q @ k.transpose(2, 3) / 2).exp()
    share = score[..., :3].sum(-1, keepdim=True) / score.sum(-1, keepdim=True)
    own = (q @ extra.keys.transpose(2, 3) / 2).softmax(-1) @ extra.values
    close(whole, (1 - share) * text + share * own, "closed form", atol=1e-6)
    got = layer(x, extra=extra)
    close(got, layer.out_proj(whole.transpose(1, 2).flatten(2)), "attention", atol=1e-5)


@torch.no_grad()
def test_a_prefix_of_zeros_is_not_the_base():
    """Keys of zeros still have e⁰ in the softmax: where q·k = 0 the output shrinks by t/(p + t)."""
    layer, x, _ = an_attention()
    zeros = Extra(torch.zeros(2, HEADS, 3, 4), torch.zeros(2, HEADS, 3, 4))
    whole, q, k = heads_of(layer, x, zeros)
    text, _, _ = heads_of(layer, x)
    share = 3 / (q @ k.transpose(2, 3) / 2).exp().sum(-1, keepdim=True)
    close(whole, (1 - share) * text, "zero keys and values", atol=1e-6)
    got = layer(x, extra=zeros)
    close(got, layer.out_proj(whole.transpose(1, 2).flatten(2)), "attention", atol=1e-5)
    nn.init.zeros_(layer.q_proj.weight)
    nn.init.zeros_(layer.q_proj.bias)
    nn.init.zeros_(layer.out_proj.bias)
    close(layer(x, extra=zeros), layer(x) * 5 / (3 + 5), "q = 0", atol=1e-6)
    model, ids = contract.tiny_gpt(), contract.tokens()
    base = contract.out(model, ids)
    prefix.add_prefix(model, 3, reparameterize=False)
    nn.init.zeros_(model.prefix.banks["self"].P)
    assert (contract.out(model, ids) - base).abs().max() > 0.1


@pytest.mark.parametrize("family", contract.MODELS)
def test_slots_have_no_order(family):
    """The slots of a prefix in another order give the same: they have no positions."""
    model, ids = trained(family, reparameterize=False), contract.tokens()
    want = contract.out(model, ids)
    with torch.no_grad():
        for bank in inject.body(model).prefix.banks.values():
            bank.P.copy_(bank.P[[2, 0, 1]])
    close(contract.out(model, ids), want, "slots in another order", atol=1e-5)


@pytest.mark.parametrize("family", contract.MODELS)
def test_every_layer_of_every_bank_counts(family):
    """Another key or another value in one layer of one bank alone changes the output."""
    model, ids = trained(family, reparameterize=False), contract.tokens()
    plain = contract.out(model, ids)
    for name, bank in inject.body(model).prefix.banks.items():
        for part in range(2 * LAYERS):
            with torch.no_grad():
                bank.P[:, part * WIDTH : (part + 1) * WIDTH] += 1.0
            moved = (contract.out(model, ids) - plain).abs().max().item()
            hold(moved > 1e-3, f"block {part} of the bank {name} moves the output by {moved:.1g}")
            with torch.no_grad():
                bank.P[:, part * WIDTH : (part + 1) * WIDTH] -= 1.0


def test_the_first_token_sees_every_slot():
    """The causal mask is for the text: already the first query sees all of the prefix."""
    model = trained(reparameterize=False)
    model(contract.tokens())[:, 0].sum().backward()
    seen = model.prefix.banks["self"].P.grad.abs().sum(1) > 1e-6
    hold(bool(seen.all()), f"the first token sees {int(seen.sum())} of 3 slots; expected all")


def test_slots_are_seen_under_a_mask():
    """A mask of the text is extended by the slots: they are real, in every row."""
    for family in contract.MODELS:
        model, ids = trained(family, reparameterize=False), contract.tokens()
        mask = torch.arange(contract.T) < torch.tensor([[7], [4], [5]])
        before = contract.out(model, ids, mask)
        with torch.no_grad():
            for bank in inject.body(model).prefix.banks.values():
                bank.P.add_(1.0)
        moved = (contract.out(model, ids, mask) - before).abs().amax((1, 2))
        hidden = f"{family}: another prefix changes nothing once there is a mask: it is masked out"
        hold(bool((moved > 1e-3).all()), hidden)


def test_left_padding_stands_behind_the_prefix():
    """A row padded on the left: the mask is prefix, padding, text, and the output as without."""
    model, row = trained(), contract.tokens()[:1]
    plain = contract.out(model, row)
    ids, mask = torch.cat([row[:, :4] * 0, row], 1), torch.arange(contract.T + 4)[None] >= 4
    got = contract.out(model, ids, mask)[:, 4:]
    close(got, plain, "a row behind a prefix, padded on the left", atol=1e-5)


@torch.no_grad()
def test_the_cache_holds_the_prefix_once():
    """Step by step the slots are p + t, and positions go on from p in both ways of reading."""
    model, ids = trained(), contract.tokens()
    cache, whole = model.new_cache(contract.T), model.hidden(ids)
    steps = []
    for t in range(contract.T):
        try:
            steps.append(model.hidden(ids[:, t : t + 1], cache=cache))
        except ValueError as error:
            hold(False, f"the prefix is put before the text again at step {t}: {error}")
        slots = 3 + t + 1
        hold(cache.length == slots, f"{cache.length} slots behind {t + 1} tokens, expected {slots}")
    close(torch.cat(steps, 1), whole, "read token by token, positions behind the prefix", atol=1e-5)


# ---- a prompt as a prefix ----

WORDS = [3, 1, 4, 1, 5]


def behind(words, ids):
    """The rows with the words before them."""
    return torch.cat([torch.tensor([words]).expand(len(ids), -1), ids], dim=1)


def test_a_prefix_made_of_a_prompt_is_that_prompt():
    """Keys and values of five real words as P: the logits behind that prompt, padded rows too."""
    ids, mask = contract.tokens(), torch.arange(contract.T) < torch.tensor([[7], [4], [5]])
    want = contract.out(contract.tiny_gpt(), behind(WORDS, ids))[:, 5:]
    model = prefix.of_prompt(contract.tiny_gpt(), WORDS).eval()
    close(contract.out(model, ids), want, "logits behind the prompt", atol=1e-5)
    close(contract.out(model, ids, mask)[mask], want[mask], "with a mask", atol=1e-5)
    again = delta.load(contract.tiny_gpt(), saved_file(model)).eval()
    hold_bits(contract.out(again, ids), contract.out(model, ids), "from its file")
    assert delta.count_parameters(model).stored == 5 * SIZE


@pytest.mark.parametrize("beams", [1, 3])
def test_a_prompt_as_a_prefix_writes_the_same(beams):
    """Greedy and beam search behind the prefix write what they write behind the prompt."""
    prompts = [row.tolist() for row in contract.tokens()[:2, :4]]
    want = generate(contract.tiny_gpt(), [WORDS + row for row in prompts], 6, beams=beams)
    model = prefix.of_prompt(contract.tiny_gpt(), torch.tensor(WORDS))
    assert generate(model, prompts, 6, beams=beams) == want


def test_a_prompt_that_does_not_fit_is_refused():
    """Too long a prompt, none, or a model with a method: refused, the model as it was."""
    model = contract.tiny_gpt()
    hold_refusal(lambda: prefix.of_prompt(model, [1] * 25), ("context",), "25 words")
    hold_refusal(lambda: prefix.of_prompt(model, []), (), "no words")
    assert model.prefix is None and all(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())
    model = lora.add_lora(model)
    hold_refusal(lambda: prefix.of_prompt(model, WORDS), ("already",), "LoRA is there")


def slow_activations(model, words):
    """{bank: P} of real words: what k_proj and v_proj of each block give, block after block."""
    ids, base = torch.tensor([words]), inject.body(model)
    if len(base.BANKS) == 1:
        x = base.embedding(ids) + base.position_embedding(torch.arange(len(words)))
        post = hasattr(base, "type_embedding")
        x = base.norm(x + base.type_embedding(ids * 0)) if post else x
        parts = []
        for block in base.blocks:
            read = x if post else block.norm1(x)
            parts += [block.attention.k_proj(read)[0], block.attention.v_proj(read)[0]]
            x = block(x, causal=not post)
        return {"self": torch.cat(parts, 1)}
    made, memory = {bank: [] for bank in base.BANKS}, base.encode(ids)
    for side, stack in (("encoder", base.encoder), ("decoder", base.decoder)):
        x = stack.norm(base.embedding(ids) + stack.position_embedding(torch.arange(len(words))))
        for block in stack.blocks:
            made[side] += [block.attention.k_proj(x)[0], block.attention.v_proj(x)[0]]
            if side == "decoder":
                look = block.cross_attention
                made["cross"] += [look.k_proj(memory)[0], look.v_proj(memory)[0]]
            x = block(x) if side == "encoder" else block(x, memory, causal=True)
    return {bank: torch.cat(parts, 1) for bank, parts in made.items()}


@pytest.mark.parametrize("family", contract.MODELS)
def test_a_start_from_real_words(family):
    """P starts as the words' own keys and values; a network comes near them and stays trainable."""
    with torch.no_grad():
        want = slow_activations(contract.MODELS[family](), WORDS)
    model = prefix.add_prefix(contract.MODELS[family](), 5, reparameterize=False)
    start = prefix.start_as(model, WORDS)
    assert start is model
    for bank, one in inject.body(model).prefix.banks.items():
        close(one.P, want[bank], f"P of {bank}", atol=1e-5)
        assert one.P.requires_grad
    torch.manual_seed(1)
    model = prefix.add_prefix(contract.MODELS[family](), 5, 17)
    drawn = {bank: one.small.clone() for bank, one in inject.body(model).prefix.banks.items()}
    prefix.start_as(model, WORDS, steps=300, lr=3e-3)
    for bank, one in inject.body(model).prefix.banks.items():
        left = F.mse_loss(one(), want[bank]) / want[bank].square().mean()
        assert left < 0.01, f"{bank}: {left:.2g} of the mean square is left"
        hold_bits(one.small, drawn[bank], "P′, which stays as drawn")
        assert all(p.grad is None and p.requires_grad for p in one.parameters())


def test_a_start_needs_a_word_for_each_slot():
    """More or fewer words than slots, or no prefix to start: one line."""
    model = prefix.add_prefix(contract.tiny_gpt(), 3)
    hold_refusal(lambda: prefix.start_as(model, WORDS), ("5 words", "3 slots"), "five words")
    hold_refusal(lambda: prefix.start_as(contract.tiny_gpt(), WORDS), ("0 slots",), "no prefix")


# ---- what a task owns ----


@pytest.mark.parametrize("family", contract.ALL_MODELS)
def test_a_file_gives_a_prefix_without_its_network(family):
    """Loaded, the prefix is P alone, to the bit, and trains on from there."""
    model = CASE.on(family).trained()
    size, saved, again = contract.reload(CASE.on(family), model)
    assert saved.arguments["reparameterize"] is False and again.delta.arguments == saved.arguments
    for bank, one in inject.body(again).prefix.banks.items():
        assert isinstance(one, prefix.PrefixMatrix) and one.P.requires_grad
        hold_bits(one.P, inject.body(model).prefix.banks[bank](), f"P of {bank}")
    assert size < 4 * sum(t.numel() for t in saved.tensors.values()) + 2048
    count, other = delta.count_parameters(model), delta.count_parameters(again)
    assert (count.stored, count.base) == (other.stored, other.base)
    assert (count.trained, other.trained) == (trained_count(model), stored_count(model))
    plain = CASE.on(family).model()
    assert count.base == sum(p.numel() for p in plain.parameters()) - count.head


def test_a_swap_that_fails_keeps_the_prefix():
    """A file with a tensor missing, on a model whose prefix has a network: its P is back."""
    model, ids = trained(), contract.tokens()
    want, other = contract.out(model, ids), delta.read(saved_file(trained(seed=3)))
    del other.tensors[min(other.tensors)]
    hold_refusal(lambda: delta.swap(model, other), ("1 tensors do not fit",), "a gap")
    hold_bits(contract.out(model, ids), want, "output after a swap that failed")


def test_a_checkpoint_holds_the_network():
    """A run can be gone on with: P′ and both layers are in its checkpoint, unlike in a delta."""
    names = set(checkpoint.trained(trained()))
    parts = ("small", "first.weight", "first.bias", "second.weight", "second.bias")
    assert names == {f"prefix.banks.self.{part}" for part in parts}


def test_the_base_gets_no_gradient():
    """Backward leaves nothing on the base, and the next forward pass has the step in it."""
    model = trained().train()
    before = contract.out(model.eval(), contract.tokens())
    model.loss(contract.batch(model)).backward()
    stray = [n for n, p in model.named_parameters() if "prefix" not in n and p.grad is not None]
    assert not stray
    contract.step(model)
    after = contract.out(model, contract.tokens())
    assert not torch.equal(before, after)
    for _ in range(2):
        hold_bits(contract.out(model.eval(), contract.tokens()), after, "in eval mode after a step")


# ---- one base, many prefixes ----

ROWS = torch.tensor([2, 0, 2, 1])


def three(family="gpt", length=3):
    """(one model a task, the file of each)."""
    models = [trained(family, seed, length) for seed in (21, 22, 23)]
    return models, [saved_file(model) for model in models]


def test_each_row_gets_its_own_prefix():
    """One batch, three tasks: each row gives what its task's own model gives, on every model."""
    for family, make in contract.ALL_MODELS.items():
        _, files = three(family.split()[0])
        served, ids = serving.serve(make(), files).eval(), contract.tokens(rows=4)
        ids[1] = ids[0]
        got = contract.out(served, ids, rows=ROWS)
        for n, user in enumerate(ROWS.tolist()):
            alone = make()
            delta.load(inject.body(alone), files[user])
            want = contract.out(alone.eval(), ids[n : n + 1])
            close(got[n : n + 1], want, f"{family}: row {n}, of the task {user}", atol=1e-6)
        away = (got[0] - got[1]).abs().max().item()
        hold(away > 1e-3, f"{family}: two tasks read the same text and differ by {away:.1g}")


def test_no_row_meets_anothers_prefix():
    """The other prefixes may hold anything, no numbers even: a row's bits stay as they were."""
    for family in contract.MODELS:
        _, files = three(family)
        saved, ids = [delta.read(file) for file in files], contract.tokens(rows=4)
        served = serving.serve(contract.MODELS[family](), saved).eval()
        want = contract.out(served, ids, rows=ROWS)
        with torch.no_grad():
            for P_ in inject.body(served).prefix.banks.values():
                P_[1] = float("nan")
        got = contract.out(served, ids, rows=ROWS)
        hold(bool(got[3].isnan().all()), f"{family}: the row of the task 1 does not see its prefix")
        hold_bits(got[:3], want[:3], f"{family}: rows of other tasks, once a prefix has changed")


def test_rows_are_written_for_their_own_user():
    """Decoding, beams and batches sorted by length: what each user's own model writes."""
    for family in ("gpt", "seq2seq"):
        models, files = three(family)
        served = serving.serve(contract.MODELS[family](), files).eval()
        prompts = [[5, 6, 7], [1, 2, 3, 4, 5], [9], [11, 3, 2]]
        for beams in (1, 3):
            want = [
                generate(models[user], [prompt], 5, beams=beams)[0]
                for user, prompt in zip(ROWS.tolist(), prompts, strict=True)
            ]
            assert generate(served, prompts, 5, beams=beams, rows=ROWS) == want
            assert generate_many(served, prompts, 5, size=2, beams=beams, rows=ROWS) == want


def test_rows_must_say_whose_they_are():
    """No rows, too few, a number that no prefix has, −1: an error, never somebody's prefix."""
    _, files = three()
    served, ids = serving.serve(contract.tiny_gpt(), files).eval(), contract.tokens(rows=4)
    for rows in (None, ROWS[:1], ROWS[:3], ROWS.float(), ROWS > 0):
        words = ("whose prefix", "expected 4")
        hold_refusal(lambda r=rows: served(ids, rows=r), words, f"rows {rows}")
    for rows in ([0, 1, 2, -1], [0, 1, 2, 3]):
        call_ = lambda r=rows: served(ids, rows=torch.tensor(r))  # noqa: E731
        hold_refusal(call_, ("prefixes 0 to 2",), f"rows {rows}")


def test_a_served_base_is_a_base():
    """Nothing trains; off and remove give the base; no delta to save, swap or merge is its own."""
    _, files = three()
    ids = contract.tokens(rows=4)
    base, served = contract.out(contract.tiny_gpt(), ids), serving.serve(contract.tiny_gpt(), files)
    assert not inject.trainable_parameters(served)
    with delta.off(served):
        hold_bits(contract.out(served, ids), base, "output inside off")
    for act in (lambda: saved_file(served), lambda: delta.swap(served, delta.read(files[0]))):
        hold_refusal(act, ("serves 3 prefixes",), "save or swap")
    hold_refusal(lambda: delta.merge(served), ("cannot be merged",), "merge")
    hold_refusal(lambda: serving.serve(served, files), ("already",), "served twice")
    hold_bits(contract.out(delta.remove(served), ids), base, "output after remove")


def test_what_cannot_be_served_is_refused():
    """Another base, another method, another length, a head, nothing: one line, the model plain."""
    _, files = three()
    model = contract.tiny_gpt()
    classifier = saved_file(prefix.add_prefix(contract.tiny_classifier(), 3, 5))
    cases = [
        ([files[0], saved_file(lora.add_lora(contract.tiny_gpt()))], ("a delta of lora",)),
        ([files[0], saved_file(trained(length=4))], ("4 slots", "first has 3")),
        ([files[0], classifier], ("head.bias", "a prefix alone")),
        ([saved_file(prefix.add_prefix(contract.tiny_gpt(seed=9), 3))], ("another base",)),
        ([], ("no delta",)),
    ]
    for deltas, words in cases:
        hold_refusal(lambda d=deltas: serving.serve(model, d), words, f"{len(deltas)} deltas")
        assert model.prefix is None and getattr(model, "delta", None) is None
