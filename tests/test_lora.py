"""LoRA: equations (1) and (2), the start, what trains, where it goes (spec: peft §5).

The checks marked `asks` are the homework's; the other tests hold the reference alone.
"""

import math
from unittest.mock import patch

import pytest
import torch
from torch import nn

from minift.models.gpt import GPT, GPTConfig
from minift.peft import delta, inject, lora
from tests import contract
from tests.answer_check import asks
from tests.compare import close, hold, hold_bits, hold_refusal, hold_shape

REFERENCE = "minift.peft.lora"
HOMEWORK = "05_lora.py"

EQUATION = "h = Wx + ΔWx = Wx + (α/r)·BAx, W frozen, B and A trained"
START = "A starts from a random Gaussian, B starts at zero: training starts from the base"


def trained_layer(o=7, i=5, r=3, alpha=6, bias=True, **options):
    """A LoRA layer whose B is no longer zero; unequal primes, α/r = 2."""
    torch.manual_seed(11)
    layer = lora.LoRALinear(nn.Linear(i, o, bias=bias), r, alpha, **options)
    nn.init.normal_(layer.A)
    nn.init.normal_(layer.B)
    return layer


def product(a, b):
    """a (n, k) times b (k, m) in three loops."""
    n, k, m = len(a), len(b), len(b[0])
    rows = [[sum(a[x][z] * b[z][y] for z in range(k)) for y in range(m)] for x in range(n)]
    return torch.tensor(rows)


def by_loops(layer, x):
    """(W x, b, B A x) of each row of x (b, t, i), by loops."""
    rows = x.flatten(0, 1).tolist()
    base = product(rows, layer.frozen.weight.T.tolist())
    down = product(rows, layer.A.T.tolist())
    up = product(down.tolist(), layer.B.T.tolist())
    shape = (*x.shape[:2], -1)
    return base.view(shape), layer.frozen.bias.detach(), up.view(shape)


# ---- 5.1: the layer ----

HINT_INIT = (
    "Read the symbol table row by row: name, shape, trained or not, start. nn.Linear(i, o) keeps "
    "W as (o, i); A takes i numbers to r, B takes r to o. Print "
    "[(n, p.shape, p.requires_grad) for n, p in layer.named_parameters()]."
)
layer_task = {"todo": "5.1", "chapter": EQUATION, "hint": HINT_INIT}


@asks("LoRALinear.__init__", **layer_task)
def test_shapes():
    """A is (r, i) and B is (o, r), both parameters."""
    layer = lora.LoRALinear(nn.Linear(5, 7), rank=3, alpha=6)
    slip_a, slip_b = "you made Aᵀ: A maps i to r", "you made Bᵀ: B maps r to o"
    hold_shape(layer.A, (3, 5), "A", slips=[(slip_a, (5, 3))])
    hold_shape(layer.B, (7, 3), "B", slips=[(slip_b, (3, 7))])
    for name in "AB":
        parameter = isinstance(getattr(layer, name), nn.Parameter)
        hold(parameter, f"{name} is a plain tensor, expected nn.Parameter: no optimiser sees it")


@asks("LoRALinear.__init__", **layer_task)
def test_takes_the_type_of_the_frozen_layer():
    """A and B have the dtype of W, or a model in 16 bits cannot run them."""
    layer = lora.LoRALinear(nn.Linear(5, 7, dtype=torch.bfloat16), rank=3, alpha=6)
    for name in "AB":
        dtype = getattr(layer, name).dtype
        hold(dtype == torch.bfloat16, f"{name}: dtype {dtype}, expected W's torch.bfloat16")


