"""Each point of the contract goes red for a method that breaks it."""

import pytest
import torch
from torch import nn

from minift.peft import delta, inject, lora
from tests import contract
from tests.compare import Wrong


def count(model):
    """W_q and W_v of width 12 at rank 3 in each attention."""
    return contract.attentions(model) * 2 * 3 * (12 + 12)


class Broken(nn.Module):
    """A LoRA layer with one thing wrong."""

    def __init__(self, linear, fault):
        super().__init__()
        self.inner, self.fault, self.late = lora.LoRALinear(linear, 3, 6), fault, None
        self.frozen, self.A, self.B = self.inner.frozen, self.inner.A, self.inner.B
        del self.inner.frozen, self.inner.A, self.inner.B
        self.cells = {"calls": 0}
        if fault == "trains W":
            self.frozen.weight.requires_grad = True
        if fault == "unused":
            self.C = nn.Parameter(torch.zeros(2))
        if fault == "not equal":
            nn.init.normal_(self.B)

    def forward(self, x):
        self.cells["calls"] += 1
        up = 2 * x @ self.A.T @ self.B.T
        if self.fault == "sees the future":
            up = up.mean(dim=1, keepdim=True).expand_as(up)
        if self.fault == "sees the batch":
            up = up + 3 * up.flip(0)
        if self.fault == "writes W":
            self.frozen.weight.data += 0.1
        if self.fault == "counts its calls":
            up = up * (1 + 0.01 * self.cells["calls"])
        if self.fault == "made late" and self.late is None:
            self.late = nn.Parameter(torch.zeros(1))
        if self.fault == "no gradient to A":
            up = 2 * (x @ self.A.T).detach() @ self.B.T
        if self.fault == "scaled in the cache" and x.shape[1] == 1:
            up = 1.5 * up
        return self.frozen(x) + up

    def train(self, mode=True):
        if self.fault == "eval writes" and not mode and self.B.any():
            self.frozen.weight.data += 0.1
        return super().train(mode)


def add_broken(fault, targets=("q_proj", "v_proj")):
    """A method called lora whose layers have the fault."""

    def add(model):
        names = inject.choose(model, targets)
        inject.begin(model, "lora", rank=3, alpha=6)
        inject.replace(model, names.__contains__, lambda linear: Broken(linear, fault))
        return model

    return add


BREAKS = [
    (contract.frozen_set, "trains W", "tensors of the base"),
    (contract.trained_count, "trains W", "trained parameters"),
    (contract.start, "not equal", "first output"),
    (contract.gradient_reach, "unused", "C gets no gradient"),
    (contract.gradient_reach, "not equal", "the gradient of"),
    (contract.padding, "counts its calls", "a second run"),
    (contract.padding, "sees the future", "the row padded on the right"),
    (contract.optimiser_membership, "made late", "made after the optimiser"),
    (contract.causality, "sees the future", "before position 1"),
    (contract.batch_order, "sees the batch", "in another order"),
    (contract.cached_decoding, "scaled in the cache", "with a cache"),
    (contract.greedy_decoding, "sees the batch", "generate gave"),
    (contract.modes, "eval writes", "train() and eval() changed"),
    (contract.off_and_back, "writes W", "output inside off"),
]


CASE = contract.Case(lora.add_lora, {"rank": 3, "alpha": 6}, count=count, zero=(".A",))
PLANTED = [
    (name, *row) for name in contract.MODELS for row in BREAKS
    if row[0] in contract.points(CASE.on(name))
]  # fmt: skip


@pytest.mark.parametrize(("name", "point", "fault", "words"), PLANTED)
def test_a_broken_method_is_seen(name, point, fault, words):
    """The point fails for the planted fault, with words that name it, on each model it is for."""
    case = contract.Case(add_broken(fault), count=count, zero=(".A",)).on(name)
    with pytest.raises(Wrong) as caught:
        point(case)
    assert words in str(caught.value)


def test_each_model_is_held_to_what_it_can_do():
    """A model that writes has the causal points too; an encoder and a classifier have the rest."""
    for name in contract.ALL_MODELS:
        causal = contract.CAUSAL if name in ("gpt", "seq2seq") else ()
        assert contract.points(CASE.on(name)) == contract.ALL + causal


@pytest.mark.parametrize(
    ("point", "words"),
    [(contract.padding, "the target padded on the right"), (contract.causality, "before position")],
)
def test_a_leak_on_the_targets_side_is_seen(point, words):
    """A fault in the decoder alone, where the source and its padding are read as they should."""
    leak = add_broken("sees the future", ("decoder.blocks.0.attention.v_proj",))
    with pytest.raises(Wrong, match=words):
        point(contract.Case(leak, count=count).on("seq2seq"))


@pytest.mark.parametrize(
    ("point", "function", "wrong", "words"),
    [
        (contract.merging, "merge", lambda model: delta.remove(model), "merged model"),
        (contract.swapping, "swap", lambda model, saved: model, "after swap"),
        (contract.off_and_back, "remove", lambda model: model, "after remove"),
        (contract.round_trip, "owned", lambda model: model.state_dict(), "numbers in the file"),
        (contract.round_trip, "load", lambda model, path: lora.add_lora(model, 3, 6), "after save"),
    ],
)
def test_a_broken_delta_is_seen(monkeypatch, point, function, wrong, words):
    """A merge, swap, remove or load that does something else fails its point."""
    point(CASE)
    monkeypatch.setattr(delta, function, wrong)
    with pytest.raises(Wrong, match=words):
        point(CASE)


@pytest.mark.parametrize("name", contract.ALL_MODELS)
def test_recomputing_is_seen(monkeypatch, name):
    """A checkpoint that loses the gradients of a frozen base fails its point."""
    case = contract.Case(lora.add_lora, {"rank": 3, "alpha": 6}, count=count).on(name)
    forget = lambda run, x, use_reentrant: run(x.detach())  # noqa: E731
    monkeypatch.setattr("minift.models.context.checkpoint", forget)
    with pytest.raises(Wrong, match="with checkpointing"):
        contract.recomputing(case)


def test_every_point_has_a_planted_fault():
    """No point of the contract is left without a fault that it sees."""
    here = [point for point, _, _ in BREAKS]
    others = [contract.merging, contract.swapping, contract.round_trip, contract.recomputing]
    assert {*here, *others} == {*contract.ALL, *contract.CAUSAL}


@pytest.mark.parametrize("starts", ["near", "elsewhere"])
def test_a_declared_start_is_held_to(starts):
    """A method that says it starts near or elsewhere must not start on the base itself."""
    case = contract.Case(lora.add_lora, count=count, starts=starts)
    with pytest.raises(Wrong, match="starts 0 from the base"):
        contract.start(case)
