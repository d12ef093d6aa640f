"""AdaLoRA: equations (1) to (9), the loop's order, what is stored (spec: peft §6, §11).

The checks marked `asks` are the homework's; the other tests hold the reference alone.
"""

import copy
import math
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from minift import safetensors, train
from minift.models.gpt import GPT, GPTConfig
from minift.peft import adalora, delta, inject, lora, pruning
from tests import contract
from tests.answer_check import asks
from tests.compare import close, hold, hold_bits, hold_refusal, hold_shape

REFERENCE = "minift.peft.adalora"
HOMEWORK = "06_adalora.py"

EQUATION = "W + PΛQ: P and Q are orthogonal, Λ is diagonal and holds the singular values"
PARTS = ("P", "lam", "Q")


def trained_layer(o=7, i=5, r=3, alpha=6, bias=True, **options):
    """A layer whose λ is no longer zero; unequal primes, α/r = 2."""
    torch.manual_seed(11)
    layer = adalora.AdaLoRALinear(nn.Linear(i, o, bias=bias), r, alpha, **options)
    for name in PARTS:
        nn.init.normal_(getattr(layer, name))
    return layer


def change_by_loops(layer, lam=None):
    """P Λ Q (o, i), as a sum of triplets."""
    P, Q = layer.P.tolist(), layer.Q.tolist()
    lam = layer.lam.tolist() if lam is None else lam
    return torch.tensor(
        [
            [sum(P[o][r] * lam[r] * Q[r][i] for r in range(len(lam))) for i in range(len(Q[0]))]
            for o in range(len(P))
        ]
    )


def paths(layer, x, lam=None):
    """(W x, b, P Λ Q x) of x (b, t, i)."""
    base = x @ layer.frozen.weight.T.detach()
    return base, layer.frozen.bias.detach(), x @ change_by_loops(layer, lam).T


# ---- 6.1: the start ----

start_task = {
    "todo": "6.1",
    "chapter": "AdaLoRA starts from the base: Λ = 0, P and Q are random Gaussian",
    "hint": "ΔW = PΛQ is zero if any factor is. λ is the one to choose: P and Q are to become "
    "orthonormal, which zeros are not, and λ's gradient (α/r) PᵀgxᵀQᵀ needs both of them.",
}


def started(o=103, i=101, r=97):
    """A layer that held 9 everywhere before reset()."""
    layer = adalora.AdaLoRALinear(nn.Linear(i, o), rank=r, alpha=6)
    for name in PARTS:
        nn.init.constant_(getattr(layer, name), 9.0)
    torch.manual_seed(13)
    layer.reset()
    return layer


@asks("AdaLoRALinear.reset", **start_task)
def test_only_lambda_is_zero():
    """λ is zero, P and Q are not, whatever they held before."""
    layer = started()
    for name in PARTS:
        left = (getattr(layer, name) == 9).all()
        hold(not left, f"reset leaves {name} as it was; expected its start")
    hold(layer.P.any() and layer.Q.any(), "P or Q is zero: then λ gets no gradient and stays 0")
    hold(not layer.lam.any(), "λ is not zero: the first output is not the base's")


@asks("AdaLoRALinear.reset", **start_task, after=test_only_lambda_is_zero)
def test_deviation_of_p_and_q():
    """P and Q are N(0, 0.02²), as in the released code."""
    layer = started()
    slips = [
        ("the deviation is 1: expected 0.02", 1.0),
        ("0.02 was the deviation; yours is its root, as if it were the variance", math.sqrt(0.02)),
        ("the deviation is LoRA's 1/√(3 i); AdaLoRA has 0.02 whatever i is", 1 / math.sqrt(303)),
    ]
    for name in ("P", "Q"):
        close(getattr(layer, name).std().item(), 0.02, f"deviation of {name}", slips, rtol=0.05)


# ---- 6.2: equation (1) ----

forward_task = {
    "todo": "6.2",
    "chapter": EQUATION,
    "hint": "Three lines: down = Λ Q x (b, t, r), up = P down (b, t, o), then W x + b plus "
    "scale · up. Λ is diagonal, so Λ v is the product number by number, lam * v. Test with one-hot "
    "rows of x: each gives a column of W and of PΛQ.",
}


@asks("AdaLoRALinear.forward", **forward_task)
def test_forward():
    """h = W x + b + (α/r) P Λ Q x, by loops."""
    layer = trained_layer()
    x = torch.randn(2, 3, 5)
    base, bias, up = paths(layer, x)
    no_lam = paths(layer, x, lam=[1.0] * 3)[2]
    twice = paths(layer, x, lam=(layer.lam**2).tolist())[2]
    slips = [
        ("you leave α/r out", base + bias + up),
        (
            "α/r scales W x too; in equation (1) it stands before PΛQ x alone",
            2 * (base + bias + up),
        ),
        ("Λ is missing: you add P Q x", base + bias + 2 * no_lam),
        ("Λ comes in twice", base + bias + 2 * twice),
        ("the path of W is missing", 2 * up),
        ("the triplets are missing", base + bias),
        ("you leave out W's bias", base + 2 * up),
    ]
    close(layer(x), base + bias + 2 * up, "h", slips)


@asks(
    "AdaLoRALinear.forward",
    todo="6.2",
    chapter="a triplet is dropped by λ = 0; the scale is α/r with the r of the start",
    hint="Does deleting one triplet have to change the strength of the others? The authors tried "
    "it (issue 12 of their code): it hurt. self.scale is fixed when the layer is made.",
    after=test_forward,
)
def test_a_dead_triplet_changes_no_other():
    """With one λ masked the others add what they added before."""
    layer = trained_layer()
    layer.running_kept[1] = False
    with torch.no_grad():
        layer.lam[1] = 0.0
    x = torch.randn(2, 3, 5)
    base, bias, up = paths(layer, x)
    slip = "you scale by α over the number that live: one death strengthens the others"
    close(layer(x), base + bias + 2 * up, "h", [(slip, base + bias + 3 * up)])


