r"""Prefix tuning: trained keys and values in front of a text (chapter: 增量式微调 – 前缀;
Li & Liang 2021, arXiv 2101.00190).

The base stays frozen. A task owns p slots that stand left of the text in every layer and that every
query sees; a slot has a key and a value in each layer and asks nothing itself. One base serves many
tasks and users, each with a prefix of its own (`serving.py`).

    z = [PREFIX; x; y]              GPT: P_idx = 1, 2, X_idx = 3 …, so that positions are counted on
    z = [PREFIX; x; PREFIX′; y]     Seq2Seq: PREFIX for the encoder; PREFIX′ for the decoder's own
                                    attention, and another for its look at x: three banks

    P = tanh(P′ W₁ᵀ + b₁) W₂ᵀ + b₂              (1)   of a bank; one network for all its layers
    P[slot] = [K₁; V₁; K₂; V₂; … ; K_l; V_l]    (2)   each of them c = h·d numbers: h heads

    symbol   here             shape              trained   start
    P′       small            (p, c)             yes       N(0, 1)
    W₁, b₁   first            (m, c), (m)        yes       nn.Linear's: U(±1/√c)
    W₂, b₂   second           (2lc, m), (2lc)    yes       nn.Linear's: U(±1/√m)
    P        P, or from (1)   (p, 2lc)           yes       N(0, 1) where there is no network
    θ        all else         -                  no        the base's

P′, W₁ and W₂ are there for training, which they make steadier, the paper finds; a file holds P
alone: 2plc numbers a bank. BERT-base, p = 10, m = 512, trains 9,857,024 and stores 184,320.

`attention.py` puts the slots in front. With λ the share of a query's softmax that they take,

    Attention(q, [P_K; K], [P_V; V]) = (1 − λ) Attention(q, K, V) + λ Attention(q, P_K, P_V)

and λ > 0 whatever P is: a key of zeros still has e⁰ in the sum, so no prefix starts as the base.

Paper: h_i = P[i], the activations of all layers; P′ narrower than the model. Released code: P is
the keys and values themselves, and P′ has the model's width; m = 512, 800 for BART, which gets one
network a bank; they run once for each row of the batch. Hugging Face PEFT leaves the network out
unless told, and gives an encoder-decoder one bank of the three, whose layers it mixes up. Here: as
the released code, but the network runs once a forward. Encoder and Seq2Seq do not count the slots
as positions, as in the released code for BART. With little data the paper starts from real words
(`start_as`); its code fits the network to their keys and values, P′ staying as drawn.
"""

import torch
import torch.nn.functional as F
from torch import nn

from minift.models.attention import Extra
from minift.models.generate import deciding
from minift.peft import delta, inject

NO_MERGE = "a prefix is no weight of the base: its keys and values stand beside those of the text"


class PrefixNetwork(nn.Module):
    """The prefix of one bank as a network makes it: P of equation (1)."""

    def __init__(self, length, width, hidden, size):
        super().__init__()
        self.small = nn.Parameter(torch.randn(length, width))
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, size)

    def forward(self):
        bent = torch.tanh(self.first(self.small))  # (p, m)
        return self.second(bent)  # (p, 2*l*c)   (1)


class PrefixMatrix(nn.Module):
    """The prefix of one bank without a network: P itself is trained, or was read from a file."""

    def __init__(self, length, size):
        super().__init__()
        self.P = nn.Parameter(torch.randn(length, size))

    def forward(self):
        return self.P  # (p, 2*l*c)


def by_layer(rows, layers, heads):
    """The `Extra` of each layer, from the P of each row: rows (b, p, 2*l*c)."""
    b, p, _ = rows.shape
    blocks = rows.view(b, p, layers, 2, heads, -1)  # (b, p, l, 2, h, d)   (2)
    blocks = blocks.permute(2, 3, 0, 4, 1, 5)  # (l, 2, b, h, p, d)
    return [Extra(keys, values) for keys, values in blocks]


