"""What a module inside the model may know of the batch that is passing through.

Most layers see only the hidden states they are given. A few methods need more: a gate has to know
which tokens are real and which of them belong to the prompt, and a bank of prefixes or adapters has
to know which task or user each row belongs to. That knowledge is one small frozen `Context`, set by
the model's `forward` and read by whoever was given the model's `CurrentContext`. Shape letters: b
batch, s key time.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Context:
    """The batch at hand.

    mask   (b, s) bool or None: True for a real token (None: all are real)
    pool   (b, s) bool or None: where a gate may pool. On a GPT the prompt, which the caller names,
           never later; in an encoder all real tokens; in a Seq2Seq's decoder the start token
    rows   (b,) long or None: the task or user of each row
    start  how many slots (prefix and earlier tokens) stand left of the first token of this call
    notes  a dictionary that lives as long as the cache, None without one: a gate's value stays
    memory the context of the memory that a decoder looks at, for the k_proj and v_proj that read it
    documents (b, t) long or None: numbers the texts of a packed row, which no gate can keep apart
    """

    mask: Tensor | None = None
    pool: Tensor | None = None
    rows: Tensor | None = None
    start: int = 0
    notes: dict | None = None
    memory: "Context | None" = None
    documents: Tensor | None = None


class CurrentContext:
    """Holds the `Context` of the forward pass at hand; outside of one it holds an empty context."""

    def __init__(self):
        self.now = Context()

    @contextmanager
    def using(self, context):
        """Set `context` inside the block."""
        before, self.now = self.now, context
        try:
            yield
        finally:
            self.now = before

    def run(self, block, x, here, recompute, **arguments):
        """block(x, **arguments) inside the context `here`.

        With `recompute` none of its activations are kept: the backward pass makes them again,
        inside `here` again (activation checkpointing).
        """

        def inside(x):
            with self.using(here):
                return block(x, **arguments)

        if recompute and torch.is_grad_enabled():
            return checkpoint(inside, x, use_reentrant=False)
        return inside(x)


def call_of(batch):
    """The keyword arguments of a model's `hidden` that a batch carries."""
    names = ("mask", "positions", "documents", "pool", "rows")
    return {name: getattr(batch, name, None) for name in names}