@asks("LoRALinear.__init__", **layer_task, after=test_shapes)
def test_only_a_and_b_train():
    """The layer that was given is inside, untouched and frozen; r(i + o) numbers train."""
    linear = nn.Linear(5, 7)
    before = contract.clone(linear.state_dict())
    layer = lora.LoRALinear(linear, rank=3, alpha=6)
    hold(layer.frozen is linear, "frozen is another layer, expected the very one that was given")
    hold_bits(linear.weight, before["weight"], "W after the layer was made")
    trained = {n: p for n, p in layer.named_parameters() if p.requires_grad}
    both = {"frozen.weight", "frozen.bias"} <= trained.keys()
    hold(not both, "W and its bias still train: 'frozen' is only a name until you freeze it")
    hold("frozen.bias" not in trained, "the bias of W still trains; LoRA trains A and B alone")
    numbers = sum(p.numel() for p in trained.values())
    hold(numbers == 3 * (5 + 7), f"{sorted(trained)} train: {numbers} numbers, expected r(i + o)")


@asks(
    "LoRALinear.__init__",
    todo="5.1",
    chapter=EQUATION,
    hint="α is a constant in r, and the change is divided by r, so that its size stays alike when "
    "r is varied. Try r = 4 with α = 8 (twice BAx) and with α = 1 (a quarter).",
)
def test_scale():
    """The scale is α/r."""
    pairs = [(4, 8), (4, 1), (8, 8), (3, 6)]
    linear = nn.Linear(5, 7)
    got = torch.tensor([float(lora.LoRALinear(linear, r, a).scale) for r, a in pairs])
    slips = [
        ("you scale by alpha; equation (1) says alpha / r", [a for r, a in pairs]),
        ("you scale by r / alpha; equation (1) has it the other way up", [r / a for r, a in pairs]),
        ("your factor is 1 whatever alpha and r are", [1.0] * 4),
        ("you divide by the root of r, as rsLoRA does", [a / math.sqrt(r) for r, a in pairs]),
    ]
    want = torch.tensor([a / r for r, a in pairs])
    close(got, want, "scale", slips=[(m, torch.tensor(v)) for m, v in slips])


@asks("LoRALinear.__init__", **layer_task)
def test_is_filled_by_reset():
    """The layer is filled by self.reset(init): a parameter that is only made holds anything."""
    asked = []
    with patch.object(lora.LoRALinear, "reset", lambda self, *a, **k: asked.append((a, k))):
        lora.LoRALinear(nn.Linear(5, 7), 3, 6, init="kaiming")
    hold(asked, "self.reset is never called, so A holds whatever was in memory")
    passed = asked[-1] in [(("kaiming",), {}), ((), {"init": "kaiming"})]
    hold(passed, f'the layer was asked for init="kaiming", but reset got {asked[-1]}')


@asks("LoRALinear.__init__", **layer_task)
def test_keeps_the_dropout():
    """self.dropout drops the asked share in training and nothing in eval mode."""
    torch.manual_seed(12)
    layer = lora.LoRALinear(nn.Linear(5, 7), 3, 6, dropout=0.25).train()
    ones = torch.ones(100, 101)
    share = (layer.dropout(ones) == 0).float().mean().item()
    hold(share > 0, "self.dropout drops nothing in training, though dropout=0.25 was asked for")
    close(share, 0.25, "share that self.dropout drops", rtol=0.1)
    hold_bits(layer.eval().dropout(ones), ones, "self.dropout in eval mode")


# ---- 5.2: the start ----

start_task = {
    "todo": "5.2",
    "chapter": START,
    "hint": "Write dL/dA and dL/dB and put in the zeros: dL/dB = (α/r)·g xᵀAᵀ and "
    "dL/dA = (α/r)·Bᵀg xᵀ. If both are zero, both gradients are, for ever; if neither is, the "
    "first output is not the base's; and dL/dB is proportional to A: how large is A?",
}


def started(init="gaussian", r=97, i=101):
    """A layer whose A and B held 9 everywhere before reset(init)."""
    layer = lora.LoRALinear(nn.Linear(i, 7), rank=r, alpha=6)
    nn.init.constant_(layer.A, 9.0)
    nn.init.constant_(layer.B, 9.0)
    torch.manual_seed(13)
    layer.reset(init)
    return layer


