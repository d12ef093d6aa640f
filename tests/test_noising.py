"""Masked words and infilled spans: what is hidden, what is learnt, and that a step is always it."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minift import ROOT
from minift.batching import NO_TARGET, Encoded, pad
from minift.commands.corpus import COURSES
from minift.lengths import ByLength, cuts
from minift.noising import MaskedWords, Restored, infill, mask_words, turns
from minift.sides import two_sides
from minift.tokenizer import Tokenizer

WORDS = Tokenizer.load()
LENGTHS = [5, 11, 2, 7, 3, 3, 8, 2, 40, 41, 41, 40, 13, 1, 3]


def tokens(length, seed):
    """Random ordinary tokens."""
    return np.random.default_rng(seed).integers(16, WORDS.vocab_size, length).astype(np.int32)


TEXTS = [tokens(n, seed) for seed, n in enumerate(LENGTHS)]
FRAMED = [np.r_[WORDS.bos, text, WORDS.eos] for text in TEXTS]
SIDES = [(None, text) for text in TEXTS] + [(TEXTS[0], TEXTS[3]), (TEXTS[8], TEXTS[2])]


def padded(lengths):
    """Rows <bos> … <eos> of these lengths, with a <sep> in the middle, and not yet masked."""
    rows = [[1, *tokens(n, n).tolist(), WORDS.sep, *tokens(n, n + 1).tolist(), 2] for n in lengths]
    return pad([Encoded(tuple(row), (False,) * len(row)) for row in rows], WORDS.pad)


def noise(seed=0):
    return np.random.default_rng(seed)


# ------------------------------------------------------------------ masked words


def test_the_share_that_is_chosen():
    """Of each row's ordinary words 30 %, rounded, and never none."""
    lengths = [0, 1, 2, 3, 5, 6, 50, 100]  # on either side of <sep>
    batch = mask_words(padded(lengths), WORDS, noise())
    found = (batch.labels != NO_TARGET)[:, 1:].sum(1).tolist()
    assert found == [0] + [max(1, round(0.3 * 2 * n)) for n in lengths[1:]]


def test_a_short_line_is_asked_as_often_as_a_long_one_and_ends_most():
    """Lines of 2 and of 4 tokens and a single mask: 1/4 each of the first, 1/16, 1/16, 3/16, 3/16.

    A line's rate is half on all of its tokens and half on its last two.
    """
    line, other = tokens(2, 0).tolist(), [*WORDS.encode("\n"), *tokens(3, 1).tolist()]
    row = Encoded((WORDS.bos, *line, *other, WORDS.eos), (False,) * 8)
    rows = pad([row] * 3000, WORDS.pad)
    free = rows.ids >= 16
    first = turns(rows.ids, free, WORDS.encode("\n")[0], noise(2)).argmin(dim=1)
    for at, share in enumerate((4, 4, 1, 1, 3, 3), 1):
        wanted, deviation = 3000 * share / 16, (3000 * share * (16 - share)) ** 0.5 / 16
        assert abs(int((first == at).sum()) - wanted) < 4 * deviation


def test_the_beginning_is_asked_for_a_word_that_is_missing():
    """<bos> has the label of one of its row's chosen words; a row without words has none."""
    before = padded([0, 3, 40, 17])
    after = mask_words(before, WORDS, noise(4))
    assert after.labels[0, 0] == NO_TARGET and after.ids[0, 0] == WORDS.bos
    for labels in after.labels[1:].tolist():
        assert labels[0] != NO_TARGET and labels[0] in labels[1:]
    many = pad([Encoded((WORDS.bos, 100, 101, 102, 103, 104), (False,) * 6)] * 300, WORDS.pad)
    asked = mask_words(many, WORDS, noise(6)).labels[:, 0]
    assert set(asked.tolist()) == set(range(100, 105))


def test_the_fate_of_the_chosen():
    """80 % masked, 10 % another word, 10 % kept, each within four standard deviations."""
    before = padded([100] * 200)
    after = mask_words(before, WORDS, noise(3))
    chosen = (after.labels != NO_TARGET) & (before.ids != WORDS.bos)
    count = int(chosen.sum())
    masked = int((after.ids[chosen] == WORDS.mask).sum())
    kept = int((after.ids[chosen] == before.ids[chosen]).sum())
    for found, share in ((masked, 0.8), (kept, 0.1), (count - masked - kept, 0.1)):
        assert abs(found - share * count) < 4 * (count * share * (1 - share)) ** 0.5
    other = after.ids[chosen & (after.ids != WORDS.mask) & (after.ids != before.ids)]
    assert len(other.unique()) > 0.85 * len(other) and other.min() >= 16  # none is special
    assert other.min() < 0.02 * WORDS.vocab_size and other.max() > 0.98 * WORDS.vocab_size


