"""LoRA against Hugging Face peft and loralib: 50 AdamW steps, the merged weights, the start of A.

A is copied from ours, since the libraries draw it at other moments. peft adapts q_proj and v_proj
of small OPT and Llama models, on which `add_lora` works as on any other module. loralib is compared
on linear layers, and on a whole GPT-2: its `MergedLinear` adapts q and v inside the fused matrix.
"""

import copy
import math

import loralib
import peft
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from minift.models import pretrained
from minift.peft import delta, inject, lora
from tests.peers.near import check_near

STEPS, RANK, ALPHA = 50, 3, 5  # α/r is no whole number, so no other scale gives the same
V, T = 61, 19


def small_opt():
    config = OPTConfig(
        vocab_size=V, hidden_size=40, ffn_dim=72, num_hidden_layers=2, num_attention_heads=5,
        max_position_embeddings=32, word_embed_proj_dim=40, dropout=0.0, pad_token_id=0,
    )  # fmt: skip
    return OPTForCausalLM(config)


def small_llama():
    """Grouped keys and values: v_proj is (8, 40), which shows a transposed product."""
    config = LlamaConfig(
        vocab_size=V, hidden_size=40, intermediate_size=72, num_hidden_layers=2,
        num_attention_heads=5, num_key_value_heads=1, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def small_gpt2():
    config = GPT2Config(
        vocab_size=V, n_positions=32, n_embd=40, n_layer=2, n_head=5, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


FAMILIES = {"opt": small_opt, "llama": small_llama}


def lively(make, seed=0):
    """A model whose matrices are three times their usual start, so that its losses differ."""
    torch.manual_seed(seed)
    model = make()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3.0 if p.dim() > 1 else 1.0)
    return model


def fit_text(model, score, steps=STEPS):
    """AdamW on one fresh batch a step; the losses. `score(model, ids)` gives the logits."""
    generator = torch.Generator().manual_seed(5)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)
    losses = []
    for _ in range(steps):
        ids = torch.randint(1, V, (4, T + 1), generator=generator)
        ids[:, 1::2] = (3 * ids[:, 0::2] + 1) % V  # every second token can be learned
        logits = score(model, ids[:, :-1]).flatten(0, 1)
        loss = F.cross_entropy(logits, ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def logits_of(model, ids):
    return model(ids).logits


def with_peft(model, dropout=0.0):
    config = peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=dropout, target_modules=["q_proj", "v_proj"]
    )  # fmt: skip
    return peft.get_peft_model(model, config)


def peft_layers(model):
    """{name in the base model: peft's LoRA layer}"""
    layers = {n: m for n, m in model.named_modules() if isinstance(m, peft.tuners.lora.Linear)}
    return {name.removeprefix("base_model.model."): layer for name, layer in layers.items()}


def our_layers(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, lora.LoRALinear)}


def twins(family, dropout=0.0):
    """The same base with our LoRA and with peft's, A copied; same layers, same count."""
    base = lively(FAMILIES[family])
    theirs = with_peft(copy.deepcopy(base), dropout)
    ours = lora.add_lora(base, RANK, ALPHA, dropout=dropout)
    assert our_layers(ours).keys() == peft_layers(theirs).keys()
    assert theirs.get_nb_trainable_parameters()[0] == delta.count_parameters(ours).trained
    with torch.no_grad():
        for name, layer in peft_layers(theirs).items():
            layer.lora_A["default"].weight.copy_(our_layers(ours)[name].A)
    return ours, theirs


@pytest.mark.parametrize("family", FAMILIES)
def test_training_trajectory_equals_peft(family):
    """50 steps: every loss, A and B at the end, and the merged weights (≤ 1e-5)."""
    ours, theirs = twins(family)
    mine, want = fit_text(ours, logits_of), fit_text(theirs, logits_of)
    check_near(mine, want, what="loss")
    for name, layer in peft_layers(theirs).items():
        check_near(our_layers(ours)[name].A, layer.lora_A["default"].weight, what=f"{name} A")
        check_near(our_layers(ours)[name].B, layer.lora_B["default"].weight, what=f"{name} B")
        assert our_layers(ours)[name].B.abs().max() > 0.01, "the steps changed nothing"
    merged, plain = delta.merge(ours).state_dict(), theirs.merge_and_unload().state_dict()
    assert merged.keys() == plain.keys()
    for name, tensor in plain.items():
        check_near(merged[name], tensor, what=name)


def test_dropout_falls_where_peft_lets_it_fall():
    """The same seed draws the same masks: outputs in training mode are equal."""
    ours, theirs = twins("opt", dropout=0.4)
    with torch.no_grad():
        for name, layer in peft_layers(theirs).items():
            layer.lora_B["default"].weight.normal_()
            our_layers(ours)[name].B.copy_(layer.lora_B["default"].weight)
    ids = torch.randint(1, V, (3, T), generator=torch.Generator().manual_seed(2))
    torch.manual_seed(7)
    mine = ours.train()(ids).logits
    torch.manual_seed(7)
    check_near(mine, theirs.train()(ids).logits, what="logits")
    assert not torch.allclose(mine, ours.eval()(ids).logits, atol=1e-3)


