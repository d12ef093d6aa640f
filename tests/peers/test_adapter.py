"""Adapters against the library `adapters`: BERT, GPT-2 and BART with the same numbers in both.

Houlsby's placement is its `DoubleSeqBnConfig`. Its Pfeiffer, `SeqBnConfig`, reads what the block's
layer norm makes of the sum, and runs that layer norm a second time: pinned below, and equal to ours
with `original_ln_before=False`.
"""

import math

import adapters
import pytest
import torch
import torch.nn.functional as F
from adapters.methods.modeling import Adapter as TheirAdapter
from torch import nn
from transformers import BertModel

from minift.models import pretrained
from minift.peft import adapter, inject
from tests.peers.near import check_near
from tests.peers.test_encoder_peers import SIZES, random_bert
from tests.peers.test_gpt_peers import ragged_mask, random_gpt2, random_ids
from tests.peers.test_seq2seq_peers import random_bart

WIDTH, M = SIZES[0][2], 7
STEPS = 50
# their modules behind each sub-layer; {} is the block's number
PLACES = {
    "bert": {
        "blocks.{}.after_attention": "encoder.layer.{}.attention.output",
        "blocks.{}.after_feedforward": "encoder.layer.{}.output",
    },
    "gpt2": {
        "blocks.{}.after_attention": "transformer.h.{}.attention_adapters",
        "blocks.{}.after_feedforward": "transformer.h.{}.output_adapters",
    },
    "bart": {
        "encoder.blocks.{}.after_attention": "model.encoder.layers.{}.attention_adapters",
        "encoder.blocks.{}.after_feedforward": "model.encoder.layers.{}.output_adapters",
        "decoder.blocks.{}.after_attention": "model.decoder.layers.{}.attention_adapters",
        "decoder.blocks.{}.after_cross_attention": "model.decoder.layers.{}"
        ".cross_attention_adapters",
        "decoder.blocks.{}.after_feedforward": "model.decoder.layers.{}.output_adapters",
    },
}
FAMILIES = {
    "bert": (lambda: random_bert(BertModel), pretrained.load_bert),
    "gpt2": (random_gpt2, pretrained.load_gpt2),
    "bart": (random_bart, pretrained.load_bart),
}


