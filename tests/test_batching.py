"""Encoding, padding, packing and order: masks against slow loops, packed against unpacked."""

from dataclasses import dataclass, replace

import pytest
import torch

from minift.batching import (
    Batches,
    Encoded,
    Stream,
    bins,
    encode,
    encode_all,
    pack,
    pad,
    prompt_ids,
)
from minift.models.gpt import GPT, GPTConfig
from minift.records import Chat, Labelled, Pair, Ranked, Text, Turn

PAD, BOS, EOS, SEP, SYSTEM, USER, ASSISTANT = range(7)


@dataclass
class Letters:
    """A tokenizer of one token a letter: "a" is 10, "b" is 11."""

    pad: int = PAD
    bos: int = BOS
    eos: int = EOS
    sep: int = SEP
    system: int = SYSTEM
    user: int = USER
    assistant: int = ASSISTANT

    def encode(self, text):
        return [ord(letter) - 87 for letter in text]


def ids(text):
    return Letters().encode(text)


def example(length, seed):
    """Random tokens of which each is an answer or not."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(7, 40, (length,), generator=generator).tolist()
    answer = torch.rand(length, generator=generator) < 0.6
    answer[0], answer[-1] = False, True
    return Encoded(tuple(tokens), tuple(answer.tolist()))


EXAMPLES = [example(n, seed) for seed, n in enumerate([5, 11, 2, 7, 3, 3, 8, 2])]


def targets_of(example):
    """The specification: position i predicts token i + 1 where that is an answer."""
    labels = [-100] * len(example.ids)
    for i in range(len(example.ids) - 1):
        if example.answer[i + 1]:
            labels[i] = example.ids[i + 1]
    return labels


CHAT = Chat((Turn("system", "s"), Turn("user", "ab"), Turn("assistant", "c"),
             Turn("user", "d"), Turn("assistant", "ef")))  # fmt: skip
LAYOUTS = [
    (Text("abc"), [BOS, *ids("abc"), EOS], "0 111 1"),
    (Pair("ab", "cd"), [BOS, *ids("ab"), SEP, *ids("cd"), EOS], "0 00 0 11 1"),
    (Labelled("ab", 3), [BOS, *ids("ab"), EOS], "0 00 0"),
    (
        CHAT,
        [BOS, SYSTEM, *ids("s"), EOS, USER, *ids("ab"), EOS, ASSISTANT, *ids("c"), EOS,
         USER, *ids("d"), EOS, ASSISTANT, *ids("ef"), EOS],
        "0 000 0000 0 11 000 0 111",
    ),
    (
        Chat((Turn("user", "a"), Turn("assistant", "b", False), Turn("assistant", "c"))),
        [BOS, USER, *ids("a"), EOS, ASSISTANT, *ids("b"), EOS, ASSISTANT, *ids("c"), EOS],
        "0 000 000 0 11",
    ),
]  # fmt: skip


@pytest.mark.parametrize("record, tokens, answer", LAYOUTS)
def test_layouts(record, tokens, answer):
    """Each kind of record has the ids of its layout, and marks on what the model must produce."""
    found = encode(record, Letters(), 64)
    assert list(found.ids) == tokens
    assert found.answer == tuple(mark == "1" for mark in answer.replace(" ", ""))
    assert found.label == getattr(record, "label", None)


@pytest.mark.parametrize("record, tokens, answer", LAYOUTS)
def test_generation_starts_where_the_last_answer_does(record, tokens, answer):
    """`prompt_ids` is the beginning of the encoding up to its last answer (all, if it has none)."""
    if isinstance(record, Text | Labelled):
        expected = tokens[:-1]
    else:
        marks = answer.replace(" ", "")
        expected = tokens[: marks.rindex("0") + 1]
    assert prompt_ids(record, Letters()) == expected


def test_prompts_of_other_kinds():
    """A dialogue that ends with a question, and a Ranked, are to be answered."""
    asked = [BOS, USER, *ids("a"), EOS, ASSISTANT]
    assert prompt_ids(Chat((Turn("user", "a"),)), Letters()) == asked
    assert prompt_ids(Ranked((Turn("user", "a"),), (("b",), ("c",))), Letters()) == asked
    with pytest.raises(ValueError, match="Ranked"):
        encode(Ranked((Turn("user", "a"),), (("b",), ("c",))), Letters(), 9)


def test_truncation_keeps_what_a_user_expects():
    """The prompt loses its beginning, then the response its end and <eos>; <bos> always stays."""

    def cut(record, context):
        return list(encode(record, Letters(), context).ids)

    assert cut(Pair("abcdef", "xy"), 8) == [BOS, *ids("def"), SEP, *ids("xy"), EOS]
    assert cut(Pair("ab", "tuvwxyz"), 8) == [BOS, *ids("ab"), SEP, *ids("tuvw")]
    assert cut(Pair("abcdef", "tuvwxyz"), 8) == [BOS, *ids("ef"), SEP, *ids("tuvw")]
    assert cut(Text("abcdef"), 5) == [BOS, *ids("abcd")]
    assert cut(Labelled("abcdef", 0), 5) == [BOS, *ids("abc"), EOS]
    assert cut(CHAT, 14) == list(encode(CHAT, Letters(), 99).ids)[:14]
    assert prompt_ids(Pair("abcdef", "x"), Letters(), longest=4) == [BOS, *ids("ef"), SEP]
    with pytest.raises(ValueError, match="at least 4"):
        cut(Text("abcdef"), 3)
    for context in range(4, 30):
        for record in (Pair("abcdefg", "tuvwxyz"), Text("abcdefg"), CHAT, Labelled("abcdefg", 0)):
            found = encode(record, Letters(), context)
            assert len(found.ids) == len(found.answer) <= context
            assert len(found.ids) == min(context, len(encode(record, Letters(), 99).ids))
        assert any(encode(Pair("abcdefg", "tuvwxyz"), Letters(), context).answer)


def test_what_is_cut_or_left_out_is_counted():
    """An example in which nothing is left to learn is dropped, with its place and reason."""
    late = Chat((Turn("user", "abcdefghij"), Turn("assistant", "b")), "f:3")
    data = [Pair("a", "b", ("b",), "f:1"), Pair("abcdefghijk", "b", (), "f:2"), late, Pair("a", "")]
    examples, report = encode_all(data, Letters(), 8)
    assert [len(e.ids) for e in examples] == [5, 8]
    assert (report.truncated, report.dropped) == (1, 2)
    assert report.reasons == ("f:3: the answer lies beyond the context", ": no answer")


def test_classes_are_numbered_in_the_order_given():
    """Words need `labels`; an unknown one is an error that names its place."""
    words = [Labelled("a", "neg", "f:1"), Labelled("b", "pos", "f:2")]
    examples, _ = encode_all(words, Letters(), 8, labels=["pos", "neg"])
    assert [e.label for e in examples] == [1, 0]
    assert encode(Labelled("a", 5), Letters(), 8, labels=[1, 5]).label == 1
    for labels in (None, ["pos", "bad"]):
        with pytest.raises(ValueError, match="f:1: label 'neg', expected"):
            encode_all(words, Letters(), 8, labels)


# ------------------------------------------------------------------ padding and packing


def test_padding_against_loops():
    """ids, mask and shifted labels of a padded batch are those of the slow loop."""
    batch = pad(EXAMPLES, PAD)
    assert batch.ids.shape == batch.labels.shape == batch.mask.shape == (8, 11)
    for row, e in enumerate(EXAMPLES):
        n = len(e.ids)
        assert batch.ids[row].tolist() == [*e.ids, *[PAD] * (11 - n)]
        assert batch.labels[row].tolist() == targets_of(e) + [-100] * (11 - n)
        assert batch.mask[row].tolist() == [True] * n + [False] * (11 - n)
    assert batch.tokens == 41 and batch.targets == sum(sum(e.answer) for e in EXAMPLES)
    assert batch.to("cpu").ids.dtype == torch.long and batch.positions is None


def test_a_pair_has_its_response_and_the_end_as_targets():
    """len(response) + 1 targets; the first is predicted at <sep>, the last is <eos>."""
    batch = pad([encode(Pair("abc", "de"), Letters(), 32)], PAD)
    assert batch.labels[0].tolist() == [-100] * 4 + [*ids("de"), EOS, -100]
    assert batch.ids[0, 4] == SEP


def test_labelled_examples_give_one_label_a_row():
    """A classifier's batch has labels (b); kinds do not mix and classes are not packed."""
    labelled = [encode(Labelled("abc"[:n], n), Letters(), 9) for n in (2, 1, 3)]
    batch = pad(labelled, PAD)
    assert batch.labels.tolist() == [2, 1, 3] and batch.targets == 3
    with pytest.raises(ValueError, match="with and without"):
        pad([*labelled, EXAMPLES[0]], PAD)
    with pytest.raises(ValueError, match="label"):
        pack(labelled, 9, PAD)


