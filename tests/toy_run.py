"""A toy model and toy batches for the tests of training, and the programs that those tests start.

`python -m tests.toy_run kill OUT whole:0: killed:7:step killed:12:saving killed:0:`
    one process after the other goes on with the run in that folder of OUT; where a step is named,
    it kills itself with SIGKILL there, or in the save or row after it
`python -m tests.toy_run team OUT`
    under torchrun: each process writes what it found
"""

import atexit
import os
import random
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import nn

from minift import train

VOCAB, WIDTH = 13, 7


@dataclass(frozen=True)
class ToyBatch:
    """ids and labels (b, t); `odd` batches go through a branch that the others leave out."""

    ids: torch.Tensor
    labels: torch.Tensor
    odd: bool

    @property
    def targets(self):
        return int((self.labels != -100).sum())

    @property
    def tokens(self):
        return self.ids.numel()

    def to(self, device):
        return ToyBatch(self.ids.to(device), self.labels.to(device), self.odd)


class ToyBatches:
    """Random access: batch i depends on (seed, i) alone; the number of targets differs a lot."""

    def __init__(self, seed=0, rows=3, length=5):
        self.seed, self.rows, self.length = seed, rows, length

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(1000 * self.seed + index)
        shape = (self.rows, self.length)
        ids = torch.randint(VOCAB, shape, generator=generator)
        share = 0.2 + 0.8 * torch.rand(1, generator=generator)
        left_out = torch.rand(shape, generator=generator) > share
        left_out[0, 0] = False
        labels = torch.randint(VOCAB, shape, generator=generator).masked_fill(left_out, -100)
        return ToyBatch(ids, labels, index % 2 == 1)


class Toy(nn.Module):
    """Has one of each kind: a frozen layer, a norm, dropout, a buffer that training writes."""

    def __init__(self, dropout=0.2):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, WIDTH)
        self.frozen = nn.Linear(WIDTH, WIDTH).requires_grad_(False)
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.branch = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, VOCAB)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, ids, odd=False):
        if self.training:
            self.seen += ids.sum()
        hidden = self.dropout(self.norm(self.frozen(self.embedding(ids))))
        if odd:
            hidden = hidden + self.branch(hidden)
        return self.out(hidden)


def toy_loss(model, batch):
    """Summed cross-entropy over the labels that are not -100."""
    scores = model(batch.ids, batch.odd).flatten(0, 1)
    return F.cross_entropy(scores, batch.labels.flatten(), reduction="sum", ignore_index=-100)


def toy(seed=0, dropout=0.2):
    """A model that depends on the seed alone; the global generator is left at the seed, too."""
    torch.manual_seed(seed)
    model = Toy(dropout)
    torch.manual_seed(seed)
    return model


def noisy_evaluation(model, step):
    """An evaluation that draws random numbers, as sampling does."""
    return {"dev_loss": float(toy_loss(model, ToyBatches(seed=9)[0])), "noise": random.random()}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def kill(out, *attempts):
    """Each attempt is a process of its own, forked before torch has computed anything."""
    import torch._dynamo  # noqa: F401  (the first optimizer loads it: once here, not in each child)

    for attempt in attempts:
        name, at, where = attempt.split(":")
        if (child := os.fork()) == 0:
            run_and_die(Path(out) / name, int(at), where)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run_and_die(out, at, where):
    """24 steps, resumed from `out`; dies at step `at`, or in the next save or row after it."""
    random.seed(3)
    numpy.random.seed(3)
    reached, sync = [0], os.fsync

    def after_step(step, model):
        random.random()
        numpy.random.randn()
        reached[0] = step
        if where == "step" and step == at:
            die()

    def evaluate(model, step):
        if where == "row" and step >= at:
            die()
        return noisy_evaluation(model, step)

    def fsync(handle):
        name = os.readlink(f"/proc/self/fd/{handle}") if where == "saving" else ""
        if ".pt." in name and reached[0] >= at:
            os.ftruncate(handle, os.fstat(handle).st_size // 2)  # half of it had reached the disk
            die()
        sync(handle)

    os.fsync = fsync
    train.fit(
        toy(), ToyBatches(), toy_loss, steps=24, lr=0.01, accumulate=2, device="cpu", out=out,
        save_every=4, log_every=3, evaluate=evaluate, evaluate_every=6, after_step=after_step,
        resume=True,
    )  # fmt: skip


def team(out):
    """Four steps by all processes, the gradients of each; and a run with dropout, resumed."""
    assert "matplotlib" not in sys.modules and "argparse" not in train.__dict__
    rank, gradients = int(os.environ["RANK"]), []
    atexit.register(write_threads, Path(out) / f"threads{rank}.txt")  # runs after fit's own

    def after_step(step, model):
        named = model.named_parameters()
        gradients.append({n: p.grad.clone() for n, p in named if p.grad is not None})

    model = toy(seed=rank, dropout=0.0)  # the processes start apart; the first one's weights count
    model.frozen.load_state_dict(toy().frozen.state_dict())
    history = train.fit(
        model, ToyBatches(), toy_loss, steps=4, lr=0.01, device="cpu", log_every=1,
        penalty=toy_penalty, after_step=after_step, clip=0.5,
    )  # fmt: skip
    runs = [train_with_dropout(Path(out) / "run", resume=again) for again in (False, True)]
    torch.save(
        {"weights": model.state_dict(), "gradients": gradients, "runs": runs,
         "losses": history.column("loss")[1]},
        Path(out) / f"process{rank}.pt",
    )  # fmt: skip


def write_threads(path):
    """The names of the threads that are left, where the system tells them."""
    tasks = Path("/proc/self/task")
    names = [(task / "comm").read_text() for task in tasks.iterdir()] if tasks.exists() else []
    path.write_text("".join(names))


def toy_penalty(model):
    """A term that training adds: the squared norm of one matrix."""
    return 0.1 * model.out.weight.pow(2).sum()


def train_with_dropout(folder, resume):
    """Weights after four steps; when resumed, the last checkpoint is taken away first."""
    rank = int(os.environ["RANK"])
    if resume and rank == 0:
        (folder / "step_00000004.pt").unlink()
    torch.distributed.barrier()
    model = toy(dropout=0.3)
    settings = {"steps": 4, "lr": 0.01, "device": "cpu", "save_every": 2, "log_every": 2}
    train.fit(model, ToyBatches(), toy_loss, out=folder, resume=resume, **settings)
    torch.distributed.barrier()
    return model.state_dict()


if __name__ == "__main__":
    {"kill": kill, "team": team}[sys.argv[1]](*sys.argv[2:])