def test_labels_are_the_words_that_stood_there():
    """A label only where a word was chosen, equal to it; everything else is as it was."""
    before = padded([3, 40, 17, 1])
    after = mask_words(before, WORDS, noise(5))
    chosen = (after.labels != NO_TARGET) & (before.ids != WORDS.bos)
    assert torch.equal(after.labels[chosen], before.ids[chosen])
    assert torch.equal(after.ids[~chosen], before.ids[~chosen])
    assert torch.equal(after.mask, before.mask) and not (chosen & ~before.mask).any()


def test_special_tokens_are_never_chosen():
    """In a hundred draws every ordinary place of a row is chosen, and never a mark or padding."""
    before, ever = padded([3, 6]), torch.zeros(2, 15, dtype=torch.bool)
    for seed in range(100):
        ever |= mask_words(before, WORDS, noise(seed)).labels != NO_TARGET
    assert torch.equal(ever[:, 1:], before.ids[:, 1:] >= 16)


# ------------------------------------------------------------------ infilled spans


def gaps(noised, whole):
    """(masks, tokens missing) between each two neighbours that stayed, and at both ends."""
    found, masks, at = [], 0, 0
    for token in [*noised, None]:
        if token == WORDS.mask:
            masks += 1
            continue
        here = len(whole) if token is None else whole.index(token)  # all tokens of it differ
        found.append((masks, here - at))
        masks, at = 0, here + 1
    return found


def different(length):
    """A text in which no token comes twice."""
    return (16 + noise(length).permutation(4000)[:length]).tolist()


@pytest.mark.parametrize("length", [1, 2, 3, 9, 30, 250])
def test_spans_become_one_mask_each(length):
    """Order is kept, tokens are missing at masks alone, 30 % in all, and the lengths add up."""
    whole, missing = different(length), max(1, round(0.3 * length))
    for seed in range(100):
        noised = infill(whole, WORDS.mask, noise(seed))
        found, masks = gaps(noised, whole), noised.count(WORDS.mask)
        assert all(gone == 0 if spans == 0 else gone >= 0 for spans, gone in found)
        assert sum(gone for _, gone in found) == missing and 1 <= masks <= missing
        assert len(noised) == length - missing + masks


def test_spans_are_of_poisson_lengths():
    """Of masks that stand alone: the mean and the shares of lengths, within four deviations."""
    whole = different(2000)
    found = [gaps(infill(whole, WORDS.mask, noise(seed)), whole) for seed in range(20)]
    spans = np.array([gone for part in found for masks, gone in part if masks == 1])
    assert abs(spans.mean() - 3) < 4 * (3 / len(spans)) ** 0.5
    for length in (0, 1, 3, 6):
        share = math.exp(-3) * 3**length / math.factorial(length)
        bound = 4 * (share * (1 - share) / len(spans)) ** 0.5
        assert abs((spans == length).mean() - share) < bound


def test_both_halves_lose_as_much():
    """Over many draws: a last span, cut to fit, that always stood last would spare the right."""
    whole, more = different(20), []
    for seed in range(6000):
        stayed = set(infill(whole, WORDS.mask, noise(seed)))
        more.append(len(stayed & {*whole[:10]}) - len(stayed & {*whole[10:]}))
    assert abs(np.mean(more)) < 3.5 * np.std(more) / len(more) ** 0.5


def test_the_target_is_the_whole_text():
    """A text to restore ends with <eos>, one to answer with <sep>; the answer is never noised."""
    order, seen = Restored(SIDES, 200, WORDS, seed=1), []
    for batch in order:
        sides = two_sides(batch, WORDS.eos)
        for n in range(len(sides.source)):
            source = sides.source[n][sides.source_mask[n]].tolist()
            label = sides.labels[n][sides.target_mask[n]].tolist()
            assert source[0] == WORDS.bos and label[-1] == WORDS.eos
            restored = source[-1] == WORDS.eos
            assert restored == (WORDS.mask in source) and source[-1] in (WORDS.eos, WORDS.sep)
            seen.append((None if restored else source[1:-1], label[:-1]))
            assert sides.target[n][0] == WORDS.eos
            assert sides.target[n][sides.target_mask[n]].tolist()[1:] == label[:-1]
    expected = [(s if s is None else s.tolist(), t.tolist()) for s, t in SIDES]
    assert sorted(seen, key=str) == sorted(expected, key=str)


# ------------------------------------------------------------------ order

ORDERS = {
    "masked": lambda seed, room=60: MaskedWords(FRAMED, room, WORDS, seed),
    "restored": lambda seed, room=60: Restored(SIDES, room, WORDS, seed),
}


