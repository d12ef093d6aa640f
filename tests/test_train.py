"""The training loop: its formulas, what it calls when, what it refuses, and several processes."""

import copy
import json
import math
import os
import socket
import subprocess
import sys

import pytest
import torch
from torch import nn

from minift import ROOT, journal, train
from tests.toy_run import Toy, ToyBatches, noisy_evaluation, toy, toy_loss, toy_penalty

CLOSE = {"rtol": 1e-4, "atol": 1e-6}


def fit(model, steps=4, batches=None, loss=toy_loss, **settings):
    """A quiet run on the CPU."""
    settings = {"lr": 0.01, "device": "cpu", "quiet": True, "log_every": 1} | settings
    return train.fit(model, batches or ToyBatches(), loss, steps=steps, **settings)


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same_bits(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def watch(found):
    """An after_step that keeps the gradients of each step."""
    return lambda step, model: found.append(
        {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    )


def summed_gradient(model, batches):
    """The slow specification: the gradient of all losses over all targets."""
    model = copy.deepcopy(model).eval()
    total = sum(toy_loss(model, batch) for batch in batches) / sum(b.targets for b in batches)
    total.backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, total.item()


@pytest.mark.parametrize("steps, warmup", [(20, 5), (20, 0), (7, 7), (1, None), (30, None)])
def test_the_learning_rate_follows_its_closed_form(steps, warmup):
    """Linear from lr/w, never 0, then half a cosine that ends at a tenth of lr."""
    lrs = fit(toy(), steps, warmup=warmup, lr=0.02).column("lr")[1]
    w = max(1, steps // 10) if warmup is None else warmup
    for s, lr in enumerate(lrs, 1):
        cosine = math.cos(math.pi * (s - w) / max(1, steps - w))
        want = s / w if s <= w else 0.55 + 0.45 * cosine
        assert lr == pytest.approx(0.02 * want, rel=1e-12)
    assert min(lrs) > 0
    assert lrs[-1] == pytest.approx(0.02 if steps == w else 0.002)


def test_weight_decay_shrinks_matrices_only():
    """With zero gradients and decay λ, matrices become (1 − η λ) times; vectors stay bit-equal."""
    model = toy()
    before = weights(model)
    nothing = lambda model, batch: sum(0.0 * p.sum() for p in model.parameters())  # noqa: E731
    fit(model, 1, loss=nothing, lr=0.1, warmup=1, weight_decay=0.3)
    for name, now in weights(model).items():
        decays = name in {"embedding.weight", "branch.weight", "out.weight"}
        want = before[name] * (1 - 0.1 * 0.3) if decays else before[name]
        assert torch.allclose(now, want, rtol=1e-6, atol=0 if decays else 0.0), name
        assert decays or torch.equal(now, before[name]), name


def test_one_adamw_step_has_its_closed_form():
    """From zero state m̂ = g and v̂ = g²: Δθ = −η (g / (|g| + ε) + λ θ)."""
    model, lr, decay = toy(dropout=0.0), 0.03, 0.2
    before, seen = weights(model), []
    fit(model, 1, lr=lr, warmup=1, weight_decay=decay, clip=None, after_step=watch(seen))
    for name, g in seen[0].items():
        old = before[name]
        want = -lr * (g / (g.abs() + 1e-8) + (decay if old.ndim > 1 else 0.0) * old)
        got = model.get_parameter(name).detach() - old
        assert torch.allclose(got, want, rtol=1e-4, atol=1e-6), name


def test_accumulation_is_one_big_batch():
    """Micro-batches of unequal target counts give the gradient and loss of the joined batch."""
    model, batches, seen = toy(dropout=0.0), ToyBatches(), []
    micro = [batches[i] for i in range(3)]
    want, loss = summed_gradient(model, micro)
    history = fit(model, 1, accumulate=3, clip=None, after_step=watch(seen))
    means = [summed_gradient(toy(dropout=0.0), [b])[0]["out.bias"] / 3 for b in micro]
    assert len({b.targets for b in micro}) == 3
    assert not torch.allclose(sum(means), want["out.bias"], rtol=0.01)  # a mean of means is no mean
    assert history[0]["loss"] == pytest.approx(loss, rel=1e-5)
    for name, gradient in want.items():
        assert torch.allclose(seen[0][name], gradient, **CLOSE), name


def test_clipping_is_torchs_over_all_parameters():
    """The clipped gradients are clip_grad_norm_'s; the logged norm is the one before clipping."""
    model, seen = toy(dropout=0.0), []
    reference = copy.deepcopy(model)
    history = fit(model, 1, clip=0.1, after_step=watch(seen))
    batch = ToyBatches()[0]
    (toy_loss(reference, batch) / batch.targets).backward()
    norm = nn.utils.clip_grad_norm_(reference.parameters(), 0.1)
    assert history[0]["grad_norm"] == pytest.approx(float(norm), rel=1e-5) and norm > 0.1
    for name, gradient in seen[0].items():
        assert torch.allclose(gradient, reference.get_parameter(name).grad, **CLOSE), name


def test_clipped_sgd_moves_by_lr_times_clip():
    """‖Δθ‖ = η c over all parameters as one vector: clipped before the step, not after."""
    model = toy(dropout=0.0)
    before = weights(model)
    sgd = lambda params: torch.optim.SGD(params, lr=1.0)  # noqa: E731
    fit(model, 1, optimizer=sgd, lr=0.5, warmup=1, clip=0.01)
    moved = torch.cat([(p - before[n]).flatten() for n, p in weights(model).items()])
    assert float(moved.norm()) == pytest.approx(0.5 * 0.01, rel=1e-3)


def test_the_trajectory_is_plain_pytorchs():
    """Ten steps equal the loop one would write with torch.optim.AdamW and no accumulation."""
    model, batches = toy(dropout=0.0), ToyBatches()
    plain = copy.deepcopy(model)
    groups = [
        {"params": [p for p in plain.parameters() if p.requires_grad and p.ndim > 1]},
        {"params": [p for p in plain.parameters() if p.requires_grad and p.ndim == 1]},
    ]
    groups[1]["weight_decay"] = 0.0
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    lrs = fit(model, 10, lr=0.02).column("lr")[1]
    for step, lr in enumerate(lrs):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        (toy_loss(plain, batches[step]) / batches[step].targets).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
    for name, got in weights(model).items():
        assert torch.allclose(got, plain.get_parameter(name), **CLOSE), name


def test_the_optimizer_holds_what_trains_and_nothing_else():
    """Frozen parameters are in no group and stay bit-equal; a function is given the same list."""
    model, given = toy(), []
    team = train.distributed.join("cpu")
    default = train.build_optimizer(None, model, train.Plan(1, 0.1), team)
    before = weights(model)
    fit(model, 3, optimizer=lambda params: given.extend(params) or torch.optim.SGD(params))
    want = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for g in default.param_groups for p in g["params"]} == want
    assert {id(p) for p in given} == want and len(given) == len(want)
    assert torch.equal(model.frozen.weight, before["frozen.weight"])
    assert not torch.equal(model.out.weight, before["out.weight"])


def test_an_optimizer_of_other_tensors_is_refused():
    """A head replaced after the optimizer was built, or one that it never held: one line."""
    model = toy()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model.extra = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="lacks 2 parameters that train: extra.weight"):
        fit(model, optimizer=optimizer)
    del model.extra
    model.out = nn.Linear(7, 13).requires_grad_(False)
    with pytest.raises(ValueError, match="no longer, in the model"):
        fit(model, optimizer=optimizer)


def test_a_group_may_scale_the_rate():
    """`lr_scale` of a group multiplies its rate at every step."""
    model = toy()
    a, *rest = (p for p in model.parameters() if p.requires_grad)
    optimizer = torch.optim.SGD([{"params": [a], "lr_scale": 16.0}, {"params": rest}], lr=1.0)
    history = fit(model, 3, optimizer=optimizer)
    assert [g["lr"] for g in optimizer.param_groups] == [16 * history[-1]["lr"], history[-1]["lr"]]


def test_the_same_seed_gives_the_same_bits():
    """Two runs with dropout from one seed are bit-equal; another seed is not."""
    runs = []
    for seed in (5, 5, 6):
        model = toy()
        torch.manual_seed(seed)
        history = fit(model, 5, accumulate=2)
        runs.append((weights(model), history.column("loss")))
    assert same_bits(runs[0][0], runs[1][0]) and runs[0][1] == runs[1][1]
    assert not same_bits(runs[0][0], runs[2][0])


def test_penalty_is_added_once_a_step():
    """With three micro-batches the gradient is the task's plus one penalty's; the log has none."""
    model, batches, seen = toy(dropout=0.0), ToyBatches(), []
    want, loss = summed_gradient(model, [batches[i] for i in range(3)])
    slope = 0.2 * model.out.weight.detach().clone()
    history = fit(model, 1, accumulate=3, clip=None, penalty=toy_penalty, after_step=watch(seen))
    assert torch.allclose(seen[0]["out.weight"], want["out.weight"] + slope, **CLOSE)
    assert torch.allclose(seen[0]["out.bias"], want["out.bias"], **CLOSE)
    assert history[0]["loss"] == pytest.approx(loss, rel=1e-5)


def test_after_step_comes_between_step_and_zero_grad():
    """Called with 1, 2, …; the weights have moved and the gradients of this step are there."""
    model, calls = toy(), []
    last = [model.out.bias.detach().clone()]

    def after_step(step, model):
        assert model.out.bias.grad.abs().sum() > 0
        assert not torch.equal(model.out.bias, last[0])
        last[0] = model.out.bias.detach().clone()
        calls.append(step)

    fit(model, 4, accumulate=2, after_step=after_step)
    assert calls == [1, 2, 3, 4]


def test_an_evaluation_may_return_tensors():
    """Numbers of torch and numpy go into the log as plain ones."""
    rows = journal.evaluated(lambda model, step: {"a": torch.tensor(0.5)}, torch.nn.Identity(), 1)
    assert rows == {"a": 0.5} and type(rows["a"]) is float


def test_evaluation_changes_nothing():
    """It runs in eval mode without gradients, when due and at the end; the bits stay the same."""
    calls = []

    def evaluate(model, step):
        assert not any(m.training for m in model.modules()) and not torch.is_grad_enabled()
        torch.rand(3)
        calls.append(step)
        return noisy_evaluation(model, step)

    plain, watched = toy(), toy()
    plain.norm.eval()
    fit(plain, 5)
    torch.manual_seed(0)
    watched.dropout.eval()
    history = fit(watched, 5, evaluate=evaluate, evaluate_every=2, log_every=100)
    assert calls == [2, 4, 5] == history.column("dev_loss")[0]
    assert same_bits(weights(plain), weights(watched))
    assert watched.training and not watched.dropout.training and not plain.norm.training


def test_a_name_of_fit_is_not_evaluates():
    """An evaluation that returns `loss` would hide the training loss: refused in one line."""
    with pytest.raises(ValueError, match="returned 'loss'"):
        fit(toy(), evaluate=lambda model, step: {"loss": 1.0})


def test_the_log_is_the_history_and_its_loss_a_mean(tmp_path):
    """log.jsonl holds the rows; a row's loss is the mean of the steps since the row before."""
    every = fit(toy(), 7).column("loss")[1]
    history = fit(toy(), 7, log_every=3, out=tmp_path / "run")
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(history)
    assert [row["step"] for row in history] == [3, 6, 7]
    want = [sum(every[0:3]) / 3, sum(every[3:6]) / 3, every[6]]
    assert history.column("loss")[1] == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("bf16", [False, True])
def test_bf16_computes_in_bf16_and_keeps_float_weights(bf16):
    """Autocast changes the dtype of a layer's output, not of the weights or the optimizer."""
    model, kinds = toy(), set()
    model.out.register_forward_hook(lambda module, given, out: kinds.add(out.dtype))
    fit(model, 2, bf16=bf16, loss=lambda m, b: toy_loss(m, b).float())
    assert kinds == {torch.bfloat16 if bf16 else torch.float32}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("what", ["loss", "gradient norm"])
def test_a_non_finite_number_stops_before_the_step(tmp_path, what):
    """One line names step, number and last good checkpoint; the weights are the step before's."""
    model, kept = toy(), {}

    def loss(model, batch):
        bad = len(kept) == 4
        value = toy_loss(model, batch)
        if what == "loss":
            return value * float("nan") if bad else value
        return value + (0 * model.out.bias.abs().sum()).sqrt() if bad else value  # slope inf · 0

    def after_step(step, model):
        kept[step] = weights(model)

    with pytest.raises(ValueError) as error:
        fit(model, 9, loss=loss, after_step=after_step, out=tmp_path / "run", save_every=2)
    name = tmp_path / "run" / "step_00000004.pt"
    assert str(error.value) == f"step 5: the {what} is nan; last good checkpoint: {name}"
    assert same_bits(weights(model), kept[4]) and name.exists()
    assert sorted(p.name for p in (tmp_path / "run").iterdir())[0] == "log.jsonl"


class InBackward(torch.optim.Optimizer):
    """SGD whose step happens inside backward, one parameter at a time."""

    fused_backward = True

    def __init__(self, params):
        super().__init__(params, {"lr": 1.0})
        for parameter in self.param_groups[0]["params"]:
            parameter.register_post_accumulate_grad_hook(self.update)

    @torch.no_grad()
    def update(self, parameter):
        parameter.add_(parameter.grad, alpha=-self.param_groups[0]["lr"])
        parameter.grad = None

    def step(self):
        pass


def test_an_optimizer_inside_backward_is_sgd_and_refuses_accumulation():
    """The rate is set and the loss divided before backward, so the bits are SGD's."""
    fused, plain = toy(), toy()
    fit(fused, 3, optimizer=InBackward, penalty=toy_penalty)
    torch.manual_seed(0)
    sgd = lambda params: torch.optim.SGD(params, lr=1.0)  # noqa: E731
    fit(plain, 3, optimizer=sgd, penalty=toy_penalty, clip=None)
    assert same_bits(weights(fused), weights(plain))
    with pytest.raises(ValueError, match="InBackward steps inside backward: expected accumulate=1"):
        fit(toy(), optimizer=InBackward, accumulate=2)


class NoTargets(ToyBatches):
    def __getitem__(self, index):
        batch = super().__getitem__(index)
        return type(batch)(batch.ids, torch.full_like(batch.labels, -100), batch.odd)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"device": "tpu"}, "device 'tpu' is unknown; expected one of auto, cpu, cuda, mps"),
        ({"steps": 0}, "steps=0"),
        ({"accumulate": 0}, "accumulate=0"),
        ({"warmup": 9}, "warmup=9"),
        ({"resume": True}, "resume=True needs out="),
        ({"batches": NoTargets()}, "step 1: no position is a target"),
    ],
)
def test_a_wrong_setting_is_one_line(settings, message):
    """Each is a ValueError of one line that names the setting."""
    with pytest.raises(ValueError, match=message) as error:
        fit(toy(), **settings)
    assert "\n" not in str(error.value)


