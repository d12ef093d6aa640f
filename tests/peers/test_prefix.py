"""Prefix tuning against Hugging Face peft (GPT-2) and the library `adapters` (BERT, BART).

Where a library differs from the paper, from the other or from itself, it is pinned: peft gives an
encoder-decoder one bank of three, and there mixes up the layers; `adapters` hides slots from the
first tokens of a decoder on torch's fused path, so that it is compared on its eager path, and does
not count the slots of a GPT-2 as positions, which peft and the released code do.
"""

import adapters
import peft
import pytest
import torch
import torch.nn.functional as F
from transformers import BertModel

from minift.models import generate, pretrained
from minift.peft import delta, inject, prefix
from tests.peers.near import check_near
from tests.peers.test_encoder_peers import SIZES, random_bert
from tests.peers.test_gpt_peers import ragged_mask, random_gpt2, random_ids
from tests.peers.test_seq2seq_peers import random_bart

P, M, STEPS = 5, 7, 50
LAYERS, HEADS = SIZES[0][3:]
FAMILIES = {
    "bert": (lambda: random_bert(BertModel), pretrained.load_bert),
    "gpt2": (lambda: random_gpt2(attn_implementation="eager"), pretrained.load_gpt2),
    "bart": (lambda: random_bart(attn_implementation="eager"), pretrained.load_bart),
}
THEIR_BANKS = {
    "self": "self_prefix", "encoder": "encoder_prefix", "decoder": "self_prefix",
    "cross": "cross_prefix",
}  # fmt: skip
TEXT = random_ids(SIZES[0], 5, 23), ragged_mask(5, 23, "right")


def copy_over(pairs, seed=3):
    """Large random numbers into both parameters of each pair (ours, theirs)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for ours, theirs in pairs:
            numbers = torch.randn(ours.shape, generator=generator)
            ours.copy_(numbers if ours.shape[0] == P else numbers / ours.shape[-1] ** 0.5)
            theirs.copy_(ours.reshape(theirs.shape))


def parts(bank):
    """Our parameters of a bank, in the libraries' order: P′, W₁, b₁, W₂, b₂, or P alone."""
    if isinstance(bank, prefix.PrefixMatrix):
        return [bank.P]
    layers = (bank.first, bank.second)
    return [bank.small, *(p for layer in layers for p in (layer.weight, layer.bias))]


# ---- peft ----


def with_peft(model, kind, projection):
    config = peft.PrefixTuningConfig(
        task_type=kind, num_virtual_tokens=P, prefix_projection=projection, encoder_hidden_size=M
    )
    return peft.get_peft_model(model, config).eval()


def twins(folder, projection):
    """GPT-2 with our prefix and with peft's, of the same numbers."""
    base = random_gpt2()
    base.save_pretrained(folder)
    ours = pretrained.load_gpt2(folder).eval()
    prefix.add_prefix(ours, P, M, reparameterize=projection)
    theirs = with_peft(base, "CAUSAL_LM", projection)
    own = list(theirs.prompt_encoder["default"].parameters())
    assert [tuple(p.shape) for p in own] == [
        tuple(p.shape) for p in parts(ours.prefix.banks["self"])
    ]
    copy_over(zip(parts(ours.prefix.banks["self"]), own, strict=True))
    return ours, theirs


either = pytest.mark.parametrize("projection", [True, False], ids=["network", "without one"])


@either
@pytest.mark.parametrize("side", ["left", "right"])
def test_gpt2_equals_peft(tmp_path, projection, side):
    """The logits at every real token (≤ 1e-5), positions behind the slots, padding on a side."""
    ours, theirs = twins(tmp_path, projection)
    ids, mask = TEXT[0], ragged_mask(5, 23, side)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    with torch.no_grad():
        want = theirs(ids, attention_mask=mask.long(), position_ids=positions).logits
        check_near(ours(ids, mask=mask)[mask], want[mask], what="logits")
        with delta.off(ours):
            assert (ours(ids, mask=mask) - want)[mask].abs().max() > 0.1


@either
def test_what_is_stored_equals_peft(tmp_path, projection):
    """Their file's prompt_embeddings are our P, number by number: the same order of the axes."""
    ours, theirs = twins(tmp_path, projection)
    want = theirs.get_prompt_embedding_to_save("default")
    saved = delta.read(delta.save(ours, tmp_path / "delta"))
    assert set(saved.tensors) == {"prefix.banks.self.P"}
    check_near(saved.tensors["prefix.banks.self.P"], want, within=1e-6, what="P")
    assert theirs.get_nb_trainable_parameters()[0] == delta.count_parameters(ours).trained


