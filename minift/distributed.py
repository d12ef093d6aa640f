"""Where a run runs: the device, and the other processes that `torchrun` started.

Data-parallel training by hand, without a wrapper around the model: every process holds the whole
model, works on its own micro-batches, and the gradients are summed over the processes before the
step. Since the losses are already divided by the targets of all processes, the sum is the gradient
of the joined batch. Started without `torchrun`, a `Team` is one process and each of its methods
does nothing.
"""

import atexit
import importlib
import io
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name="auto"):
    """The torch.device of `auto` (cuda, else mps, else cpu), `cpu`, `cuda`, `cuda:1` or `mps`."""
    there = {
        "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True
    }  # fmt: skip
    kind = str(name).partition(":")[0]
    if kind == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    if kind not in there:
        raise ValueError(f"device {name!r} is unknown; expected one of {', '.join(DEVICES)}")
    if not there[kind]:
        usable = ", ".join(kind for kind, found in there.items() if found)
        raise ValueError(f"device {name}: this machine has none; usable here: {usable}")
    return torch.device(name)


def connect(device):
    """Start the process group, and see to it that it ends before the interpreter does.

    Gloo's threads may hold tensors, and to free one after Python's end aborts the process. So the
    group is destroyed at exit, which ends its threads if nothing else refers to it. The module
    imported here takes the group of that moment as a default argument; torch's optimizers load it
    later, so it is loaded while there is no group yet.
    """
    importlib.import_module("torch.distributed.nn.functional")
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    atexit.register(dist.destroy_process_group)


def join(device="auto"):
    """The team that torchrun's variables name, or a team of one. The first call connects."""
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    device = choose_device(device)
    if world == 1:
        return Team(device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        connect(device)
    if rank:  # each process drops other units; the first one's stream stays what it was
        torch.manual_seed(torch.initial_seed() + rank)
    return Team(device, rank, world)


@dataclass(frozen=True)
class Team:
    """The device of this process, its number and how many there are."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self):
        """True for the one process that writes files and lines."""
        return self.rank == 0

    def sum(self, tensor):
        """The sum of everyone's tensor, in the same place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def count(self, *numbers):
        """The sums of everyone's whole numbers, as a list."""
        if self.world == 1:
            return list(numbers)
        return self.sum(torch.tensor(numbers, device=self.device)).tolist()

    def share(self, model):
        """Everyone gets the first process's trainable parameters and buffers."""
        if self.world > 1:
            tensors = [p.data for p in model.parameters() if p.requires_grad]
            for tensor in [*tensors, *model.buffers()]:
                dist.broadcast(tensor, src=0)

    def gather(self, value):
        """Everyone's `value` (tensors, numbers, strings) as a list, in the order of the ranks.

        As bytes of equal length, which `weights_only` reads: torch's own way would unpickle them.
        """
        if self.world == 1:
            return [value]
        buffer = io.BytesIO()
        torch.save(value, buffer)
        mine = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
        lengths = self.gather_equal(torch.tensor([len(mine)]))
        room = int(max(lengths))
        padded = self.gather_equal(torch.nn.functional.pad(mine, (0, room - len(mine))))
        files = [io.BytesIO(d[:n].numpy().tobytes()) for d, n in zip(padded, lengths, strict=True)]
        return [torch.load(file, weights_only=True) for file in files]

    def gather_equal(self, tensor):
        """Everyone's tensor, all of one shape, as a list on the CPU."""
        found = [torch.empty_like(tensor, device=self.device) for _ in range(self.world)]
        dist.all_gather(found, tensor.to(self.device))
        return [tensor.cpu() for tensor in found]

    def sum_gradients(self, parameters):
        """Sum the gradients over the processes; where only some have one, the others count as 0.

        A parameter that no process reached keeps None, so that the optimizer skips it as it would
        in a single process.
        """
        if self.world == 1:
            return
        reached = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        dist.all_reduce(reached)
        found = [p for p, count in zip(parameters, reached.tolist(), strict=True) if count]
        for parameter in found:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.sum_as_one([parameter.grad for parameter in found])

    def sum_as_one(self, tensors):
        """Sum many tensors in one message: a message costs more than the numbers in it."""
        for dtype in {tensor.dtype: None for tensor in tensors}:
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = self.sum(torch.cat([tensor.flatten() for tensor in alike]))
            for tensor, part in zip(alike, flat.split([t.numel() for t in alike]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def memory(self):
        """Peak megabytes so far, of the GPU's allocator or this process; None if unknown."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) // 2**20
        if self.device.type == "mps":
            return torch.mps.driver_allocated_memory() // 2**20
        try:
            import resource
        except ImportError:  # not on Windows
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // (2**20 if os.uname().sysname == "Darwin" else 2**10)  # macOS counts bytes
