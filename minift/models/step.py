"""One step of decoding: the scores of the next token, on as many threads as the step is worth."""

from contextlib import contextmanager

import torch

SMALL = 700_000  # multiply-adds of one projection


@contextmanager
def threads_for(work, device):
    """One thread inside for a step of little work: a thread woken for microseconds is a loss.

    A decoding step is some 90 operations, each too short to share. Measured on two cores: 8 rows of
    width 192 took 287 ms on two threads and 186 ms on one; at 64 rows two threads win.
    """
    before = torch.get_num_threads()
    if work < SMALL and device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def next_logits(model, ids, mask, cache, rows):
    """Scores of the next token of each row: `model.advance` for ids (b, t) extends the cache."""
    with threads_for(ids.numel() * model.config.d_model**2, ids.device):
        return model.advance(ids, mask, cache, rows)  # (b, v)
