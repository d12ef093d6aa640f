"""Batches: padding, packing, masked labels, and an order that needs only the step to go on.

`labels[:, i]` is the token that position i must predict: the shift by one is made here and nowhere
else. -100 is no target.

A packed row holds several documents. `documents` keeps them apart in attention and `positions`
starts anew in each, so that each gives the numbers that it gives alone; the last token of one never
predicts the first of the next.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from minift.encoding import Encoded, Report, encode, encode_all, prompt_ids

__all__ = ["Batch", "Batches", "Encoded", "Report", "Stream", "bins", "encode", "encode_all"]
__all__ += ["pack", "pad", "prompt_ids"]

NO_TARGET = -100


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of tokens. `documents` numbers the texts of a packed row, -1 on padding."""

    ids: Tensor  # (b, t)
    labels: Tensor  # (b, t) or (b): of a classifier
    mask: Tensor  # (b, t), True for a real token
    positions: Tensor | None = None  # (b, t) or None; counted anew in each document
    documents: Tensor | None = None  # (b, t) or None
    pool: Tensor | None = None  # (b, t) or None: the prompt, over which a gate may pool
    rows: Tensor | None = None  # the task or user of each row

    @property
    def targets(self):
        """How many labels there are to predict."""
        return int((self.labels != NO_TARGET).sum())

    @property
    def tokens(self):
        return int(self.mask.sum())

    def to(self, device):
        moved = {k: v if v is None else v.to(device) for k, v in vars(self).items()}
        return replace(self, **moved)


def pad(examples, pad_id):
    """A Batch with one example a row, padded on the right to the longest.

    Examples that carry a label (all or none) give `labels` (b) for a classifier.
    """
    classes = [example.label for example in examples]
    if not classes:
        raise ValueError("no examples to pad, expected at least one")
    if any(c is None for c in classes) != all(c is None for c in classes):
        raise ValueError("a batch of examples with and without a label, expected one kind")
    batch = lay([[example] for example in examples], pad_id)
    labels = batch.labels if classes[0] is None else torch.tensor(classes)
    return Batch(batch.ids, labels, batch.mask, pool=batch.pool)


def pack(examples, context, pad_id):
    """A Batch with as many examples a row as fit into `context`; none is split."""
    return lay([[examples[i] for i in row] for row in bins(examples, context)], pad_id)


def bins(examples, context):
    """Which examples share a row: best-fit decreasing, a list of indices for each row.

    The longest first, each into the fullest row that still has room. Classes cannot be packed.
    """
    lengths = [len(example.ids) for example in examples]
    if not lengths:
        raise ValueError("no examples to pack, expected at least one")
    if max(lengths) > context:
        raise ValueError(f"an example of {max(lengths)} tokens, expected at most {context}")
    if any(example.label is not None for example in examples):
        raise ValueError("examples with a label, expected padding: a classifier reads a row's end")
    rows, free = [], []  # free: (room, row), sorted
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        found = bisect_left(free, (lengths[i], -1))
        room, row = free.pop(found) if found < len(free) else (context, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(i)
        insort(free, (room - lengths[i], row))
    return rows


def lay(rows, pad_id):
    """The Batch of rows that each hold a list of examples, side by side."""
    lengths = [[len(example.ids) for example in row] for row in rows]
    flat = [example for row in rows for example in row]
    each = torch.tensor(list(chain.from_iterable(lengths)))
    used = torch.tensor([sum(row) for row in lengths])  # (b)
    mask = torch.arange(int(used.max())) < used[:, None]  # (b, t)
    number = torch.tensor([n for row in rows for n in range(len(row))])
    begin = (each.cumsum(0) - each).repeat_interleave(each)
    total = len(begin)
    ids = fill(mask, pad_id, in_a_row((e.ids for e in flat), total))  # (b, t)
    answer = fill(mask, 0, in_a_row((e.answer for e in flat), total)).bool()  # (b, t)
    documents = fill(mask, -1, number.repeat_interleave(each))  # (b, t)
    positions = fill(mask, 0, torch.arange(total) - begin)  # (b, t)
    labels = torch.full_like(ids, NO_TARGET)  # (b, t)
    learnt = answer[:, 1:] & (documents[:, 1:] == documents[:, :-1])
    labels[:, :-1] = ids[:, 1:].where(learnt, NO_TARGET)
    prompt = mask & (answer.cumsum(dim=1) == 0)  # a dialogue's goes up to its first answer
    return Batch(ids, labels, mask, positions, documents, pool=prompt)


def in_a_row(sequences, total):
    """All numbers of all sequences as one tensor."""
    return torch.from_numpy(np.fromiter(chain.from_iterable(sequences), np.int64, total))


def fill(mask, elsewhere, values):
    """A tensor of mask's shape with `values` where it is True, row by row."""
    return values.new_full(mask.shape, elsewhere).masked_scatter(mask, values)


@lru_cache(maxsize=8)
def permutation(count, seed, epoch):
    """The order of an epoch, drawn anew from (seed, epoch): to resume, the step is enough."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class Batches:
    """`batches[step]` for any step from 0 on; `len` is the batches of an epoch, of which the last
    may be smaller. Iterating gives one epoch.

    `packed_to`: rows of at most so many tokens, packed once; `size` counts rows then.
    """

    def __init__(self, examples, size, seed=0, pad_id=0, packed_to=None):
        if not examples or size < 1:
            raise ValueError(f"{len(examples)} examples in batches of {size}, expected some")
        self.examples, self.size, self.seed, self.pad_id = examples, size, seed, pad_id
        self.rows = bins(examples, packed_to) if packed_to else [[i] for i in range(len(examples))]
        self.packed = bool(packed_to)

    def __len__(self):
        return -(-len(self.rows) // self.size)

    def __iter__(self):
        return (self[step] for step in range(len(self)))

    def __getitem__(self, step):
        epoch, at = divmod(step, len(self))
        order = permutation(len(self.rows), self.seed, epoch)
        rows = [self.rows[r] for r in order[at * self.size : (at + 1) * self.size]]
        chosen = [[self.examples[i] for i in row] for row in rows]
        return lay(chosen, self.pad_id) if self.packed else pad(sum(chosen, []), self.pad_id)


class Stream:
    """Batches of `context` tokens each from one long row of tokens, for pretraining.

    An epoch cuts the row, closed to a ring, at a place of its own into windows without overlap and
    deals them out in an order of its own. A window's first label is its second token.
    """

    def __init__(self, tokens, context, size, seed=0):
        if len(tokens) <= context:
            raise ValueError(f"{len(tokens)} tokens, expected more than the context of {context}")
        self.tokens, self.context, self.size = np.asarray(tokens), context, size
        self.seed, self.windows = seed, len(tokens) // context

    def __len__(self):
        return -(-self.windows // self.size)

    def __iter__(self):
        return (self[step] for step in range(len(self)))

    def __getitem__(self, step):
        epoch, at = divmod(step, len(self))
        order = permutation(self.windows, self.seed, epoch)[at * self.size :][: self.size]
        first = np.random.default_rng([self.seed, epoch, 1]).integers(len(self.tokens))
        where = first + order[:, None] * self.context + np.arange(self.context + 1)
        window = torch.from_numpy(self.tokens[where % len(self.tokens)].astype(np.int64))
        ids, labels = window[:, :-1].contiguous(), window[:, 1:].contiguous()  # (b, t)
        return Batch(ids, labels, torch.ones_like(ids, dtype=torch.bool))
