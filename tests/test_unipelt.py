"""UniPELT: equations (1) to (4), where a gate pools, what it reads, where parts stand (peft §7).

The checks marked `asks` are the homework's; the other tests hold the reference alone.
"""

import math
from functools import partial
from unittest.mock import patch

import pytest
import torch
from torch import nn

from minift import measure
from minift.batching import Encoded, pack, pad
from minift.models.attention import Extra, MultiHeadAttention
from minift.models.context import Context, CurrentContext
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.generate import generate, left_pad
from minift.models.gpt import GPT, GPTConfig
from minift.models.seq2seq import Seq2Seq
from minift.peft import adapter, delta, inject, lora, prefix, unipelt
from tests import contract
from tests.answer_check import asks
from tests.compare import close, hold, hold_bits, hold_refusal, hold_shape

REFERENCE = "minift.peft.unipelt"
HOMEWORK = "08_unipelt.py"

B, T, C, M, R = 3, 7, 5, 11, 2
# a whole row, one padded on the left, one padded on the right
POOL = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0]]).bool()
GATE = "G = mean of σ(w·h + b): one number for each part, layer and example"


def normal(*shape, seed=0):
    """Numbers of size 1."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def filled(layer, seed=1):
    """The layer with every parameter of size 1."""
    with torch.no_grad():
        for n, parameter in enumerate(layer.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=100 * seed + n))
    return layer


def a_gate(seed=1, width=C, masked=True, **here):
    """A gate whose numbers are of size 1, in the middle of a pass: `here` is its context."""
    context = CurrentContext()
    context.now = Context(**({"pool": POOL} | here))
    return filled(unipelt.Gate(width, context, masked=masked), seed)


def scores(gate, h, bias=True):
    """w·h + b of each position, by loops: (b, t, 1)."""
    w, b = gate.score.weight[0].tolist(), gate.score.bias.item() * bias
    rows = [
        [sum(x * y for x, y in zip(w, one, strict=True)) + b for one in row] for row in h.tolist()
    ]
    return torch.tensor(rows)[:, :, None]


def average(each, pool=POOL):
    """The mean of each (b, t, 1) over the pool of each row, by loops: (b, 1, 1)."""
    rows = each[:, :, 0].tolist()
    kept = [
        [x for x, here in zip(*row, strict=True) if here]
        for row in zip(rows, pool.tolist(), strict=True)
    ]
    return torch.tensor([sum(row) / len(row) for row in kept])[:, None, None]


def by_loops(gate, h, pool=POOL):
    """G, equation (1)."""
    return average(1 / (1 + (-scores(gate, h)).exp()), pool)


# ---- 8.1: the mean ----

mean_task = {
    "todo": "8.1",
    "chapter": GATE,
    "hint": "pool[:, :, None] has the shape (b, t, 1) of each. A product with it keeps the real "
    "positions, its sum counts them. Both sums go along t with keepdim=True, so that a row stays a "
    "row: (b, 1, 1). Would the mean change if a row were padded with ten more tokens?",
}


@asks("mean_over", **mean_task)
def test_mean_over_the_pool():
    """Padding on either side does not count, and no row counts for another."""
    each = normal(B, T, 1)
    inside = POOL[:, :, None]
    total = (each * inside).sum(1, keepdim=True)
    slips = [
        ("padding counts in your mean", each.mean(1, keepdim=True)),
        ("padding is left out of the sum, but counted in what you divide by", total / T),
        ("this is the sum; divide by how many positions there are", total),
        (
            "you mix the rows: one mean for the whole batch",
            total.sum().expand(B, 1, 1) / POOL.sum(),
        ),
        ("one number for each position; a gate has one a row", each),
        ("keep the axes, (b, 1, 1): keepdim=True", average(each).flatten()),
    ]
    close(unipelt.mean_over(each, POOL), average(each), "mean over the pool", slips)


@asks("mean_over", **mean_task, after=test_mean_over_the_pool)
def test_mean_of_nothing():
    """A row without a position in the pool gives 0: a NaN would be in every output."""
    pool = POOL.clone()
    pool[1] = False
    got = unipelt.mean_over(normal(B, T, 1), pool)
    hold(not got.isnan().any(), "NaN for a row whose pool is empty: you divide 0 by 0")
    close(got[1], torch.zeros(1, 1), "mean of an empty pool")


@asks("mean_over", **mean_task, after=test_mean_over_the_pool)
def test_mean_keeps_the_type():
    """In 16 bits the mean is in 16 bits, or what it scales would not be."""
    got = unipelt.mean_over(normal(B, T, 1).bfloat16(), POOL).dtype
    hold(got == torch.bfloat16, f"mean of bfloat16 is {got}; expected the same type")


# ---- 8.2: the gate's numbers ----

gate_task = {
    "todo": "8.2",
    "chapter": GATE,
    "hint": "w·h + b is a linear layer with one output, whose weight is kept as (1, c). The gate "
    "starts near σ(0) = ½: a small w, no b. torch.nn.init has normal_ and zeros_.",
}


@asks("Gate.__init__", **gate_task)
def test_score_is_one_number():
    """w takes c numbers to one, with a bias; c + 1 numbers train."""
    gate = unipelt.Gate(C, CurrentContext())
    slips = [("one gate for each position of the width; a gate is one number", (C, C))]
    slips += [("two outputs: P_K and P_V share a gate", (2, C)), ("the wrong way round", (C, 1))]
    hold_shape(gate.score.weight, (1, C), "w", slips)
    hold(gate.score.bias is not None, "b is missing: (1) has w·h + b")
    numbers = sum(p.numel() for p in gate.parameters() if p.requires_grad)
    close(numbers, C + 1, "trained numbers of a gate")


@asks("Gate.__init__", **gate_task, after=test_score_is_one_number)
def test_gate_starts_half_open():
    """w is N(0, 0.02²) and b is 0."""
    torch.manual_seed(3)
    gate = unipelt.Gate(4001, CurrentContext())
    got, bias = gate.score.weight.std().item(), gate.score.bias.item()
    hold(got > 0, "w is 0: every text has the same gate")
    slips = [
        ("w is nn.Linear's own start, U(±1/√c)", 1 / math.sqrt(3 * 4001)),
        ("w is N(0, 1): a gate that starts nearly shut or nearly open", 1.0),
        ("0.02 is the deviation of w, not its variance", math.sqrt(0.02)),
    ]
    close(got, 0.02, "deviation of w", slips, rtol=0.05)
    hold(bias == 0, f"b starts at {bias:.3g}; expected 0, so that the gate is half open")


# ---- 8.3: equation (1) ----

forward_task = {
    "todo": "8.3",
    "chapter": GATE,
    "hint": "Where the context has notes and this gate is among them, its value is there. Else: "
    "each = σ(self.score(h)), (b, t, 1); made = mean_over(each, self.pool(h)), (b, 1, 1); where "
    "there are notes, made goes into them. self is a fine key. The mean of σ is not σ of the mean.",
}


@asks("Gate.forward", **forward_task)
def test_gate():
    """G = mean over the pool of σ(w·h + b), by loops."""
    gate, h = a_gate(), normal(B, T, C)
    score, real = scores(gate, h), POOL[:, :, None]
    each = score.sigmoid()
    unbiased = scores(gate, h, bias=False).sigmoid()
    over_rows = (each * real).sum(0, keepdim=True) / real.sum(0, keepdim=True)
    slips = [
        ("σ of the mean; (1) has the mean of σ", average(score).sigmoid()),
        ("σ is missing: a gate lies between 0 and 1", average(score)),
        ("your mean counts padding; self.pool(h) says what is real", each.mean(1, keepdim=True)),
        ("you bend with tanh, (1) with σ", average(score.tanh())),
        ("b is left out", average(unbiased)),
        ("one number for each token; a gate has one for each row", each),
        ("the mean goes over the rows of the batch; it goes over the tokens of a row", over_rows),
        ("1 − G: the gate is the wrong way round", average(1 - each)),
    ]
    close(gate(h), by_loops(gate, h), "G", slips)


@asks("Gate.forward", **forward_task, after=test_gate)
def test_gate_asks_for_its_pool():
    """self.pool(h) knows the memory's pool and masked=False; the context's own pool does not."""
    h, other = normal(B, T, C), POOL.flip(0)
    gate = a_memory_gate(other)
    slips = [("a gate of the memory pools where the target is real", by_loops(gate, h))]
    close(gate(h), by_loops(gate, h, other), "G of a gate that reads the memory", slips)
    gate = a_gate(masked=False)
    slips = [("masked=False is ignored", by_loops(gate, h))]
    close(gate(h), by_loops(gate, h, POOL | True), "G with masked=False", slips)


def a_memory_gate(pool):
    """A gate that reads the memory of a decoder, whose pool is another than the decoder's."""
    gate = a_gate()
    gate.memory, gate.context.now = True, Context(pool=POOL, memory=Context(pool=pool))
    return gate