@asks("AdaLoRALinear.forward", **forward_task, after=test_forward)
def test_gradients_at_the_start():
    """With λ = 0: dL/dλ = (α/r) Pᵀ g xᵀ Qᵀ of each triplet; dL/dP and dL/dQ are 0, not missing."""
    layer = trained_layer()
    nn.init.zeros_(layer.lam)
    x, g = torch.randn(11, 5), torch.randn(11, 7)
    (layer(x) * g).sum().backward()
    hold(layer.lam.grad is not None, "λ gets no gradient: is it detached or under no_grad?")
    P, Q, n = layer.P.detach(), layer.Q.detach(), range(11)
    want = [2 * sum((g[a] @ P[:, r]) * (x[a] @ Q[r]) for a in n) for r in range(3)]
    close(layer.lam.grad, torch.stack(want), "dL/dλ", atol=1e-5)
    for name in ("P", "Q"):
        gradient = getattr(layer, name).grad
        hold(gradient is not None, f"{name} gets no gradient at all: is it detached?")
        hold_bits(gradient, torch.zeros_like(gradient), f"dL/d{name} while λ is zero")


@asks("AdaLoRALinear.forward", **forward_task, after=test_forward)
def test_dropout_falls_on_the_input_of_q():
    """In training with p = 1 only W x + b is left; in eval mode nothing is dropped."""
    layer = trained_layer(dropout=1.0).train()
    x = torch.randn(2, 3, 5)
    base, bias, up = paths(layer, x)
    slips = [
        ("the dropout falls on W's input too", bias.expand(2, 3, 7)),
        ("nothing is dropped in training: is self.dropout used?", base + bias + 2 * up),
    ]
    close(layer(x), base + bias, "h with p = 1", slips)
    close(layer.eval()(x), base + bias + 2 * up, "h in eval mode")


# ---- 6.3: sensitivity and its moving averages ----

measure_task = {
    "todo": "6.3",
    "chapter": "importance: I = |w·∂L/∂w|, smoothed: Ī = β₁Ī + (1−β₁)I, Ū = β₂Ū + (1−β₂)|I − Ī|",
    "hint": "Compute three steps by hand for a constant I = 2 and β = 0.85, from zero: Ī is 0.3, "
    "0.555, 0.77175 and Ū is 0.255, 0.4335, 0.552713. A row is a triplet: P.T gives P's columns as "
    "rows, lam[:, None] a column, and torch.cat(…, 1) sets them side by side.",
}


def smoothed(values, beta1, beta2, old=False, gap_of=abs):
    """(Ī, Ū) after a sequence of I, by hand."""
    mean = spread = 0.0
    for now in values:
        before, mean = mean, beta1 * mean + (1 - beta1) * now
        gap = now - (before if old else mean)
        spread = beta2 * spread + (1 - beta2) * gap_of(gap)
    return mean, spread


def measured(values, beta1, beta2):
    """A layer of ones that has measured gradients of these sizes, one after the other."""
    layer = trained_layer()
    for value in values:
        for name in PARTS:
            parameter = nn.init.ones_(getattr(layer, name))
            parameter.grad = torch.full_like(parameter, value)
        layer.measure(beta1, beta2)
    return layer


@asks("AdaLoRALinear.measure", **measure_task)
def test_sensitivity():
    """I is |w·∂L/∂w|, a triplet a row: P's column, λ, Q's row."""
    layer = trained_layer()
    for name in PARTS:
        getattr(layer, name).grad = torch.randn_like(getattr(layer, name))
    for _ in range(2):
        layer.measure(0.75, 0.5)
    hold_shape(layer.running_mean, (3, 7 + 1 + 5), "running_mean")
    P, lam, Q = ([p, p.grad] for p in (layer.P, layer.lam, layer.Q))
    w, g = (torch.cat([P[n].T, lam[n][:, None], Q[n]], 1) for n in (0, 1))
    now = (w * g).abs()  # the same at both steps, so Ī is (1 − β₁²) of it
    other = torch.cat([(Q[0] * Q[1]), (lam[0] * lam[1])[:, None], (P[0] * P[1]).T], 1).abs()
    share = 1 - 0.75**2
    slips = [
        ("I lacks its absolute value: signs cancel over time", share * w * g),
        ("I is |w| alone; a large number on a dead direction changes no loss", share * w.abs()),
        ("I is |∂L/∂w| alone; to remove w costs about w·∂L/∂w", share * g.abs()),
        ("I is squared", share * now.square()),
        ("Q's row stands before P's column; the table has P's column, λ, Q's row", share * other),
        ("you correct for the start, as Adam does; only the order counts here", now),
        ("Ī lacks 1 − β₁", 1.75 * now),
        ("Ī forgets what it was: β₁ Ī is missing", 0.25 * now),
        ("β₁ and 1 − β₁ have changed places", (1 - 0.25**2) * now),
        ("β₁ and β₂ have changed places", (1 - 0.5**2) * now),
    ]
    close(layer.running_mean, share * now, "Ī after two like steps", slips)


@asks("AdaLoRALinear.measure", **measure_task, after=test_sensitivity)
def test_moving_averages():
    """A constant I = 2 at β = 0.85: Ī is 0.3, 0.555, 0.77175 and Ū 0.255, 0.4335, 0.552713."""
    means, spreads = (0.3, 0.555, 0.77175), (0.255, 0.4335, 0.552713)
    for steps in (1, 2, 3):
        layer, values = measured([2.0] * steps, 0.85, 0.85), [2.0] * steps
        old = smoothed(values, 0.85, 0.85, old=True)[1]
        squares = smoothed(values, 0.85, 0.85, gap_of=lambda gap: gap * gap)[1]
        hold_all(layer.running_mean, means[steps - 1], f"Ī after {steps} steps", [])
        slips = [
            ("Ū compares I with the old Ī; equation (6) has the new one", old),
            ("Ū takes the square of I − Ī, expected its absolute value", squares),
            ("you correct Ū for the start, as Adam does", spreads[steps - 1] / (1 - 0.85**steps)),
        ]
        hold_all(layer.running_spread, spreads[steps - 1], f"Ū after {steps} steps", slips)


