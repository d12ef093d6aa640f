"""Base models on disk: our own .safetensors files, and folders as Hugging Face lays them out.

Our file carries its family and configuration in the header, so that `load` needs the path alone. A
released checkpoint is read by a table of names; GPT-2 keeps its weights as (in, out) and its q, k,
v in one matrix, so they are transposed and cut. Nothing is unpickled: a folder that holds only
`pytorch_model.bin` is refused with a word.
"""

import dataclasses
import json
from pathlib import Path

import torch
from torch import nn

from minift import ROOT, safetensors
from minift.models.gpt import GPT, GPTConfig

CHECKPOINTS = ROOT / "data" / "checkpoints"
FAMILIES = {"gpt": (GPT, GPTConfig)}


def save(model, path, metadata=None, dtype=None):
    """Write a base model's weights (as `dtype`, e.g.

    torch.float16) and its configuration to one file.
    """
    if carried := getattr(model, "delta", None):
        raise ValueError(f"{path}: the model carries {carried.method}; remove or merge it first")
    family = next((name for name, (kind, _) in FAMILIES.items() if type(model) is kind), None)
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
    kind, config = FAMILIES[metadata["family"]]
    model = kind(config(**json.loads(metadata["config"])))
    fill_weights(model, tensors, path)
    return model


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


def open_base(base):
    """A base model by name ("gpt":

    data/checkpoints/gpt.safetensors), by file, or by a GPT-2 folder.
    """
    shipped, path = CHECKPOINTS / f"{base}.safetensors", Path(base)
    if shipped.is_file():
        return load(shipped)
    if path.is_dir():
        return load_gpt2(path)
    if path.is_file():
        return load(path)
    names = ", ".join(sorted(p.stem for p in CHECKPOINTS.glob("*.safetensors"))) or "none yet"
    raise FileNotFoundError(
        f"{base}: no such base; expected a shipped one ({names}), a .safetensors file or a folder"
    )


def read_folder(folder):
    """(config, tensors) of a Hugging Face folder, whose tensors may be in several files."""
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder}: no config.json; expected a folder as Hugging Face lays it out"
        )
    config = json.loads((folder / "config.json").read_text())
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(
            f"{folder}: no .safetensors file (a .bin file would have to be unpickled)"
        )
    tensors = {}
    for file in files:
        tensors.update(safetensors.read(file)[0])
    return config, tensors


GPT2_SETTINGS = {  # what our GPT does; a checkpoint trained otherwise would give other numbers
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": True,
}
GPT2_NAMES = {    # ours: theirs, inside a block
    "norm1": "ln_1", "attention.out_proj": "attn.c_proj", "norm2": "ln_2",
    "feedforward.up_proj": "mlp.c_fc", "feedforward.down_proj": "mlp.c_proj",
}  # fmt: skip


def gpt2_tensors(tensors, config):
    """GPT-2's tensors under our names: Conv1D (in, out) transposed, c_attn cut in three."""
    theirs = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    ours = {
        "embedding.weight": theirs["wte.weight"],
        "position_embedding.weight": theirs["wpe.weight"],
    }
    for kind in ("weight", "bias"):
        ours[f"norm.{kind}"] = theirs[f"ln_f.{kind}"]
        for n in range(config.n_layers):
            for mine, name in GPT2_NAMES.items():
                ours[f"blocks.{n}.{mine}.{kind}"] = theirs[f"h.{n}.{name}.{kind}"]
            q, k, v = theirs[f"h.{n}.attn.c_attn.{kind}"].chunk(3, dim=-1)
            for mine, part in zip(("q_proj", "k_proj", "v_proj"), (q, k, v), strict=True):
                ours[f"blocks.{n}.attention.{mine}.{kind}"] = part
    linear = ("_proj.weight",)
    return {n: t.T.contiguous() if n.endswith(linear) else t for n, t in ours.items()}


def load_gpt2(folder):
    """A `GPT` with the weights of a GPT-2 folder (config.json and .safetensors).

    Raises ValueError if it is not one.
    """
    raw, tensors = read_folder(folder)
    for name, value in GPT2_SETTINGS.items():
        if raw.get(name, value) != value or "model_type" not in raw:
            raise ValueError(f"{folder}: config.json: {name} {raw.get(name)}; expected {value}")
    config = GPTConfig(
        raw["vocab_size"], raw["n_positions"], raw["n_embd"], raw["n_layer"], raw["n_head"]
    )
    model = GPT(config)
    try:
        fill_weights(model, gpt2_tensors(tensors, config), folder)
    except KeyError as error:
        raise ValueError(f"{folder}: tensor {error} is missing; expected GPT-2's names") from None
    return model


def resize_vocabulary(model, vocab_size):
    """Give the (tied) embedding `vocab_size` rows; a new row starts as the mean of the old ones.

    In place.
    """
    old = model.embedding.weight.data
    if vocab_size < old.shape[0]:
        raise ValueError(f"vocabulary of {old.shape[0]} cannot shrink to {vocab_size}")
    if vocab_size > old.shape[0]:
        new = old.mean(dim=0, keepdim=True).expand(vocab_size - old.shape[0], -1)
        rows = torch.cat([old, new])  # (v, c)
        model.embedding = nn.Embedding(vocab_size, old.shape[1], _weight=rows)
        model.config = dataclasses.replace(model.config, vocab_size=vocab_size)
    return model