@asks("Gate.forward", **forward_task, after=test_gate)
def test_gate_stays_while_a_text_is_written():
    """With notes (a cache) the value of the prompt is kept, each gate's own; without them none."""
    h, later = normal(B, T, C), normal(B, 1, C, seed=5)
    gate = a_gate(notes={})
    first = gate(h)
    gate.context.now = Context(notes=gate.context.now.notes)
    try:
        again = gate(later)
    except ValueError as error:
        hold(False, f"the value is not kept: at the next token the gate reads again ({error})")
    close(first, by_loops(gate, h), "G while the prompt is read")
    hold_bits(again, first, "G at the next token")
    second = a_gate(seed=2)
    second.context = gate.context
    second.context.now = Context(pool=POOL, notes=gate.context.now.notes)
    slips = [("it is the value of another gate: each has a note of its own", first)]
    close(second(h), by_loops(second, h), "G of a second gate", slips)
    plain = a_gate()
    plain(h)
    slips = [("it is the value of the text before: without notes nothing is kept", plain(h))]
    close(plain(-h), by_loops(plain, -h), "G of another text", slips)


@asks("Gate.forward", **forward_task, after=test_gate)
def test_gate_learns():
    """dL/db = mean σ′ and dL/dw = mean σ′ h, and the gradient goes on to h."""
    gate, h = a_gate(), normal(B, T, C).requires_grad_()
    gate(h).sum().backward()
    hold(gate.score.weight.grad is not None, "w gets no gradient: is the gate under no_grad?")
    each = scores(gate, h).sigmoid()
    slope = each * (1 - each)
    close(gate.score.bias.grad, average(slope).sum().view(1), "dL/db", atol=1e-5)
    each_w = [average(slope * h.detach()[:, :, n : n + 1]).sum() for n in range(C)]
    close(gate.score.weight.grad[0], torch.stack(each_w), "dL/dw", atol=1e-5)
    hold(h.grad is not None, "no gradient reaches h: it is detached on its way into the gate")


# ---- 8.4: LoRA ----

lora_task = {
    "todo": "8.4",
    "chapter": "W_Q ← W_Q + G_L · B A: the gate replaces the constant scale α/r",
    "hint": "As LoRALinear.forward (lora.py), with self.gate(x), (b, 1, 1), where self.scale is. "
    "The gate reads x, what LoRA itself reads. Shut (G = 0) the layer is W x + b; open (G = 1) "
    "it is W x + b + B A x.",
}


def a_lora():
    """A gated LoRA layer, square so that a gate could read its output, all numbers of size 1."""
    layer = unipelt.GatedLoRALinear(nn.Linear(C, C), R, a_gate())
    return filled(layer, 2)


@asks("GatedLoRALinear.forward", **lora_task)
def test_gated_lora():
    """h = W x + b + G_L · B A x."""
    layer, x = a_lora(), normal(B, T, C)
    base, up = layer.frozen(x).detach(), x @ layer.A.T @ layer.B.T
    g, of_output = by_loops(layer.gate, x), by_loops(layer.gate, base)
    each = scores(layer.gate, x).sigmoid()
    slips = [
        ("α/r is there beside the gate, which stands in its place", base + 16 / R * g * up),
        ("1/r is there beside the gate; nothing else scales B A x", base + g * up / R),
        ("there is no gate on B A x", base + up),
        ("the gate shuts W x too; it is for B A x alone", g * (base + up)),
        ("the gate is on W x, and B A x has none", g * base + up),
        ("W x is missing", g * up),
        ("the gate reads W x; it reads what LoRA reads, x", base + of_output * up),
        ("a gate for each token; there is one for each row", base + each * up),
    ]
    close(layer(x), base + g * up, "h", slips, atol=1e-5)


