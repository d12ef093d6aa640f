"""The Seq2Seq: arithmetic, masks, the two caches, the three banks, and decoding."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minift.batching import Encoded, pad
from minift.models.attention import Cache
from minift.models.context import Context
from minift.models.generate import generate, generate_many
from minift.models.heads import TextClassifier
from minift.models.seq2seq import Seq2Seq, Seq2SeqConfig
from tests import slow
from tests.test_encoder import Bank, order_one, ragged, tokens

CONFIG = Seq2SeqConfig(vocab_size=61, context=40, d_model=12, n_layers=3, n_heads=3)
EPS = 1e-5
SOURCES = [[5, 6, 7], [1, 2, 3, 4, 5, 6, 7, 8], [9], [11, 3]]
BANKS = ("encoder", "decoder", "cross")


def model(seed=0, **changes):
    torch.manual_seed(seed)
    return order_one(Seq2Seq(Seq2SeqConfig(**{**CONFIG.__dict__, **changes})))


def embedded(model, stack, ids):
    """LN(E[ids] + P[positions]) of one row."""
    x = model.embedding.weight[ids] + stack.position_embedding.weight[: len(ids)]
    return slow.layer_norm(stack.norm, x, EPS)


def slow_memory(model, source, bank=None):
    """Equation (1) for one row."""
    x = embedded(model, model.encoder, source)
    for n, block in enumerate(model.encoder.blocks):
        x = slow.encoder_block(block, x, EPS, bank and bank[n])
    return x


def slow_logits(model, source, target, user=None):
    """Equations (1) to (3) for one row, behind the prefixes of a user."""
    bank = {name: None if user is None else model.prefix.of(name, user) for name in BANKS}
    memory, x = slow_memory(model, source, bank["encoder"]), embedded(model, model.decoder, target)
    for n, block in enumerate(model.decoder.blocks):
        extra = [bank[name] and bank[name][n] for name in ("decoder", "cross")]
        x = slow.decoder_block(block, x, memory, EPS, *extra)
    return x @ model.embedding.weight.T


def check_rows(got, want, **where):
    """Equal at the real tokens of a mask."""
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5, **where)


def test_the_model_is_the_formula():
    """Both stacks post-LN, exact GELU, one embedding for all three uses: written out with loops."""
    bart, source, target = model(), tokens(2, 6), tokens(2, 5, seed=2)
    want = [slow_logits(bart, *row) for row in zip(source, target, strict=True)]
    check_rows(bart(source, target), torch.stack(want))
    check_rows(bart.encode(source), torch.stack([slow_memory(bart, row) for row in source]))
    check_rows(bart.decode(target, bart.encode(source)), bart.hidden(source, target))


def test_readable_and_fused_paths_agree_under_masks():
    """Padding on both sides: the same logits on both paths."""
    bart, source, target = model(), tokens(3, 9), tokens(3, 9, seed=2)
    masks, results = {"source_mask": ragged(), "target_mask": ragged(side="left")}, []
    for fused in (True, False):
        for module in bart.modules():
            if hasattr(module, "fused"):
                module.fused = fused
        results.append(bart(source, target, **masks))
    check_rows(*results)


def test_the_decoder_sees_no_future_and_the_whole_source():
    """A word of the target changes nothing left of it; the source's last word changes all."""
    bart, source, target = model(), tokens(2, 6), tokens(2, 8, seed=2)
    before, other = bart(source, target), target.clone()
    other[:, 5] = (other[:, 5] + 1) % 61
    after = bart(source, other)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5], after[:, 5])
    other = source.clone()
    other[:, -1] = (other[:, -1] + 1) % 61
    assert ((bart(other, target) - before).abs().amax(-1) > 1e-3).all()


@pytest.mark.parametrize("target_side", ["left", "right"])
@pytest.mark.parametrize("source_side", ["left", "right"])
def test_padding_changes_nothing(source_side, target_side):
    """A row padded on either side, of source and target, gives the logits that it gives alone."""
    bart, source, target = model(), tokens(3, 9), tokens(3, 9, seed=2)
    masks = {"source_mask": ragged(side=source_side), "target_mask": ragged(side=target_side)}
    masks["target_mask"] = masks["target_mask"][[1, 2, 0]]
    got = bart(source, target, **masks)
    for n, (left, right) in enumerate(zip(*masks.values(), strict=True)):
        alone = bart(source[n : n + 1, left], target[n : n + 1, right])
        check_rows(got[n, right], alone[0])


