"""minift's Seq2Seq against transformers' BART with the same weights, number by number."""

import json

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, BartForSequenceClassification

from minift.batching import Encoded, pad
from minift.models import generate, pretrained
from minift.sides import two_sides
from tests.peers.near import check_near
from tests.peers.test_encoder_peers import SIZES, randomised, saved
from tests.peers.test_gpt_peers import ragged_mask, random_ids

START, PAD = 2, 0


def random_bart(size=SIZES[0], kind=BartForConditionalGeneration, **settings):
    """A BART whose every tensor is random; it has no end token unless the settings name one."""
    v, context, c, layers, heads = size
    settings = {"forced_eos_token_id": None, "eos_token_id": None, "num_labels": 3} | settings
    both = {"layers": layers, "attention_heads": heads, "ffn_dim": 4 * c}
    sides = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in both.items()}
    config = BartConfig(
        vocab_size=v, max_position_embeddings=context, d_model=c, dropout=0.0, pad_token_id=PAD,
        bos_token_id=None, decoder_start_token_id=START, **sides, **settings,
    )  # fmt: skip
    return randomised(kind(config), c)


def both(folder, size=SIZES[0], **settings):
    """The peer's model, and ours read from the folder that the peer wrote."""
    theirs = saved(random_bart(size, **settings), folder)
    return theirs, pretrained.load_bart(folder).eval()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("size", SIZES)
def test_logits_equal(tmp_path, size, attention):
    """Both sides up to the whole context: memory and logits, from both of our attention paths."""
    theirs, ours = both(tmp_path, size, attn_implementation=attention)
    source, target = random_ids(size, 3, size[1]), random_ids(size, 3, size[1], seed=2)
    with torch.no_grad():
        want = theirs(source, decoder_input_ids=target)
        check_near(ours.encode(source), want.encoder_last_hidden_state, what="memory")
        check_near(ours(source, target), want.logits, what="logits")
        for block in [*ours.encoder.blocks, *ours.decoder.blocks]:
            block.attention.fused = False
        for block in ours.decoder.blocks:
            block.cross_attention.fused = False
        check_near(ours(source, target), want.logits, what="logits, the readable path")


def test_logits_equal_under_padding(tmp_path):
    """Sources and targets of unequal length, padded on the right: the same at every real token."""
    theirs, ours = both(tmp_path)
    source, target = random_ids(SIZES[0], 5, 23), random_ids(SIZES[0], 5, 19, seed=2)
    masks = {"source_mask": ragged_mask(5, 23, "right"), "target_mask": ragged_mask(5, 19, "right")}
    with torch.no_grad():
        want = theirs(
            source, attention_mask=masks["source_mask"].long(), decoder_input_ids=target,
            decoder_attention_mask=masks["target_mask"].long(),
        ).logits  # fmt: skip
        got = ours(source, target, **masks)
    check_near(got[masks["target_mask"]], want[masks["target_mask"]])