@asks("GatedLoRALinear.forward", **lora_task, after=test_gated_lora)
def test_gate_of_lora_learns():
    """The gate's b gets Σ g·B A x times the slope of σ, A and B what passes the gate."""
    layer, x, g = a_lora(), normal(B, T, C), normal(B, T, C, seed=7)
    (layer(x) * g).sum().backward()
    hold(layer.gate.score.bias.grad is not None, "G_L gets no gradient: it is detached")
    up = x @ layer.A.T @ layer.B.T
    each = scores(layer.gate, x).sigmoid()
    want = (average(each * (1 - each)) * (up * g).sum((1, 2), keepdim=True)).sum()
    close(layer.gate.score.bias.grad, want.view(1), "dL/db of G_L", rtol=1e-3)
    want = (g * by_loops(layer.gate, x)).flatten(0, 1).T @ (x @ layer.A.T).flatten(0, 1)
    hold(layer.B.grad is not None, "B gets no gradient")
    close(layer.B.grad, want, "dL/dB", rtol=1e-3, atol=1e-5)


# ---- 8.5: the adapter ----

adapter_task = {
    "todo": "8.5",
    "chapter": "h′_A = G_A · h_A + h_F: the gate is on what the adapter adds, not on the rest",
    "hint": "One line, Adapter.forward (adapter.py) with self.gate(output) before the change. What "
    "must be left when the gate is shut? The sub-layer's output, as if no adapter were there. The "
    "gate reads the tensor that the adapter reads.",
}


def an_adapter():
    """A gated adapter, all numbers of size 1."""
    return filled(unipelt.GatedAdapter(C, M, "relu", a_gate()), 3)


@asks("GatedAdapter.forward", **adapter_task)
def test_gated_adapter():
    """A(h) = h + G_A · Δ(h), h the sub-layer's output."""
    layer, h, x = an_adapter(), normal(B, T, C), normal(B, T, C, seed=7)
    g, of_x, change = by_loops(layer.gate, h), by_loops(layer.gate, x), layer.change(h)
    of_change, each = by_loops(layer.gate, change.detach()), scores(layer.gate, h).sigmoid()
    slips = [
        ("the gate shuts h too; shut, it must leave the sub-layer's output", g * (h + change)),
        ("the skip is missing", g * change),
        ("there is no gate on Δ(h)", h + change),
        ("the gate is on h, and Δ(h) has none", g * h + change),
        (
            "the gate reads the sub-layer's input; it reads what Δ reads, the output",
            h + of_x * change,
        ),
        ("the gate reads Δ(h), what the adapter puts out", h + of_change * change),
        ("Δ reads the sub-layer's input", h + g * layer.change(x)),
        ("you add the sub-layer's input; the block does that itself", x + g * change),
        ("G_A is one number for each token here; there is one for each row", h + each * change),
    ]
    close(layer(h, x), h + g * change, "A(h)", slips, atol=1e-5)


@asks("GatedAdapter.forward", **adapter_task, after=test_gated_adapter)
def test_gate_of_the_adapter_learns():
    """The gate's b gets Σ g·Δ(h) times the slope of σ, and the skip hands the gradient on."""
    layer, h, g = an_adapter(), normal(B, T, C).requires_grad_(), normal(B, T, C, seed=7)
    (layer(h, h.detach()) * g).sum().backward()
    hold(layer.gate.score.bias.grad is not None, "G_A gets no gradient: it is detached")
    each = scores(layer.gate, h).sigmoid()
    total = (layer.change(h) * g).sum((1, 2), keepdim=True)
    want = (average(each * (1 - each)) * total).sum().view(1)
    close(layer.gate.score.bias.grad, want, "dL/db of G_A", rtol=1e-3)
    hold(h.grad is not None, "no gradient reaches h: what stands below learns nothing")


# ---- 8.6: gates of a prefix ----

banks_task = {
    "todo": "8.6",
    "chapter": "P_K, P_V ← G_P · P_K, G_P · P_V: a gate in each layer, which both share",
    "hint": "gate() makes a new one at each call. An nn.ModuleDict with an nn.ModuleList for each "
    "bank registers them; a plain list would hide them from the optimizer. [gate()] * l is one "
    "gate l times. Print sum(p.numel() for p in slots.gates.parameters()).",
}
DEPTH, WIDTH, HEADS = 7, 12, 3
CONFIG, BANKS = GPTConfig(23, 24, WIDTH, DEPTH, HEADS), ("encoder", "decoder", "cross")


def slots_of(banks=BANKS):
    """A gated prefix of 5 slots for seven layers."""
    torch.manual_seed(4)
    gate = partial(unipelt.Gate, WIDTH, CurrentContext())
    return unipelt.GatedPrefix(CONFIG, banks, 5, M, True, gate)


@asks("GatedPrefix.__init__", **banks_task)
def test_a_gate_for_each_layer_of_each_bank():
    """3 banks of 7 layers have 21 gates, all different, all registered."""
    slots = slots_of()
    hold(hasattr(slots, "gates"), "self.gates is missing")
    missing = [bank for bank in BANKS if bank not in slots.gates]
    hold(not missing, f"no gates for {missing}: every bank has its own")
    for bank in BANKS:
        count = len(slots.gates[bank])
        hold(count == DEPTH, f"{count} gates for the bank {bank}, expected one a layer, {DEPTH}")
    each = [gate for bank in BANKS for gate in slots.gates[bank]]
    different = len({id(gate) for gate in each})
    hold(different > 1, "one gate for all layers and banks")
    hold(different != len(BANKS), "the layers of a bank share one gate: [gate()] * l is one gate")
    hold(different != DEPTH, "the banks share their gates")
    numbers = (
        sum(p.numel() for p in slots.gates.parameters())
        if isinstance(slots.gates, nn.Module)
        else 0
    )
    hold(numbers, "the gates are not registered: a plain list or dictionary hides them")
    close(numbers, 21 * (WIDTH + 1), "numbers in gates")
    hold(isinstance(slots.gates[BANKS[0]][0], unipelt.Gate), "a gate is made by calling gate()")