@pytest.mark.parametrize("lengths, context, expected", [
    ([4, 2, 3, 1], 4, [[0], [2, 3], [1]]),
    ([2, 2, 2, 3], 5, [[3, 0], [1, 2]]),
    ([6], 6, [[0]]),
])  # fmt: skip
def test_best_fit_decreasing(lengths, context, expected):
    """The longest first, each into the fullest row with room (the first: trl's documented case)."""
    assert bins([example(n, 0) if n > 1 else Encoded((7,), (True,)) for n in lengths], context) == (
        expected
    )


def test_packing_splits_and_loses_nothing():
    """Each example stands once, whole, in one row; documents and positions count as in a loop."""
    batch, seen = pack(EXAMPLES, 13, PAD), []
    assert batch.ids.shape[1] <= 13 and len(batch.ids) < len(EXAMPLES)
    for row in range(len(batch.ids)):
        document = batch.documents[row]
        assert torch.equal(document >= 0, batch.mask[row])
        for number in range(int(document.max()) + 1):
            at = (document == number).nonzero().flatten()
            assert torch.equal(at, torch.arange(int(at[0]), int(at[-1]) + 1))
            assert batch.positions[row, at].tolist() == list(range(len(at)))
            seen.append((batch.ids[row, at].tolist(), batch.labels[row, at].tolist()))
    expected = [(list(e.ids), targets_of(e)) for e in EXAMPLES]
    assert sorted(seen) == sorted(expected)
    with pytest.raises(ValueError, match="at most 10"):
        pack(EXAMPLES, 10, PAD)