def hold_all(got, want, what, slips):
    """Every number of `got` is `want`."""
    full = [(message, torch.full_like(got, value)) for message, value in slips]
    close(got, torch.full_like(got, want), what, full)


@asks("AdaLoRALinear.measure", **measure_task, after=test_moving_averages)
def test_moving_averages_of_a_falling_importance():
    """I falls below Ī, and β₁ ≠ β₂: |I − Ī| is no I − Ī, and Ū has its own β."""
    values = (2.0, 3.0, 0.1)
    layer = measured(values, 0.5, 0.25)
    mean, spread = smoothed(values, 0.5, 0.25)
    one = smoothed(values, 0.5, 0.5)
    signed = smoothed(values, 0.5, 0.25, gap_of=float)
    hold_all(layer.running_mean, mean, "Ī", [])
    slips = [
        ("Ū lacks the absolute value of I − Ī", signed[1]),
        ("Ū is smoothed with β₁, expected β₂", one[1]),
    ]
    hold_all(layer.running_spread, spread, "Ū", slips)


# ---- 6.4: what a triplet is worth ----


@asks(
    "AdaLoRALinear.scores",
    todo="6.4",
    chapter="S = s(λ) + mean s(P's column) + mean s(Q's row), with s = Ī·Ū",
    hint="A vector four times as long has four times the sum for the same typical entry, so "
    "wide matrices would win by size: the paper averages. A row has o numbers of P, λ, i of Q.",
)
def test_scores():
    """S of each triplet, with o ≠ i, by loops."""
    layer = trained_layer(o=7, i=5)
    mean, spread = (1 + torch.rand(3, 13) for _ in range(2))
    layer.running_mean.copy_(mean)
    layer.running_spread.copy_(spread)
    got = layer.scores()
    hold_shape(got, (3,), "scores")

    def total(s, up=7, down=5, start=7):
        rows = [
            (sum(row[:start]) / up, row[start], sum(row[start + 1 :]) / down) for row in s.tolist()
        ]
        return torch.tensor(rows)

    parts = total(mean * spread)
    slips = [
        ("you sum over P and Q; equation (7) has means", total(mean * spread, 1, 1).sum(1)),
        ("you rank by |λ|: a large one on a dead direction changes no loss", layer.lam.abs()),
        ("s is Ī alone; Ū is missing", total(mean).sum(1)),
        ("s is Ū alone; Ī is missing", total(spread).sum(1)),
        ("s adds Ī and Ū; equation (7) has their product", total(mean + spread).sum(1)),
        ("one mean over the whole row: λ counts as one of many", (mean * spread).mean(1)),
        ("s(λ) is missing", parts[:, 0] + parts[:, 2]),
        ("λ alone counts; P's column and Q's row are missing", parts[:, 1]),
        ("Q's row is missing", parts[:, 0] + parts[:, 1]),
        ("the row is cut at i; P's column has o numbers", total(mean * spread, 5, 7, 5).sum(1)),
    ]
    close(got, parts.sum(1), "S", slips)


# ---- 6.5: the regulariser ----

orthogonality_task = {
    "todo": "6.5",
    "chapter": "R(P, Q) = ‖PᵀP − I‖² + ‖QQᵀ − I‖²: P and Q are kept near orthogonal",
    "hint": "Which r vectors shall be orthonormal? The r columns of P (o, r) and the r rows of "
    "Q (r, i): both products are (r, r). PPᵀ is (o, o) and of rank r, so it never is I. For P = 2U "
    "with orthonormal U (16 × 4): the squared norm is 4·(4 − 1)² = 36.",
}


def orthonormal(o, r, seed=5):
    """A matrix (o, r) with orthonormal columns."""
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(o, r, generator=generator)).Q


def two_layers(p=1.0, q=1.0, other=1.0):
    """Two layers of orthonormal P and Q, the first times p and q, the second's both times other."""
    layers = [trained_layer(16, 11, 4), trained_layer(7, 5, 3)]
    with torch.no_grad():
        for layer, up, down in zip(layers, (p, other), (q, other), strict=True):
            (o, r), i = layer.P.shape, layer.Q.shape[1]
            layer.P.copy_(up * orthonormal(o, r))
            layer.Q.copy_(down * orthonormal(i, r).T)
    return nn.Sequential(*layers)


@asks("orthogonality", **orthogonality_task)
def test_orthonormal_costs_nothing():
    """R is 0 for orthonormal P and Q, and more for longer ones."""
    hold(
        adalora.orthogonality(two_layers(2.0, 2.0, 2.0)) > 1,
        "R is 0, or less, for P and Q that are too long",
    )
    sides = [
        ("PPᵀ is (o, o); the r columns are orthonormal if PᵀP is I", 12 + 4.0),
        ("QᵀQ is (i, i); the r rows are orthonormal if QQᵀ is I", 7 + 2.0),
        ("both products are the wrong way round: PPᵀ and QᵀQ never are I", 12 + 4 + 7 + 2.0),
        ("I is missing: you would pull P and Q to zero", 4 + 4 + 3 + 3.0),
    ]
    close(adalora.orthogonality(two_layers()), torch.tensor(0.0), "R", sides, atol=1e-4)


