"""Base models on disk: ours, and GPT-2 folders as Hugging Face lays them out."""

import json

import pytest
import torch

from minift import safetensors
from minift.models import pretrained
from minift.peft import lora
from tests import test_encoder, test_seq2seq
from tests.test_gpt import model, tokens

FAMILIES = {
    "gpt": model, "encoder": test_encoder.encoder, "masked": test_encoder.masked,
    "seq2seq": lambda: test_seq2seq.model(start=7, dropout=0.1),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_our_file_gives_the_same_model(tmp_path, family):
    """Class, configuration and weights come back; fp16 on disk rounds each weight once."""
    made = FAMILIES[family]()
    pretrained.save(made, tmp_path / "a.safetensors")
    again = pretrained.load(tmp_path / "a.safetensors")
    assert type(again) is type(made) and again.config == made.config
    pretrained.save(made, tmp_path / "b.safetensors", dtype=torch.float16)
    half = pretrained.open_base(tmp_path / "b.safetensors").state_dict()
    assert half.keys() == again.state_dict().keys() == made.state_dict().keys()
    for name, tensor in made.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
        assert torch.equal(half[name], tensor.half().float())


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
    tensors = gpt2_folder(tmp_path, gpt)
    with pytest.raises(FileNotFoundError, match="no .safetensors file"):
        pretrained.load_gpt2(tmp_path)
    safetensors.write(tmp_path / "model.safetensors", tensors)
    gpt2_folder(tmp_path, gpt, model_type="llama")
    with pytest.raises(ValueError, match="model_type llama; expected gpt2"):
        pretrained.load_gpt2(tmp_path)
    with pytest.raises(ValueError, match="model_type llama; expected one of gpt2, bert, bart"):
        pretrained.open_base(tmp_path)
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


def weights(module, name):
    """{name.weight, name.bias}, of a layer norm or a linear layer."""
    return {f"{name}.{kind}": tensor.detach() for kind, tensor in module.named_parameters()}


def bert_folder(folder, model, **changes):
    """Our MaskedLM as a BERT folder, by hand; `changes` go into config.json; its tensors."""
    body, c = model.body, model.config
    theirs = {
        "embeddings.word_embeddings.weight": body.embedding.weight,
        "embeddings.position_embeddings.weight": body.position_embedding.weight,
        "embeddings.token_type_embeddings.weight": body.type_embedding.weight,
        **weights(body.norm, "embeddings.LayerNorm"),
        **weights(body.pooler, "pooler.dense"),
    }
    for n, block in enumerate(body.blocks):
        layer, a, f = f"encoder.layer.{n}", block.attention, block.feedforward
        for name, part in {"query": a.q_proj, "key": a.k_proj, "value": a.v_proj}.items():
            theirs |= weights(part, f"{layer}.attention.self.{name}")
        theirs |= weights(a.out_proj, f"{layer}.attention.output.dense")
        theirs |= weights(block.norm1, f"{layer}.attention.output.LayerNorm")
        theirs |= weights(f.up_proj, f"{layer}.intermediate.dense")
        theirs |= weights(f.down_proj, f"{layer}.output.dense")
        theirs |= weights(block.norm2, f"{layer}.output.LayerNorm")
    theirs = {f"bert.{name}": tensor.detach() for name, tensor in theirs.items()}
    theirs |= weights(model.dense, "cls.predictions.transform.dense")
    theirs |= weights(model.norm, "cls.predictions.transform.LayerNorm")
    theirs |= {"cls.predictions.bias": model.bias.detach()}
    config = {"model_type": "bert", "vocab_size": c.vocab_size, "hidden_size": c.d_model}
    config |= {"max_position_embeddings": c.context, "num_hidden_layers": c.n_layers}
    config |= {"num_attention_heads": c.n_heads, "type_vocab_size": c.types}
    (folder / "config.json").write_text(json.dumps(config | changes))
    safetensors.write(folder / "model.safetensors", theirs)
    return theirs


def test_a_bert_folder_gives_the_same_model(tmp_path):
    """With its head a MaskedLM, or its encoder alone; with the first releases' names an Encoder."""
    masked, ids = test_encoder.masked(), tokens(2, 7)
    theirs = bert_folder(tmp_path, masked)
    opened, encoder = pretrained.open_base(tmp_path).eval(), pretrained.load_bert(tmp_path).eval()
    assert torch.equal(opened(ids), masked(ids))
    assert torch.equal(encoder.summary(ids), masked.body.summary(ids))
    bare = {name.removeprefix("bert."): t for name, t in theirs.items() if "cls." not in name}
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, first in old.items():  # as the first releases call them
        bare = {name.replace(new, first): tensor for name, tensor in bare.items()}
    safetensors.write(tmp_path / "model.safetensors", bare)
    assert torch.equal(pretrained.open_base(tmp_path).eval()(ids), masked.body(ids))
    with pytest.raises(ValueError, match="cls.predictions.transform.dense.weight' is missing"):
        pretrained.load_masked_lm(tmp_path)


def test_a_bert_without_a_pooler_gets_the_identity(tmp_path):
    """Always the same one, so that a delta finds the base again on which it was trained."""
    masked, ids = test_encoder.masked(), tokens(2, 7)
    theirs = bert_folder(tmp_path, masked)
    theirs = {name: tensor for name, tensor in theirs.items() if "pooler" not in name}
    safetensors.write(tmp_path / "model.safetensors", theirs)
    encoder = pretrained.load_bert(tmp_path).eval()
    torch.testing.assert_close(encoder.summary(ids), masked.body(ids)[:, 0].tanh())


def bart_folder(folder, model, **changes):
    """Our Seq2Seq as a BART folder, by hand: two more rows of positions, a bias of zero."""
    theirs = {"shared.weight": model.embedding.weight.detach()}
    for side in ("encoder", "decoder"):
        stack = getattr(model, side)
        rows = torch.cat([torch.full((2, 12), 9.0), stack.position_embedding.weight.detach()])
        theirs[f"{side}.embed_positions.weight"] = rows
        theirs |= weights(stack.norm, f"{side}.layernorm_embedding")
        for n, block in enumerate(stack.blocks):
            layer, last = f"{side}.layers.{n}", "norm2" if side == "encoder" else "norm3"
            looks = {"self_attn": "attention", "encoder_attn": "cross_attention"}
            norms = {"self_attn_layer_norm": "norm1", "final_layer_norm": last}
            norms |= {"encoder_attn_layer_norm": "norm2"} if side == "decoder" else {}
            for name, ours in looks.items():
                theirs |= weights(getattr(block, ours, torch.nn.Identity()), f"{layer}.{name}")
            for name, ours in norms.items():
                theirs |= weights(getattr(block, ours), f"{layer}.{name}")
            theirs |= weights(block.feedforward.up_proj, f"{layer}.fc1")
            theirs |= weights(block.feedforward.down_proj, f"{layer}.fc2")
    theirs = {f"model.{name}": tensor for name, tensor in theirs.items()}
    theirs["final_logits_bias"] = torch.zeros(1, model.config.vocab_size)
    c, config = model.config, {"model_type": "bart", "decoder_start_token_id": model.config.start}
    config |= {"vocab_size": c.vocab_size, "max_position_embeddings": c.context}
    for side in ("encoder", "decoder"):
        config |= {f"{side}_layers": c.n_layers, f"{side}_attention_heads": c.n_heads}
        config |= {f"{side}_ffn_dim": 4 * c.d_model, "d_model": c.d_model}
    (folder / "config.json").write_text(json.dumps(config | changes))
    safetensors.write(folder / "model.safetensors", theirs)
    return theirs


@pytest.mark.parametrize("shared", ["shared", "decoder.embed_tokens"])
def test_a_bart_folder_gives_the_same_model(tmp_path, shared):
    """Weights, start token and positions; the tied embedding under any of its names."""
    bart, ids = test_seq2seq.model(start=7), tokens(2, 7)
    theirs = bart_folder(tmp_path, bart)
    theirs[f"model.{shared}.weight"] = theirs.pop("model.shared.weight")
    safetensors.write(tmp_path / "model.safetensors", theirs)
    opened = pretrained.open_base(tmp_path).eval()
    assert opened.config == bart.config
    assert torch.equal(opened(ids, ids + 1), bart(ids, ids + 1))
    theirs["final_logits_bias"] += 0.1
    safetensors.write(tmp_path / "model.safetensors", theirs)
    with pytest.raises(ValueError, match="final_logits_bias is not zero"):
        pretrained.load_bart(tmp_path)


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("bert", "hidden_act", "relu"),
        ("bert", "layer_norm_eps", 1e-5),
        ("bert", "position_embedding_type", "relative_key"),
        ("bert", "is_decoder", True),
        ("bert", "add_cross_attention", True),
        ("bert", "tie_word_embeddings", False),
        ("bart", "activation_function", "relu"),
        ("bart", "scale_embedding", True),
        ("bart", "normalize_before", True),
        ("bart", "normalize_embedding", False),
        ("bart", "add_final_layer_norm", True),
        ("bart", "static_position_embeddings", True),
        ("bart", "tie_word_embeddings", False),
        ("bart", "decoder_layers", 2),
        ("bart", "decoder_attention_heads", 2),
        ("bart", "decoder_ffn_dim", 77),
    ],
)
def test_a_bert_or_bart_that_computes_otherwise_is_refused(tmp_path, family, name, value):
    """A setting that ours does not have would give other numbers without a word."""
    if family == "bert":
        bert_folder(tmp_path, test_encoder.masked(), **{name: value})
    else:
        bart_folder(tmp_path, test_seq2seq.model(), **{name: value})
    with pytest.raises(ValueError, match=f"config.json: {name} {value}; expected"):
        pretrained.open_base(tmp_path)


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


@pytest.mark.parametrize("family", ["masked", "seq2seq"])
def test_every_family_gets_new_rows(tmp_path, family):
    """Old tokens keep their scores, the model is saved and read in its new size."""
    made, ids = FAMILIES[family]().eval(), tokens(2, 7)
    call = (ids,) if family == "masked" else (ids, ids)
    before = made(*call)
    pretrained.resize_vocabulary(made, 64)
    torch.testing.assert_close(made(*call)[..., :61], before)
    if family == "masked":
        torch.testing.assert_close(made.bias[63], made.bias[:61].mean())
    pretrained.save(made, tmp_path / "a.safetensors")
    again = pretrained.load(tmp_path / "a.safetensors").eval()
    assert torch.equal(again(*call), made(*call)) and again.config.vocab_size == 64
