"""Noise, so that a model that sees a whole text has something to guess in it.

    text            <bos> a    b   c   d    e  f  g <eos>
    masked words    <bos> a <mask> c <mask> e  x  g <eos>   learnt: b, d, f, each where it stood
    infilled spans  <bos> a <mask> e f <mask> g <eos>       learnt: a b c d e f g <eos>

Masked words are BERT's (Devlin et al. 2018, arXiv 1810.04805), for an encoder. Of those chosen 80 %
become <mask>, 10 % any word, 10 % stay what they are, so that an encoder cannot take for granted
what it reads. Special tokens are neither chosen nor put in. Three things are not BERT's, since a
short training has to do: 30 % of a row are chosen and not 15 % (for this see Wettig et al. 2022,
arXiv 2202.08005); all lines of a text are asked as much, however short, and most of all for their
ends, where verdicts and answers stand; and <bos> is asked for the word that was chosen first (BERT
teaches it by telling next sentences from others).

Infilled spans are BART's (Lewis et al. 2019, arXiv 1910.13461), for an encoder-decoder. 30 % of a
text is taken out in spans whose lengths are Poisson(3), each span for one <mask>: how much is
missing has to be guessed too. A span of no tokens is a <mask> put in where nothing is missing.

A source to restore ends with <eos>, one to answer with <sep>, as that of a task does.

All noise is drawn from (seed, step): a step's is always the same, another epoch's is another one.
"""

from dataclasses import replace

import numpy as np
import torch

from minift.batching import NO_TARGET, pad
from minift.encoding import Encoded, joined
from minift.lengths import ByLength

CHOSEN, MASKED, RANDOM = 0.3, 0.8, 0.1  # of a row's words; of those chosen
MISSING, SPAN = 0.3, 3  # of a text's tokens; a span's mean length


def turns(ids, free, line_break, noise):
    """When each token's turn to be chosen comes, infinity where `free` (b, t) is False.

    Exponential times. All lines of a text have the same rate, however long: half of it on the last
    two tokens, half on all of them alike.
    """
    line = (ids == line_break).cumsum(dim=1)  # (b, t)
    same = (line[:, :, None] == line[:, None]) & free[:, None]  # (b, t, t)
    behind = same.triu(diagonal=1).sum(dim=2)  # (b, t)
    rates = 1 / same.sum(dim=2) + 0.5 * (behind < 2)  # (b, t)
    times = torch.from_numpy(noise.exponential(size=ids.shape))  # (b, t)
    return (times / rates).masked_fill(~free, torch.inf)  # (b, t)


def mask_words(batch, words, noise):
    """The batch with some of its words masked and these as its labels; `words`: the tokenizer."""
    ids, special = batch.ids, sorted(words.specials)
    ordinary = np.setdiff1d(np.arange(words.vocab_size), special)
    free = batch.mask & ~torch.isin(ids, torch.tensor(special))  # (b, t)
    order = turns(ids, free, words.encode("\n")[0], noise).argsort(dim=1)  # (b, t)
    wanted = (CHOSEN * free.sum(dim=1, keepdim=True)).round().clamp(min=1)  # (b, 1)
    chosen = free & (order.argsort(dim=1) < wanted)  # (b, t)
    fate = torch.from_numpy(noise.random(ids.shape))  # (b, t)
    other = torch.from_numpy(noise.choice(ordinary, ids.shape))  # (b, t)
    hidden = other.where(fate >= MASKED, words.mask).where(fate < MASKED + RANDOM, ids)
    noised, labels = hidden.where(chosen, ids), ids.where(chosen, NO_TARGET)  # (b, t), (b, t)
    begins = (ids == words.bos) & chosen.any(dim=1, keepdim=True)  # (b, t)
    first = ids.gather(1, order[:, :1])  # (b, 1)
    return replace(batch, ids=noised, labels=first.where(begins, labels))


def infill(ids, mask, noise):
    """The tokens of a text with spans of them replaced, each by one `mask`.

    As many are taken out as MISSING says, at least one, and never for more masks than tokens.
    """
    missing = max(1, round(MISSING * len(ids)))
    ends = np.minimum(noise.poisson(SPAN, missing).cumsum(), missing)
    ends[-1] = missing
    spans = noise.permutation(np.diff(ends[: (ends < missing).sum() + 1], prepend=0))
    slots = len(ids) - missing + len(spans)  # tokens that stay, and masks, in any order
    place = np.sort(noise.choice(slots, len(spans), replace=False))
    begin = place - np.arange(len(spans)) + spans.cumsum() - spans
    noised = list(ids)
    for start, length in zip(begin[::-1], spans[::-1], strict=True):  # the left ones stay in place
        noised[start : start + length] = [mask]
    return noised


class MaskedWords(ByLength):
    """Batches for a masked language model; a row is an array of ids, with <bos> and <eos>."""

    def __init__(self, rows, room, words, seed=0):
        super().__init__([len(row) for row in rows], room, seed)
        self.rows, self.words = rows, words

    def batch(self, rows, noise):
        texts = [self.rows[n].tolist() for n in rows]
        examples = [Encoded(tuple(ids), (False,) * len(ids)) for ids in texts]
        return mask_words(pad(examples, self.words.pad), self.words, noise)


class Restored(ByLength):
    """Batches for an encoder-decoder; a row is (source, target), arrays of ids without marks.

    Where there is no source, it is the target with spans infilled. `room` counts both sides.
    """

    def __init__(self, rows, room, words, seed=0):
        sources = [round(0.8 * len(b)) if a is None else len(a) for a, b in rows]  # 0.7 and masks
        targets = [len(target) for _, target in rows]
        super().__init__(
            [(a + 2, b + 1) for a, b in zip(sources, targets, strict=True)], room, seed
        )
        self.rows, self.words = rows, words

    def batch(self, rows, noise):
        return pad([self.example(*self.rows[n], noise) for n in rows], self.words.pad)

    def example(self, source, target, noise):
        """A prompt and its answer, which a Seq2Seq takes apart (`sides.py`)."""
        words, target = self.words, target.tolist()
        if source is None:
            source, end = infill(target, words.mask, noise), words.eos
        else:
            source, end = source.tolist(), words.sep
        return joined(([words.bos, *source, end], False), ([*target, words.eos], True))
