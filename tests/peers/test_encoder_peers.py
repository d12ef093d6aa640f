"""minift's Encoder against transformers' BERT with the same weights, number by number."""

import json

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertForPreTraining, BertModel

from minift import safetensors
from minift.models import pretrained
from minift.models.heads import token_loss
from tests.peers.near import check_near
from tests.peers.test_gpt_peers import ragged_mask, random_ids

SIZES = [  # vocabulary, context, width, layers, heads
    (211, 61, 42, 3, 3),
    (97, 37, 40, 1, 8),
    (307, 41, 26, 5, 1),
]


def randomised(model, width, seed=0):
    """The model in eval mode with every tensor random, biases and layer norms too.

    Its positions are so large that a text which it writes does not repeat one word.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm = any(word in name.lower() for word in ("layernorm", "layer_norm"))
            near = 1.0 if norm and name.endswith("weight") else 0.0
            deviation = 2.0 if "position" in name else 0.1 if p.dim() == 1 else 1.0 / width**0.5
            p.copy_(near + deviation * torch.randn(p.shape, generator=generator))
    return model.eval()


def random_bert(kind, size=SIZES[0], **settings):
    """A BERT of the given class; attention by `eager`, unless the settings say otherwise."""
    v, context, c, layers, heads = size
    config = BertConfig(
        vocab_size=v, max_position_embeddings=context, hidden_size=c, num_hidden_layers=layers,
        num_attention_heads=heads, intermediate_size=4 * c, type_vocab_size=3,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        **({"attn_implementation": "eager"} | settings),
    )  # fmt: skip
    return randomised(kind(config), c)


def saved(model, folder):
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("size", SIZES)
def test_hidden_states_and_pooler_equal(tmp_path, size, attention):
    """Full rows up to the whole context, both attention paths, and the types of the tokens."""
    theirs = saved(random_bert(BertModel, size, attn_implementation=attention), tmp_path)
    ours, ids = pretrained.load_bert(tmp_path).eval(), random_ids(size, 3, size[1])
    types = ids % 3
    with torch.no_grad():
        want = theirs(ids, token_type_ids=types)
        check_near(ours(ids, types=types), want.last_hidden_state, what="hidden")
        check_near(ours.summary(ids, types=types), want.pooler_output, what="pooler")
        for block in ours.blocks:
            block.attention.fused = False
        check_near(ours(ids), theirs(ids).last_hidden_state, what="hidden, the readable path")


@pytest.mark.parametrize("side", ["left", "right"])
def test_hidden_states_equal_under_padding(tmp_path, side):
    """Padding on either side: the same states at every real token (positions given to theirs)."""
    theirs = saved(random_bert(BertModel), tmp_path)
    ours, ids, mask = pretrained.load_bert(tmp_path).eval(), random_ids(SIZES[0], 5, 23), None
    mask = ragged_mask(5, 23, side)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    with torch.no_grad():
        want = theirs(ids, attention_mask=mask.long(), position_ids=positions)
        check_near(ours(ids, mask=mask)[mask], want.last_hidden_state[mask])
        if side == "right":  # their pooler takes column 0, which is padding on the left side
            check_near(ours.summary(ids, mask=mask), want.pooler_output, what="pooler")


def test_masked_logits_and_gradients_equal(tmp_path):
    """BertForMaskedLM: logits under padding, the summed loss, and gradients through the head."""
    theirs = saved(random_bert(BertForMaskedLM), tmp_path)
    ours = pretrained.load_masked_lm(tmp_path).eval()
    ids, mask = random_ids(SIZES[0], 5, 23), ragged_mask(5, 23, "right")
    labels = ids.where(mask & (ids % 3 == 0), -100)
    want = theirs(ids, attention_mask=mask.long(), labels=labels)
    check_near(ours(ids, mask=mask)[mask], want.logits[mask], what="logits")
    loss = token_loss(ours, ours.body.hidden(ids, mask=mask), labels)
    count = int((labels != -100).sum())
    assert loss.item() == pytest.approx(want.loss.item() * count, rel=1e-5)
    (want.loss * count).backward()
    loss.backward()
    bert, block = theirs.bert, ours.body.blocks[0]
    for mine, peer in [
        (ours.body.embedding.weight, bert.embeddings.word_embeddings.weight),
        (ours.bias, theirs.cls.predictions.bias),
        (block.attention.k_proj.weight, bert.encoder.layer[0].attention.self.key.weight),
        (block.feedforward.down_proj.weight, bert.encoder.layer[0].output.dense.weight),
    ]:
        size = peer.grad.abs().max()
        check_near(mine.grad / size, peer.grad / size, what="gradient")


def test_every_kind_of_bert_folder(tmp_path):
    """With the prefix "bert.", with heads of other tasks, with the first releases' names."""
    theirs = saved(random_bert(BertForPreTraining), tmp_path)
    ids = random_ids(SIZES[0], 2, 11)
    with torch.no_grad():
        want = theirs(ids)
        body = theirs.bert(ids)
    old = {"weight": "gamma", "bias": "beta"}
    tensors, metadata = safetensors.read(tmp_path / "model.safetensors")
    split = [name.rpartition(".") for name in tensors]
    names = [f"{a}.{old[b] if 'LayerNorm' in a else b}" for a, _, b in split]
    safetensors.write(
        tmp_path / "model.safetensors", dict(zip(names, tensors.values(), strict=True)), metadata
    )
    assert "bert.embeddings.LayerNorm.gamma" in names
    ours, masked = pretrained.load_bert(tmp_path).eval(), pretrained.open_base(tmp_path).eval()
    with torch.no_grad():
        check_near(ours(ids), body.last_hidden_state, what="hidden")
        check_near(ours.summary(ids), body.pooler_output, what="pooler")
        check_near(masked(ids), want.prediction_logits, what="logits")


@pytest.mark.parametrize(
    "setting, value",
    [
        ("hidden_act", "relu"),
        ("layer_norm_eps", 1e-5),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("tie_word_embeddings", False),
    ],
)
def test_a_setting_that_changes_the_arithmetic_is_refused(tmp_path, setting, value):
    """A BERT with a switch that this Encoder does not have is refused in one line."""
    saved(random_bert(BertForMaskedLM, **{setting: value}), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())[setting] == value
    with pytest.raises(ValueError, match=f"{setting} {value}; expected"):
        pretrained.load_bert(tmp_path)