def test_no_document_predicts_the_next():
    """The last token of a document has no target, even where the next one's first is an answer."""
    first, second = Encoded((7, 8), (False, True)), Encoded((9, 10), (True, True))
    batch = pack([first, second], 4, PAD)
    assert batch.ids.tolist() == [[7, 8, 9, 10]]
    assert batch.labels.tolist() == [[8, -100, 10, -100]]


def tiny():
    """A GPT whose weights are of order 1, in float64 (its loss is in float32)."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=41, context=13, d_model=12, n_layers=2, n_heads=3))
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.3)
    return model.double().eval()


def test_packed_loss_is_the_unpacked_loss():
    """Summed loss and its gradient are equal, packed or padded."""
    model, grads, losses = tiny(), [], []
    for batch in (pad(EXAMPLES, PAD), pack(EXAMPLES, 13, PAD)):
        model.zero_grad()
        losses.append(model.loss(batch))
        losses[-1].backward()
        grads.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-5)


def test_documents_do_not_see_each_other():
    """Another token in document 0 leaves the logits of document 1 as they were."""
    model, batch = tiny(), pack([EXAMPLES[0], EXAMPLES[3]], 13, PAD)
    changed = batch.ids.clone()
    changed[batch.documents == 0] = (changed[batch.documents == 0] + 1) % 41
    call = {"mask": batch.mask, "positions": batch.positions, "documents": batch.documents}
    before, after = model(batch.ids, **call), model(changed, **call)
    assert (before - after)[batch.documents == 1].abs().max() <= 1e-12
    assert (before - after)[batch.documents == 0].abs().max() > 0.1


def test_more_padding_changes_nothing():
    """Loss of a row alone, and padded beside a longer one."""
    model = tiny()
    together = model.loss(pad(EXAMPLES, PAD))
    alone = sum(model.loss(pad([e], PAD)) for e in EXAMPLES)
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=0)


# ------------------------------------------------------------------ order


def texts(batch):
    return [tuple(row[mask].tolist()) for row, mask in zip(batch.ids, batch.mask, strict=True)]


def test_an_epoch_holds_each_example_once():
    """Every epoch is a permutation, another one each time, whose last batch may be smaller."""
    batches = Batches(EXAMPLES, 3, seed=5)
    epochs = [[t for step in range(3) for t in texts(batches[3 * e + step])] for e in range(3)]
    assert len(batches) == 3 and len(batches[2].ids) == 2
    for epoch in epochs:
        assert sorted(epoch) == sorted(e.ids for e in EXAMPLES)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [t for batch in batches for t in texts(batch)] == epochs[0]


@pytest.mark.parametrize("make", [
    lambda seed: Batches(EXAMPLES, 3, seed),
    lambda seed: Batches(EXAMPLES, 2, seed, packed_to=13),
    lambda seed: Stream(range(100), 7, 4, seed),
])  # fmt: skip
def test_any_step_without_those_before(make):
    """Random access: step 17 of a fresh object is step 17 of one that was read in order."""
    one, other, third = make(2), make(2), make(3)
    in_order = [one[step].ids for step in range(18)]
    assert torch.equal(other[17].ids, in_order[17])
    assert torch.equal(other[3].ids, in_order[3])
    assert any(not torch.equal(third[s].ids, i) for s, i in enumerate(in_order))


def test_packed_batches_hold_each_example_once_an_epoch():
    """Rows of whole examples, none lost, none wider than asked for."""
    batches, seen = Batches(EXAMPLES, 2, packed_to=13), []
    for batch in batches:
        assert batch.ids.shape[1] <= 13
        for row, documents in zip(batch.ids, batch.documents, strict=True):
            seen += [tuple(row[documents == n].tolist()) for n in range(int(documents.max()) + 1)]
    assert sorted(seen) == sorted(e.ids for e in EXAMPLES)


def test_a_stream_deals_windows_without_overlap():
    """Labels are the next tokens on the ring; an epoch shows a token at most once as input."""
    stream = Stream(torch.arange(100), 7, 4, seed=1)
    starts = []
    for epoch in range(3):
        inputs = []
        for step in range(len(stream)):
            batch = stream[epoch * len(stream) + step]
            assert torch.equal(batch.labels, (batch.ids + 1) % 100)
            assert batch.targets == batch.tokens == batch.ids.numel()
            inputs += batch.ids.flatten().tolist()
        assert len(inputs) == len(set(inputs)) == 98
        starts.append(inputs[0])
    assert len(set(starts)) == 3
    with pytest.raises(ValueError, match="more than the context"):
        Stream(range(7), 7, 1)


def test_a_gate_may_pool_over_the_prompt_alone():
    """`pool` is True on real tokens before the first answer; a Batch moves with all it has."""
    pair = Encoded((1, 5, 3, 6, 2), (False, False, False, True, True))
    batch = pad([pair, Encoded((1, 7, 2), (False, False, True))], 0)
    assert batch.pool.tolist() == [[True] * 3 + [False] * 2, [True] * 2 + [False] * 3]
    dialogue = Encoded((1, 5, 6, 7, 8), (False, False, True, False, True))
    assert pad([dialogue], 0).pool.tolist() == [[True] * 2 + [False] * 3]
    moved = replace(batch, rows=torch.tensor([1, 0])).to("cpu")
    assert moved.rows.tolist() == [1, 0] and torch.equal(moved.pool, batch.pool)
