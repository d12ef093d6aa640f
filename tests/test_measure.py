"""The loss over many examples does not depend on how they are batched."""

import pytest
import torch
from torch import nn

from minift import batching, measure
from tests.test_gpt import model


def examples():
    """Texts of many lengths; their first tokens are no answers."""
    lengths, generator = [3, 9, 5, 5, 12, 2, 7], torch.Generator().manual_seed(0)
    rows = [torch.randint(1, 61, (n,), generator=generator).tolist() for n in lengths]
    return [batching.Encoded(tuple(r), (False,) + (True,) * (len(r) - 1)) for r in rows]


@pytest.mark.parametrize("size", [1, 3, 32])
def test_total_is_the_sum_over_single_texts(size):
    """Each text alone, summed: the specification."""
    gpt, want, count = model(), 0.0, 0
    for example in examples():
        ids = torch.tensor([example.ids])
        logp = gpt(ids)[0].log_softmax(-1)
        want -= sum(logp[i, ids[0, i + 1]].item() for i in range(len(ids[0]) - 1))
        count += len(ids[0]) - 1
    total, targets = measure.total_loss(gpt, examples(), 0, size)
    assert targets == count and total == pytest.approx(want, rel=1e-5)
    assert measure.mean_loss(gpt, examples(), 0) == pytest.approx(want / count, rel=1e-5)


def test_dropout_is_off_and_the_mode_is_kept():
    """A model in training mode is measured without dropout and without gradients."""
    gpt = model(dropout=0.5).train()
    totals = {measure.total_loss(gpt, examples(), 0)[0] for _ in range(3)}
    assert len(totals) == 1 and gpt.training
    assert isinstance(gpt.dropout, nn.Dropout) and gpt.embedding.weight.grad is None