@asks("orthogonality", **orthogonality_task, after=test_orthonormal_costs_nothing)
def test_orthogonality():
    """P = 2U (16 × 4) gives 36, Q = 3V (4 × 11) gives 256, and layers add up."""
    got = adalora.orthogonality(two_layers(2.0, 3.0, 2.0))
    slips = [
        ("R is not squared; equation (3) has ‖·‖²", 6 + 16 + 2 * math.sqrt(27)),
        ("you take the mean; equation (3) sums over layers and over P and Q", (292 + 54) / 4),
        ("you take the mean over layers; equation (3) sums", (292 + 54) / 2),
        ("Q is missing in R", 36 + 27.0),
        ("P is missing in R", 256 + 27.0),
        ("only the last layer counts", 54.0),
    ]
    close(got, torch.tensor(346.0), "R", slips)


@asks("orthogonality", **orthogonality_task, after=test_orthogonality)
def test_gradient_of_orthogonality():
    """dR/dP = 4 P (PᵀP − I), the same for Q, and finite where P is exactly orthonormal."""
    model = two_layers(2.0, 3.0)
    adalora.orthogonality(model).backward()
    layer = model[0]
    hold(layer.P.grad is not None and layer.Q.grad is not None, "R's gradient does not reach P, Q")
    close(layer.P.grad, 12 * layer.P, "dR/dP", atol=1e-3)
    close(layer.Q.grad, 32 * layer.Q, "dR/dQ", atol=1e-3)
    for form in ("paper", "code"):
        layer = trained_layer(3, 3, 3)
        with torch.no_grad():
            layer.P.copy_(torch.eye(3))
            layer.Q.copy_(torch.eye(3))
        adalora.orthogonality(layer, form).backward()
        finite = layer.P.grad.isfinite().all()
        hold(finite, f'form="{form}": no number as gradient at P = I: d√x/dx is infinite at 0')


@asks("orthogonality", **orthogonality_task, after=test_orthogonality)
def test_the_codes_form():
    """form="code": the mean over all P and Q of the norm, not squared; another word is refused."""
    got = adalora.orthogonality(two_layers(2.0, 3.0), form="code")
    slips = [
        ("the code's form takes the mean over all P and Q, not the sum", 6 + 16.0),
        ("the code's form is not squared", (36 + 256) / 4),
        ('form="code" gives the paper\'s R', 292.0),
    ]
    close(got, torch.tensor(22 / 4), 'R, form="code"', slips)
    words = ("paper", "code")
    hold_refusal(lambda: adalora.orthogonality(two_layers(), "peft"), words, 'form="peft"')


# ---- 6.6: the budget ----

budget_task = {
    "todo": "6.6",
    "chapter": "b(t) = b_T + (b₀ − b_T)(1 − (t − tᵢ)/(T − tᵢ − t_f))³; b₀ to tᵢ, b_T from T − t_f",
    "hint": "Plug t = tᵢ and t = T − t_f into your formula: it must give b₀ and b_T. As the paper "
    "prints it, with t − tᵢ − t_f, 12 → 8 in 100 steps (tᵢ = 10, t_f = 20) begins at 16.5. The "
    "whole number is int(…), as in the released code.",
}


def curve(b0=96, bT=64, first=11, last=80, shape=lambda left: left**3, cut=int, t_i=10, t_f=20):
    """The budgets after steps `first` to `last` of 100, one by one."""
    values = []
    for t in range(first, last):
        left = 1 - (t - t_i) / (100 - t_i - t_f)
        values.append(cut(bT + (b0 - bT) * shape(left)))
    return torch.tensor(values)


@asks("budget", **budget_task)
def test_budget():
    """96 → 64 in 100 steps, t_i = 10, t_f = 20: 84 after 20 steps, 75, 68, 64 after 30, 45, 60."""
    got = [adalora.budget(t, 96, 64, 100, 10, 20) for t in range(11, 80)]
    hold(all(type(b) is int for b in got), "a budget counts triplets: expected a whole number, int")
    table = {20: 84, 30: 75, 45: 68, 60: 64}
    want = curve()
    assert [want[t - 11].item() for t in table] == list(table.values())
    slips = [
        ("your curve is a straight line; equation (8) has the third power", curve(shape=float)),
        ("your curve is a square; equation (8) has the third power", curve(shape=lambda n: n * n)),
        (
            "t − tᵢ − t_f is the paper's misprint: it starts above b₀",
            curve(shape=lambda left: (left + 20 / 70) ** 3),
        ),
        ("t_i is left out: steps are counted from 0", curve(t_i=0)),
        ("t_f is left out: b_T is reached at T − t_f", curve(t_f=0)),
        ("the number is rounded; the released code cuts it, int(…)", curve(cut=round)),
        (
            "the cube is of what is gone, not of what is left",
            curve(shape=lambda n: 1 - (1 - n) ** 3),
        ),
    ]
    close(torch.tensor(got), want, "b(11), b(12), …, b(79)", slips)


@asks("budget", **budget_task)
def test_budget_at_both_ends():
    """b₀ until t_i, b_T from T − t_f on, and never more than before."""
    got = torch.tensor([adalora.budget(t, 12, 8, 100, 10, 20) for t in range(1, 101)])
    hold((got[:10] == 12).all(), f"b(1) to b(10) are {got[:10].tolist()}, expected b₀ = 12")
    hold((got[79:] == 8).all(), f"b(80) to b(100) are {got[79:].tolist()}, expected b_T = 8")
    rises = (got[1:] > got[:-1]).any()
    hold(not rises, f"the budget rises: {got.tolist()}")
    some = [got[t - 1].item() for t in (10, 11, 20, 30, 40)]
    hold(some == [12, 11, 10, 9, 8], f"b at 10, 11, 20, 30, 40: {some}, expected 12, 11, 10, 9, 8")


# ---- 6.7: the choice ----

best_task = {
    "todo": "6.7",
    "chapter": "the b(t) most important triplets of all matrices stay: some matrices get more rank",
    "hint": "Where does 'adaptive' come from? One list of all scores, and the best of it. Ask "
    "for “keep count”, not for “drop below a threshold”: torch.topk keeps exactly count, however "
    "many are equal. A split by the lengths of the scores gives each layer its mask.",
}


def masks(*rows):
    """Masks as one tensor."""
    return torch.cat([torch.as_tensor(row).float() for row in rows])