def test_nothing_to_train_is_an_error():
    """A model whose parameters are all frozen is refused."""
    with pytest.raises(ValueError, match="nothing to train"):
        fit(Toy().requires_grad_(False))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_one_line():
    """`cuda` where there is none names what could be used."""
    with pytest.raises(ValueError, match="device cuda: this machine has none; usable here: .*cpu"):
        fit(toy(), device="cuda")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    """What two processes under torchrun found."""
    out = tmp_path_factory.mktemp("team")
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    launch += ["--master-port", str(free_port()), "-m", "tests.toy_run", "team", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *launch], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(out / f"process{k}.pt", weights_only=True) for k in (0, 1)], out


@pytest.mark.loopback
def test_two_processes_are_one_with_twice_the_micro_batches(team):
    """Gradients, losses and weights within 1e-6, with a penalty, clipping and an unused branch."""
    found, _ = team
    model, gradients = toy(dropout=0.0), []
    history = fit(
        model, 4, accumulate=2, penalty=toy_penalty, clip=0.5, after_step=watch(gradients)
    )
    assert found[0]["losses"] == pytest.approx(history.column("loss")[1], rel=1e-5)
    for step, want in enumerate(gradients):
        for process in found:
            got = process["gradients"][step]
            assert got.keys() == want.keys()
            assert max((got[n] - want[n]).abs().max() for n in want) <= 1e-6
    for process in found:
        for name, want in model.named_parameters():
            assert (process["weights"][name] - want).abs().max() <= 1e-6, name


@pytest.mark.loopback
def test_a_team_resumes_to_the_same_bits(team):
    """Each process gets its own generator back: with dropout, the resumed run is the first one."""
    found, out = team
    for process in found:
        first, again = process["runs"]
        trained = [n for n in first if n != "seen"]  # each process counts its own ids
        assert all(torch.equal(first[n], again[n]) for n in trained)
    assert same_bits(
        {n: found[0]["runs"][0][n] for n in trained}, {n: found[1]["runs"][0][n] for n in trained}
    )
    steps = [json.loads(line)["step"] for line in (out / "run" / "log.jsonl").open()]
    assert steps == [2, 4]


@pytest.mark.loopback
def test_the_processes_end_their_threads_before_the_interpreter(team):
    """A thread of the process group that outlives Python aborts the process now and then."""
    for rank in (0, 1):
        assert "gloo" not in (team[1] / f"threads{rank}.txt").read_text()