def cached(bart, source, target, chunks, **masks):
    """Logits of the target in chunks, with a cache; the source is given once."""
    cache, parts = bart.new_cache(target.shape[1]), []
    keep = masks.pop("target_mask", None)
    with torch.no_grad():
        for begin, end in itertools.pairwise(itertools.accumulate(chunks, initial=0)):
            part = None if keep is None else keep[:, begin:end]
            text = source if begin == 0 else None
            given = masks if begin == 0 else {}
            parts.append(bart(text, target[:, begin:end], target_mask=part, cache=cache, **given))
    return torch.cat(parts, dim=1), cache


def test_cached_decoding_equals_the_whole_pass():
    """Token by token and in chunks, both sides padded: the cache gives the same logits."""
    bart, source, target = model(), tokens(3, 9), tokens(3, 9, seed=2)
    keep = torch.arange(9) >= torch.tensor([[0], [2], [3]])
    for masks in ({}, {"source_mask": ragged()}, {"source_mask": ragged(), "target_mask": keep}):
        got, cache = cached(bart, source, target, (4, 3, 1, 1), **masks)
        real = masks.get("target_mask", torch.ones_like(keep))
        check_rows(got[real], bart(source, target, **masks)[real])
        assert cache.length == 9


def test_the_memorys_keys_are_made_once():
    """While a text is written each block makes the keys and values of the source a single time."""
    bart, made = model(), []
    for block in bart.decoder.blocks:
        for layer in (block.cross_attention.k_proj, block.cross_attention.v_proj):
            layer.register_forward_hook(lambda *call: made.append(call[2].shape))
    generate(bart, [SOURCES[1]], 6)
    assert made == [(1, 8, 12)] * 6


def test_a_cache_goes_on_with_other_rows():
    """`select` reorders and repeats rows, of what was written and of what was read."""
    bart, source, target = model(), tokens(3, 9), tokens(3, 6, seed=2)
    cache, rows = bart.new_cache(6), torch.tensor([2, 0, 0, 1])
    masks = {"source_mask": ragged()}
    with torch.no_grad():
        bart(source, target[:, :5], cache=cache, **masks)
        cache.select(rows)
        got = bart(None, target[rows, 5:], cache=cache)
        check_rows(got, bart(source, target, **masks)[rows, 5:])