@asks("best", **best_task)
def test_best_of_all_layers():
    """Scores 10, 9, 8 and 1, 2, 3, 4 with three to keep: all of the first layer, no other."""
    got = adalora.best([torch.tensor([10.0, 9, 8]), torch.tensor([1.0, 2, 3, 4])], 3)
    lengths = [len(mask) for mask in got]
    hold(lengths == [3, 4], f"masks of {lengths} triplets, expected one for each layer: [3, 4]")
    hold(all(m.dtype == torch.bool for m in got), f"a mask of {got[0].dtype}, expected torch.bool")
    slips = [
        (
            "each layer keeps its own best; the layers compete with each other",
            masks([1, 0, 0], [0, 0, 1, 1]),
        ),
        ("the worst are kept", masks([0, 0, 0], [1, 1, 1, 0])),
        ("True marks those that die; expected those that live", masks([0, 0, 0], [1, 1, 1, 1])),
    ]
    close(masks(*got), masks([1, 1, 1], [0, 0, 0, 0]), "masks", slips)


@asks("best", **best_task, after=test_best_of_all_layers)
def test_ties_keep_exactly_the_count():
    """All scores equal: exactly `count` live; a count of all keeps all."""
    for count in (7, 5, 1):
        got = adalora.best([torch.ones(3), torch.ones(4)], count)
        lives = int(masks(*got).sum())
        hold(lives == count, f"of 7 equal scores {lives} are kept, expected exactly {count}")


# ---- 6.8: the hook ----

ALLOCATE = "Λ ← Λ̃ of the b(t) best triplets, 0 for the others; the last steps tune what is left"
allocate_task = {
    "todo": "6.8",
    "chapter": ALLOCATE,
    "hint": "Follow one λ. The optimiser has just moved it, its gradient is still there: measure, "
    "choose, set to 0. A λ of 0 has a gradient, so the next step revives it: good before T − t_f, "
    "where it may win its place back, and to be undone after each step from there on.",
}


class Couple(nn.Module):
    """Two linear layers of unequal sizes."""

    def __init__(self):
        super().__init__()
        self.up_proj, self.down_proj = nn.Linear(5, 7), nn.Linear(7, 5)


PLAN = {"rank": 5, "target_rank": 1, "total": 12, "t_i": 3, "t_f": 4}  # 10 triplets → 2, last: 8
BUDGETS = [10, 10, 10, 6, 3, 2, 2, 2, 2, 2, 2, 2]


def couple(**options):
    """Two layers with triplets that have an effect."""
    torch.manual_seed(17)
    model = adalora.add_adalora(Couple(), targets=("up_proj", "down_proj"), **PLAN | options)
    for layer in adalora.layers_of(model):
        nn.init.normal_(layer.lam)
    return model


def optimise(model, step, more="up_proj", times=3.0):
    """What comes before the hook: gradients, those of `more` larger, and a step of all."""
    generator = torch.Generator().manual_seed(step)
    for name, parameter in inject.trainable_parameters(model).items():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
        parameter.grad *= times if name.startswith(more) else 1.0
        parameter.data -= 0.1 * parameter.grad


def run(model, last=12):
    """Steps 1 to `last`; how many λ are not 0 after each."""
    lives = []
    for step in range(1, last + 1):
        optimise(model, step)
        adalora.allocate(step, model)
        lives.append(int(living(model).sum()))
    return torch.tensor(lives)


def living(model):
    """Which λ are not 0, as one tensor."""
    return masks(*(layer.lam != 0 for layer in adalora.layers_of(model)))


@asks("allocate", **allocate_task)
def test_keeps_the_budget():
    """After each step exactly b(t) triplets of all layers have a λ, to the last step."""
    one = [10, 10, 10, 3, 1, 1, 1, 1, 1, 1, 1, 1]
    slips = [
        ("no λ is ever set to 0", [10] * 12),
        ("b₀ and b_T are those of one layer; all layers share the budget", one),
        ("after T − t_f the dead revive: a λ of 0 has a gradient", [*BUDGETS[:8], 10, 10, 10, 10]),
        ("at T − t_f, the last choice, nothing is chosen", [*BUDGETS[:7], 10, *BUDGETS[8:]]),
    ]
    slips = [(message, torch.tensor(values)) for message, values in slips]
    close(run(couple()), torch.tensor(BUDGETS), "λ that are not 0 after each step", slips)


@asks("allocate", **allocate_task, after=test_keeps_the_budget)
def test_the_best_live():
    """Those that live have the largest S of all, this step's measure included."""
    model = couple()
    run(model, 3)
    before = [layer.scores() for layer in adalora.layers_of(model)]
    optimise(model, 4, more="down_proj", times=30.0)
    adalora.allocate(4, model)
    scores = [layer.scores() for layer in adalora.layers_of(model)]

    def top(values, count):
        return masks(*adalora.best(values, count))

    worst = top([-s for s in scores], 6)
    slips = [
        ("each layer keeps as many as the other; all compete for one budget",
         torch.cat([top([s], 3) for s in scores])),
        ("the least important live", worst),
        ("the choice is made before this step is measured", top(before, 6)),
    ]  # fmt: skip
    close(living(model), top(scores, 6), "which λ are not 0 after step 4", slips)


@asks("allocate", **allocate_task, after=test_keeps_the_budget)
def test_only_lambda_is_written():
    """P, Q and the λ that live keep their bits: a triplet that is set to 0 can come back."""
    model = couple()
    run(model, 3)
    optimise(model, 4)
    before = copy.deepcopy(adalora.layers_of(model))
    adalora.allocate(4, model)
    hold(not living(model).all(), "no λ is 0 after step 4")
    for layer, old in zip(adalora.layers_of(model), before, strict=True):
        for name in ("P", "Q"):
            same = torch.equal(getattr(layer, name), getattr(old, name))
            hold(same, f"{name} is written: pruning sets a λ to 0, P and Q stay")
        alive = layer.lam != 0
        hold(torch.equal(layer.lam[alive], old.lam[alive]), "a λ that lives is written, too")


