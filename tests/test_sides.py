"""The two sides of a batch, against a slow loop over rows and answers."""

import pytest
import torch

from minift.batching import Batch, Encoded, encode, pack, pad
from minift.records import Pair
from minift.sides import two_sides
from tests.test_batching import CHAT, EOS, Letters, ids

START = 2


def slow_sides(example):
    """[(source, labels)] of an example: one for each unbroken run of tokens to be learnt."""
    found = []
    for i in range(1, len(example.ids)):
        if example.answer[i] and not example.answer[i - 1]:
            end = i
            while end < len(example.ids) and example.answer[end]:
                end += 1
            found.append((list(example.ids[:i]), list(example.ids[i:end])))
    return found


def random_examples(count=20, seed=0):
    """Rows of 2 to 12 tokens with any pattern of answers, at least one of them."""
    generator, found = torch.Generator().manual_seed(seed), []
    for _ in range(count):
        n = int(torch.randint(2, 13, (1,), generator=generator))
        tokens = torch.randint(7, 40, (n,), generator=generator).tolist()
        answer = (torch.rand(n, generator=generator) < 0.6).tolist()
        answer[0] = False
        answer[-1] = answer[-1] or not any(answer)
        found.append(Encoded(tuple(tokens), tuple(answer)))
    return found


def flipped(batch):
    """The same batch with its padding on the left."""
    t = batch.ids.shape[1]
    move = (torch.arange(t) - (t - batch.mask.sum(1))[:, None]) % t
    return Batch(*(x.gather(1, move) for x in (batch.ids, batch.labels, batch.mask)))


@pytest.mark.parametrize("side", ["left", "right"])
def test_each_answer_has_what_was_said_before_it(side):
    """Sources, decoder inputs, labels and rows equal those of the loop, padded on either side."""
    examples = random_examples()
    batch = pad(examples, 0)
    sides = two_sides(flipped(batch) if side == "left" else batch, START)
    want = [(n, *pair) for n, example in enumerate(examples) for pair in slow_sides(example)]
    assert len(want) > len(examples) and sides.row.tolist() == [n for n, _, _ in want]
    for k, (_, source, labels) in enumerate(want):
        assert sides.source[k, sides.source_mask[k]].tolist() == source
        assert sides.target[k, sides.target_mask[k]].tolist() == [START, *labels[:-1]]
        assert sides.labels[k, : len(labels)].tolist() == labels
        assert (sides.labels[k, len(labels) :] == -100).all()
        assert (sides.target[k] >= 0).all()
    assert int((sides.labels != -100).sum()) == batch.targets


def test_a_pair_is_read_and_written():
    """The prompt with <bos> and <sep> is the source; the decoder writes the response and <eos>."""
    example = encode(Pair("ab", "cde"), Letters(), 30)
    sides = two_sides(pad([example], 0), EOS)
    assert sides.source.tolist() == [list(example.ids[:4])]
    assert sides.target.tolist() == [[EOS, *ids("cde")]]
    assert sides.labels.tolist() == [[*ids("cde"), EOS]]


def test_a_dialogue_is_one_row_an_answer():
    """The second answer reads the first; no label is lost or doubled."""
    example = encode(CHAT, Letters(), 30)
    sides = two_sides(pad([example], 0), EOS)
    assert [row[row != -100].tolist() for row in sides.labels] == [
        [*ids("c"), EOS],
        [*ids("ef"), EOS],
    ]
    assert sides.source[1].tolist() == list(example.ids[:-3])


def test_what_has_no_two_sides_is_one_clear_line():
    """Packed rows, and a batch with nothing to write."""
    examples = random_examples(4)
    with pytest.raises(ValueError, match="packed rows"):
        two_sides(pack(examples, 30, 0), START)
    with pytest.raises(ValueError, match="no position is a target"):
        two_sides(pad([Encoded((1, 2, 3), (False,) * 3)], 0), START)
