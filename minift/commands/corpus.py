"""A corpus as each family of base models reads it: as left-to-right text, masked, or restored.

    gpt       <bos> text <eos>                   packed; learnt: all but <bos>
    encoder   <bos> text <eos>                   learnt: the masked words
    seq2seq   <bos> text, spans infilled <eos>   learnt: the whole text <eos>
              <bos> what it says first <sep>     learnt: what it says then <eos>

The last kind comes from texts that say a thing twice (`pairs`), and these are restored as well: a
base that has never written anything but what it read has nothing to translate with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minift import batching, distributed, measure, noising
from minift.commands.opening import read
from minift.commands.texts import language, layout, pairs, pieces, runs, script
from minift.tokenizer import Tokenizer

HELD_OUT = {"room": 8192, "seed": 0}  # of the noise by which a base is judged, whatever the run's


def packed_rows(text, words, options):
    """(part, row) of each row of a text that a GPT reads."""
    rows = pieces(layout(text, words, options.marks), options.context)
    return [(script(text), row) for row in rows]


def masked_rows(text, words, options):
    """(part, row) of each row of a text that an encoder reads."""
    found = runs(words.encode(text), options.context - 2)
    return [(script(text), np.r_[words.bos, row, words.eos].astype(np.int32)) for row in found]


def restored_rows(text, words, options):
    """(part, row) of a text that an encoder-decoder restores, and of those that it answers.

    A pair that is too long, or has an empty side, is left out: its text is restored all the same.
    """
    room = options.context - 2
    rows = [(script(text), (None, run)) for run in runs(words.encode(text), room)]
    for source, target in pairs(text):
        sides = tuple(np.array(words.encode(side), np.int32) for side in (source, target))
        if all(0 < len(side) <= room for side in sides):
            rows.append((f"{language(source)} to {language(target)}", sides))
    return rows


@dataclass(frozen=True)
class Course:
    """How a family of models (`pretrained.FAMILIES`) reads a corpus.

    rows(text, words, options) → (part, row), …      tokens(row) → how many it has
    batches(rows, words, options)                    loss(model, rows, words) → sum, targets
    """

    family: str
    rows: Callable
    tokens: Callable
    batches: Callable
    loss: Callable


def packed(rows, words, options):
    """A GPT's batches."""
    context = options.context
    return batching.Batches(rows, options.batch, options.seed, words.pad, packed_to=context)


def noised(kind):
    """The batches, and the loss at a fixed noise, of a `kind` of noising.py."""

    def batches(rows, words, options):
        return kind(rows, options.batch * options.context, words, options.seed)

    def loss(model, rows, words):
        return measure.loss_over(model, kind(rows, words=words, **HELD_OUT))

    return batches, loss


COURSES = {
    "gpt": Course(
        "gpt",
        packed_rows,
        lambda row: len(row.ids),
        packed,
        lambda model, rows, words: measure.total_loss(model, rows, words.pad),
    ),
    "encoder": Course("masked", masked_rows, len, *noised(noising.MaskedWords)),
    "seq2seq": Course(
        "seq2seq",
        restored_rows,
        lambda row: sum(len(side) for side in row if side is not None),
        *noised(noising.Restored),
    ),
}


class InTurn:
    """`count` batches of `first`, then those of `rest`: what is to be learnt before all else."""

    def __init__(self, first, count, rest):
        self.first, self.count, self.rest = first, count, rest

    def __len__(self):
        return len(self.rest)

    def __getitem__(self, at):
        return self.first[at] if at < self.count else self.rest[at - self.count]


def corpus(options):
    """The tokenizer, the texts' rows to train on, and the last hundredth, held out, by part."""
    texts = [record.text for record in read(options.data, options)]
    if options.train_tokenizer:
        words = Tokenizer.train(texts, options.train_tokenizer)
        words.save(options.tokenizer or Path(options.out).with_suffix(".tokenizer.json"))
    else:
        words = Tokenizer.load(options.tokenizer) if options.tokenizer else Tokenizer.load()
    cut = len(texts) - max(len(texts) // 100, 1)
    if cut < 1:
        raise ValueError(
            f"{options.data}: {len(texts)} text; expected one to train on and one more"
        )
    course, held_out = COURSES[options.model], {}
    rows = [row for text in texts[:cut] for _, row in course.rows(text, words, options)]
    for part, row in (found for text in texts[cut:] for found in course.rows(text, words, options)):
        held_out.setdefault(part, []).append(row)
    return words, rows, dict(sorted(held_out.items(), reverse=True))


def in_order(options, words, rows):
    """The batches of the run, those of --first-data in front."""
    course = COURSES[options.model]
    rest = course.batches(rows, words, options)
    if not options.first_steps:
        return rest
    if not options.first_data:
        raise ValueError(f"--first-steps {options.first_steps}: expected --first-data FILE as well")
    texts = [record.text for record in read(options.first_data, options)]
    found = [row for text in texts for _, row in course.rows(text, words, options)]
    first = course.batches(found, words, options)
    return InTurn(first, options.first_steps * distributed.join(options.device).world, rest)