@asks("LoRALinear.reset", **start_task)
def test_only_b_is_zero():
    """B is zero and A is not, whatever they held before."""
    for init in ("gaussian", "kaiming"):
        layer = started(init)
        a, b = bool(layer.A.any()), bool(layer.B.any())
        hold(not (layer.B == 9).all(), "reset leaves B as it was; it must start at zero again")
        hold(a or b, "A and B are both zero: both gradients are zero, and stay so for ever")
        hold(not (a and b), "A and B are both random: the first output is not the base's")
        hold(a, "A is zero and B random: the chapter has it the other way round")
        hold(not (layer.A == 9).all(), "reset leaves A as it was; expected new random numbers")


@asks("LoRALinear.reset", **start_task, after=test_only_b_is_zero)
def test_deviation_of_a():
    """A has deviation 1/√(3 i), so the first step of B has a size that does not depend on i."""
    got = started().A.std().item()
    slips = [
        ("A has deviation 1: B's first step is √(3 i) times too large", 1.0),
        ("A has deviation 1/√i; that is the bound of the released code's uniform", 101**-0.5),
        ("A has deviation 1/r, as Hugging Face's gaussian; expected 1/√(3 i)", 1 / 97),
        ("A has 1/(3 i), the variance, where the deviation was asked for", 1 / 303),
        ("A has deviation 0.02, GPT-2's; expected 1/√(3 i)", 0.02),
    ]
    close(got, 1 / math.sqrt(303), "deviation of A", slips, rtol=0.05)


@asks("LoRALinear.reset", **start_task, after=test_only_b_is_zero)
def test_gaussian_is_gaussian():
    """The default is the chapter's Gaussian: 8.3% of the numbers lie beyond √3 deviations."""
    a = started().A.detach()
    beyond = (a.abs() > math.sqrt(3) * a.std()).float().mean().item()
    hold(beyond > 0.01, "A is uniform, not Gaussian: no number lies beyond √3 deviations")
    close(beyond, math.erfc(math.sqrt(1.5)), "share of A beyond √3 deviations", rtol=0.15)


@asks("LoRALinear.reset", **start_task, after=test_only_b_is_zero)
def test_kaiming_is_the_released_codes():
    """init="kaiming" is U(±1/√i): the bound is reached and not passed."""
    a = started("kaiming").A.detach()
    slips = [
        ("this is kaiming_uniform_ at its default; the released code has a=√5", math.sqrt(6 / 101)),
    ]
    close(a.abs().max().item(), 1 / math.sqrt(101), "largest number of A", slips, rtol=0.01)
    close(a.std().item(), 1 / math.sqrt(303), "deviation of A", rtol=0.05)


@asks("LoRALinear.reset", **start_task)
def test_an_unknown_start_is_refused():
    """A misspelt init is met by an error that names the two there are."""
    hold_refusal(lambda: started("gausian"), ("gaussian", "kaiming"), 'init="gausian"')


# ---- 5.3: equation (1) ----

forward_task = {
    "todo": "5.3",
    "chapter": EQUATION,
    "hint": "Three lines: down = A x (b, t, r), up = B A x (b, t, o), then W x + b plus "
    "scale · up. self.frozen(x) is W x + b. Test with one-hot rows of x: each gives a column of W "
    "and of BA.",
}


@asks("LoRALinear.forward", **forward_task)
def test_forward():
    """h = W x + b + (α/r) B A x, by loops."""
    layer = trained_layer()
    x = torch.randn(2, 3, 5)
    base, bias, up = by_loops(layer, x)
    slips = [
        ("you leave α/r out", base + bias + up),
        ("you apply α/r twice", base + bias + 4 * up),
        (
            "α/r scales W x too; in equation (1) it stands before B A x alone",
            2 * (base + bias + up),
        ),
        ("the path of W is missing", 2 * up),
        ("the low-rank path is missing", base + bias),
        ("you leave out W's bias", base + 2 * up),
    ]
    close(layer(x), base + bias + 2 * up, "h", slips)