@pytest.mark.parametrize("kind", ORDERS)
def test_a_step_is_the_same_without_those_before(kind):
    """Random access, on a fresh object and backwards, gives ids and labels of the order in turn."""
    one, other, third = (ORDERS[kind](seed) for seed in (2, 2, 3))
    count = 3 * len(one)
    in_turn = [one[step] for step in range(count)]
    for step in reversed(range(count)):
        again = other[step]
        assert torch.equal(again.ids, in_turn[step].ids)
        assert torch.equal(again.labels, in_turn[step].labels)
    assert any(not torch.equal(third[s].ids, b.ids) for s, b in enumerate(in_turn))
    assert [b.ids.tolist() for b in one] == [b.ids.tolist() for b in in_turn[: len(one)]]


def original(batch):
    """The rows as they were: where a label is known, the token that it is."""
    known = (batch.labels != NO_TARGET) & (batch.ids != WORDS.bos)
    ids = batch.labels.where(known, batch.ids)
    return [tuple(row[mask].tolist()) for row, mask in zip(ids, batch.mask, strict=True)]


def test_an_epoch_has_each_text_once_and_its_own_noise():
    """Three epochs hold the same texts, in another order and with other words masked."""
    order, epochs, hidden = ORDERS["masked"](1), [], []
    for epoch in range(3):
        batches = [order[epoch * len(order) + n] for n in range(len(order))]
        epochs.append([row for batch in batches for row in original(batch)])
        hidden.append({
            text: row.tolist()
            for batch in batches
            for text, row in zip(original(batch), batch.labels != NO_TARGET, strict=True)
            if len(text) == 42  # long enough for two draws to differ
        })  # fmt: skip
    for epoch in epochs:
        assert sorted(epoch) == sorted(tuple(row.tolist()) for row in FRAMED)
    assert epochs[0] != epochs[1] != epochs[2]
    assert all(hidden[0][t] != hidden[1][t] != hidden[2][t] for t in hidden[0]) and hidden[0]


def test_another_epoch_infills_other_spans():
    """The same target, another source."""
    order, sources = Restored([(None, TEXTS[8])], 200, WORDS), []
    for epoch in range(4):
        sides = two_sides(order[epoch], WORDS.eos)
        assert sides.labels[0, :-1].tolist() == TEXTS[8].tolist()
        sources.append(tuple(sides.source[0].tolist()))
    assert len(set(sources)) == 4


class Numbers(ByLength):
    """Batches of nothing but the rows' numbers."""

    def batch(self, rows, noise):
        return tuple(sorted(rows.tolist()))


def test_an_epoch_deals_anew():
    """Each row once an epoch; who shares a batch changes, and in which turn the lengths come."""
    order = Numbers([5, 9] * 20, 30, seed=1)
    epochs = [[order[epoch * len(order) + n] for n in range(len(order))] for epoch in range(3)]
    for batches in epochs:
        assert sorted(sum(batches, ())) == list(range(40))
        assert sum(len({row % 2 for row in batch}) == 2 for batch in batches) <= 1
    assert len(set(map(frozenset, epochs))) == 3
    lengths = [[batch[0] % 2 for batch in batches] for batches in epochs]
    assert len(set(map(tuple, lengths))) == 3 and sorted(lengths[0]) != lengths[0]


def test_batches_are_as_long_as_they_fit():
    """The cuts against a slow search: no batch is over `room`, and none could take one more."""
    lengths = sorted((n % 7 + 1, n % 11 + 1) for n in range(60))
    found = cuts(lengths, 40)

    def cost(rows):
        return len(rows) * (max(a for a, _ in rows) + max(b for _, b in rows))

    assert found[0] == 0 and found[-1] == 60 and len(found) > 10
    for begin, end in zip(found, found[1:], strict=False):
        assert cost(lengths[begin:end]) <= 40
        assert end == 60 or cost(lengths[begin : end + 1]) > 40
    assert cuts([[9], [50], [60]], 20) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="0 rows in batches of 20 tokens"):
        ByLength([], 20)


@pytest.mark.parametrize("model", ["encoder", "seq2seq"])
def test_little_of_a_batch_is_padding(model):
    """At most a tenth of the tokens of the shipped sample, which is 200 times smaller than a corpus
    and so has fewer rows of each length."""
    rows = (ROOT / "data" / "corpus_sample.jsonl").read_text("utf-8").splitlines()
    course, options = COURSES[model], SimpleNamespace(context=256, batch=4, seed=0)
    texts = [json.loads(row)["text"] for row in rows]
    order = course.batches(
        [row for text in texts for _, row in course.rows(text, WORDS, options)], WORDS, options
    )
    real = slots = 0
    for batch in order:
        masks = [batch.mask]
        if model == "seq2seq":
            sides = two_sides(batch, WORDS.eos)
            masks = [sides.source_mask, sides.target_mask]
        real += sum(int(mask.sum()) for mask in masks)
        slots += sum(mask.numel() for mask in masks)
    assert real / slots > 0.9 and slots / len(order) > 0.85 * 1024
