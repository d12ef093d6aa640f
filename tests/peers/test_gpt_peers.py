"""minift's GPT against transformers' GPT2LMHeadModel with the same weights, number by number."""

import json

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    OPTConfig,
    OPTForCausalLM,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from minift.models import generate, pretrained
from tests.peers.near import check_near

SIZES = [  # vocabulary, context, width, layers, heads
    (211, 61, 42, 3, 3),
    (97, 37, 40, 1, 8),
    (307, 41, 26, 5, 1),
]


def random_gpt2(size=SIZES[0], seed=0, **settings):
    """A GPT2LMHeadModel whose every tensor, biases and layer norms too, is random."""
    v, context, c, layers, heads = size
    settings = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} | settings
    config = GPT2Config(
        vocab_size=v, n_positions=context, n_embd=c, n_layer=layers, n_head=heads,
        bos_token_id=None, eos_token_id=None, pad_token_id=0, **settings,
    )  # fmt: skip
    model, generator = GPT2LMHeadModel(config).eval(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            near = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
            deviation = 0.2 if p.dim() == 1 else 1.0 / c**0.5
            p.copy_(near + deviation * torch.randn(p.shape, generator=generator))
    return model


def both(folder, size=SIZES[0], shard="5GB", **settings):
    """The peer's model, and ours read from the folder that the peer wrote."""
    theirs = random_gpt2(size, **settings)
    theirs.save_pretrained(folder, max_shard_size=shard)
    return theirs, pretrained.load_gpt2(folder).eval()


def random_ids(size, b, t, seed=1):
    return torch.randint(1, size[0], (b, t), generator=torch.Generator().manual_seed(seed))


def ragged_mask(b, t, side):
    """Row n has 3·n + 2 fewer real tokens than t, the first row none fewer."""
    missing = torch.tensor([0] + [3 * n + 2 for n in range(b - 1)])
    slot = torch.arange(t)
    return slot >= missing[:, None] if side == "left" else slot < (t - missing)[:, None]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("size", SIZES)
def test_logits_equal(tmp_path, size, attention):
    """Full rows up to the whole context: the same logits, from both of our attention paths."""
    theirs, ours = both(tmp_path, size, attn_implementation=attention)
    ids = random_ids(size, 3, size[1])
    with torch.no_grad():
        want = theirs(ids).logits
        check_near(ours(ids), want)
        for block in ours.blocks:
            block.attention.fused = False
        check_near(ours(ids), want)


@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_equal_under_padding(tmp_path, side):
    """Padding on either side: the same logits at every real token."""
    theirs, ours = both(tmp_path)
    ids, mask = random_ids(SIZES[0], 5, 23), ragged_mask(5, 23, side)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    with torch.no_grad():
        want = theirs(ids, attention_mask=mask.long(), position_ids=positions).logits
        check_near(ours(ids, mask=mask)[mask], want[mask])


def test_gradients_equal(tmp_path):
    """The summed loss and its gradient in the tied embedding and both ends of the first block."""
    theirs, ours = both(tmp_path)
    ids = random_ids(SIZES[0], 3, 29)
    logits = theirs(ids[:, :-1]).logits.flatten(0, 1)
    want = torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten(), reduction="sum")
    logits = ours(ids[:, :-1]).flatten(0, 1)
    got = torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten(), reduction="sum")
    want.backward()
    got.backward()
    assert got.item() == pytest.approx(want.item(), rel=1e-6)
    theirs, first = theirs.transformer, ours.blocks[0]
    fused = torch.cat([getattr(first.attention, f"{n}_proj").weight.grad.T for n in "qkv"], dim=1)
    for mine, peer in [
        (ours.embedding.weight.grad, theirs.wte.weight.grad),
        (ours.position_embedding.weight.grad, theirs.wpe.weight.grad),
        (fused, theirs.h[0].attn.c_attn.weight.grad),
        (first.feedforward.down_proj.weight.grad.T, theirs.h[0].mlp.c_proj.weight.grad),
    ]:
        check_near(mine / peer.abs().max(), peer / peer.abs().max())