# ---- 8.7: equation (4) ----

slots_task = {
    "todo": "8.7",
    "chapter": "P_K, P_V ← G_P · P_K, G_P · P_V; the keys and values of the text stay as they are",
    "hint": "super().forward(b, rows) gives {bank: [Extra of each layer]}. Each Extra gets "
    "the gate of its layer and bank in extra.gate. It reads the attention's input, which is not "
    "there yet: attention.py calls it and multiplies keys and values by what it gives.",
}


@asks("GatedPrefix.forward", **slots_task)
def test_each_layer_gets_its_gate():
    """The keys and values are the prefix's own; the gate of each layer is with them."""
    slots = slots_of()
    got, want = slots(4), prefix.Prefix.forward(slots, 4)
    hold(isinstance(got, dict) and got.keys() == want.keys(), "forward gives no {bank: […]}")
    for bank in BANKS:
        for n, (extra, plain) in enumerate(zip(got[bank], want[bank], strict=True)):
            gates = slots.gates[bank]
            hold(isinstance(extra, Extra), f"a layer gets {type(extra).__name__}, not an Extra")
            hold(extra.gate is not None, "an Extra has no gate: the prefix is always fully open")
            other = [b for b in BANKS if b != bank and extra.gate in [*slots.gates[b]]]
            hold(not other, f"the bank {bank} has the gates of the bank {other[:1]}")
            hold(extra.gate is gates[n], f"layer {n} of the bank {bank} has another layer's gate")
            slips = [("P is halved; the gate does that, when it has read the text", plain.keys / 2)]
            close(extra.keys, plain.keys, f"keys of layer {n}", slips)
            close(extra.values, plain.values, f"values of layer {n}")


# ---- 8.8: into a model ----

add_task = {
    "todo": "8.8",
    "chapter": "all three in each layer, each with its gate; the language model itself is frozen",
    "hint": "First what can fail, on a model that is still plain: choose, doors_of, the adapters, "
    "the prefix. Then inject.begin, which freezes all there is at that moment; then LoRA by "
    "inject.replace, the adapters by setattr(block, door, …), the prefix at base.prefix. Print the "
    "names that train.",
}
OPTIONS = {"length": 3, "rank": R, "bottleneck": 5, "hidden": 7}


def added(make=contract.tiny_gpt, **options):
    """A model with UniPELT, and none of its parts moved."""
    torch.manual_seed(1)
    return unipelt.add_unipelt(make(), **(OPTIONS | options))


def parts_of(model, kind):
    """{name in the body: module} of a kind; one that stands at two places has two names."""
    everywhere = inject.body(model).named_modules(remove_duplicate=False)
    return {name: module for name, module in everywhere if isinstance(module, kind)}


def gates_of(model):
    """{name: gate}"""
    return parts_of(model, unipelt.Gate)


@asks("add_unipelt", **add_task)
def test_returns_the_model():
    """add_unipelt works in place, on the body under a head too, and puts all three in."""
    for make in (contract.tiny_gpt, contract.tiny_classifier):
        model = make()
        got = unipelt.add_unipelt(model, **OPTIONS)
        hold(got is not None, "add_unipelt returns None, expected the model")
        hold(got is model, "add_unipelt returns another model; a copy has its own embedding")
        kind = type(inject.body(model).prefix)
        hold(kind is unipelt.GatedPrefix, f"at the door prefix: {kind.__name__}, not GatedPrefix")
        hold(parts_of(model, unipelt.GatedLoRALinear), "no GatedLoRALinear in the model")
        hold(parts_of(model, unipelt.GatedAdapter), "no GatedAdapter in the model")


@asks("add_unipelt", **add_task, after=test_returns_the_model)
def test_where_the_parts_stand():
    """LoRA on W_q and W_v of every attention, one adapter a block, a prefix for every bank."""
    model = added(contract.tiny_seq2seq)
    own = {f"{side}.blocks.{n}" for side in ("encoder", "decoder") for n in range(2)}
    looks = [f"{name}.attention" for name in own]
    looks += [f"decoder.blocks.{n}.cross_attention" for n in range(2)]
    want = {f"{name}.{m}_proj" for name in looks for m in "qv"}
    got = set(parts_of(model, unipelt.GatedLoRALinear))
    hold(not any("k_proj" in name for name in got), "W_k is adapted; the paper's text has W_q, W_v")
    hold(
        got == want, f"LoRA is missing at {sorted(want - got)[:2]}, extra {sorted(got - want)[:2]}"
    )
    want, got = {f"{name}.after_feedforward" for name in own}, parts_of(model, adapter.Adapter)
    hold(len(got) <= len(want), "more than one adapter a block is Houlsby's placement")
    hold(set(got) == want, f"adapters at {sorted(got)[:3]}, expected {sorted(want)[:3]} …")
    hold(len({id(one) for one in got.values()}) == 4, "blocks share an adapter")
    banks = set(model.prefix.banks)
    hold(banks == set(model.BANKS), f"the prefix has the banks {sorted(banks)}; see model.BANKS")


@asks("add_unipelt", **add_task, after=test_where_the_parts_stand)
def test_every_part_has_a_gate_of_its_own():
    """Four gates a layer: W_q, W_v, adapter, prefix; 4(c + 1)L numbers, none shared."""
    gates = list(gates_of(added()).values())
    different = {id(gate) for gate in gates}
    hold(len(gates) == 8, f"{len(gates)} gates in two layers, expected four a layer")
    hold(len(different) == 8, f"8 parts share {len(different)} gates: gate() makes a new one")
    numbers = sum(p.numel() for gate in gates for p in gate.parameters())
    close(numbers, 4 * (12 + 1) * 2, "numbers in gates, 4(c + 1)L")


@asks("add_unipelt", **add_task, after=test_every_part_has_a_gate_of_its_own)
def test_gates_know_what_they_read():
    """Every gate has the body's context; that on W_v of a look at the memory reads memory."""
    for make in (contract.tiny_classifier, contract.tiny_seq2seq):
        model = added(make)
        for name, gate in gates_of(model).items():
            right = gate.context is inject.body(model).context
            hold(right, f"the gate of {name} has another context than the model's")
            memory = "cross_attention.v_proj" in name
            kind = "reads the memory" if memory else "reads no memory"
            hold(gate.memory == memory, f"the gate of {name} {kind}, and is not told so")


