"""UniPELT against the library `adapters`: its `UniPELTConfig` on BERT, GPT-2 and BART.

With `masked=False` ours takes the library's mean, over all positions, and both give the same on
texts without padding. That mean counts padding, and on GPT-2 a token sees its future by it: both
are shown here, and what ours does instead is pinned. The library's adapter stands where its
Pfeiffer has it (see test_adapter.py); `original_ln_before=False` puts it where ours is.
"""

import adapters
import pytest
import torch
from adapters.methods.lora import LoRA as TheirLoRA

from minift.peft import delta, unipelt
from tests.peers.near import check_near
from tests.peers.test_adapter import FAMILIES, NormedInput
from tests.peers.test_adapter import parts as parts_of_adapter
from tests.peers.test_encoder_peers import SIZES
from tests.peers.test_gpt_peers import random_ids

WIDTH, LAYERS = SIZES[0][2], SIZES[0][3]
P, R, M, HIDDEN = 3, 2, 7, 5
OPTIONS = {"length": P, "rank": R, "bottleneck": M, "hidden": HIDDEN}
# our module: theirs; {} is the block's number
ADAPTERS = {
    "bert": {"blocks.{}": "encoder.layer.{}.output"},
    "gpt2": {"blocks.{}": "transformer.h.{}.output_adapters"},
    "bart": {
        "encoder.blocks.{}": "model.encoder.layers.{}.output_adapters",
        "decoder.blocks.{}": "model.decoder.layers.{}.output_adapters",
    },
}
ATTENTIONS = {  # ours: (theirs, bank)
    "bert": {"blocks.{}.attention": ("encoder.layer.{}.attention.self", "self")},
    "gpt2": {"blocks.{}.attention": ("transformer.h.{}.attn", "self")},
    "bart": {
        "encoder.blocks.{}.attention": ("model.encoder.layers.{}.self_attn", "encoder"),
        "decoder.blocks.{}.attention": ("model.decoder.layers.{}.self_attn", "decoder"),
        "decoder.blocks.{}.cross_attention": ("model.decoder.layers.{}.encoder_attn", "cross"),
    },
}
BANKS = {"encoder": "encoder_prefix", "decoder": "self_prefix", "cross": "cross_prefix"}
BANKS["self"] = "self_prefix"
LINEARS = {
    "bert": {"q_proj": "query", "v_proj": "value"},
    "bart": {"q_proj": "q_proj", "v_proj": "v_proj"},
}