@asks("LoRALinear.forward", **forward_task, after=test_forward)
def test_gradients_at_the_start():
    """With B = 0: dL/dB = (α/r) gᵀ x Aᵀ and dL/dA is 0, not missing."""
    layer = trained_layer()
    nn.init.zeros_(layer.B)
    x, g = torch.randn(11, 5), torch.randn(11, 7)
    (layer(x) * g).sum().backward()
    hold(layer.B.grad is not None, "B gets no gradient: is something detached or under no_grad?")
    down = product(x.tolist(), layer.A.T.tolist())
    want = 2 * product(g.T.tolist(), down.tolist())
    close(layer.B.grad, want, "dL/dB", slips=[("dL/dB lacks the factor α/r", want / 2)], atol=1e-5)
    hold(layer.A.grad is not None, "A gets no gradient at all: is A x detached?")
    hold_bits(layer.A.grad, torch.zeros(3, 5), "dL/dA while B is zero")


@asks("LoRALinear.forward", **forward_task, after=test_gradients_at_the_start)
def test_gradient_goes_on_to_earlier_layers():
    """dL/dx = g W + (α/r) g B A: a frozen layer still hands the gradient on."""
    layer = trained_layer()
    x, g = torch.randn(11, 5, requires_grad=True), torch.randn(11, 7)
    (layer(x) * g).sum().backward()
    hold(x.grad is not None, "no gradient reaches x: earlier layers learn nothing")
    through_w = product(g.tolist(), layer.frozen.weight.tolist())
    through_b = product(product(g.tolist(), layer.B.tolist()).tolist(), layer.A.tolist())
    slips = [
        ("W x is under no_grad: frozen means that W gets no gradient, x still does", 2 * through_b),
        ("x is detached on its way to A", through_w),
    ]
    close(x.grad, through_w + 2 * through_b, "dL/dx", slips, atol=1e-5)


dropout_task = {
    "todo": "5.3",
    "chapter": "LoRA dropout falls on the input x of the low-rank path: h = Wx + (α/r)·BA·drop(x)",
    "hint": "With r = 1 look at the change with dropout divided by the change without. Dropped "
    "before A: many different ratios, one for each token. After A: only 0 and 2. After B: 0 and 2, "
    "differing inside a token. And with p = 1 the output must be W x + b.",
}


@asks("LoRALinear.forward", **dropout_task, after=test_forward)
def test_dropout_spares_the_frozen_path():
    """With p = 1 nothing of B A x is left and all of W x + b."""
    layer = trained_layer(dropout=1.0).train()
    x = torch.randn(2, 3, 5)
    base, bias, up = by_loops(layer, x)
    slips = [
        ("the dropout falls on W's input too; the frozen path never drops", bias.expand(2, 3, 7)),
        ("nothing is dropped in training: is self.dropout used?", base + bias + 2 * up),
    ]
    close(layer(x), base + bias, "h with p = 1", slips)


@asks("LoRALinear.forward", **dropout_task, after=test_dropout_spares_the_frozen_path)
def test_dropout_falls_on_the_input_of_a():
    """The fingerprint, r = 1: the ratio dropped/whole is one number a token, with many values."""
    layer = trained_layer(i=11, r=1, alpha=2, dropout=0.5).train()
    x = torch.randn(1, 199, 11)
    base, bias, up = by_loops(layer, x)
    torch.manual_seed(14)
    ratio = ((layer(x) - base - bias) / (2 * up)).detach()[0]  # (t, o)
    steady = up[0].abs() > 0.05  # a ratio of two small numbers says nothing
    mean = (ratio * steady).sum(1) / steady.sum(1)
    spread = ((ratio - mean[:, None]).abs() * steady).max(1).values
    hold(bool(((mean - 1).abs() > 1e-2).any()), "nothing is dropped in training")
    inside = (spread > 0.05).float().mean().item()
    hold(inside < 0.5, "you drop the output of B: the ratio differs inside a token")
    values = len(set((mean * 50).round().int().tolist()))
    hold(values > 10, f"you drop the output of A: only {values} different ratios, expected many")