@asks("add_unipelt", **add_task, after=test_every_part_has_a_gate_of_its_own)
def test_masked_reaches_every_gate():
    """masked=False arrives at all gates, and True is the default."""
    for masked in (True, False):
        odd = [n for n, gate in gates_of(added(masked=masked)).items() if gate.masked != masked]
        hold(not odd, f"masked={masked} does not arrive at {len(odd)} gates, first {odd[:1]}")


@asks("add_unipelt", **add_task, after=test_returns_the_model)
def test_what_trains():
    """Parts, gates and the head train; the base does not."""
    model = added(contract.tiny_classifier)
    got = set(inject.trainable_parameters(model))
    own = {n for n, _ in model.named_parameters() if "after_" in n or "prefix." in n}
    own |= {
        n for n, _ in model.named_parameters() if n.endswith(("proj.A", "proj.B")) or "gate" in n
    }
    for part in ("prefix", "after_feedforward", "proj.A", "gate"):
        names = {name for name in own if part in name}
        hold(bool(names) and names <= got, f"{part} does not train: did it move in before begin?")
    hold("head.weight" in got, "the task's head does not train; it belongs to the task")
    stray = sorted(got - own - {"head.weight", "head.bias"})
    hold(not stray, f"the base still trains: {len(stray)} tensors, first {stray[:1]}")


@asks("add_unipelt", **add_task, after=test_returns_the_model)
def test_options_reach_the_parts():
    """length, rank, bottleneck, hidden, reparameterize and activation arrive where they belong."""
    model = added(activation="tanh")
    small = model.prefix.banks["self"].small
    hold_shape(small, (3, 12), "P′", [("length=3 is lost", (10, 12))])
    hold_shape(model.prefix.banks["self"].first.weight, (7, 12), "W₁, with hidden=7")
    for layer in parts_of(model, unipelt.GatedLoRALinear).values():
        hold_shape(layer.A, (R, 12), "A", [("rank=2 is lost", (8, 12))])
    for layer in parts_of(model, unipelt.GatedAdapter).values():
        hold_shape(layer.down_proj.weight, (5, 12), "W_down", [("bottleneck=5 is lost", (48, 12))])
        bent = layer.activation(torch.tensor(-1.0)).item()
        close(bent, math.tanh(-1), "φ(−1)", [("activation is lost: this is ReLU", 0.0)])
    flat = added(reparameterize=False).prefix.banks["self"]
    hold(isinstance(flat, prefix.PrefixMatrix), "reparameterize=False does not arrive")
    relu = next(iter(parts_of(added(), unipelt.GatedAdapter).values())).activation
    close(relu(torch.tensor(-1.0)).item(), 0.0, "φ(−1) of the default, ReLU")


@asks("add_unipelt", **add_task, after=test_returns_the_model)
def test_is_recorded_for_the_file():
    """model.delta has the method and every argument; a file comes without the prefix's network."""
    options = OPTIONS | {"reparameterize": True, "activation": "tanh", "masked": False}
    record = getattr(added(**options), "delta", None)
    hold(record is not None, "the model does not know that it carries UniPELT: inject.begin")
    hold(record.method == "unipelt", f"method {record.method}, expected unipelt")
    lost = sorted(k for k in options if record.arguments.get(k) != options[k])
    hold(not lost, f"not recorded as given: {', '.join(lost)}")
    right = record.in_file == {"reparameterize": False}
    hold(right, f"delta.in_file {record.in_file}: a file holds P, so load must make no network")


@asks("add_unipelt", **add_task, after=test_returns_the_model)
def test_takes_type_and_mode_of_the_model():
    """All parts have the dtype and the mode of the model, gates too."""
    model = added(lambda: contract.tiny_gpt().bfloat16().eval())
    odd = [n for n, p in inject.trainable_parameters(model).items() if p.dtype != torch.bfloat16]
    hold(not odd, f"{odd[:1]} has another type than the model's torch.bfloat16")
    training = [n for n, module in model.named_modules() if module.training]
    hold(not training, f"{training[:1]} is in training mode, the model in eval mode")


@asks("add_unipelt", **add_task, after=test_returns_the_model)
def test_a_refused_call_changes_nothing():
    """A size below 1, an unknown activation, a second method: one line, the model as it was."""
    wrong = {"length": 0, "rank": 0, "bottleneck": 0, "hidden": -1, "activation": "gelo"}
    for name, value in wrong.items():
        model, what = contract.tiny_gpt(), f"{name}={value!r}"
        before = dict(model.named_modules())
        call = partial(unipelt.add_unipelt, model, **(OPTIONS | {name: value}))
        hold_refusal(call, (name, str(value)), what)
        same = getattr(model, "delta", None) is None and dict(model.named_modules()) == before
        trains = all(p.requires_grad for p in model.parameters())
        hold(same and trains, f"{what}: the refused call has changed the model; check before begin")
    model = lora.add_lora(contract.tiny_gpt())
    hold_refusal(lambda: unipelt.add_unipelt(model), ("already",), "a model that carries LoRA")
    mixed = model.prefix or parts_of(model, unipelt.Gate)
    hold(not mixed, "a model that carries LoRA: the refused call has left parts on it")


# ---- the contract ----


def gate_count(model):
    """4 gates a layer of a GPT and an Encoder; 4 and 7 of a Seq2Seq's two sides: c + 1 each."""
    return {GPT: 8, Encoder: 8, Seq2Seq: 22}[type(inject.body(model))] * (12 + 1)


def part_count(model):
    """r(c + c) for each W_q and W_v, 2mc + m + c for each adapter; no prefix and no gate."""
    adapters = {GPT: 2, Encoder: 2, Seq2Seq: 4}[type(inject.body(model))]
    return contract.attentions(model) * 2 * R * 2 * 12 + adapters * (2 * 5 * 12 + 5 + 12)


def stored_count(model):
    """The same with the gates and P of each bank: 2plc, p = 3."""
    banks = len(inject.body(model).BANKS)
    return gate_count(model) + part_count(model) + banks * 2 * 3 * 2 * 12