@asks("allocate", **allocate_task)
def test_measures_every_step():
    """Ī and Ū take in each step up to T − t_f, with the plan's β₁ and β₂."""
    model = couple(beta1=0.5, beta2=0.25)
    layer, sizes = adalora.layers_of(model)[0], []
    for step in range(1, 9):
        optimise(model, step)
        sizes.append((layer.lam * layer.lam.grad).abs().detach())
        adalora.allocate(step, model)
    o = len(layer.P)

    def averages(values, beta1, beta2):
        pairs = [smoothed([v[n].item() for v in values], beta1, beta2) for n in range(5)]
        return torch.tensor(pairs).T

    got = torch.stack([layer.running_mean[:, o], layer.running_spread[:, o]])
    slips = [
        ("beta1 and beta2 of the plan do not arrive", averages(sizes, 0.85, 0.85)),
        (
            "nothing is measured before t_i: the first choice knows one step",
            averages(sizes[3:], 0.5, 0.25),
        ),
        ("nothing was measured: do the gradients still exist here?", torch.zeros(2, 5)),
        ("the last choice, at T − t_f, leaves its own step out", averages(sizes[:7], 0.5, 0.25)),
    ]
    close(got, averages(sizes, 0.5, 0.25), "Ī and Ū of λ after step 8", slips)


@asks("allocate", **allocate_task, after=test_keeps_the_budget)
def test_the_dead_may_return_before_the_last_choice():
    """A triplet that was set to 0 lives again if it becomes important in time, and not later."""
    for step, returns in ((5, True), (9, False)):
        model = couple()
        run(model, step - 1)
        layer = adalora.layers_of(model)[1]
        dead = [n for n in range(5) if layer.lam[n] == 0]
        hold(dead, f"no λ of the second layer is 0 after step {step - 1}")
        with torch.no_grad():
            layer.running_mean[dead[0]] = layer.running_spread[dead[0]] = 1e4
        optimise(model, step)
        adalora.allocate(step, model)
        back = bool(layer.lam[dead[0]] != 0)
        hold(
            back or not returns,
            "once 0, always 0: no triplet can win its place back before T − t_f",
        )
        hold(returns or not back, "after T − t_f the choice is made anew; it was to be final")


@asks("allocate", **allocate_task, after=test_keeps_the_budget)
def test_chooses_every_so_many_steps():
    """every=3: chosen after step 6 and, the last time, after 8; from then on held each step."""
    between = [10, 10, 10, 10, 10, 2, 10]
    slips = [
        ("`every` is ignored: a choice after each step", BUDGETS),
        (
            "T − t_f is no multiple of `every`, and so the last choice is not made",
            [*between, 10, 2, 2, 2, 2],
        ),
        (
            "after T − t_f the mask is held only at multiples of `every`",
            [*between, 2, 2, 10, 10, 2],
        ),
    ]
    slips = [(message, torch.tensor(values)) for message, values in slips]
    got, want = run(couple(every=3)), torch.tensor([*between, 2, 2, 2, 2, 2])
    close(got, want, "λ that are not 0 after each step, every=3", slips)


# ---- the layer and its place in a model (the reference alone) ----


def test_shapes_and_types():
    """P (o, r), λ (r), Q (r, i) train, in W's type; W is the layer given, frozen; scale α/r."""
    linear = nn.Linear(5, 7, dtype=torch.bfloat16)
    layer = adalora.AdaLoRALinear(linear, 3, 6)
    shapes = {n: (tuple(p.shape), p.dtype) for n, p in inject.trainable_parameters(layer).items()}
    kind = torch.bfloat16
    assert shapes == {"P": ((7, 3), kind), "lam": ((3,), kind), "Q": ((3, 5), kind)}
    assert layer.frozen is linear
    hold(layer.scale == 2.0, f"the scale is {layer.scale}, expected α/r with the first r")


def test_merge():
    """The merged weight is W + (α/r) P Λ Q; the layer stays; the bias goes over."""
    for bias in (True, False):
        layer = trained_layer(bias=bias)
        before = contract.clone(layer.state_dict())
        plain, w = adalora.merge(layer), layer.frozen.weight.detach()
        slip = "Λ is missing in W'"
        no_lam = w + 2 * change_by_loops(layer, [1.0] * 3)
        close(plain.weight, w + 2 * change_by_loops(layer), "W'", [(slip, no_lam)], atol=1e-5)
        assert type(plain) is nn.Linear and (plain.bias is not None) == bias
        x = torch.randn(2, 3, 5)
        close(plain(x), layer(x), "merged", atol=1e-5)
        assert all(torch.equal(before[n], t) for n, t in layer.state_dict().items())


def test_rank_of_the_change_is_the_number_that_live():
    """ΔW has as many directions as λ that are not 0."""
    layer = trained_layer(13, 11, 5)
    with torch.no_grad():
        layer.lam[[1, 3]] = 0.0
    change = adalora.merge(layer).weight - layer.frozen.weight
    close(int(torch.linalg.matrix_rank(change, rtol=1e-5)), 3, "rank of ΔW")


def test_a_triplet_has_two_signs():
    """(P's column, λ) and their negatives give the same output."""
    layer = trained_layer()
    x = torch.randn(2, 3, 5)
    want = layer(x)
    with torch.no_grad():
        layer.P[:, 1] *= -1
        layer.lam[1] *= -1
    hold_bits(layer(x), want, "h with both signs turned")


def test_full_budget_is_lora():
    """With A = ΛQ and B = P the layer is LoRA's at the same α/r."""
    layer = trained_layer()
    twin = lora.LoRALinear(layer.frozen, 3, 6)
    with torch.no_grad():
        twin.A.copy_(layer.lam[:, None] * layer.Q)
        twin.B.copy_(layer.P)
    x = torch.randn(2, 3, 5)
    close(layer(x), twin(x), "h")