def test_a_sharded_folder(tmp_path):
    """A folder whose tensors lie in several files gives the model of a folder with one."""
    _, one = both(tmp_path / "one")
    _, many = both(tmp_path / "many", shard="40KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, many.state_dict()[name]), name


def test_a_folder_of_the_bare_body(tmp_path):
    """GPT2Model writes the same tensors without the prefix "transformer."; both are read."""
    theirs, ours = both(tmp_path / "full")
    theirs.transformer.save_pretrained(tmp_path / "body")
    ids = random_ids(SIZES[0], 2, 11)
    with torch.no_grad():
        assert torch.equal(pretrained.load_gpt2(tmp_path / "body").eval()(ids), ours(ids))


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_equals(tmp_path, beams):
    """Greedy and beam search, prompts of unequal length: the tokens of `generate`, row by row."""
    theirs, ours = both(tmp_path)
    ids, mask = random_ids(SIZES[0], 5, 17), ragged_mask(5, 17, "left")
    want = theirs.generate(
        ids * mask, attention_mask=mask.long(), do_sample=False, num_beams=beams, max_new_tokens=31
    )[:, 17:]
    prompts = [row[real].tolist() for row, real in zip(ids, mask, strict=True)]
    got = generate.generate(ours, prompts, 31, beams=beams)
    assert got == want.tolist()


def test_generation_stops_at_the_same_end(tmp_path):
    """With an end token, each row is theirs up to that token."""
    theirs, ours = both(tmp_path)
    ids = random_ids(SIZES[0], 7, 9)
    free = generate.generate(ours, ids, 30)
    end = free[0][12]
    want = theirs.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30,
        eos_token_id=end,
    )[:, 9:].tolist()  # fmt: skip
    got = generate.generate(ours, ids, 30, eos=end)
    assert got == [row[: row.index(end)] if end in row else row for row in want]
    assert len(got[0]) < 30


@pytest.mark.parametrize("top_k, top_p", [(None, None), (7, None), (None, 0.6), (11, 0.8)])
def test_sampling_draws_from_the_same_set(top_k, top_p):
    """Temperature, then the top k, then the top p: the distribution of transformers' warpers."""
    logits = 3 * torch.randn(5, 53, generator=torch.Generator().manual_seed(3))
    want = TemperatureLogitsWarper(0.7)(None, logits)
    want = want if top_k is None else TopKLogitsWarper(top_k)(None, want)
    want = want if top_p is None else TopPLogitsWarper(top_p)(None, want)
    got = generate.restrict(logits, 0.7, top_k, top_p)
    assert torch.equal(got == float("-inf"), want == float("-inf"))
    check_near(got.softmax(dim=-1), want.softmax(dim=-1))


def test_another_model_type_is_refused(tmp_path):
    """A folder of another architecture: one line that names what was found and expected."""
    config = OPTConfig(vocab_size=53, hidden_size=16, ffn_dim=32, num_hidden_layers=1,
                       num_attention_heads=2, word_embed_proj_dim=16)  # fmt: skip
    OPTForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model_type opt; expected gpt2") as caught:
        pretrained.load_gpt2(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "setting, value",
    [
        ("activation_function", "relu"),
        ("layer_norm_epsilon", 1e-3),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("n_inner", 77),
        ("tie_word_embeddings", False),
    ],
)
def test_a_setting_that_changes_the_arithmetic_is_refused(tmp_path, setting, value):
    """A GPT-2 with a switch that this GPT does not have is refused, not read as another model."""
    random_gpt2(**{setting: value}).save_pretrained(tmp_path)
    with pytest.raises(ValueError):
        pretrained.load_gpt2(tmp_path)


def test_missing_tensor_is_named(tmp_path):
    """A shard that is not there: the error names a tensor that is missing."""
    both(tmp_path, shard="40KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    (tmp_path / index["transformer.ln_f.weight"]).unlink()
    with pytest.raises(ValueError, match="missing"):
        pretrained.load_gpt2(tmp_path)