def trained_count(model):
    """The same with the network that makes P, 7 numbers wide, in the place of P."""
    banks = len(inject.body(model).BANKS)
    network = 3 * 12 + 12 * 7 + 7 + 7 * 48 + 48
    return gate_count(model) + part_count(model) + banks * network


# while B is zero no gradient reaches A, nor the gate on B A x
ZERO = ("proj.A", "proj.gate.score.weight", "proj.gate.score.bias")
CASE = contract.Case(
    unipelt.add_unipelt, OPTIONS, count=trained_count, stored=stored_count, zero=ZERO,
    starts="elsewhere", merges=False,
)  # fmt: skip
FLAT = contract.Case(
    unipelt.add_unipelt, OPTIONS | {"reparameterize": False}, count=stored_count, zero=ZERO,
    starts="elsewhere", merges=False,
)  # fmt: skip


@contract.each(CASE, contract.ALL_MODELS)
def test_contract(case, point):
    """UniPELT holds to what every method must, on each model and under a classifier's head."""
    assert point.__doc__
    point(case)


@contract.each(FLAT, contract.MODELS)
def test_contract_without_a_network(case, point):
    """The same where P itself is trained."""
    assert point.__doc__
    point(case)


def trained(make=contract.tiny_gpt, **options):
    """A model whose every trained number has been moved: gates differ from text to text."""
    return contract.Case(unipelt.add_unipelt, OPTIONS | options, model=make).trained()


# ---- a causal model: the prompt ----

PROMPT = 3
IDS = contract.tokens()
UP_TO_THREE = (torch.arange(contract.T) < PROMPT).expand(len(IDS), -1)


def test_no_answer_moves_what_stands_before_it():
    """With a prompt of three tokens: what comes later moves nothing on its left, no gate either."""
    model = trained()
    plain, other = contract.out(model, IDS, pool=UP_TO_THREE), contract.tokens(seed=4)
    for t in range(PROMPT, contract.T):
        ids = torch.cat([IDS[:, :t], other[:, t:]], 1)
        got = contract.out(model, ids, pool=UP_TO_THREE)
        hold_bits(got[:, :t], plain[:, :t], f"before position {t}")
    first = IDS.clone()
    first[:, 0] = other[:, 0]
    assert (contract.out(model, first, pool=UP_TO_THREE) - plain).abs().max() > 1e-3


def test_the_mean_of_the_released_code_sees_the_future():
    """masked=False: another last word moves the first token's logits; the default never does."""
    other = IDS.clone()
    other[:, -1] = (other[:, -1] % 22) + 1
    for masked in (True, False):
        model = trained(masked=masked)
        moved = (contract.out(model, other) - contract.out(model, IDS))[:, :-1].abs().max().item()
        assert (moved > 1e-3) != masked


def test_the_mean_of_the_released_code_counts_padding():
    """masked=False: ten words of padding move a text's hidden states; the default stays."""
    padded = torch.cat([IDS, IDS * 0], 1)
    mask = (torch.arange(2 * contract.T) < contract.T).expand(len(IDS), -1)
    for masked in (True, False):
        model = trained(contract.tiny_encoder, masked=masked)
        got = contract.out(model, padded, mask)[:, : contract.T]
        assert ((got - contract.out(model, IDS)).abs().max() > 1e-3) != masked


def test_gates_of_the_prompt_stay_in_the_cache():
    """Prompts of unequal length, padded on the left, then a token a step: as the whole texts."""
    model, real = trained(), torch.tensor([3, 1, 2])
    mask = torch.arange(contract.T) >= (PROMPT - real)[:, None]
    whole = model.hidden(IDS, mask=mask, pool=UP_TO_THREE & mask)
    with torch.no_grad():
        cache = model.new_cache(contract.T)
        prompt = {"mask": mask[:, :PROMPT], "pool": mask[:, :PROMPT]}
        parts = [model.hidden(IDS[:, :PROMPT], cache=cache, **prompt)]
        kept = dict(cache.notes)
        parts += [model.hidden(IDS[:, t : t + 1], cache=cache) for t in range(PROMPT, contract.T)]
    close(torch.cat(parts, 1)[mask], whole[mask], "hidden states", atol=1e-5)
    assert len(kept) == 8 and all(value.shape == (3, 1, 1) for value in kept.values())
    assert all(cache.notes[gate] is value for gate, value in kept.items())


@pytest.mark.parametrize("make", [contract.tiny_gpt, contract.tiny_seq2seq])
@torch.no_grad()
def test_a_rows_gates_go_with_it(make):
    """Rows of unequal length in one batch, then taken in another order as beams are: as alone."""
    model, prompts = (
        trained(make),
        [row[:n].tolist() for row, n in zip(IDS, (2, 5, 3), strict=True)],
    )
    ids, mask = left_pad(prompts)
    together, alone, next_ = model.new_cache(7), [model.new_cache(7) for _ in prompts], IDS[:, -1:]
    got = model.advance(ids, mask, together, None)
    want = [
        model.advance(torch.tensor([p]), None, c, None) for p, c in zip(prompts, alone, strict=True)
    ]
    close(got, torch.cat(want), "scores behind the prompts", atol=1e-5)
    order = torch.tensor([2, 0, 1])
    together.select(order)
    got = model.advance(next_[order], None, together, None)
    want = [model.advance(one[None], None, c, None) for one, c in zip(next_, alone, strict=True)]
    close(got, torch.cat(want)[order], "scores a token later, rows in another order", atol=1e-5)
    for beams in (1, 3):
        written = [generate(model, [prompt], 6, beams=beams)[0] for prompt in prompts]
        assert generate(model, prompts, 6, beams=beams) == written


def test_generate_writes_what_training_has_scored():
    """The prompt of `generate` is that of a batch: the written tokens are the batch's likeliest."""
    model, prompt = trained(), IDS[0, :4].tolist()
    new = generate(model, [prompt], 5)[0]
    batch = pad([Encoded((*prompt, *new), (False,) * 4 + (True,) * 5)], 0)
    assert batch.pool[0].tolist() == [True] * 4 + [False] * 5
    logits = contract.out(model, batch.ids, batch.mask, pool=batch.pool)[0]
    with torch.no_grad():
        scores = model.advance(batch.ids[:, :4], None, model.new_cache(9), None)
    close(scores[0], logits[3], "scores of the first token that generate writes", atol=1e-5)
    assert logits[3:-1].argmax(1).tolist() == new
    bare = contract.out(model, batch.ids, batch.mask)[0]
    assert (logits - bare).abs().max() > 1e-3