def test_kaiming_start_is_the_released_code():
    """From one seed the same bits as peft's reset; loralib's bounds and deviation too."""
    theirs = with_peft(lively(small_opt))
    peer = next(iter(peft_layers(theirs).values()))
    layer = lora.LoRALinear(nn.Linear(peer.in_features, peer.out_features), RANK, ALPHA)
    torch.manual_seed(11)
    peer.reset_lora_parameters("default", True)
    torch.manual_seed(11)
    layer.reset("kaiming")
    assert torch.equal(layer.A, peer.lora_A["default"].weight)
    wide = lora.LoRALinear(nn.Linear(300, 7), 200, ALPHA, init="kaiming").A
    want = loralib.Linear(300, 7, r=200).lora_A
    assert wide.abs().max() <= 1 / math.sqrt(300) and want.abs().max() <= 1 / math.sqrt(300)
    assert wide.std().item() == pytest.approx(want.std().item(), rel=0.02)


def test_gaussian_start_has_the_deviation_of_the_released_code():
    """Our default keeps loralib's deviation 1/√(3·i); peft's "gaussian" means N(0, 1/r²)."""
    want = loralib.Linear(300, 7, r=200).lora_A.std().item()
    mine = lora.LoRALinear(nn.Linear(300, 7), 200, ALPHA).A.std().item()
    assert mine == pytest.approx(want, rel=0.02)
    assert mine == pytest.approx(1 / math.sqrt(3 * 300), rel=0.02)


class SmallNet(nn.Module):
    """Two linear layers of unequal sizes: (b, 13) → (b, 29) → (b, 5)."""

    def __init__(self, make):
        super().__init__()
        self.up_proj, self.down_proj = make(13, 29), make(29, 5)

    def forward(self, x):
        return self.down_proj(torch.tanh(self.up_proj(x)))


def loralib_linear(i, o):
    return loralib.Linear(i, o, r=RANK, lora_alpha=ALPHA)


def fit_numbers(model):
    """50 AdamW steps of least squares; the losses."""
    generator = torch.Generator().manual_seed(3)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(STEPS):
        x, y = torch.randn(11, 13, generator=generator), torch.randn(11, 5, generator=generator)
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def test_training_trajectory_equals_loralib():
    """50 steps on linear layers: losses, A and B, the merged weights (loralib merges on eval)."""
    torch.manual_seed(1)
    ours, theirs = SmallNet(nn.Linear), SmallNet(loralib_linear)
    ours.load_state_dict(theirs.state_dict(), strict=False)
    lora.add_lora(ours, RANK, ALPHA, targets=("up_proj", "down_proj"))
    loralib.mark_only_lora_as_trainable(theirs)
    with torch.no_grad():
        for name, layer in our_layers(ours).items():
            theirs.get_submodule(name).lora_A.copy_(layer.A)
    check_near(fit_numbers(ours), fit_numbers(theirs), what="loss")
    theirs.eval()
    for name, layer in our_layers(ours).items():
        peer = theirs.get_submodule(name)
        check_near(layer.A, peer.lora_A, what=f"{name} A")
        check_near(layer.B, peer.lora_B, what=f"{name} B")
        check_near(lora.merge(layer).weight, peer.weight, what=f"{name} merged")


def with_merged_linear(model):
    """Give GPT-2's fused q, k, v matrix loralib's LoRA on q and v; freeze all else."""
    for block in model.transformer.h:
        fused = block.attn.c_attn
        i, o = fused.weight.shape
        layer = loralib.MergedLinear(
            i, o, r=RANK, lora_alpha=ALPHA, enable_lora=[True, False, True], merge_weights=False
        )
        with torch.no_grad():
            layer.weight.copy_(fused.weight.T)
            layer.bias.copy_(fused.bias)
        block.attn.c_attn = layer
    loralib.mark_only_lora_as_trainable(model)
    return model


def fused_pairs(ours, theirs):
    """(name, our q's and v's matrix stacked, loralib's) of each block, for A and for B."""
    for n, (block, peer) in enumerate(zip(ours.blocks, theirs.transformer.h, strict=True)):
        q, v, fused = block.attention.q_proj, block.attention.v_proj, peer.attn.c_attn
        yield f"block {n} A", torch.cat([q.A, v.A]), fused.lora_A
        yield f"block {n} B", torch.cat([q.B, v.B]), fused.lora_B


def test_training_trajectory_of_a_gpt_equals_loralib(tmp_path):
    """50 steps of our GPT with LoRA on q and v against GPT2LMHeadModel with `MergedLinear`."""
    theirs = lively(small_gpt2)
    theirs.save_pretrained(tmp_path)
    ours = lora.add_lora(pretrained.load_gpt2(tmp_path), RANK, ALPHA)
    with_merged_linear(theirs)
    with torch.no_grad():
        for _, mine, peer in fused_pairs(ours, theirs):
            peer.copy_(mine)
    losses = fit_text(ours, lambda model, ids: model(ids)), fit_text(theirs, logits_of)
    check_near(*losses, what="loss")
    for name, mine, peer in fused_pairs(ours, theirs):
        check_near(mine, peer, what=name)
        assert mine.abs().max() > 0.01, "the steps changed nothing"
    count = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert count == sum(p.numel() for p in inject.trainable_parameters(ours).values())