@asks("LoRALinear.forward", **dropout_task, after=test_forward)
def test_eval_mode_drops_nothing():
    """In eval mode h is equation (1) without dropout."""
    layer = trained_layer(dropout=0.5).eval()
    x = torch.randn(2, 3, 5)
    base, bias, up = by_loops(layer, x)
    torch.manual_seed(15)
    got = layer(x)
    again = torch.equal(got, layer(x))
    hold(again, "dropout acts in eval mode: two runs differ; self.dropout(x) knows the mode")
    close(got, base + bias + 2 * up, "h in eval mode")


# ---- 5.4: equation (2) ----

merge_task = {
    "todo": "5.4",
    "chapter": "W' = W + (α/r)·BA: merged once after training, no cost at inference",
    "hint": "BA is (o, r) times (r, i), the shape of W. Test with o ≠ i and with r = 1: square "
    "shapes hide every transpose. Make a new nn.Linear and copy into it under torch.no_grad(); the "
    "LoRA layer keeps W, A, B, so that a second merge gives the same.",
}


@asks("merge", **merge_task)
def test_merge():
    """The merged weight is W + (α/r) B A."""
    for o, i, r in ((5, 5, 1), (5, 5, 3), (7, 5, 3)):
        layer = trained_layer(o, i, r, alpha=2 * r)
        w, change = layer.frozen.weight.clone(), product(layer.B.tolist(), layer.A.tolist())
        slips = [("you leave α/r out of W'", w + change), ("W itself is missing in W'", 2 * change)]
        slips += [("α/r scales W too", 2 * (w + change))]
        if o == i:
            slips += [("you add the transpose of B A", w + 2 * change.T)]
        if r == 1:
            dot = product(layer.A.tolist(), layer.B.tolist())
            slips += [
                ("you multiply A by B, which is (r, r); expected B by A, (o, i)", w + 2 * dot)
            ]
        plain = lora.merge(layer)
        hold(type(plain) is nn.Linear, f"merge gives {type(plain).__name__}, expected nn.Linear")
        close(plain.weight, w + 2 * change, "W'", slips, atol=1e-5)


@asks("merge", **merge_task, after=test_merge)
def test_merging_changes_nothing():
    """Merging makes a new layer and leaves the old one: nothing merges twice, in bf16 either."""
    for dtype in (torch.float32, torch.bfloat16):
        layer = trained_layer().to(dtype)
        before = contract.clone(layer.state_dict())
        first = lora.merge(layer)
        moved = any(not torch.equal(before[n], t) for n, t in layer.state_dict().items())
        hold(not moved, "merging changed W inside the LoRA layer: a second merge adds B A twice")
        hold(first.weight.dtype == dtype, f"W' is {first.weight.dtype}, expected W's {dtype}")
        hold_bits(lora.merge(layer).weight, first.weight, "W' of a second merge")


@asks("merge", **merge_task, after=test_merging_changes_nothing)
def test_merged_layer_stands_alone():
    """The merged layer shares no memory with the old one: to train it leaves the base alone."""
    layer = trained_layer()
    plain = lora.merge(layer)
    for name, parameter in plain.named_parameters():
        shared = parameter.data_ptr() == getattr(layer.frozen, name).data_ptr()
        hold(not shared, f"the merged layer shares its {name} with the frozen one; copy it")
        hold(parameter.is_leaf, f"{name} hangs on a graph; copy under torch.no_grad()")


@asks("merge", **merge_task, after=test_merge)
def test_merge_keeps_the_bias():
    """The bias goes over as it is, so the output is the unmerged one; without one stays without."""
    layer = trained_layer()
    x = torch.randn(2, 3, 5)
    base, bias, up = by_loops(layer, x)
    plain = lora.merge(layer)
    hold(plain.bias is not None, "the merged layer has lost its bias")
    hold_bits(plain.bias, layer.frozen.bias, "bias of the merged layer")
    close(plain(x), base + bias + 2 * up, "output of the merged layer", atol=1e-5)
    plain = lora.merge(trained_layer(bias=False))
    hold(plain.bias is None, "the merged layer has a bias though the frozen one has none")


# ---- 5.5: into a model ----

ADD = "LoRA in the paper: W_q and W_v of every block; everything else is frozen"
add_task = {
    "todo": "5.5",
    "chapter": ADD,
    "hint": "The order is choose, begin, replace: `begin` freezes all there is at that moment, and "
    "A and B are to train. Print [n for n, p in model.named_parameters() if p.requires_grad].",
}


