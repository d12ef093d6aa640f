"""Base models on disk: our own .safetensors files, and released folders (`folders.py`).

Our file carries its family and configuration in the header, so that `load` needs the path alone.
"""

import dataclasses
import json
from pathlib import Path

import torch
from torch import nn

from minift import ROOT, safetensors
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.folders import (
    fill_weights,
    load_bart,
    load_bert,
    load_folder,
    load_gpt2,
    load_masked_lm,
)
from minift.models.gpt import GPT, GPTConfig
from minift.models.masked import MaskedLM
from minift.models.seq2seq import Seq2Seq, Seq2SeqConfig

__all__ = ["load", "load_bart", "load_bert", "load_gpt2", "load_masked_lm", "open_base"]
__all__ += ["resize_vocabulary", "save"]

CHECKPOINTS = ROOT / "data" / "checkpoints"
FAMILIES = {  # name: (class, its configuration, how to make one)
    "gpt": (GPT, GPTConfig, GPT),
    "encoder": (Encoder, EncoderConfig, Encoder),
    "masked": (MaskedLM, EncoderConfig, lambda config: MaskedLM(Encoder(config))),
    "seq2seq": (Seq2Seq, Seq2SeqConfig, Seq2Seq),
}


def save(model, path, metadata=None, dtype=None):
    """Write a base model's configuration and weights to one file, as `dtype` if one is given."""
    if carried := getattr(model, "delta", None):
        raise ValueError(f"{path}: the model carries {carried.method}; remove or merge it first")
    family = next((name for name, known in FAMILIES.items() if type(model) is known[0]), None)
    if family is None:
        raise ValueError(f"{path}: a {type(model).__name__} is no base; expected {list(FAMILIES)}")
    tensors = {name: t.to(dtype or t.dtype) for name, t in model.state_dict().items()}
    config = json.dumps(dataclasses.asdict(model.config))
    safetensors.write(path, tensors, {"family": family, "config": config, **(metadata or {})})


def load(path):
    """The base model in a file that `save` wrote, in float32.

    Raises ValueError for any other file.
    """
    tensors, metadata = safetensors.read(path)
    if metadata.get("family") not in FAMILIES:
        raise ValueError(f"{path}: not a base model of minift: its header names no known family")
    _, config, make = FAMILIES[metadata["family"]]
    model = make(config(**json.loads(metadata["config"])))
    fill_weights(model, tensors, path)
    return model


def open_base(base):
    """A base model: a shipped one by name ("gpt"), a file of ours, or a released folder."""
    shipped, path = CHECKPOINTS / f"{base}.safetensors", Path(base)
    if shipped.is_file():
        return load(shipped)
    if path.is_dir():
        return load_folder(path)
    if path.is_file():
        return load(path)
    names = ", ".join(sorted(p.stem for p in CHECKPOINTS.glob("*.safetensors"))) or "none yet"
    raise FileNotFoundError(
        f"{base}: no such base; expected a shipped one ({names}), a .safetensors file or a folder"
    )


def untrained(model):
    """A base of the same family and size, with random weights."""
    make = next(make for known, _, make in FAMILIES.values() if type(model) is known)
    return make(model.config)


def resize_vocabulary(model, vocab_size):
    """Give the (tied) embedding `vocab_size` rows; a new row starts as the mean of the old ones.

    In place. The output bias of a masked language model grows with it.
    """
    body = getattr(model, "body", model)
    old = body.embedding.weight.data
    more = vocab_size - old.shape[0]
    if more < 0:
        raise ValueError(f"vocabulary of {old.shape[0]} cannot shrink to {vocab_size}")
    if more:
        rows = torch.cat([old, old.mean(dim=0, keepdim=True).expand(more, -1)])  # (v, c)
        body.embedding = nn.Embedding(vocab_size, old.shape[1], _weight=rows)
        body.config = dataclasses.replace(body.config, vocab_size=vocab_size)
    if more and isinstance(model, MaskedLM):
        bias = model.bias.data
        model.bias = nn.Parameter(torch.cat([bias, bias.mean().expand(more)]))  # (v)
    return model