def test_importance_is_no_matter_of_size():
    """A λ of 100 whose gradient is 0 dies; one of 0.01 that the loss depends on lives."""
    model = couple()
    with torch.no_grad():
        for layer in adalora.layers_of(model):
            layer.lam.copy_(torch.tensor([100.0, 0.01, 100.0, 100.0, 100.0]))
    for step in range(1, 9):
        for p in inject.trainable_parameters(model).values():
            p.grad = torch.zeros_like(p)
        for layer in adalora.layers_of(model):
            layer.lam.grad[1] = 1.0
        adalora.allocate(step, model)
    alive = living(model).view(2, 5)
    assert alive.tolist() == [[0, 1, 0, 0, 0]] * 2


def test_nothing_is_masked_if_the_budget_stays():
    """target_rank = rank: no λ is touched, and no error (the released code's kthvalue has one)."""
    assert run(couple(target_rank=5)).tolist() == [10] * 12


def test_allocation_needs_gradients():
    """Behind zero_grad there is nothing to measure: an error that says where the hook belongs."""
    model = couple()
    words = ("no gradient", "before zero_grad")
    hold_refusal(lambda: adalora.allocate(1, model), words, "allocate without gradients")


def test_default_targets():
    """By default every matrix of every block is adapted: attention's four and the MLP's two."""
    model = adalora.add_adalora(contract.tiny_gpt(), total=10, t_i=2, t_f=3)
    got = [spot.path.removeprefix("blocks.") for spot in inject.attachments(model)]
    names = [f"attention.{m}_proj" for m in "qkv"] + ["attention.out_proj"]
    names += ["feedforward.up_proj", "feedforward.down_proj"]
    assert sorted(got) == sorted(f"{n}.{name}" for n in range(2) for name in names)


def test_plans_that_cannot_be_kept_are_refused():
    """Each wrong number is one line, and the model is as it was: no layer adapted, all trains."""
    wrong = [
        ({"rank": 2, "target_rank": 3}, "target_rank 3"),
        ({"target_rank": 0}, "target_rank 0"),
        ({"t_i": 8, "t_f": 4}, "no step is left"),
        ({"t_f": -1}, "t_f -1"),
        ({"t_i": -1}, "t_i -1"),
        ({"beta1": 1.0}, "beta1 1.0"),
        ({"beta2": -0.1}, "beta2 -0.1"),
        ({"every": 0}, "every 0"),
        ({"targets": ("query",)}, "query"),
        ({"ranks": {"up_proj": 1}}, "ranks of 1 layers"),
        ({"ranks": {"up_proj": 1, "down_proj": 9}}, "expected 0 to 5"),
    ]
    for options, word in wrong:
        model, given = Couple(), {"targets": ("up_proj", "down_proj"), **PLAN, **options}
        refused = lambda m=model, g=given: adalora.add_adalora(m, **g)  # noqa: E731
        hold_refusal(refused, (word,), str(options))
        assert getattr(model, "delta", None) is None and not inject.attachments(model)
        assert all(p.requires_grad for p in model.parameters())


def test_one_method_at_a_time():
    """A model that already carries a method refuses a second one."""
    model = lora.add_lora(contract.tiny_gpt())
    again = lambda: adalora.add_adalora(model, targets=("out_proj",), **PLAN)  # noqa: E731
    hold_refusal(again, ("already",), "add_adalora on a model that has LoRA")


def test_count_of_the_paper():
    """BERT-base, every matrix, rank 12: Σ r(i + o + 1) = 1,991,520 and at rank 8, 1,327,680."""
    config = GPTConfig(30522, 512, 768, 12, 12)
    for rank, numbers in ((12, 1_991_520), (8, 1_327_680)):
        with torch.device("meta"):
            model = GPT(config)
            names = inject.choose(model, adalora.EVERY_MATRIX)
            inject.freeze(model)
            make = lambda x, r=rank: adalora.AdaLoRALinear(x, r, 16)  # noqa: E731
            inject.replace(model, names.__contains__, make)
        got = sum(p.numel() for p in inject.trainable_parameters(model).values())
        close(got, numbers, "trained parameters")


# ---- in the training loop ----


def tuned(out=None, steps=12, resume=False, gamma=0.1, **options):
    """A tiny GPT after `steps` steps of AdamW with the regulariser and the hook; its history."""
    torch.manual_seed(4)
    model = adalora.add_adalora(contract.tiny_gpt(), **PLAN | options)
    batches = [contract.batch(model)] * 12
    history = train.fit(
        model, batches, type(model).loss, steps=12, lr=1e-2, quiet=True, device="cpu", log_every=1,
        penalty=lambda model: gamma * adalora.orthogonality(model), after_step=stop_at(steps),
        out=out, save_every=3, resume=resume,
    )  # fmt: skip
    return model.eval(), history


class Stopped(Exception):
    """The run was killed."""


def stop_at(steps):
    """The hook, which kills the run after so many steps."""

    def hook(step, model):
        adalora.allocate(step, model)
        if step > steps:
            raise Stopped

    return hook


def test_fit_ends_with_the_budget():
    """After `train.fit`, for all Adam's momentum, b_T triplets live, and layers differ in rank."""
    model, _ = tuned()
    alive = int(masks(*(layer.lam != 0 for layer in adalora.layers_of(model))).sum())
    hold(alive == 12, f"{alive} λ are not 0 after the last step: is the mask behind the optimiser?")
    pattern = pruning.rank_pattern(model)
    assert sum(pattern.values()) == 12 and len(set(pattern.values())) > 1