class Decoys(nn.Module):
    """Names that hold q_proj without being one, and one that only a dotted suffix tells apart."""

    def __init__(self):
        super().__init__()
        for part in ("attention", "cross_attention"):
            self.add_module(part, nn.Module())
            for name in ("q_proj", "v_proj"):
                getattr(self, part).add_module(name, nn.Linear(5, 5))
        self.seq_projection = nn.Linear(5, 5)
        self.old_q_proj = nn.Linear(5, 5)
        self.embedding = nn.Embedding(5, 5)


def adapted(model):
    """Where LoRA layers stand."""
    return {n for n, m in model.named_modules() if isinstance(m, lora.LoRALinear)}


@asks("add_lora", **add_task)
def test_returns_the_model():
    """add_lora works in place and returns the model: a copy would untie tied weights."""
    model = contract.tiny_gpt()
    embedding = model.embedding.weight
    got = lora.add_lora(model)
    hold(got is not None, "add_lora returns None, expected the model")
    hold(got is model, "add_lora returns another model; a copy has its own embedding")
    hold(model.embedding.weight is embedding, "the tied embedding is no longer the same tensor")
    hold(adapted(model), "add_lora has adapted no layer")


@asks("add_lora", **add_task, after=test_returns_the_model)
def test_default_targets():
    """By default W_q and W_v of every block are adapted, and no other layer."""
    got = adapted(lora.add_lora(contract.tiny_gpt()))
    want = {f"blocks.{n}.attention.{m}_proj" for n in range(2) for m in "qv"}
    hold(got, "no layer was adapted")
    missing, extra = sorted(want - got), sorted(got - want)
    hold(not missing, f"not adapted: {', '.join(missing)}")
    hold(not extra, f"adapted without being a target: {', '.join(extra)}")


@asks("add_lora", **add_task, after=test_default_targets)
def test_targets_are_dotted_suffixes():
    """A target is compared with whole parts of the name, from the right."""
    model = Decoys()
    lora.add_lora(model, targets=("q_proj", "cross_attention.v_proj"))
    got = adapted(model)
    hold("old_q_proj" not in got, "old_q_proj is adapted: a target is no substring of a name")
    known = "cross_attention.v_proj" in got
    hold(known, "cross_attention.v_proj is not adapted: a target may be a dotted suffix")
    want = {"attention.q_proj", "cross_attention.q_proj", "cross_attention.v_proj"}
    hold(got == want, f"adapted: {sorted(got)}, expected {sorted(want)}")


@asks("add_lora", **add_task, after=test_targets_are_dotted_suffixes)
def test_a_target_that_matches_nothing_is_refused():
    """One of two targets is misspelt: an error that names it and the layers there are."""
    model = contract.tiny_gpt()
    words = ("query", "q_proj", "out_proj")
    hold_refusal(lambda: lora.add_lora(model, targets=("v_proj", "query")), words, "target query")
    hold(not adapted(model), "the refused call has changed the model")


@asks("add_lora", **add_task, after=test_default_targets)
def test_only_lora_and_the_head_train():
    """Under a classifier exactly the A, the B and the head train."""
    model = lora.add_lora(contract.tiny_classifier())
    got = set(inject.trainable_parameters(model))
    layers = [f"body.blocks.{n}.attention.{m}_proj" for n in range(2) for m in "qv"]
    want = {f"{layer}.{part}" for layer in layers for part in "AB"}
    hold(not (want - got), "A and B do not train: were they frozen with the rest, after they came?")
    hold("head.weight" in got, "the task's head does not train; it belongs to the task")
    stray = sorted(got - want - {"head.weight", "head.bias"})
    hold(not stray, f"the base still trains: {len(stray)} tensors, first {stray[:1]}")