def their_config(kind, **settings):
    return kind(reduction_factor=WIDTH // M, init_weights="houlsby", **settings)


def twins(family, folder, config, **options):
    """The same base with our adapters and with theirs, their numbers large and copied from ours."""
    make, load = FAMILIES[family]
    theirs = make()
    theirs.save_pretrained(folder)
    ours = adapter.add_adapters(load(folder).eval(), M, **options)
    adapters.init(theirs)
    theirs.add_adapter("task", config=config)
    theirs.train_adapter("task")
    generator, found = torch.Generator().manual_seed(3), 0
    with torch.no_grad():
        for mine, peer in pairs(family, ours, theirs):
            for ours_, theirs_ in parts(mine, peer):
                ours_.copy_(torch.randn(ours_.shape, generator=generator) / ours_.shape[-1] ** 0.5)
                theirs_.copy_(ours_)
            found += 1
    assert found == sum(isinstance(m, TheirAdapter) for m in theirs.modules())
    assert found == sum(isinstance(m, adapter.Adapter) for m in ours.modules())
    return ours, theirs.eval()


def pairs(family, ours, theirs):
    """(our adapter, theirs) at each place where ours has one."""
    for mine, peer in PLACES[family].items():
        for n in range(SIZES[0][3]):
            door = ours.get_submodule(mine.format(n))
            if isinstance(door, adapter.Adapter):
                yield door, theirs.get_submodule(f"{peer.format(n)}.adapters.task")


def parts(mine, peer):
    """(our parameter, theirs) of an adapter: W_down, b_down, W_up, b_up."""
    down = peer.adapter_down[0]
    yield from ((mine.down_proj.weight, down.weight), (mine.down_proj.bias, down.bias))
    up = peer.adapter_up
    yield from ((mine.up_proj.weight, up.weight), (mine.up_proj.bias, up.bias))


def outputs(family, ours, theirs, ids, mask):
    """(ours, theirs) at real tokens; BART's target is the text again, in another order."""
    if family == "bart":
        target = ids.flip(1)
        want = theirs(ids, attention_mask=mask.long(), decoder_input_ids=target).logits
        return ours(ids, target, source_mask=mask), want
    want = theirs(ids, attention_mask=mask.long())
    want = want.logits if family == "gpt2" else want.last_hidden_state
    return ours(ids, mask=mask)[mask], want[mask]


TEXT = random_ids(SIZES[0], 5, 23), ragged_mask(5, 23, "right")


@pytest.mark.parametrize("activation", adapter.ACTIVATIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_houlsby_equals(tmp_path, family, activation):
    """Forward equality (≤ 1e-5) with `DoubleSeqBnConfig`, under padding, for each activation."""
    cross = {"cross_adapter": True} if family == "bart" else {}
    config = their_config(adapters.DoubleSeqBnConfig, non_linearity=activation, **cross)
    ours, theirs = twins(family, tmp_path, config, activation=activation)
    with torch.no_grad():
        got, want = outputs(family, ours, theirs, *TEXT)
        check_near(got, want, what=f"{family} with {activation}")
        plain = FAMILIES[family][1](tmp_path).eval()
        bare, _ = outputs(family, plain, theirs, *TEXT)
    assert (bare - got).abs().max() > 0.1, "the adapters change nothing"


@pytest.mark.parametrize("family", FAMILIES)
def test_pfeiffer_equals_in_houlsbys_place(tmp_path, family):
    """`SeqBnConfig` with original_ln_before=False: one adapter a block, where ours stands."""
    config = their_config(adapters.SeqBnConfig, original_ln_before=False)
    options = {"activation": "relu", "placement": "pfeiffer"}
    ours, theirs = twins(family, tmp_path, config, **options)
    with torch.no_grad():
        check_near(*outputs(family, ours, theirs, *TEXT), what=family)


class NormedInput(nn.Module):
    """The library's Pfeiffer through our door, in a post-LN block: f + Δ(LN(x + f))."""

    def __init__(self, inside, norm):
        super().__init__()
        self.inside, self.norm = inside, norm

    def forward(self, output, input):
        return output + self.inside.change(self.norm(input + output))


def test_their_pfeiffer_norms_twice(tmp_path):
    """`SeqBnConfig` as it comes is LN(x + f + Δ(LN(x + f))), which is not our "pfeiffer"."""
    config = their_config(adapters.SeqBnConfig)
    options = {"activation": "relu", "placement": "pfeiffer"}
    ours, theirs = twins("bert", tmp_path, config, **options)
    with torch.no_grad():
        got, want = outputs("bert", ours, theirs, *TEXT)
        assert (got - want).abs().max() > 0.1
        for block in ours.blocks:
            block.after_feedforward = NormedInput(block.after_feedforward, block.norm2)
        check_near(*outputs("bert", ours, theirs, *TEXT), what="their place")


def test_the_decoders_look_gets_no_adapter_by_default(tmp_path):
    """The library leaves the cross-attention out unless asked; our "houlsby" never does."""
    theirs = random_bart()
    adapters.init(theirs)
    theirs.add_adapter("task", config=their_config(adapters.DoubleSeqBnConfig))
    count = sum(isinstance(m, TheirAdapter) for m in theirs.modules())
    theirs = random_bart()
    theirs.save_pretrained(tmp_path)
    ours = adapter.add_adapters(pretrained.load_bart(tmp_path), M)
    layers = SIZES[0][3]
    assert count == 4 * layers
    assert sum(isinstance(m, adapter.Adapter) for m in ours.modules()) == 5 * layers


def fit(hidden, parameters):
    """AdamW on the mean square distance to a random direction; the losses."""
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.01)
    aim, losses = torch.randn(WIDTH, generator=generator), []
    for _ in range(STEPS):
        ids = torch.randint(1, SIZES[0][0], (3, 11), generator=generator)
        loss = F.mse_loss(hidden(ids).mean(1), aim.expand(3, -1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


@pytest.mark.parametrize("norms", [False, True], ids=["frozen norms", "trained norms"])
def test_training_trajectory_equals(tmp_path, norms):
    """50 steps on BERT: losses and adapters. `train_adapter` trains no layer norm; we let it."""
    config = their_config(adapters.DoubleSeqBnConfig, non_linearity="gelu")
    ours, theirs = twins("bert", tmp_path, config, train_layernorm=norms)
    layer_norms = {n: p for n, p in theirs.named_parameters() if "LayerNorm" in n}
    assert layer_norms and not any(p.requires_grad for p in layer_norms.values())
    for parameter in layer_norms.values():
        parameter.requires_grad = norms
    trained = [p for p in theirs.parameters() if p.requires_grad]
    own = inject.trainable_parameters(ours).values()
    assert sum(p.numel() for p in own) == sum(p.numel() for p in trained)
    got = fit(ours, own)
    want = fit(lambda ids: theirs(ids).last_hidden_state, trained)
    check_near(got, want, what="loss")
    assert got[-1] < 0.5 * got[0], "the steps changed nothing"
    for mine, peer in pairs("bert", ours, theirs):
        for one, other in parts(mine, peer):
            check_near(one, other, what="a parameter")


def test_start_is_their_houlsby():
    """From one seed the same bits as init_weights="houlsby": N(0, 0.01²) cut at ±0.02.

    Their default, "bert", is N(0, 0.02²) without a cut.
    """
    torch.manual_seed(7)
    theirs = TheirAdapter("task", WIDTH, M, their_config(adapters.DoubleSeqBnConfig))
    torch.manual_seed(7)
    ours = adapter.Adapter(WIDTH, M)
    for mine, peer in parts(ours, theirs):
        assert torch.equal(mine, peer)
    usual = TheirAdapter("task", 300, 200, adapters.DoubleSeqBnConfig(reduction_factor=1.5))
    weight = usual.adapter_up.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.02) and weight.abs().max() > 0.06
    assert math.isclose(adapter.Adapter(300, 200).up_proj.weight.abs().max(), 0.02, rel_tol=0.01)
