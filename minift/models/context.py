"""What a module inside the model may know of the batch that is passing through.

Most layers see only the hidden states they are given. A few methods need more: a gate has to know
which tokens are real and which of them belong to the prompt, and a bank of prefixes or adapters has
to know which task or user each row belongs to. That knowledge is one small frozen `Context`, set by
the model's `forward` and read by whoever was given the model's `CurrentContext`. Shape letters: b
batch, s key time.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Context:
    """The batch at hand.

    mask   (b, s) bool or None: True for a real token (None: all are real)
    pool   (b, s) bool or None: where a gate may pool (on a causal model the prompt, never later)
    rows   (b,) long or None: the task or user of each row
    start  how many slots (prefix and earlier tokens) stand left of the first token of this call
    notes  a dictionary that lives as long as the cache, None without one: a gate's value stays
    """

    mask: Tensor | None = None
    pool: Tensor | None = None
    rows: Tensor | None = None
    start: int = 0
    notes: dict | None = None


class CurrentContext:
    """Holds the `Context` of the forward pass at hand; outside of one it holds an empty context."""

    def __init__(self):
        self.now = Context()

    @contextmanager
    def using(self, context):
        """Set `context` inside the block.

        A recomputed block (activation checkpointing) sees its own again.
        """
        before, self.now = self.now, context
        try:
            yield
        finally:
            self.now = before