@asks("add_lora", **add_task, after=test_default_targets)
def test_starts_as_the_base():
    """The adapted model's first output is the base's, to the last bit."""
    ids = contract.tokens()
    base = contract.out(contract.tiny_gpt(), ids)
    model = lora.add_lora(contract.tiny_gpt()).eval()
    hold(adapted(model), "no layer was adapted")
    hold_bits(contract.out(model, ids), base, "first output: the layers inside are not the base's")


@asks("add_lora", **add_task, after=test_default_targets)
def test_options_reach_every_layer():
    """rank, alpha, dropout and init go to each layer."""
    options = {"rank": 3, "alpha": 12, "dropout": 0.25, "init": "kaiming"}
    model = lora.add_lora(contract.tiny_gpt(), **options)
    layers = [m for m in model.modules() if isinstance(m, lora.LoRALinear)]
    hold(layers, "no layer was adapted")
    for layer in layers:
        swapped = "rank and alpha have changed places"
        hold_shape(layer.A, (3, 12), "A of a layer", slips=[(swapped, (12, 12))])
        close(layer.scale, 4.0, "scale of a layer", slips=[("alpha does not arrive", 16 / 3)])
        close(getattr(layer.dropout, "p", 0.0), 0.25, "dropout of a layer does not arrive")
        hold(layer.A.abs().max() < 12**-0.5 + 1e-6, "init does not arrive: A is not kaiming's")


@asks("add_lora", **add_task, after=test_default_targets)
def test_is_recorded_for_the_file():
    """model.delta holds the method and every argument, so that a saved file can add LoRA again."""
    options = {"rank": 3, "alpha": 12, "targets": ["k_proj"], "dropout": 0.25, "init": "kaiming"}
    model = lora.add_lora(contract.tiny_gpt(), **options)
    record = getattr(model, "delta", None)
    hold(record is not None, "the model does not know that it carries LoRA: inject.begin")
    hold(record.method == "lora", f"method {record.method}, expected lora")
    got = {k: list(v) if k == "targets" else v for k, v in record.arguments.items()}
    lost = sorted(k for k in options if got.get(k) != options[k])
    hold(not lost, f"not recorded as given: {', '.join(lost)}")


@asks("add_lora", **add_task, after=test_is_recorded_for_the_file)
def test_one_method_at_a_time():
    """A model that already carries a method refuses a second one."""
    model = lora.add_lora(contract.tiny_gpt())
    again = "add_lora on a model that has it"
    hold_refusal(lambda: lora.add_lora(model, targets=("out_proj",)), ("already",), again)


# ---- what follows from the equations (the reference alone) ----


def test_rank_below_one_is_refused():
    """A rank of 0 is no low rank."""
    hold_refusal(lambda: lora.LoRALinear(nn.Linear(5, 7), 0, 6), ("rank 0",), "rank 0")


def test_change_has_at_most_rank_r():
    """ΔW = B A has rank r and no more, and r = min(i, o) reaches any ΔW."""
    layer = trained_layer(o=13, i=11, r=3)
    change = lora.merge(layer).weight - layer.frozen.weight
    close(int(torch.linalg.matrix_rank(change, rtol=1e-5)), 3, "rank of ΔW")
    whole, target = trained_layer(o=7, i=5, r=5, alpha=5), torch.randn(7, 5)
    with torch.no_grad():
        whole.A.copy_(torch.eye(5))
        whole.B.copy_(target)
    close(lora.merge(whole).weight - whole.frozen.weight, target, "ΔW", atol=1e-5)


def test_two_changes_add_up_to_a_stacked_one():
    """ΔW₁ + ΔW₂ is one LoRA of rank r₁ + r₂ with A and B stacked (α/r alike)."""
    one, two = trained_layer(r=2, alpha=4), trained_layer(r=3, alpha=6)
    stacked = lora.LoRALinear(one.frozen, 5, 10)
    with torch.no_grad():
        stacked.A.copy_(torch.cat([one.A, two.A]))
        stacked.B.copy_(torch.cat([one.B, two.B], dim=1))
    x = torch.randn(2, 3, 5)
    close(stacked(x), one(x) + two(x) - one.frozen(x), "stacked", atol=1e-5)