class Prefix(nn.Module):
    """`length` slots for every layer of every bank; the model calls it once a forward."""

    def __init__(self, config, banks, length, hidden, reparameterize=True):
        super().__init__()
        self.length, self.layers, self.heads = length, config.n_layers, config.n_heads
        width, size = config.d_model, 2 * config.n_layers * config.d_model
        self.banks = nn.ModuleDict()
        for bank in banks:
            network = PrefixNetwork(length, width, hidden, size) if reparameterize else None
            self.banks[bank] = network or PrefixMatrix(length, size)

    def stored(self):
        """{name: P of a bank}: what a task keeps. The network has then done its work."""
        return {f"banks.{bank}.P": make() for bank, make in self.banks.items()}

    def forward(self, b, rows=None):
        """{bank: [`Extra` of each layer]} for b rows, which all get the same prefix.

        It is made anew each time: a P that was kept would be one optimizer step old.
        """
        made = {bank: make().expand(b, -1, -1) for bank, make in self.banks.items()}
        return {bank: by_layer(P, self.layers, self.heads) for bank, P in made.items()}


def add_prefix(model, length=10, hidden=512, reparameterize=True):
    """Put a prefix of `length` slots before every layer; freeze all else but the head.

    hidden: m, the width of the network; reparameterize=False trains P without one. Returns the
    model. Raises ValueError for an argument below 1, or if the model already carries a method.
    """
    if length < 1 or hidden < 1:
        raise ValueError(f"length {length} and hidden {hidden}; expected at least 1 of each")
    base = inject.body(model)
    prefix = Prefix(base.config, base.BANKS, length, hidden, reparameterize)
    inject.begin(model, "prefix", length=length, hidden=hidden, reparameterize=reparameterize)
    model.delta.in_file = {"reparameterize": False}
    base.prefix = prefix.to(base.embedding.weight).train(base.training)
    return model


# ---- real words ----


def bank_of(name):
    """The bank of an attention of that name."""
    if "cross_attention" in name:
        return "cross"
    side = name.partition(".")[0]
    return side if side in ("encoder", "decoder") else "self"


def activations(model, words):
    """{bank: P (p, 2*l*c)}: the keys and values that the base itself makes of words, p tokens."""
    base, made = inject.body(model), {}

    def keep(layer, arguments, output):
        made[layer] = output[0]  # (p, c)

    named = {n: m for n, m in base.named_modules() if n.endswith((".k_proj", ".v_proj"))}
    handles = [layer.register_forward_hook(keep) for layer in named.values()]
    ids = torch.as_tensor(words, dtype=torch.long, device=base.embedding.weight.device)[None]
    try:
        with deciding(model):
            base.hidden(ids, ids) if "cross" in base.BANKS else base.hidden(ids)
    finally:
        for handle in handles:
            handle.remove()
    parts = {bank: [made[m] for n, m in named.items() if bank_of(n) == bank] for bank in base.BANKS}
    return {bank: torch.cat(part, dim=1) for bank, part in parts.items()}  # K₁ V₁ K₂ V₂ … as in (2)


def start_as(model, words, steps=500, lr=1e-4):
    """Let the model's prefix start as p real words, tokens in a list: their keys and values.

    A P without a network is set to them; one with a network is fitted to them, by Adam on W₁ and W₂
    and the mean square error. Returns the model. Raises ValueError unless each slot has a word.
    """
    prefix = inject.body(model).prefix
    if not isinstance(prefix, Prefix) or len(words) != prefix.length:
        slots = getattr(prefix, "length", 0)
        raise ValueError(f"start_as: {len(words)} words for a prefix of {slots} slots")
    with delta.off(model):
        aims = activations(model, words)
    for bank, make in prefix.banks.items():
        fit_to(make, aims[bank], steps, lr)
    return model


def fit_to(make, aim, steps, lr):
    """Set P to `aim` (p, 2*l*c), or bring what the network makes near it."""
    if isinstance(make, PrefixMatrix):
        return make.load_state_dict({"P": aim})
    optimizer = torch.optim.Adam([*make.first.parameters(), *make.second.parameters()], lr)
    for _ in range(steps):
        F.mse_loss(make(), aim).backward()
        optimizer.step()
        make.zero_grad()


def of_prompt(model, words):
    """Make a prompt, tokens in a list, the prefix of a plain model: P is its keys and values.

    A GPT then writes what it writes behind that prompt, which need not be read again. Returns the
    model. Raises ValueError for no words, or more than the model has positions.
    """
    if not len(words):
        raise ValueError("of_prompt: no words; expected at least one")
    aims = activations(model, words)
    add_prefix(model, len(words), reparameterize=False)
    for bank, make in inject.body(model).prefix.banks.items():
        make.load_state_dict({"P": aims[bank]})
    return model