def test_dropout_falls_on_the_embedding_and_behind_each_sub_layer():
    """In training half of the numbers are dropped there at p = 0.5, before adapters see them."""
    bart, shares = model(dropout=0.5).train(), {}

    def share(name, tensor):
        shares[name] = (tensor == 0).float().mean().item()

    class Spy(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def forward(self, output, input):
            share(self.name, output)
            return output

    for side in (bart.encoder, bart.decoder):
        block = side.blocks[0]
        kind = type(block).__name__
        block.register_forward_pre_hook(lambda block, given, kind=kind: share(kind, given[0]))
        for door in [name for name, _ in block.named_children() if name.startswith("after_")]:
            setattr(block, door, Spy(f"{kind}.{door}"))
    bart(tokens(40, 20), tokens(40, 20, seed=2))
    assert len(shares) == 2 + 2 + 3
    assert shares == {name: pytest.approx(0.5, abs=0.03) for name in shares}


def test_three_prefixes_are_seen_by_all_and_move_no_position():
    """Door 2: each bank's keys and values, each user's own, under padding, and with a cache."""
    bart, source, target = model(), tokens(3, 9), tokens(3, 9, seed=2)
    rows = torch.tensor([2, 0, 1])
    bart.prefix = Bank(BANKS)
    masks = {"source_mask": ragged(), "target_mask": ragged(side="left")}
    got = bart(source, target, rows=rows, **masks)
    for n, user in enumerate(rows):
        left, right = (mask[n] for mask in masks.values())
        want = slow_logits(bart, source[n, left], target[n, right], user)
        check_rows(got[n, right], want)
    assert bart.prefix.calls == 1  # once a forward, for all banks
    masks["target_mask"] = torch.arange(9) >= torch.tensor([[0], [2], [3]])
    want = bart(source, target, rows=rows, **masks)
    got, cache = cached(bart, source, target, (4, 1, 4), rows=rows, **masks)
    check_rows(got[masks["target_mask"]], want[masks["target_mask"]])
    assert cache.length == 4 + 9 and bart.prefix.calls == 3  # and once a text that is written


@pytest.mark.parametrize("bank", BANKS)
def test_each_bank_counts(bank):
    """Another prefix in one bank alone changes the logits."""
    bart, source, target = model(), tokens(1, 5), tokens(1, 4, seed=2)
    bart.prefix = Bank(BANKS)
    before = bart(source, target)
    bart.prefix.made[bank] = bart.prefix.made[bank] + 0.5
    assert not torch.allclose(bart(source, target), before, atol=1e-3)


def test_adapters_stand_before_the_residual_adds():
    """Door 3: each of the three doors gets its sub-layer's output and input."""
    bart, seen = model(), []

    class Spy(nn.Module):
        def forward(self, output, input):
            seen.append((output, input))
            return torch.zeros_like(output)

    block, x, memory = bart.decoder.blocks[1], torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    plain = block.norm1(x + block.attention(x, causal=True))
    block.after_cross_attention = Spy()
    got = block(x, memory, causal=True)
    torch.testing.assert_close(seen[0], (block.cross_attention(plain, memory), plain))
    y = block.norm2(plain)
    torch.testing.assert_close(got, block.norm3(y + block.feedforward(y)))
    block.after_attention = block.after_feedforward = Spy()
    want = block.norm3(block.norm2(block.norm1(x)))
    torch.testing.assert_close(block(x, memory, causal=True), want)


class Reader(nn.Module):
    """An adapter that notes the context."""

    def __init__(self, model, seen):
        super().__init__()
        self.context, self.seen = model.context, seen

    def forward(self, output, input):
        self.seen.append(self.context.now)
        return output


def test_modules_read_the_context_of_their_side():
    """The encoder's blocks see the source's mask, the decoder's the target's and the memory's.

    Where a gate may pool is all of the source, and of the target the start alone.
    """
    bart, source, target, seen = model(), tokens(3, 9), tokens(3, 9, seed=2), []
    bart.encoder.blocks[0].after_attention = Reader(bart, seen)
    bart.decoder.blocks[0].after_cross_attention = Reader(bart, seen)
    bart.checkpoint_activations = True
    rows, masks = (
        torch.tensor([1, 0, 2]),
        {"source_mask": ragged(), "target_mask": ragged()[[1, 2, 0]]},
    )
    bart(source, target, rows=rows, **masks).sum().backward()
    left, right, again_right, again_left = seen
    assert left is again_left and right is again_right
    assert left.mask is masks["source_mask"] and right.mask is masks["target_mask"]
    assert torch.equal(left.pool, masks["source_mask"]) and right.memory.mask is left.mask
    assert right.pool.sum().item() == 3 and right.pool[:, 0].all()
    assert left.rows is rows and right.rows is rows and bart.context.now.rows is None
    bart.prefix = Bank(BANKS)
    bart(source, target)
    assert (left.start, right.start) == (0, 0) and [one.start for one in seen[4:]] == [4, 4]


def test_a_gates_note_lives_as_long_as_the_cache():
    """While a text is written both sides find the same notes; later steps have no pool left."""
    bart, seen = model(), []
    bart.encoder.blocks[0].after_attention = Reader(bart, seen)
    bart.decoder.blocks[0].after_attention = Reader(bart, seen)
    generate(bart, [SOURCES[1]], 3)
    assert len(seen) == 4 and all(one.notes is seen[0].notes for one in seen)
    assert [int(one.pool.sum()) for one in seen] == [8, 1, 0, 0]
    assert [one.start for one in seen] == [0, 0, 1, 2]


def slow_greedy(bart, source, steps, eos=None):
    """The whole text through the model for every new token: the specification."""
    text = [bart.config.start]
    for _ in range(steps):
        token = int(bart(torch.tensor([source]), torch.tensor([text]))[0, -1].argmax())
        if token == eos:
            break
        text.append(token)
    return text[1:]


def test_greedy_is_the_argmax_of_the_whole_pass():
    """Sources of unequal length in one batch: the tokens of the slow loop, to each one's end."""
    bart = model(start=7)
    free = [slow_greedy(bart, s, 12) for s in SOURCES]
    assert generate(bart, SOURCES, 12) == free == generate(bart, SOURCES, 12, beams=1)
    assert len({tuple(row) for row in free}) == 4 and max(len(set(row)) for row in free) > 3
    eos = free[1][4]
    want = [slow_greedy(bart, s, 12, eos) for s in SOURCES]
    assert generate(bart, SOURCES, 12, eos=eos) == want and len(want[1]) <= 4


def test_many_sources_keep_their_order_and_their_users():
    """Sorted and cut into batches, each source still meets its own prefixes; beams too."""
    bart, rows = model(), torch.tensor([2, 0, 1, 2])
    bart.prefix = Bank(BANKS)
    for beams in (1, 3):
        many = generate_many(bart, SOURCES, 6, size=3, rows=rows, beams=beams)
        alone = [
            generate(bart, [s], 6, rows=rows[n : n + 1], beams=beams)[0]
            for n, s in enumerate(SOURCES)
        ]
        assert many == alone


def test_beam_search_that_keeps_everything_is_exhaustive():
    """With as many beams as there are texts, the best text of all is found."""
    bart = model(106, vocab_size=5)
    best, most = None, -float("inf")
    for text in itertools.product(range(5), repeat=3):
        target = torch.tensor([[CONFIG.start, *text[:2]]])
        logp = bart(torch.tensor([[2, 4, 1]]), target).log_softmax(-1)[0]
        total = sum(logp[i, w].item() for i, w in enumerate(text))
        best, most = (list(text), total) if total > most else (best, most)
    assert generate(bart, [[2, 4, 1]], 3, beams=25) == [best]
    assert best != slow_greedy(bart, [2, 4, 1], 3)  # what seed 106 is for


def test_beams_do_not_mix_rows():
    """A batch of unequal sources gives, row by row, what each gives alone."""
    bart = model()
    together = generate(bart, SOURCES, 8, beams=4, eos=3)
    assert together == [generate(bart, [s], 8, beams=4, eos=3)[0] for s in SOURCES]
    assert len({tuple(row) for row in together}) > 1


def examples():
    """Prompts and answers of unequal length, one of them with two answers."""
    rows = tokens(3, 12).tolist()
    answers = ["000111", "0000111111", "00110011"]
    return [
        Encoded(tuple(row[: len(marks)]), tuple(mark == "1" for mark in marks))
        for row, marks in zip(rows, answers, strict=True)
    ]


def test_loss_is_the_sum_over_all_answers():
    """Each answer behind all that stands before it, alone, one log-probability at a time."""
    bart, want = model(), 0.0
    whole = [(e.ids, e.answer.index(True), len(e.ids)) for e in examples()]
    ids, _, end = whole[2]
    whole[2:] = [(ids, 2, 4), (ids, 6, end)]
    for ids, begin, end in whole:
        target = torch.tensor([[CONFIG.start, *ids[begin : end - 1]]])
        logp = bart(torch.tensor([ids[:begin]]), target).log_softmax(-1)[0]
        want = want - sum(logp[i, ids[begin + i]] for i in range(end - begin))
    batch = pad(examples(), 0)
    torch.testing.assert_close(bart.loss(batch), want, rtol=1e-4, atol=1e-5)


def test_each_answer_meets_the_prefix_of_its_row():
    """A batch with users: the loss is the sum of its rows' losses, each with its user."""
    bart, rows = model(), torch.tensor([2, 0, 1])
    bart.prefix = Bank(BANKS)
    call = vars(pad(examples(), 0)) | {"rows": rows}
    want = 0.0
    for n, example in enumerate(examples()):
        one = vars(pad([example], 0)) | {"rows": rows[n : n + 1]}
        want = want + bart.loss(SimpleNamespace(**one))
    torch.testing.assert_close(bart.loss(SimpleNamespace(**call)), want, rtol=1e-4, atol=1e-5)


def test_activation_checkpointing_changes_no_gradient():
    """Recomputed blocks give the same gradients on both sides, dropout included."""
    gradients = []
    for switch in (False, True):
        bart = model(dropout=0.2).train()
        bart.checkpoint_activations = switch
        torch.manual_seed(5)
        bart.loss(pad(examples(), 0)).backward()
        gradients.append([p.grad for p in bart.parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_classifier_reads_the_decoders_last_token(side):
    """Both sides read the text, the decoder one token later; padding on either side is nothing."""
    bart, ids, mask = model(), tokens(3, 9), ragged(side=side)
    classifier = TextClassifier(bart, 4)
    got = classifier(ids, mask=mask)
    for n in range(3):
        text = ids[n : n + 1, mask[n]]
        target = torch.cat([torch.tensor([[CONFIG.start]]), text[:, :-1]], dim=1)
        last = bart.hidden(text, target)[:, -1]
        check_rows(got[n : n + 1], classifier.head(last))
        check_rows(classifier(text), classifier.head(last))


def test_the_output_layer_is_the_embedding():
    """One embedding, counted once, on both sides and at the output."""
    c, f, v = 12, 48, 61
    attention, norm = 4 * (c * c + c), 2 * c
    feedforward = (c * f + f) + (f * c + c)
    encoder = 3 * (attention + feedforward + 2 * norm) + 40 * c + norm
    decoder = 3 * (2 * attention + feedforward + 3 * norm) + 40 * c + norm
    assert sum(p.numel() for p in model().parameters()) == v * c + encoder + decoder


def test_the_start():
    """N(0, 0.3/c) everywhere, zero biases, and BART's own layer norms."""
    torch.manual_seed(0)
    bart = Seq2Seq(Seq2SeqConfig(500, 16, 96, 2, 4))
    block = bart.decoder.blocks[1]
    for weight in (block.cross_attention.out_proj.weight, bart.embedding.weight):
        assert weight.std().item() == pytest.approx((0.3 / 96) ** 0.5, rel=0.05)
    assert not block.feedforward.up_proj.bias.any()
    assert {m.eps for m in bart.modules() if isinstance(m, nn.LayerNorm)} == {EPS}


def test_too_long_a_text_is_one_clear_line():
    """Each side has the whole context, which no prefix shortens; beyond it an error says which."""
    bart = model()
    bart.prefix = Bank(BANKS)
    assert bart(tokens(1, 40), tokens(1, 40)).shape == (1, 40, 61)
    source = tokens(1, 40)
    assert generate(bart, source, 40) == [slow_greedy(bart, source[0].tolist(), 40)]
    with pytest.raises(ValueError, match="41 positions of the source exceed the context of 40"):
        bart(tokens(1, 41), tokens(1, 2))
    with pytest.raises(ValueError, match="41 positions of the target exceed the context of 40"):
        bart(tokens(1, 2), tokens(1, 41))
    for source, new, room in ((3, 41, 40), (41, 3, 0)):
        with pytest.raises(ValueError, match=f"there is room for {room}"):
            generate(bart, tokens(1, source), new)


def test_a_memory_of_ones_own():
    """`decode` looks at any memory: two texts read apart and put side by side, with their mask."""
    bart, target = model(), tokens(2, 4)
    memory = torch.cat([bart.encode(tokens(2, 5)), bart.encode(tokens(2, 3, seed=2))], dim=1)
    mask = torch.arange(8) < torch.tensor([[8], [6]])
    got = bart.decode(target, memory, there=Context(mask))
    check_rows(got[:1], bart.decode(target[:1], memory[:1]))
    check_rows(got[1:], bart.decode(target[1:], memory[1:, :6]))
    assert isinstance(bart.new_cache(3), Cache)
