"""The names under which released checkpoints keep our tensors, and the settings they must have.

Each `…_tensors(theirs, config)` gives {our name: tensor}; a name that is not there is a KeyError.
What a released file has beyond that (buffers, the heads of other tasks) is not looked at.
"""

GPT2_SETTINGS = {  # what our GPT does; a checkpoint trained otherwise would give other numbers
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": True,
}
BERT_SETTINGS = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
BART_SETTINGS = {
    "model_type": "bart",
    "activation_function": "gelu",
    "scale_embedding": False,
    "normalize_before": False,
    "normalize_embedding": True,
    "add_final_layer_norm": False,
    "static_position_embeddings": False,
    "tie_word_embeddings": True,
}

GPT2_NAMES = {    # ours: theirs, inside a block
    "norm1": "ln_1", "attention.out_proj": "attn.c_proj", "norm2": "ln_2",
    "feedforward.up_proj": "mlp.c_fc", "feedforward.down_proj": "mlp.c_proj",
}  # fmt: skip
BERT_NAMES = {
    "attention.q_proj": "attention.self.query", "attention.k_proj": "attention.self.key",
    "attention.v_proj": "attention.self.value", "attention.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm", "feedforward.up_proj": "intermediate.dense",
    "feedforward.down_proj": "output.dense", "norm2": "output.LayerNorm",
}  # fmt: skip
BERT_EMBEDDINGS = {
    "embedding": "word_embeddings", "position_embedding": "position_embeddings",
    "type_embedding": "token_type_embeddings",
}  # fmt: skip
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")
BART_ENCODER = {f"attention.{name}": f"self_attn.{name}" for name in PROJECTIONS} | {
    "norm1": "self_attn_layer_norm", "feedforward.up_proj": "fc1",
    "feedforward.down_proj": "fc2", "norm2": "final_layer_norm",
}  # fmt: skip
BART_DECODER = BART_ENCODER | {
    **{f"cross_attention.{name}": f"encoder_attn.{name}" for name in PROJECTIONS},
    "norm2": "encoder_attn_layer_norm", "norm3": "final_layer_norm",
}  # fmt: skip
TIED = ("shared", "encoder.embed_tokens", "decoder.embed_tokens")  # BART's one embedding


def gather(theirs, names):
    """{our name: tensor} of weight and bias for each of the names {ours: theirs}."""
    kinds = ("weight", "bias")
    return {f"{a}.{kind}": theirs[f"{b}.{kind}"] for a, b in names.items() for kind in kinds}


def in_blocks(names, ours, theirs, n_layers):
    """The names of one block as those of all: "blocks.{n}." and what they have in its place."""
    pairs = [(ours.format(n=n), theirs.format(n=n)) for n in range(n_layers)]
    return {mine + a: other + b for mine, other in pairs for a, b in names.items()}


def gpt2_tensors(tensors, config):
    """GPT-2's tensors under our names: Conv1D (in, out) transposed, c_attn cut in three."""
    theirs = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    for n in range(config.n_layers):
        for kind in ("weight", "bias"):
            parts = theirs[f"h.{n}.attn.c_attn.{kind}"].chunk(3, dim=-1)
            theirs |= {f"h.{n}.{x}.{kind}": part for x, part in zip("qkv", parts, strict=True)}
    names = GPT2_NAMES | {f"attention.{x}_proj": x for x in "qkv"}
    ours = gather(
        theirs, {"norm": "ln_f"} | in_blocks(names, "blocks.{n}.", "h.{n}.", config.n_layers)
    )
    linear = "_proj.weight"
    ours = {n: t.T.contiguous() if n.endswith(linear) else t for n, t in ours.items()}
    ours["embedding.weight"] = theirs["wte.weight"]
    ours["position_embedding.weight"] = theirs["wpe.weight"]
    return ours


def modern(tensors):
    """BERT's tensors by today's names: the first releases say gamma and beta of a layer norm."""
    words = {"gamma": "weight", "beta": "bias"}
    split = {name: name.rpartition(".") for name in tensors}
    return {f"{a}.{words.get(b, b)}": tensors[name] for name, (a, _, b) in split.items()}


def bert_tensors(tensors, config):
    """BERT's tensors under the names of our Encoder; without a pooler there, none."""
    theirs = {name.removeprefix("bert."): tensor for name, tensor in modern(tensors).items()}
    ours = {
        f"{mine}.weight": theirs[f"embeddings.{name}.weight"]
        for mine, name in BERT_EMBEDDINGS.items()
    }
    names = in_blocks(BERT_NAMES, "blocks.{n}.", "encoder.layer.{n}.", config.n_layers)
    names["norm"] = "embeddings.LayerNorm"
    if "pooler.dense.weight" in theirs:
        names["pooler"] = "pooler.dense"
    return ours | gather(theirs, names)


def bert_head_tensors(tensors):
    """The tensors of BERT's masked language model's head under our names."""
    head, theirs = "cls.predictions", modern(tensors)
    names = {"dense": f"{head}.transform.dense", "norm": f"{head}.transform.LayerNorm"}
    return gather(theirs, names) | {"bias": theirs[f"{head}.bias"]}


def bart_tensors(tensors, config):
    """BART's tensors under our names; the two unused rows of its position tables are cut off."""
    theirs = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    bias = theirs.get("final_logits_bias")
    if bias is not None and bool(bias.any()):
        raise ValueError("final_logits_bias is not zero; expected a checkpoint without one")
    shared = next((name for name in TIED if f"{name}.weight" in theirs), TIED[0])
    ours, names = {"embedding.weight": theirs[f"{shared}.weight"]}, {}
    for side, inside in (("encoder", BART_ENCODER), ("decoder", BART_DECODER)):
        ours[f"{side}.position_embedding.weight"] = theirs[f"{side}.embed_positions.weight"][2:]
        names[f"{side}.norm"] = f"{side}.layernorm_embedding"
        here, there = f"{side}.blocks.{{n}}.", f"{side}.layers.{{n}}."
        names |= in_blocks(inside, here, there, config.n_layers)
    return ours | gather(theirs, names)
