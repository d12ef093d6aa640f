"""The two sides of a batch: what an encoder reads, and what its decoder is to write.

A batch is laid out for one model of left-to-right text: a prompt, and behind it an answer, whose
tokens are the labels. An encoder-decoder reads the same batch:

    ids       <bos>  a  b  <sep>  c  d  <eos>            source        <bos> a b <sep>
    labels      .    .  .    c    d <eos>  .             target  start  c  d
                                                         labels    c    d <eos>

Everything up to where an answer begins is its source. A dialogue with several answers becomes as
many rows, each of which reads all that was said before. Shape letters: k answers, one a row; s
source, t target.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from minift.batching import NO_TARGET


@dataclass(frozen=True, eq=False)
class Sides:
    """Padded on the right where the batch was; `row` names the row of the batch, for its user."""

    source: Tensor  # (k, s)
    source_mask: Tensor  # (k, s), True for a real token
    target: Tensor  # (k, t)
    target_mask: Tensor  # (k, t)
    labels: Tensor  # (k, t)
    row: Tensor  # (k)


def two_sides(batch, start):
    """The `Sides` of a batch; the decoder's input begins with the token `start`.

    Raises ValueError for packed rows, and for a batch without any label.
    """
    if batch.documents is not None:
        raise ValueError("packed rows have no source and target, expected one text a row")
    learnt = batch.labels != NO_TARGET
    before = torch.zeros_like(learnt)
    before[:, 1:] = learnt[:, :-1]
    row, begin = (learnt & ~before).nonzero(as_tuple=True)  # (k), (k)   where each answer begins
    if not len(row):
        raise ValueError("no position is a target, expected an answer to write")
    slot = torch.arange(learnt.shape[1], device=row.device)
    behind = ~learnt[row] & (slot > begin[:, None])
    end = slot.where(behind, len(slot)).amin(dim=1)  # (k)   the first position without
    width, length = int(begin.max()) + 1, end - begin
    real = torch.ones_like(learnt) if batch.mask is None else batch.mask
    source_mask = (real[row] & (slot <= begin[:, None]))[:, :width]  # (k, s)
    step = slot[: int(length.max())]
    written = step < length[:, None]  # (k, t)
    labels = batch.labels[row].gather(1, (begin[:, None] + step).clamp(max=len(slot) - 1))
    labels = labels.where(written, NO_TARGET)
    target = labels.roll(1, dims=1).clamp(min=0)  # position i reads what position i - 1 wrote
    target[:, 0] = start
    return Sides(batch.ids[row][:, :width], source_mask, target, written, labels, row)
