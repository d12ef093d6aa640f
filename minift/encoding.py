"""From records to token ids, with a mark on each token that the model must produce.

    Text      <bos> text <eos>                                    learnt: all but <bos>
    Pair      <bos> prompt <sep> response <eos>                   learnt: response <eos>
    Chat      <bos> then <system|user|assistant> text <eos> …     learnt: the assistant's text <eos>
    Labelled  <bos> text <eos>                                    the label is its class

Every segment is encoded by itself and the ids are joined, so that the prompt's ids are the same
with and without the response. Marks are not shifted here: they say what a token is.

Too long for the context: a Pair's prompt loses its beginning (down to half of the context), then
its response loses its end, and <eos> with it. A Text and a Chat lose their end. A Labelled text
loses its end and keeps <eos>, from which the class is read.
"""

from dataclasses import dataclass, replace
from itertools import chain

from minift.records import Chat, Labelled, Pair, Ranked, Text


@dataclass(frozen=True)
class Encoded:
    """An example's tokens; `answer[i]` says that the model must produce token i."""

    ids: tuple[int, ...]
    answer: tuple[bool, ...]
    label: int | None = None


def joined(*segments):
    """Segments (ids, learnt or not) as one Encoded."""
    ids = tuple(chain.from_iterable(ids for ids, _ in segments))
    return Encoded(ids, tuple(chain.from_iterable([learnt] * len(ids) for ids, learnt in segments)))


def turn_segments(turns, tokenizer):
    """<bos>, then each turn as its role's token, its text and <eos>."""
    segments = [([tokenizer.bos], False)]
    for turn in turns:
        learnt = turn.role == "assistant" and turn.learn
        text = [*tokenizer.encode(turn.text), tokenizer.eos]
        segments += [([getattr(tokenizer, turn.role)], False), (text, learnt)]
    return segments


def class_of(record, labels):
    """The number of a record's class: its place among `labels`, or the whole number it is."""
    if labels is None and isinstance(record.label, int) and record.label >= 0:
        return record.label
    if record.label not in (labels or ()):
        expected = (
            ", ".join(map(str, labels or ())) or "a number from 0 (or `labels`, all in order)"
        )
        raise ValueError(f"{record.source}: label {record.label!r}, expected {expected}")
    return list(labels).index(record.label)


def encode_whole(record, tokenizer, labels=None):
    """The layout of a record, however long."""
    bos, eos, sep = [tokenizer.bos], [tokenizer.eos], [tokenizer.sep]
    if isinstance(record, Chat):
        return joined(*turn_segments(record.turns, tokenizer))
    if isinstance(record, Pair):
        prompt, response = tokenizer.encode(record.prompt), tokenizer.encode(record.response)
        return joined((bos + prompt + sep, False), (response + eos if response else [], True))
    if isinstance(record, Labelled):
        ids = bos + tokenizer.encode(record.text) + eos
        return Encoded(tuple(ids), (False,) * len(ids), class_of(record, labels))
    if isinstance(record, Text):
        return joined((bos, False), (tokenizer.encode(record.text) + eos, True))
    raise ValueError(f"{record.source}: a {type(record).__name__} has no single encoding")


def cut(example, record, context):
    """`example` in at most `context` tokens, as the module's docstring says."""
    ids, answer = example.ids, example.answer
    if context < 4:
        raise ValueError(f"context {context}, expected at least 4 tokens")
    if len(ids) <= context:
        return example
    if isinstance(record, Labelled):
        return replace(example, ids=ids[: context - 1] + ids[-1:], answer=answer[:context])
    if isinstance(record, Pair):
        prompt = len(ids) - sum(answer)  # with <bos> and <sep>
        kept = max(min(prompt, context // 2), context - sum(answer))
        ids, answer = ids[:1] + ids[1 + prompt - kept :], answer[:1] + answer[1 + prompt - kept :]
    return replace(example, ids=ids[:context], answer=answer[:context])


def encode(record, tokenizer, context, labels=None):
    """The Encoded of a record, cut to `context` tokens; `labels` are the classes in their order.

    A Ranked has none: it is several texts.
    """
    return cut(encode_whole(record, tokenizer, labels), record, context)


@dataclass(frozen=True)
class Report:
    """How many examples were cut and how many left out, for which `reasons` has lines."""

    truncated: int
    dropped: int
    reasons: tuple[str, ...]


def encode_all(records, tokenizer, context, labels=None):
    """(examples, Report). An example in which nothing is left to learn is dropped and counted."""
    examples, truncated, dropped = [], 0, []
    for record in records:
        whole = encode_whole(record, tokenizer, labels)
        example = cut(whole, record, context)
        if example.label is None and not any(example.answer):
            cause = "the answer lies beyond the context" if any(whole.answer) else "no answer"
            dropped.append(f"{record.source}: {cause}")
            continue
        truncated += len(whole.ids) > context
        examples.append(example)
    return examples, Report(truncated, len(dropped), tuple(dropped))


def prompt_ids(record, tokenizer, longest=None):
    """The ids up to where generation starts; beyond `longest` the beginning behind <bos> is lost.

    A dialogue ends with <assistant>: its last turn, if that is an answer, is to be generated. A
    Text is continued.
    """
    if isinstance(record, Pair):
        ids = [tokenizer.bos, *tokenizer.encode(record.prompt), tokenizer.sep]
    elif isinstance(record, Chat | Ranked):
        turns = record.turns
        turns = turns[:-1] if turns and turns[-1].role == "assistant" else turns
        ids = [*joined(*turn_segments(turns, tokenizer)).ids, tokenizer.assistant]
    else:
        ids = [tokenizer.bos, *tokenizer.encode(record.text)]
    return ids if longest is None or len(ids) <= longest else ids[:1] + ids[1 - longest :]
