"""Released checkpoints: a folder as Hugging Face lays it out, with GPT-2, BERT or BART in it.

config.json says how the model computes; a setting that ours does not have is refused, since it
would give other numbers without a word. The weights are .safetensors files, one or several: a
folder that holds only `pytorch_model.bin` is refused, as nothing is unpickled. What is read is
checked name by name against the model (`fill_weights`).
"""

import json
from pathlib import Path

from minift import safetensors
from minift.models import layouts
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.gpt import GPT, GPTConfig
from minift.models.masked import MaskedLM
from minift.models.seq2seq import Seq2Seq, Seq2SeqConfig


def fill_weights(model, tensors, path):
    """Copy the tensors into the model; the names must be the model's own.

    Raises ValueError in one line.
    """
    own = model.state_dict()
    if missing := sorted(own.keys() ^ tensors.keys()):
        raise ValueError(f"{path}: {len(missing)} tensors missing or unknown, first {missing[0]}")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise ValueError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
            )
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})


def read_config(folder):
    """The settings in a folder's config.json."""
    file = Path(folder) / "config.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{folder}: no config.json; expected a folder as Hugging Face lays it out"
        )
    return json.loads(file.read_text())


def read_tensors(folder):
    """The named tensors of a folder, which may be in several files."""
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(
            f"{folder}: no .safetensors file (a .bin file would have to be unpickled)"
        )
    tensors = {}
    for file in files:
        tensors.update(safetensors.read(file)[0])
    return tensors


def read_folder(folder, settings):
    """(config, tensors) of a folder whose config.json has these settings.

    Raises ValueError for another one.
    """
    raw = read_config(folder)
    for name, value in settings.items():
        if raw.get(name, value) != value or "model_type" not in raw:
            raise ValueError(f"{folder}: config.json: {name} {raw.get(name)}; expected {value}")
    return raw, read_tensors(folder)


def fill_renamed(model, rename, folder):
    """Fill the model with the tensors that rename() finds; return it."""
    try:
        tensors = rename()
    except KeyError as error:
        raise ValueError(f"{folder}: tensor {error} is missing; expected a released name") from None
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    fill_weights(model, tensors, folder)
    return model


def load_gpt2(folder):
    """A `GPT` with the weights of a GPT-2 folder. Raises ValueError if it is not one."""
    raw, tensors = read_folder(folder, layouts.GPT2_SETTINGS)
    sizes = [raw[name] for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")]
    model = GPT(GPTConfig(*sizes))
    return fill_renamed(model, lambda: layouts.gpt2_tensors(tensors, model.config), folder)


def bert_config(raw):
    """Our configuration of a BERT."""
    names = ("vocab_size", "max_position_embeddings", "hidden_size", "num_hidden_layers")
    sizes = [raw[name] for name in (*names, "num_attention_heads")]
    return EncoderConfig(*sizes, types=raw.get("type_vocab_size", 2))


def load_bert(folder):
    """An `Encoder` with the weights of a BERT folder, whatever heads are in it.

    Where the folder has no pooler, ours stays the identity. Raises ValueError if it is no BERT.
    """
    raw, tensors = read_folder(folder, layouts.BERT_SETTINGS)
    model = Encoder(bert_config(raw))

    def renamed():
        pooler = {f"pooler.{name}": t for name, t in model.pooler.state_dict().items()}
        return pooler | layouts.bert_tensors(tensors, model.config)

    return fill_renamed(model, renamed, folder)


def load_masked_lm(folder):
    """A `MaskedLM` with the weights of a BERT folder that has the head for it.

    Raises ValueError if it has none.
    """
    model, tensors = MaskedLM(load_bert(folder)), read_tensors(folder)

    def renamed():
        body = {f"body.{name}": tensor for name, tensor in model.body.state_dict().items()}
        return body | layouts.bert_head_tensors(tensors)

    return fill_renamed(model, renamed, folder)


def load_bart(folder):
    """A `Seq2Seq` with the weights of a BART folder. Raises ValueError if it is not one."""
    raw, tensors = read_folder(folder, layouts.BART_SETTINGS)
    for name in ("layers", "attention_heads", "ffn_dim"):
        one, other = raw[f"encoder_{name}"], raw[f"decoder_{name}"]
        if one != other:
            raise ValueError(f"{folder}: config.json: decoder_{name} {other}; expected {one}")
    names = ("vocab_size", "max_position_embeddings", "d_model", "encoder_layers")
    sizes = [raw[name] for name in (*names, "encoder_attention_heads")]
    model = Seq2Seq(Seq2SeqConfig(*sizes, start=raw.get("decoder_start_token_id", 2)))
    return fill_renamed(model, lambda: layouts.bart_tensors(tensors, model.config), folder)


def load_folder(folder):
    """The model of a released folder, told by config.json; a BERT with its head, if it has one."""
    kind = read_config(folder).get("model_type")
    loaders = {"gpt2": load_gpt2, "bert": load_bert, "bart": load_bart}
    if kind not in loaders:
        raise ValueError(f"{folder}: model_type {kind}; expected one of {', '.join(loaders)}")
    if kind == "bert" and any("cls.predictions.transform" in name for name in read_tensors(folder)):
        return load_masked_lm(folder)
    return loaders[kind](folder)