def test_a_dialogues_gates_read_up_to_the_first_answer():
    """What the user says later moves the loss of the first answer by nothing."""
    model, losses = trained(), []
    for later in ((9, 9, 9), (4, 5, 6)):
        ids = (1, 7, 8, 3, 2, *later, 6, 2)
        answer = (False,) * 3 + (True,) * 2 + (False,) * 3 + (True,) * 2
        batch = pad([Encoded(ids, answer)], 0)
        batch.labels[:, 5:] = -100
        losses.append(model.loss(batch))
    hold_bits(losses[0], losses[1], "loss of the first answer")
    assert batch.pool[0].tolist() == [True] * 3 + [False] * 7


def test_measure_hands_the_prompt_over():
    """`measure.total_loss` gives what the rows give by hand with their prompts as the pool."""
    model = trained()
    examples = [Encoded((1, 5, 3, 6, 2), (False, False, False, True, True)),
                Encoded((1, 7, 2, 9), (False, True, True, True))]  # fmt: skip
    total = 0.0
    for one in examples:
        ids, start = torch.tensor([one.ids]), one.answer.index(True)
        pool = torch.arange(len(one.ids))[None] < start
        logp = contract.out(model, ids, pool=pool).log_softmax(-1)[0]
        total -= sum(logp[t - 1, one.ids[t]].item() for t in range(start, len(one.ids)))
    got, targets = measure.total_loss(model, examples, 0)
    close(got, total, "summed loss", rtol=1e-4)
    assert targets == 5


@pytest.mark.parametrize("name", contract.CLASSIFIERS)
def test_a_classifier_reads_the_whole_text(name):
    """Its prompt is the text: scores without a pool are those of the batch that trains it."""
    model = trained(contract.CLASSIFIERS[name])
    texts = [Encoded((1, 5, 3, 6, 2), (False,) * 5, 1), Encoded((1, 7, 2), (False,) * 3, 0)]
    batch = pad(texts, 0)
    assert torch.equal(batch.pool, batch.mask)
    got = contract.out(model, batch.ids, batch.mask)
    hold_bits(got, contract.out(model, batch.ids, batch.mask, pool=batch.pool), "scores")


def test_packed_rows_are_refused():
    """Texts that share a row would share its gates, and see one another: one line, any model."""
    packed = pack([Encoded((1, 7, 2), (False, True, True))] * 2, 8, 0)
    for make in (contract.tiny_gpt, contract.tiny_encoder):
        model = trained(make)
        hold_refusal(
            lambda m=model: m.loss(packed), ("packed row", "one text a row"), "packed rows"
        )
        with delta.off(model):
            model.loss(packed)
    hold_refusal(lambda: trained(contract.tiny_seq2seq).loss(packed), ("packed rows",), "Seq2Seq")


# ---- what a gate reads, and what it does ----


def read_by(model, ids):
    """{name: (what its gate read, what the module that it belongs to was given)}."""
    seen, found = {}, {}
    modules = dict(inject.body(model).named_modules())

    def keep(name, module, given):
        seen[name] = given

    for name, module in modules.items():
        module.register_forward_pre_hook(partial(keep, name))
    contract.out(model, ids)
    for name in gates_of(model):
        owner, _, last = name.rpartition(".")
        if last == "gate":
            found[name] = seen[name][0], seen[owner][0]
    return found, seen


def test_each_gate_reads_what_its_part_reads():
    """G_L and G_A the input of W and adapter, G_P the attention's; W_v of a look the memory."""
    model = trained(contract.tiny_seq2seq)
    found, seen = read_by(model, IDS)
    assert len(found) == 12 + 4
    for name, (read, given) in found.items():
        hold_bits(read, given, f"what the gate of {name} reads")
    places = {"encoder": "encoder.blocks.{}.attention", "decoder": "decoder.blocks.{}.attention"}
    places["cross"] = "decoder.blocks.{}.cross_attention"
    for bank, place in places.items():
        for n in range(2):
            read = seen[f"prefix.gates.{bank}.{n}"][0]
            hold_bits(read, seen[place.format(n)][0], f"what the gate of {bank} {n} reads")
    memory, look = seen["decoder.blocks.0.cross_attention"][1], "decoder.blocks.1.cross_attention"
    hold_bits(seen[f"{look}.v_proj.gate"][0], memory, "what the gate on W_v of a look reads")
    assert memory.shape[1] == contract.T != seen[f"{look}.q_proj.gate"][0].shape[1]


def test_gates_scale_keys_and_values():
    """(4): both P_K and P_V in front of the text's own keys and values, which no gate touches."""
    torch.manual_seed(13)
    layer, x = MultiHeadAttention(WIDTH, HEADS), normal(B, T, WIDTH)
    keys, values = normal(B, HEADS, 4, 4), normal(B, HEADS, 4, 4, seed=1)
    gate = a_gate(width=WIDTH)
    k, v = layer.keys_values(x, x, Extra(keys, values, gate))
    g = by_loops(gate, x)[:, None]
    plain_k, plain_v = layer.split(layer.k_proj(x)), layer.split(layer.v_proj(x))
    slips = [("the gate scales the text's own keys too", torch.cat([g * keys, g * plain_k], 2))]
    slips += [("P_K has no gate", torch.cat([keys, plain_k], 2))]
    close(k, torch.cat([g * keys, plain_k], 2), "keys", slips)
    slips = [("P_V has no gate", torch.cat([values, plain_v], 2))]
    close(v, torch.cat([g * values, plain_v], 2), "values", slips)


def set_gates(model, bias):
    """All gates at σ(bias), whatever the text."""
    with torch.no_grad():
        for gate in gates_of(model).values():
            gate.score.weight.zero_()
            gate.score.bias.fill_(bias)
    return model