def test_penalty_pulls_to_orthonormal_and_no_report_sees_it():
    """R falls while training; the loss that is reported is that of the task alone."""
    (pulled, history), (free, free_history) = tuned(gamma=0.5), tuned(gamma=0.0)
    r, without = (adalora.orthogonality(model).item() for model in (pulled, free))
    hold(r < 0.9 * without, f"R is {r:.4g} after training with γ = 0.5 and {without:.4g} without")
    close(history[0]["loss"], free_history[0]["loss"], "loss of the first step, with R and without")


def test_a_resumed_run_ends_with_the_same_bits():
    """Killed after step 7 or 10 and resumed: Ī, Ū and the mask come back with the checkpoint."""
    whole, _ = tuned()
    for steps in (7, 10):
        with tempfile.TemporaryDirectory() as folder:
            with pytest.raises(Stopped):
                tuned(folder, steps)
            again, _ = tuned(folder, resume=True)
        want = whole.state_dict()
        assert all(torch.equal(want[n], t) for n, t in again.state_dict().items())


# ---- what is stored ----

FOLDER = tempfile.TemporaryDirectory(prefix="adalora-")  # removed when the tests end


def test_a_file_holds_no_averages():
    """P, λ and Q of each layer go into the file; Ī, Ū and the mask are the run's."""
    model, _ = tuned()
    tensors, _ = safetensors.read(delta.save(model, Path(FOLDER.name) / "whole"))
    kinds = {name.rpartition(".")[2] for name in tensors}
    hold(kinds == {"P", "lam", "Q"}, f"the file holds {sorted(kinds)}, expected P, lam and Q alone")


def test_prune_changes_no_output_and_stores_the_living():
    """Pruned, the output is the same, and the file has Σ r_n (i + o + 1) numbers: a fifth."""
    model, _ = tuned()
    ids, trained = contract.tokens(), delta.count_parameters(model).stored
    want, pattern = contract.out(model, ids), pruning.rank_pattern(model)
    assert pruning.prune(model) is model and pruning.rank_pattern(model) == pattern
    close(contract.out(model, ids), want, "output after prune", atol=1e-5)
    sizes = {spot.path: spot.plain.weight.shape for spot in inject.attachments(model)}
    numbers = sum(r * (sum(sizes[n]) + 1) for n, r in pattern.items())
    close(delta.count_parameters(model).stored, numbers, "stored after prune")
    assert numbers < trained / 3


def test_pruned_ranks_come_back_from_the_file():
    """A loaded delta has the layers' ranks, layers without any among them, and the same bits."""
    model, _ = tuned()
    pattern = pruning.rank_pattern(model)
    assert 0 in pattern.values() and max(pattern.values()) > 1
    path, ids = delta.save(pruning.prune(model), Path(FOLDER.name) / "pruned"), contract.tokens()
    again = delta.load(contract.tiny_gpt(), path).eval()
    assert pruning.rank_pattern(again) == pattern and again.delta == model.delta
    ranks = {s.path: tuple(s.module.P.shape)[1] for s in inject.attachments(again)}
    assert ranks == pattern
    hold_bits(contract.out(again, ids), contract.out(model, ids), "output after load")
    whole, _ = tuned()
    hold_bits(
        contract.out(delta.swap(whole, delta.read(path)).eval(), ids),
        contract.out(model, ids),
        "swap",
    )


def test_a_pruned_model_trains_on_without_allocation():
    """The scale stays the first α/r, gradients reach what is left, and the hook is refused."""
    model, _ = tuned()
    pruning.prune(model)
    assert {layer.scale for layer in adalora.layers_of(model)} == {16 / 5}
    before = {n: p.clone() for n, p in inject.trainable_parameters(model).items()}
    contract.step(model)
    moved = [n for n, p in inject.trainable_parameters(model).items() if not p.equal(before[n])]
    assert {n.rpartition(".")[2] for n in moved} == {"P", "lam", "Q"}
    model.loss(contract.batch(model)).backward()
    hold_refusal(lambda: adalora.allocate(1, model), ("pruned",), "allocate on a pruned model")


def test_pruning_before_a_choice_drops_nothing():
    """A model that has not allocated yet keeps all its triplets."""
    model = couple()
    pattern = pruning.rank_pattern(pruning.prune(model))
    assert pattern == {"up_proj": 5, "down_proj": 5}


# ---- the contract ----


def sizes(model):
    """i + o + 1 of each of the matrices, by hand: width 12, four times as wide inside the MLP."""
    looks = contract.attentions(model)
    return [12 + 12 + 1] * looks + [12 + 48 + 1] * (2 * (4 if looks == 6 else 2))


def count(model):
    """Σ r(i + o + 1) at rank 3."""
    return 3 * sum(sizes(model))


def add_pruned(model, **options):
    """AdaLoRA after allocation: one triplet is left in each square layer, two in the others."""
    adalora.add_adalora(model, **options)
    for layer in adalora.layers_of(model):
        square = len(set(layer.frozen.weight.shape)) == 1
        layer.running_kept.copy_(torch.tensor([False, True, not square]))
    return pruning.prune(model)


def pruned_count(model):
    """Σ r_n(i + o + 1) with 1 for square matrices and 2 for the others."""
    return sum(size if size == 25 else 2 * size for size in sizes(model))


TARGETS = ("q_proj", "up_proj", "down_proj")
OPTIONS = {**PLAN, "rank": 3, "alpha": 6, "targets": TARGETS, "dropout": 0.25}
CASE = contract.Case(adalora.add_adalora, OPTIONS, count=count, zero=(".P", ".Q"))
PRUNED = contract.Case(add_pruned, OPTIONS, count=pruned_count, zero=(".P", ".Q"))


@contract.each(CASE, contract.ALL_MODELS)
def test_contract(case, point):
    """AdaLoRA holds to what every method must, on each model and under a classifier's head."""
    assert point.__doc__
    point(case)


@contract.each(PRUNED, ("gpt", "seq2seq classifier"))
def test_contract_of_a_pruned_model(case, point):
    """So does a pruned model: its file has what is left, and gives each layer its rank back."""
    assert point.__doc__
    point(case)
