"""BitFit against Hugging Face models whose other parameters are frozen by hand: 10 AdamW steps.

No library has a BitFit. Ours on transformers' own BERT must give its bits; our Encoder and our GPT
must go the way of theirs. The names are those of the released code (glue_evaluator.py). In float64,
so that what Adam makes of b_k's gradient, which is rounding, stays rounding.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from transformers import (
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from minift.models import pretrained
from minift.models.heads import TextClassifier
from minift.peft import bitfit, inject
from tests.peers.near import check_near
from tests.peers.test_encoder_peers import random_bert
from tests.peers.test_gpt_peers import SIZES, both, ragged_mask, random_ids

STEPS, CLASSES = 10, 3
SUBSET = ("intermediate.dense.bias", "attention.self.query.bias")  # b_m2 and b_q
BERT = {  # our layer in a block: theirs
    "attention.q_proj": "attention.self.query",
    "attention.k_proj": "attention.self.key",
    "attention.v_proj": "attention.self.value",
    "attention.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "feedforward.up_proj": "intermediate.dense",
    "feedforward.down_proj": "output.dense",
    "norm2": "output.LayerNorm",
}
GPT2 = {
    "norm1": "ln_1",
    "attention.out_proj": "attn.c_proj",
    "norm2": "ln_2",
    "feedforward.up_proj": "mlp.c_fc",
    "feedforward.down_proj": "mlp.c_proj",
}


def freeze_by_hand(model, words):
    """As the released code: nothing trains but what has one of the words in its name."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(word in name for word in words)
    return model


def classifier(**settings):
    """A BERT of three classes under the released code's name for its head."""
    return random_bert(BertForSequenceClassification, num_labels=CLASSES, **settings).double()


def descend(model, score, targets):
    """AdamW, as the released code without decay, on one batch; the losses.

    score(model) gives the scores of the targets, (n, classes).
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.0)
    losses = []
    for _ in range(STEPS):
        loss = F.cross_entropy(score(model), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    assert losses[-1] < losses[0] - 0.01, "the steps changed nothing"
    return torch.stack(losses)


def texts():
    """ids, mask and classes of five ragged rows."""
    targets = torch.tensor([0, 2, 1, 1, 0])
    return random_ids(SIZES[0], 5, 23), ragged_mask(5, 23, "right"), targets


def bert_scores(model):
    ids, mask, _ = texts()
    return model(ids, attention_mask=mask.long()).logits


def bert_pairs(ours, theirs):
    """(name, our bias, theirs) of every bias of the encoder."""
    base, bert = inject.body(ours), theirs.bert
    yield "embedding's norm", base.norm.bias, bert.embeddings.LayerNorm.bias
    yield "pooler", base.pooler.bias, bert.pooler.dense.bias
    for n, block in enumerate(base.blocks):
        for mine, peer in BERT.items():
            layer = bert.encoder.layer[n].get_submodule(peer)
            yield f"block {n} {mine}", block.get_submodule(mine).bias, layer.bias


def test_on_a_peers_model_the_bits_are_the_hand_frozen_ones():
    """`bitfit` on transformers' BERT itself: the same losses and tensors as frozen by hand."""
    ours = classifier().bert
    theirs = freeze_by_hand(copy.deepcopy(ours), ["bias"])
    bitfit.bitfit(ours)
    assert set(inject.trainable_parameters(ours)) == set(inject.trainable_parameters(theirs))
    ids, mask, targets = texts()

    def score(model):
        return model(ids, attention_mask=mask.long()).pooler_output

    assert torch.equal(descend(ours, score, targets), descend(theirs, score, targets))
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("only", "words"),
    [
        (None, ("bias", "classifier")),
        (bitfit.SUBSET, (*SUBSET, "classifier")),
        ((*bitfit.SUBSET, "pooler"), (*SUBSET, "pooler.dense.bias", "classifier")),
    ],
    ids=["all", "the paper's subset", "the released code's subset"],
)
def test_a_classifier_goes_the_way_of_bert(tmp_path, only, words):
    """10 steps of our Encoder under a head, and of BERT under its classifier: ≤ 1e-6."""
    theirs = freeze_by_hand(classifier(), words)
    theirs.save_pretrained(tmp_path)
    ours = TextClassifier(pretrained.load_bert(tmp_path), CLASSES).double().eval()
    ours.head.load_state_dict(theirs.classifier.state_dict())
    bitfit.bitfit(ours, only)
    ids, mask, targets = texts()
    mine = descend(ours, lambda model: model(ids, mask=mask), targets)
    check_near(mine, descend(theirs, bert_scores, targets), 1e-6, "loss")
    trained = 0
    for name, bias, peer in bert_pairs(ours, theirs):
        assert bias.requires_grad == peer.requires_grad, name
        check_near(bias, peer, 1e-6, name)
        trained += bias.numel() * bias.requires_grad
    check_near(ours.head.weight, theirs.classifier.weight, 1e-6, "head")
    count = sum(p.numel() for p in theirs.bert.parameters() if p.requires_grad)
    assert count == trained == sum(t.numel() for t in ours.delta.originals.values())