def test_alpha_and_b_trade_places():
    """(A, B, α) and (A, 2B, α/2) give the same output."""
    layer, other = trained_layer(alpha=6), trained_layer(alpha=3)
    with torch.no_grad():
        other.B.mul_(2)
    x = torch.randn(2, 3, 5)
    hold_bits(other(x), layer(x), "2B at α/2")


@pytest.mark.parametrize(
    ("config", "rank", "numbers"),
    [
        (GPTConfig(30522, 512, 768, 12, 12), 8, 294_912),
        (GPTConfig(50257, 1024, 1024, 24, 16), 4, 393_216),
    ],
    ids=["BERT-base r=8", "GPT-2 medium r=4"],
)
def test_counts_of_the_paper(config, rank, numbers):
    """W_q and W_v of all blocks: 2·l·r·(i + o) numbers, on models without memory."""
    with torch.device("meta"):
        model = GPT(config)
        names = inject.choose(model, ("q_proj", "v_proj"))
        inject.freeze(model)
        inject.replace(model, names.__contains__, lambda x: lora.LoRALinear(x, rank, 16))
    got = sum(p.numel() for p in inject.trainable_parameters(model).values())
    close(got, numbers, "trained parameters")


def test_a_learns_from_the_second_step_on():
    """dL/dA is 0 at the first step only: B has moved, and A follows."""
    model = lora.add_lora(contract.tiny_gpt(), rank=3)
    contract.step(model)
    model.loss(contract.batch(model)).backward()
    grads = [p.grad for n, p in inject.trainable_parameters(model).items() if n.endswith(".A")]
    hold(all(bool(g.any()) for g in grads), "some A still has a zero gradient at the second step")


def test_tied_embedding_is_refused():
    """The embedding is the output layer too; to adapt it by name is an error that says so."""
    for targets in (("embedding",), ("q_proj", "position_embedding")):
        model = contract.tiny_gpt()
        hold_refusal(lambda m=model, t=targets: lora.add_lora(m, targets=t), ("tied",), "embedding")


def test_frozen_weights_keep_their_bits_in_bf16():
    """(W + Δ) − Δ is not W in 16 bits: here W is never written, so `remove` gives its bits back."""
    model = contract.tiny_gpt().bfloat16()
    before = contract.clone(model.state_dict())
    lora.add_lora(model, rank=3)
    contract.step(model)
    after = delta.remove(model).state_dict()
    hold(all(torch.equal(before[n], after[n]) for n in before), "remove lost bits of W")


def lora_count(model):
    """Σ r(i + o) over the adapted layers, by hand: W_q and W_v of each attention, width 12."""
    return contract.attentions(model) * 2 * 3 * (12 + 12)


OPTIONS = {"rank": 3, "alpha": 6, "dropout": 0.25}
CASE = contract.Case(lora.add_lora, OPTIONS, count=lora_count, zero=(".A",))


@contract.each(CASE, contract.ALL_MODELS)
def test_contract(case, point):
    """LoRA holds to what every method must, on each model and under a classifier's head."""
    assert point.__doc__
    point(case)


def test_a_masked_models_own_head_is_no_target():
    """The head is outside of the encoder, which deltas belong to: no name reaches it."""
    model = contract.tiny_encoder()
    hold_refusal(lambda: lora.add_lora(model, targets=("dense",)), ("target dense",), "dense")


def test_names_reach_both_sides_of_an_encoder_decoder():
    """W_q and W_v of the encoder, of the decoder and of its look at the memory, or of one alone."""
    got = adapted(lora.add_lora(contract.tiny_seq2seq()))
    looks = ("encoder.blocks.{}.attention", "decoder.blocks.{}.attention")
    looks = (*looks, "decoder.blocks.{}.cross_attention")
    assert got == {f"{look.format(n)}.{m}_proj" for look in looks for n in range(2) for m in "qv"}
    targets = ("cross_attention.v_proj",)
    got = adapted(lora.add_lora(contract.tiny_seq2seq(), targets=targets))
    assert got == {f"decoder.blocks.{n}.cross_attention.v_proj" for n in range(2)}
