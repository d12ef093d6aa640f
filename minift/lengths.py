"""Batches of rows of like length, for models that do not pack: hardly any of it is padding.

The rows are sorted by length and cut, once, into batches of at most `room` tokens, padding counted.
An epoch deals the rows of one length anew, which leaves the sorted lengths and with them the cuts
as they are, and takes the batches in an order of its own: to resume, the step is enough.
"""

from functools import lru_cache

import numpy as np

from minift.batching import permutation

NOISE = 2  # keeps the numbers of a batch's noise apart from those of the order


class ByLength:
    """`order[step]` for any step from 0 on; `len` is the batches of an epoch. Iterating gives one.

    `lengths` has the tokens of each row, or of each of its sides, of which the last counts most in
    sorting. A subclass has `batch(rows, noise)`: the Batch of the rows of these numbers, and a
    generator of random numbers that belongs to this step alone.
    """

    def __init__(self, lengths, room, seed=0):
        if not len(lengths) or room < 1:
            raise ValueError(f"{len(lengths)} rows in batches of {room} tokens, expected some")
        self.lengths = np.array(lengths).reshape(len(lengths), -1)
        self.seed, self.dealt = seed, lru_cache(maxsize=2)(self.deal)
        self.cuts = cuts(self.lengths[self.dealt(0)].tolist(), room)

    def deal(self, epoch):
        """The rows' numbers by length, those of one length in an order of the epoch's own."""
        shuffled = permutation(len(self.lengths), self.seed, epoch)
        return shuffled[np.lexsort(self.lengths[shuffled].T)]  # stable, and by the last side first

    def __len__(self):
        return len(self.cuts) - 1

    def __iter__(self):
        return (self[step] for step in range(len(self)))

    def __getitem__(self, step):
        epoch, at = divmod(step, len(self))
        place = permutation(len(self), self.seed, epoch)[at]
        rows = self.dealt(epoch)[self.cuts[place] : self.cuts[place + 1]]
        return self.batch(rows, np.random.default_rng([self.seed, step, NOISE]))


def cuts(lengths, room):
    """Where batches begin, and where the last ends: each as long as it fits into `room` tokens.

    Each side is padded to its longest. A row that is longer than `room` has a batch of its own.
    """
    found, widest = [0], lengths[0]
    for n, sizes in enumerate(lengths):
        wider = list(map(max, widest, sizes))
        full = n > found[-1] and (n + 1 - found[-1]) * sum(wider) > room
        if full:
            found.append(n)
        widest = sizes if full else wider
    return [*found, len(lengths)]
