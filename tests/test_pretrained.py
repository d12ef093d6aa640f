"""Base models on disk: ours, and GPT-2 folders as Hugging Face lays them out."""

import json

import pytest
import torch

from minift import safetensors
from minift.models import pretrained
from minift.peft import lora
from tests.test_gpt import model, tokens


def test_our_file_gives_the_same_model(tmp_path):
    """Configuration and weights come back; fp16 on disk rounds each weight once."""
    gpt, ids = model(), tokens(2, 7)
    pretrained.save(gpt, tmp_path / "a.safetensors")
    assert torch.equal(pretrained.load(tmp_path / "a.safetensors").eval()(ids), gpt(ids))
    pretrained.save(gpt, tmp_path / "b.safetensors", dtype=torch.float16)
    half = pretrained.open_base(tmp_path / "b.safetensors")
    for name, tensor in half.state_dict().items():
        assert torch.equal(tensor, gpt.state_dict()[name].half().float())


def gpt2_folder(folder, gpt, **changes):
    """Our model as a GPT-2 folder, by hand: Conv1D weights (in, out), q, k, v side by side."""
    theirs = {"wte.weight": gpt.embedding.weight, "wpe.weight": gpt.position_embedding.weight}
    theirs |= {"ln_f.weight": gpt.norm.weight, "ln_f.bias": gpt.norm.bias}
    for n, block in enumerate(gpt.blocks):
        a, f = block.attention, block.feedforward
        qkv = (a.q_proj, a.k_proj, a.v_proj)
        theirs[f"h.{n}.attn.c_attn.weight"] = torch.cat([p.weight.T for p in qkv], dim=1)
        theirs[f"h.{n}.attn.c_attn.bias"] = torch.cat([p.bias for p in qkv])
        parts = {"attn.c_proj": a.out_proj, "mlp.c_fc": f.up_proj, "mlp.c_proj": f.down_proj}
        for name, part in parts.items():
            theirs[f"h.{n}.{name}.weight"], theirs[f"h.{n}.{name}.bias"] = part.weight.T, part.bias
        for name, norm in {"ln_1": block.norm1, "ln_2": block.norm2}.items():
            theirs[f"h.{n}.{name}.weight"], theirs[f"h.{n}.{name}.bias"] = norm.weight, norm.bias
    c = gpt.config
    config = {"model_type": "gpt2", "vocab_size": c.vocab_size, "n_positions": c.context}
    config |= {"n_embd": c.d_model, "n_layer": c.n_layers, "n_head": c.n_heads}
    (folder / "config.json").write_text(json.dumps(config | changes))
    return {f"transformer.{name}": t.detach() for name, t in theirs.items()}


def test_a_gpt2_folder_gives_the_same_logits(tmp_path):
    """Transposed and cut, in one file or in two, the weights are the ones we wrote."""
    gpt, ids = model(), tokens(2, 7)
    tensors = gpt2_folder(tmp_path, gpt)
    names = sorted(tensors)
    for part, keep in (("1", names[:9]), ("2", names[9:])):
        safetensors.write(tmp_path / f"model-{part}.safetensors", {n: tensors[n] for n in keep})
    assert torch.equal(pretrained.open_base(tmp_path).eval()(ids), gpt(ids))


def test_what_is_not_a_base_is_one_clear_line(tmp_path):
    """A delta, another family, a missing tensor, a wrong shape, a pickle, nothing: each says so."""
    gpt = model()
    tensors = gpt2_folder(tmp_path, gpt, model_type="llama")
    with pytest.raises(FileNotFoundError, match="no .safetensors file"):
        pretrained.load_gpt2(tmp_path)
    safetensors.write(tmp_path / "model.safetensors", tensors)
    with pytest.raises(ValueError, match="model_type llama; expected gpt2"):
        pretrained.load_gpt2(tmp_path)
    gpt2_folder(tmp_path, gpt)
    del tensors["transformer.h.1.ln_1.bias"]
    safetensors.write(tmp_path / "model.safetensors", tensors)
    with pytest.raises(ValueError, match="h.1.ln_1.bias.*missing"):
        pretrained.load_gpt2(tmp_path)
    with pytest.raises(ValueError, match="not a base model of minift"):
        pretrained.load(tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError, match="no such base; expected a shipped one"):
        pretrained.open_base(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation_function", "relu"),
        ("layer_norm_epsilon", 1e-6),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("tie_word_embeddings", False),
    ],
)
def test_a_gpt2_that_computes_otherwise_is_refused(tmp_path, name, value):
    """A setting that our GPT does not have would give other numbers without a word."""
    tensors = gpt2_folder(tmp_path, model(), **{name: value})
    safetensors.write(tmp_path / "model.safetensors", tensors)
    with pytest.raises(ValueError, match=f"config.json: {name} {value}; expected"):
        pretrained.load_gpt2(tmp_path)


def test_new_vocabulary_rows_start_at_the_mean(tmp_path):
    """Old tokens keep their logits; a new row is the mean of the old ones; shrinking is refused."""
    gpt, ids = model(), tokens(2, 7)
    before, mean = gpt(ids), gpt.embedding.weight.mean(dim=0)
    pretrained.resize_vocabulary(gpt, 64)
    assert gpt.config.vocab_size == 64 and gpt(ids).shape[-1] == 64
    torch.testing.assert_close(gpt(ids)[..., :61], before)
    torch.testing.assert_close(gpt.embedding.weight[63], mean)
    with pytest.raises(ValueError, match="cannot shrink"):
        pretrained.resize_vocabulary(gpt, 10)


def test_a_model_with_a_method_on_it_is_not_saved_as_a_base(tmp_path):
    """Saving a base takes the plain model: a delta has its own file."""
    gpt = lora.add_lora(model())
    with pytest.raises(ValueError, match="carries lora"):
        pretrained.save(gpt, tmp_path / "a.safetensors")