def test_loss_and_gradients_equal(tmp_path):
    """The loss of a batch of prompts and answers, laid out by `two_sides`; gradients at both ends.

    Their decoder's input is their own shift of the labels.
    """
    theirs, ours = both(tmp_path)
    rows = random_ids(SIZES[0], 3, 17).tolist()
    examples = [
        Encoded(tuple(row[:n]), tuple(i >= n // 2 for i in range(n)))
        for row, n in zip(rows, (17, 11, 14), strict=True)
    ]
    batch = pad(examples, PAD)
    sides = two_sides(batch, START)
    want = theirs(sides.source, attention_mask=sides.source_mask.long(), labels=sides.labels)
    loss = ours.loss(batch)
    assert loss.item() == pytest.approx(want.loss.item() * batch.targets, rel=1e-5)
    loss.backward()
    (want.loss * batch.targets).backward()
    peer, mine = theirs.model, ours
    for one, other in [
        (mine.embedding.weight, peer.shared.weight),
        (
            mine.encoder.blocks[0].attention.q_proj.weight,
            peer.encoder.layers[0].self_attn.q_proj.weight,
        ),
        (
            mine.decoder.blocks[1].cross_attention.v_proj.weight,
            peer.decoder.layers[1].encoder_attn.v_proj.weight,
        ),
        (mine.decoder.blocks[2].norm3.weight, peer.decoder.layers[2].final_layer_norm.weight),
    ]:
        size = other.grad.abs().max()
        check_near(one.grad / size, other.grad / size, what="gradient")


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_equals(tmp_path, beams):
    """Greedy and beam search, sources of unequal length: the tokens of `generate`, row by row."""
    theirs, ours = both(tmp_path)
    ids, mask = random_ids(SIZES[0], 5, 17), ragged_mask(5, 17, "right")
    want = theirs.generate(
        ids * mask, attention_mask=mask.long(), do_sample=False, num_beams=beams, max_new_tokens=31
    )[:, 1:]
    sources = [row[real].tolist() for row, real in zip(ids, mask, strict=True)]
    assert generate.generate(ours, sources, 31, beams=beams) == want.tolist()
    words = [set(row) for row in want.tolist()]
    assert len({tuple(row) for row in want.tolist()}) > 2 and max(map(len, words)) > 3


def test_generation_stops_at_the_same_end(tmp_path):
    """With an end token, each row is theirs up to that token."""
    theirs, ours = both(tmp_path)
    ids = random_ids(SIZES[0], 7, 9)
    free = generate.generate(ours, ids, 30)
    end = max((row.index(token), token) for row in free for token in row)[1]  # the latest to come
    want = theirs.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30,
        eos_token_id=end,
    )[:, 1:].tolist()  # fmt: skip
    got = generate.generate(ours, ids, 30, eos=end)
    assert got == [row[: row.index(end)] if end in row else row for row in want]
    assert 0 < min(map(len, got)) < 30


def test_the_summary_is_what_their_classifier_reads(tmp_path):
    """The decoder's state at the last token, both sides reading the text, as BART classifies."""
    end = 5
    kind = BartForSequenceClassification
    theirs = saved(random_bart(kind=kind, eos_token_id=end), tmp_path)
    ours, ids = pretrained.open_base(tmp_path).eval(), random_ids(SIZES[0], 4, 13)
    ids, mask = ids.masked_fill(ids == end, 6), ragged_mask(4, 13, "right")
    ids[torch.arange(4), mask.sum(1) - 1] = end
    ids = ids.masked_fill(~mask, PAD)
    with torch.no_grad():
        want = theirs(ids, attention_mask=mask.long()).logits
        check_near(theirs.classification_head(ours.summary(ids, mask=mask)), want)


@pytest.mark.parametrize(
    "setting, value, words",
    [
        ("activation_function", "relu", "activation_function relu; expected gelu"),
        ("scale_embedding", True, "scale_embedding True; expected False"),
        ("decoder_layers", 2, "decoder_layers 2; expected 3"),
        ("decoder_attention_heads", 2, "decoder_attention_heads 2; expected 3"),
        ("encoder_ffn_dim", 77, "decoder_ffn_dim 168; expected 77"),
    ],
)
def test_a_setting_that_changes_the_arithmetic_is_refused(tmp_path, setting, value, words):
    """A BART with a switch that this Seq2Seq does not have is refused in one line."""
    theirs = random_bart()
    saved(theirs, tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {setting: value}))
    with pytest.raises(ValueError, match=words):
        pretrained.load_bart(tmp_path)


def test_a_bias_on_the_logits_is_refused(tmp_path):
    """`final_logits_bias` is zero in the released checkpoints; another one is not dropped."""
    theirs = random_bart()
    theirs.final_logits_bias += 0.1
    saved(theirs, tmp_path)
    with pytest.raises(ValueError, match="final_logits_bias is not zero"):
        pretrained.load_bart(tmp_path)