def their_config(alpha=5, **adapter):
    settings = {"reduction_factor": WIDTH // M, "original_ln_before": False} | adapter
    slots = adapters.PrefixTuningConfig(prefix_length=P, bottleneck_size=HIDDEN)
    low_rank = adapters.LoRAConfig(r=R, alpha=alpha)
    return adapters.UniPELTConfig(slots, adapters.SeqBnConfig(**settings), low_rank)


def gates_of(mine, peer, row=0, of=1):
    """(our part, theirs) of a gate; in GPT-2 the gates of q and v are rows of one matrix."""
    step = peer.weight.shape[0] // of
    rows = slice(row * step, (row + 1) * step)
    yield from ((mine.score.weight, peer.weight[rows]), (mine.score.bias, peer.bias[rows]))


def loras_of(family, mine, peer):
    """(our part, theirs) of LoRA on q and v of one attention."""
    for n, name in enumerate(("q_proj", "v_proj")):
        ours = getattr(mine, name)
        if family == "gpt2":
            fused = peer.c_attn.loras.task
            yield ours.A, fused.lora_A[n * R : (n + 1) * R]
            yield ours.B, fused.lora_B[n * WIDTH : (n + 1) * WIDTH]
            yield from gates_of(ours.gate, fused.gate, n, of=2)
            continue
        theirs = getattr(peer, LINEARS[family][name]).loras.task
        yield from ((ours.A, theirs.lora_A), (ours.B, theirs.lora_B))
        yield from gates_of(ours.gate, theirs.gate)


def prefixes_of(mine, group):
    """(our part, theirs) of the networks of all banks."""
    for bank, make in mine.banks.items():
        peer = group[BANKS[bank]]
        yield make.small, peer.wte.weight
        for ours, theirs in zip((make.first, make.second), peer.control_trans[::2], strict=True):
            yield from ((ours.weight, theirs.weight), (ours.bias, theirs.bias))


def pairs(family, ours, theirs):
    """(our tensor, theirs) of all that trains."""
    for n in range(LAYERS):
        for mine, (peer, bank) in ATTENTIONS[family].items():
            mine, peer = ours.get_submodule(mine.format(n)), theirs.get_submodule(peer.format(n))
            yield from loras_of(family, mine, peer)
            yield from gates_of(ours.prefix.gates[bank][n], peer.prefix_tuning.prefix_gates.task)
        for mine, peer in ADAPTERS[family].items():
            mine = ours.get_submodule(mine.format(n)).after_feedforward
            peer = theirs.get_submodule(f"{peer.format(n)}.adapters.task")
            yield from parts_of_adapter(mine, peer)
            yield from gates_of(mine.gate, peer.gate)
    pool = next(m.pool for m in theirs.modules() if hasattr(m, "prefix_gates"))
    yield from prefixes_of(ours.prefix, pool.prefix_tunings["task"])


def twins(family, folder, config=None, **options):
    """The same base with our UniPELT and with theirs, their numbers large and copied from ours."""
    make, load = FAMILIES[family]
    theirs = make()
    theirs.save_pretrained(folder)
    theirs.set_attn_implementation("eager")
    ours = unipelt.add_unipelt(load(folder).eval(), **OPTIONS, **options)
    adapters.init(theirs)
    theirs.add_adapter("task", config=config or their_config())
    theirs.train_adapter("task")
    generator, count = torch.Generator().manual_seed(3), 0
    with torch.no_grad():
        for mine, peer in pairs(family, ours, theirs):
            mine.copy_(torch.randn(mine.shape, generator=generator) / mine.shape[-1] ** 0.5)
            peer.copy_(mine)
            count += mine.numel()
    trained = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert count == trained == delta.count_parameters(ours).trained
    return ours, theirs.eval()


def output(family, ours, ids, **call):
    """Ours; BART's target is the text in another order, GPT-2's prefix takes no positions here."""
    if family == "bart":
        return ours(ids, ids.flip(1))
    positions = {"positions": torch.arange(ids.shape[1]) - P} if family == "gpt2" else {}
    return ours(ids, **positions, **call)


def their_output(family, theirs, ids, **call):
    if family == "bart":
        return theirs(ids, decoder_input_ids=ids.flip(1)).logits
    made = theirs(ids, **call)
    return made.logits if family == "gpt2" else made.last_hidden_state


TEXT = random_ids(SIZES[0], 5, 23)


@pytest.mark.parametrize("family", FAMILIES)
def test_forward_and_gradients_equal(tmp_path, family):
    """masked=False, no padding: the output (≤ 1e-5) and the gradient of every part and gate.

    The library has α = 5, which its gate replaces, as ours does.
    """
    ours, theirs = twins(family, tmp_path, masked=False)
    got, want = output(family, ours, TEXT), their_output(family, theirs, TEXT)
    check_near(got, want, what=family)
    aim = torch.randn(got.shape, generator=torch.Generator().manual_seed(4))
    for made, model in ((got, ours), (want, theirs)):
        (made * aim).sum().backward()
        with torch.no_grad():
            for parameter in (p for p in model.parameters() if p.requires_grad):
                parameter.copy_(parameter.grad)  # so that `pairs` gives gradients
    for mine, peer in pairs(family, ours, theirs):
        size = mine.abs().max()
        assert size > 0, "a part gets no gradient"
        check_near(mine / size, peer / size, 1e-4, "a gradient")


def test_their_place_of_the_adapter(tmp_path):
    """`UniPELTConfig` as it comes: adapter and gate read LN(x + f); through our door the same."""
    config = their_config(original_ln_before=True)
    ours, theirs = twins("bert", tmp_path, config, masked=False)
    with torch.no_grad():
        got, want = output("bert", ours, TEXT), their_output("bert", theirs, TEXT)
        assert (got - want).abs().max() > 0.1
        for block in ours.blocks:
            block.after_feedforward = GatedNormedInput(block.after_feedforward, block.norm2)
        check_near(output("bert", ours, TEXT), want, what="their place")


class GatedNormedInput(NormedInput):
    """The library's Pfeiffer with its gate: f + G(LN(x + f)) Δ(LN(x + f))."""

    def forward(self, output, input):
        h = self.norm(input + output)
        return output + self.inside.gate(h) * self.inside.change(h)


def test_their_gates_count_padding(tmp_path):
    """Ten words of padding change what BERT makes of a text in theirs; in ours they do not."""
    ours, theirs = twins("bert", tmp_path)
    mask = torch.arange(33).expand(5, -1) < 23
    padded = torch.cat([TEXT, torch.zeros(5, 10, dtype=torch.long)], 1)
    with torch.no_grad():
        peer = their_output("bert", theirs, padded, attention_mask=mask.long())
        assert (peer[:, :23] - their_output("bert", theirs, TEXT)).abs().max() > 1e-2
        check_near(ours(padded, mask=mask)[:, :23], ours(TEXT), what="ours, padded")


def test_their_gpt2_sees_its_future(tmp_path):
    """Another last word changes every earlier logit in theirs, and in ours as masked=False has it.

    Ours by default reads the prompt: five words here, behind which nothing moves what stands left.
    """
    other = TEXT.clone()
    other[:, -1] = (other[:, -1] + 1) % SIZES[0][0]
    ours, theirs = twins("gpt2", tmp_path, masked=False)
    with torch.no_grad():
        moved = [output("gpt2", ours, other) - output("gpt2", ours, TEXT)]
        moved += [their_output("gpt2", theirs, other) - their_output("gpt2", theirs, TEXT)]
        check_near(*moved, what="what the last word moves")
        assert (moved[1][:, :-1].abs().amax(2) > 1e-4).all()
        ours, _ = twins("gpt2", tmp_path)
        pool = torch.arange(23).expand(5, -1) < 5
        got = output("gpt2", ours, other, pool=pool) - output("gpt2", ours, TEXT, pool=pool)
        assert (got[:, :-1] == 0).all() and (got[:, -1].abs().amax(1) > 1e-2).all()
        first = TEXT.clone()
        first[:, 0] = other[:, -1]
        assert (
            output("gpt2", ours, first, pool=pool) != output("gpt2", ours, TEXT, pool=pool)
        ).any()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_their_causal_mask_hides_slots(tmp_path, attention):
    """With `sdpa`, their default, and without a mask, GPT-2's first token sees one slot of three.

    Torch counts a causal mask from the first key, which is the prefix's; `eager` has it right.
    """
    _, theirs = twins("gpt2", tmp_path)
    theirs.set_attn_implementation(attention)
    with torch.no_grad():  # no gate tells the first token what later ones have seen
        for parameter in (p for n, p in theirs.named_parameters() if "gate" in n):
            parameter.zero_()
    their_output("gpt2", theirs, TEXT)[:, 0].sum().backward()
    slots = next(p for n, p in theirs.named_parameters() if n.endswith("self_prefix.wte.weight"))
    assert slots.grad.any(1).tolist() == [True] + [attention == "eager"] * (P - 1)


def test_their_scale_is_the_gate_alone(tmp_path):
    """α does nothing under a gate, in theirs too, and both refuse to merge."""
    _, theirs = twins("bert", tmp_path, their_config(alpha=5))
    ours, other = twins("bert", tmp_path, their_config(alpha=500))
    low_rank = [m for m in other.modules() if isinstance(m, TheirLoRA)]
    assert {m.lora_alpha for m in low_rank} == {500} and len(low_rank) == 2 * LAYERS
    with torch.no_grad():
        assert torch.equal(their_output("bert", theirs, TEXT), their_output("bert", other, TEXT))
    with pytest.raises(ValueError, match="gating"):
        other.merge_adapter("task")
    with pytest.raises(ValueError, match="its gates depend on the text"):
        delta.merge(ours)


def weights_of(model):
    """All w of a model's gates in one row."""
    named = [p for n, p in model.named_parameters() if "gate" in n and n.endswith("weight")]
    return torch.cat([p.flatten() for p in named])


def test_their_gates_start_with_a_random_bias(tmp_path):
    """w is N(0, 0.02²) in both; b is nn.Linear's in LoRA and prefix of theirs, 0 in ours."""
    make, load = FAMILIES["bert"]
    theirs = make()
    theirs.save_pretrained(tmp_path)
    adapters.init(theirs)
    theirs.add_adapter("task", config=their_config())
    biases = {name: p for name, p in theirs.named_parameters() if "gate" in name and "bias" in name}
    assert len(biases) == 4 * LAYERS
    assert {bool(p.any()) for n, p in biases.items() if "output.adapters" not in n} == {True}
    ours = unipelt.add_unipelt(load(tmp_path), **OPTIONS)
    gates = [m for m in ours.modules() if isinstance(m, unipelt.Gate)]
    assert len(gates) == 4 * LAYERS and not any(g.score.bias.any() for g in gates)
    for weights in (weights_of(ours), weights_of(theirs)):
        assert len(weights) == 4 * LAYERS * WIDTH
        assert weights.std().item() == pytest.approx(0.02, rel=0.1)