def test_the_released_codes_output_hits_two_layers():
    """Its key "output" names the MLP's second bias and the attention's: a part of both names."""
    model = freeze_by_hand(classifier(), ["output.dense.bias"])
    got = {n.partition("layer.0.")[2] for n in inject.trainable_parameters(model) if ".0." in n}
    assert got == {"attention.output.dense.bias", "output.dense.bias"}
    chosen = bitfit.select(bitfit.biases(classifier().bert), ("layer.0.output.dense",))
    assert set(chosen) == {"encoder.layer.0.output.dense"}


def gpt2_pairs(ours, theirs):
    """(name, our bias, theirs), theirs of q, k and v being one vector."""
    yield "last norm", ours.norm.bias, theirs.transformer.ln_f.bias
    for n, block in enumerate(ours.blocks):
        peer, look = theirs.transformer.h[n], block.attention
        fused = torch.cat([look.q_proj.bias, look.k_proj.bias, look.v_proj.bias])
        yield f"block {n} q, k, v", fused, peer.attn.c_attn.bias
        for mine, name in GPT2.items():
            yield f"block {n} {mine}", block.get_submodule(mine).bias, peer.get_submodule(name).bias


def test_a_gpt_goes_the_way_of_gpt2(tmp_path):
    """10 steps of our GPT and of GPT2LMHeadModel, frozen by hand: ≤ 1e-6, the tied head too."""
    theirs, ours = both(tmp_path)
    freeze_by_hand(theirs.double(), ["bias"])
    bitfit.bitfit(ours.double())
    before = theirs.lm_head.weight.detach().clone()
    ids = random_ids(SIZES[0], 5, 23)
    targets = ids[:, 1:].flatten()
    mine = descend(ours, lambda model: model(ids[:, :-1]).flatten(0, 1), targets)
    want = descend(theirs, lambda model: model(ids[:, :-1]).logits.flatten(0, 1), targets)
    check_near(mine, want, 1e-6, "loss")
    for name, bias, peer in gpt2_pairs(ours, theirs):
        check_near(bias, peer, 1e-6, name)
    assert torch.equal(ours.embedding.weight, before)
    count = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert count == sum(p.numel() for p in inject.trainable_parameters(ours).values())


def test_models_without_a_bias_are_refused():
    """T5 and LLaMA have none, though T5 has a table with "bias" in its name, which is no bias."""
    sizes = {"vocab_size": 61, "num_heads": 2, "d_model": 24, "d_kv": 12, "d_ff": 40}
    t5 = T5ForConditionalGeneration(T5Config(num_layers=1, **sizes))
    assert any("relative_attention_bias" in name for name, _ in t5.named_parameters())
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=1,
            num_attention_heads=2,
        )
    )  # fmt: skip
    for model in (t5, llama):
        with pytest.raises(ValueError, match="no bias to train"):
            bitfit.bitfit(model)
        assert all(p.requires_grad for p in model.parameters())