@pytest.mark.parametrize("family", contract.MODELS)
def test_shut_gates_leave_a_prefix_of_zeros(family):
    """b = −40: the base behind keys and values of zeros, which keep their share of the softmax."""
    model = set_gates(trained(contract.MODELS[family]), -40.0)
    zeros = prefix.add_prefix(contract.MODELS[family](), 3, reparameterize=False)
    for bank in inject.body(zeros).prefix.banks.values():
        nn.init.zeros_(bank.P)
    base = contract.out(contract.MODELS[family](), IDS)
    got = contract.out(model, IDS)
    close(got, contract.out(zeros, IDS), "all gates shut", atol=1e-5)
    assert (got - base).abs().max() > 1e-2


@pytest.mark.parametrize("bias", [0.0, 40.0], ids=["half open", "open"])
@pytest.mark.parametrize("family", contract.MODELS)
def test_constant_gates_are_constant_scales(family, bias):
    """w = 0: the three parts without gates, LoRA's scale, Δ and P multiplied by σ(b)."""
    model = set_gates(trained(contract.MODELS[family]), bias)
    got, g = contract.out(model, IDS), 1 / (1 + math.exp(-bias))
    with torch.no_grad():
        for name, part in parts_of(model, unipelt.GatedLoRALinear).items():
            plain = lora.LoRALinear(part.frozen, R, alpha=g * R)
            plain.load_state_dict({k: v for k, v in part.state_dict().items() if "gate" not in k})
            put(model, name, plain)
        for name, part in parts_of(model, unipelt.GatedAdapter).items():
            plain = adapter.Adapter(12, 5, "relu")
            plain.load_state_dict({k: v for k, v in part.state_dict().items() if "gate" not in k})
            for parameter in plain.up_proj.parameters():
                parameter.mul_(g)
            put(model, name, plain)
        for bank in inject.body(model).prefix.banks.values():
            bank.second.weight.mul_(g)
            bank.second.bias.mul_(g)
    inject.body(model).prefix.gates = nn.ModuleDict()
    bare = partial(prefix.Prefix.forward, inject.body(model).prefix)
    inject.body(model).prefix.forward = bare
    assert not gates_of(model)
    close(contract.out(model, IDS), got, "without gates", atol=1e-5)


def put(model, name, module):
    """Another module in the place of that name in the body."""
    parent, _, child = name.rpartition(".")
    setattr(inject.body(model).get_submodule(parent), child, module.eval())


def test_the_mean_of_sigma_is_not_sigma_of_the_mean():
    """z = −3, 0, 3, 3: .6131, and not .6792."""
    gate = a_gate(width=1, pool=torch.ones(1, 4, dtype=torch.bool))
    nn.init.ones_(gate.score.weight)
    nn.init.zeros_(gate.score.bias)
    got = gate(torch.tensor([[[-3.0], [0.0], [3.0], [3.0]]])).item()
    assert got == pytest.approx(0.6131, abs=5e-5)
    assert 1 / (1 + math.exp(-0.75)) == pytest.approx(0.6792, abs=5e-5)


@pytest.mark.parametrize("family", contract.ALL_MODELS)
def test_a_gradient_reaches_every_gate(family):
    """Once B is not zero all gates of all layers learn: W_q, W_v, adapter and prefix."""
    model = trained(contract.ALL_MODELS[family])
    model.loss(contract.batch(model)).backward()
    gates = gates_of(model)
    assert len(gates) * 13 == gate_count(model)
    for name, gate in gates.items():
        for parameter in gate.parameters():
            hold(parameter.grad is not None and parameter.grad.any(), f"{name} learns nothing")


def keep_output(made, name, module, given, output):
    """A hook that writes down what a module gives."""
    made[name] = output


def test_a_gate_differs_from_text_to_text():
    """One number a row, between 0 and 1, and not the same for two texts."""
    model, made = trained(contract.tiny_encoder), {}
    for name, gate in gates_of(model).items():
        gate.register_forward_hook(partial(keep_output, made, name))
    contract.out(model, IDS)
    assert len(made) == 8
    for value in made.values():
        assert value.shape == (3, 1, 1) and 0 < value.min() and value.max() < 1
        assert value.flatten().unique().numel() == 3


def test_a_gate_without_a_pool_is_an_error():
    """A gate never guesses where to read: outside of a model's forward there is no pool."""
    gate = unipelt.Gate(C, CurrentContext())
    hold_refusal(lambda: gate(normal(B, T, C)), ("no pool",), "no context")
    model = trained(contract.tiny_seq2seq)
    hold_refusal(lambda: model.encode(IDS), ("no pool",), "the encoder alone")


def test_an_autocast_pass_runs():
    """In bfloat16 autocast loss and gradients come out, near those of the full precision."""
    losses = []
    for enabled in (False, True):
        model = trained().train()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses.append(model.loss(contract.batch(model)))
        losses[-1].backward()
        assert all(p.grad.isfinite().all() for p in inject.trainable_parameters(model).values())
    close(losses[1].item(), losses[0].item(), "loss in bfloat16", rtol=0.05)


def test_merge_says_why_not():
    """No weight depends on its input, and the gates do."""
    hold_refusal(lambda: delta.merge(trained()), ("unipelt", "depend on the text"), "merge")


def test_counts_of_the_paper():
    """BERT-base, p = 10, r = 8, m = 48: 36,912 in gates, 1,410,672 in all; by formula too."""
    config = EncoderConfig(30522, 512, 768, 12, 12)
    with torch.device("meta"), patch.object(inject, "base_hash", lambda model: ""):
        model = unipelt.add_unipelt(Encoder(config), reparameterize=False)
    sizes = dict.fromkeys(("gate", "prefix.banks", "proj.A", "proj.B", "after_"), 0)
    for name, parameter in inject.trainable_parameters(model).items():
        sizes[next(part for part in sizes if part in name)] += parameter.numel()
    layers, c, p, r, m = 12, 768, 10, 8, 48
    assert sizes["gate"] == 36_912 == 4 * (c + 1) * layers
    assert sizes["prefix.banks"] == 184_320 == 2 * p * layers * c
    assert sizes["proj.A"] + sizes["proj.B"] == 294_912 == 2 * 2 * c * r * layers
    assert sizes["after_"] == 894_528 == (2 * m * c + m + c) * layers
    assert sum(sizes.values()) == 1_410_672
    close(delta.count_parameters(model).stored, 1_410_672, "stored")