@either
def test_training_trajectory_equals_peft(tmp_path, projection):
    """50 steps of AdamW: every loss, and the prefix at the end."""
    ours, theirs = twins(tmp_path, projection)
    own = inject.trainable_parameters(ours).values()
    their_own = [p for p in theirs.parameters() if p.requires_grad]
    got = fit_text(ours, own)
    check_near(got, fit_text(lambda ids: theirs(ids).logits, their_own), what="loss")
    assert got[-1] < got[0] - 0.3, "the steps changed nothing"
    for mine, peer in zip(parts(ours.prefix.banks["self"]), their_own, strict=True):
        check_near(mine, peer, within=1e-4, what="a parameter")


def fit_text(logits, parameters):
    """AdamW on one fresh batch a step; the losses."""
    generator = torch.Generator().manual_seed(5)
    optimizer, losses = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.01), []
    for _ in range(STEPS):
        ids = torch.randint(1, 9, (4, 12), generator=generator)  # a few words, which can be learned
        loss = F.cross_entropy(logits(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_equals_peft(tmp_path, beams):
    """Greedy and beam search behind a prefix give the same tokens."""
    ours, theirs = twins(tmp_path, True)
    ids = random_ids(SIZES[0], 3, 11)
    want = theirs.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=beams,
        max_new_tokens=15,
    )[:, 11:]  # fmt: skip
    assert generate.generate(ours, ids, 15, beams=beams) == want.tolist()


class OneBank(torch.nn.Module):
    """What peft makes of a prefix for an encoder-decoder: the decoder's own attention alone."""

    def __init__(self, P_):
        super().__init__()
        self.P_, self.length = P_, P

    def forward(self, b, rows=None):
        bank = prefix.by_layer(self.P_.expand(b, -1, -1), LAYERS, HEADS)
        mixed = [bank[2 * n % LAYERS] for n in range(LAYERS)]
        return {"encoder": None, "decoder": mixed, "cross": None}


def test_peft_gives_bart_one_bank_of_three_and_mixes_its_layers(tmp_path):
    """The encoder and the look at it have no prefix; decoder layer n gets the block 2n mod l.

    It also counts the slots as positions of the target. With all that put in, ours is theirs.
    """
    base = random_bart()
    base.save_pretrained(tmp_path)
    theirs = with_peft(base, "SEQ_2_SEQ_LM", False)
    ours, (source, mask) = pretrained.load_bart(tmp_path).eval(), TEXT
    target = random_ids(SIZES[0], 5, 9, seed=2)
    with torch.no_grad():
        want = theirs(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target)
        bare = random_bart()(source, attention_mask=mask.long()).encoder_last_hidden_state
        assert torch.equal(want.encoder_last_hidden_state, bare)
        ours.prefix = OneBank(theirs.prompt_encoder["default"].embedding.weight)
        places = ours.decoder.position_embedding.weight
        places.copy_(places.roll(-P, 0))
        check_near(ours(source, target, source_mask=mask), want.logits, what="logits")


def test_peft_leaves_every_second_layer_of_bart_untrained():
    """With an even number of layers half of peft's numbers get no gradient; of ours all do."""
    size = (*SIZES[0][:3], 4, 3)
    theirs = with_peft(random_bart(size), "SEQ_2_SEQ_LM", False)
    source, target = random_ids(size, 3, 11), random_ids(size, 3, 9, seed=2)
    mask = torch.ones_like(source)
    logits = theirs(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
    logits.square().sum().backward()
    gradient = theirs.prompt_encoder["default"].embedding.weight.grad
    reached = gradient.view(P, 4, -1).abs().amax((0, 2)) > 0
    assert reached.tolist() == [True, False, True, False]


def test_zeros_move_peft_too():
    """peft's init_weights="zero" is no neutral start: keys of zeros take their share of softmax."""
    ids, base = TEXT[0], random_gpt2()
    with torch.no_grad():
        plain = base(ids).logits
        config = peft.PrefixTuningConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=P, init_weights="zero"
        )
        theirs = peft.get_peft_model(base, config).eval()
        assert not theirs.prompt_encoder["default"].embedding.weight.any()
        assert (theirs(ids).logits - plain).abs().max() > 0.1


# ---- adapters ----


def library_twins(family, folder, flat=False):
    """The base with our prefix and with the library's, of the same numbers in every bank."""
    make, load = FAMILIES[family]
    theirs = make()
    theirs.save_pretrained(folder)
    ours = prefix.add_prefix(load(folder).eval(), P, M, reparameterize=not flat)
    adapters.init(theirs)
    config = adapters.PrefixTuningConfig(prefix_length=P, bottleneck_size=M, flat=flat)
    theirs.add_adapter("task", config=config)
    theirs.train_adapter("task")
    pool = theirs.base_model.prefix_tuning.prefix_tunings["task"]
    banks = inject.body(ours).prefix.banks
    assert set(pool) == {THEIR_BANKS[name] for name in banks}
    for seed, (name, bank) in enumerate(banks.items()):
        own = list(pool[THEIR_BANKS[name]].parameters())
        copy_over(zip(parts(bank), own, strict=True), seed)
    return ours, theirs.eval(), pool


def outputs(family, ours, theirs, ids, mask):
    """(ours, theirs) at real tokens; BART's target is the text again, in another order."""
    if family == "bart":
        target = ids.flip(1)
        want = theirs(ids, attention_mask=mask.long(), decoder_input_ids=target).logits
        return ours(ids, target, source_mask=mask), want
    return ours(ids, mask=mask)[mask], theirs(ids, attention_mask=mask.long())[0][mask]


@pytest.mark.parametrize("flat", [False, True], ids=["network", "without one"])
@pytest.mark.parametrize("family", ["bert", "bart"])
def test_forward_equals_the_library(tmp_path, family, flat):
    """BERT's one bank and BART's three: equality (≤ 1e-5) under padding, tokens counted from 0."""
    ours, theirs, _ = library_twins(family, tmp_path, flat)
    with torch.no_grad():
        got, want = outputs(family, ours, theirs, *TEXT)
        check_near(got, want, what=family)
        for name, bank in inject.body(ours).prefix.banks.items():
            values = bank.P if flat else bank.second.bias
            values.add_(1.0)
            other, _ = outputs(family, ours, theirs, *TEXT)
            values.sub_(1.0)
            assert (other - got).abs().max() > 0.1, f"the bank {name} changes nothing"


@pytest.mark.parametrize("family", ["bert", "bart"])
def test_ejected_prefix_is_what_we_store(tmp_path, family):
    """Their eject_prefix_tuning, which drops the network, leaves our P in each bank."""
    ours, theirs, pool = library_twins(family, tmp_path)
    tensors = delta.read(delta.save(ours, tmp_path / "delta")).tensors
    theirs.eject_prefix_tuning("task")
    for name in inject.body(ours).prefix.banks:
        want = pool[THEIR_BANKS[name]].control_trans
        check_near(tensors[f"prefix.banks.{name}.P"].flatten(), want, within=1e-6, what=name)


def test_training_trajectory_equals_the_library(tmp_path):
    """50 steps on BART: the losses, and every bank at the end."""
    ours, theirs, pool = library_twins("bart", tmp_path)
    banks = ours.prefix.banks
    order = [p for bank in banks.values() for p in parts(bank)]
    their_own = [p for name in banks for p in pool[THEIR_BANKS[name]].parameters()]
    assert sum(p.requires_grad for p in theirs.parameters()) == len(their_own)
    got = fit_text(lambda ids: ours(ids.flip(1), ids), order)
    want = fit_text(lambda ids: theirs(ids.flip(1), decoder_input_ids=ids).logits, their_own)
    check_near(got, want, what="loss")
    assert got[-1] < got[0] - 0.3, "the steps changed nothing"
    for mine, peer in zip(order, their_own, strict=True):
        check_near(mine, peer, within=1e-4, what="a parameter")


def test_the_library_hides_slots_from_the_first_tokens(tmp_path):
    """GPT-2, fused path, no padding: its causal mask starts at the first slot, not at the text.

    The token at t sees the slots up to t alone; ours sees every slot.
    """
    ours, _, _ = library_twins("gpt2", tmp_path)
    theirs, ids = random_gpt2(attn_implementation="sdpa"), TEXT[0][:1]
    adapters.init(theirs)
    config = adapters.PrefixTuningConfig(prefix_length=P, flat=True)
    theirs.add_adapter("task", config=config)
    theirs.train_adapter("task")
    flat = theirs.base_model.prefix_tuning.prefix_tunings["task"]["self_prefix"].control_trans
    for t in range(P + 1):
        (gradient,) = torch.autograd.grad(theirs.eval()(ids).logits[0, t].sum(), flat)
        seen = gradient.view(P, -1).abs().amax(1) > 0
        assert seen.tolist() == [slot <= t for slot in range(P)]
        (gradient,) = torch.autograd.grad(ours(ids)[0, t].sum(), ours.prefix.banks["self"].small)
        assert (gradient.abs().amax(1) > 0).all()


def test_the_library_does_not_count_the_slots_of_gpt2(tmp_path):
    """Its GPT-2 reads the text at positions 0, 1, 2 …; ours, as peft's, at p, p + 1, p + 2 …"""
    ours, theirs, _ = library_twins("gpt2", tmp_path)
    ids, places = TEXT[0], torch.arange(23).expand(5, -1)
    with torch.no_grad():
        want = theirs(ids).logits
        assert (ours(ids) - want).abs().max() > 0.1
        check_near(ours(ids, positions=places - P), want, what="with positions from 0")
        check_near(ours(ids, positions=places), ours(ids), within=0.0, what="counted or given")
