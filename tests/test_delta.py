"""What a task owns: counted, saved, loaded, swapped, switched off, removed, merged to the bit."""

import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from minift import safetensors
from minift.models.heads import TextClassifier
from minift.peft import delta, full, inject, lora
from tests import contract
from tests.compare import close, hold, hold_bits, hold_refusal

FOLDER = tempfile.TemporaryDirectory(prefix="delta-")  # removed when the tests end


def with_lora(seed=2, model=contract.tiny_gpt, **options):
    """A model with LoRA that has an effect."""
    adapted = lora.add_lora(model(), rank=3, alpha=6, **options).eval()
    torch.manual_seed(seed)
    for name, parameter in inject.trainable_parameters(adapted).items():
        if name.endswith(".B"):
            nn.init.normal_(parameter)
    return adapted


def saved_file(model, **metadata):
    """The delta's file in a folder that lives as long as the test run."""
    folder = tempfile.mkdtemp(dir=FOLDER.name)
    return delta.save(model, Path(folder) / "delta.safetensors", metadata)


# ---- doors ----


def test_targets_match_whole_parts():
    """A target is the name or a dotted suffix of it, never a substring."""
    for name in ("q_proj", "blocks.0.attention.q_proj"):
        hold(inject.matches(name, ["q_proj"]), f"{name} is not matched by q_proj")
    for name in ("sequence", "blocks.0.no_q_proj", "q_proj.frozen"):
        hold(not inject.matches(name, ["q_proj"]), f"{name[-9:]} is matched by q_proj")
    hold(inject.matches("b.cross_attention.v_proj", ["cross_attention.v_proj"]), "dotted suffix")
    hold(not inject.matches("b.attention.v_proj", ["cross_attention.v_proj"]), "another v_proj")


def test_the_task_head_is_no_target():
    """A layer of the head is never adapted: it trains whole."""
    model = contract.tiny_classifier()
    hold_refusal(lambda: inject.choose(model, ["head"]), ("head", "q_proj"), "target head")


def test_replace_keeps_the_mode_and_names_what_it_did():
    """`replace` returns the names; a new module is in its parent's mode; no match is an error."""
    model = contract.tiny_gpt().eval()
    names = inject.replace(model, lambda n: n.endswith("up_proj"), lambda x: nn.Sequential(x))
    assert names == ["blocks.0.feedforward.up_proj", "blocks.1.feedforward.up_proj"]
    assert not model.blocks[0].feedforward.up_proj.training
    hold_refusal(lambda: inject.replace(model, lambda n: False, nn.Identity), (), "no match")


def test_freeze_spares_the_head():
    """Nothing trains but the task's head; a tied output layer is no head."""
    assert not inject.trainable_parameters(inject.freeze(contract.tiny_gpt()))
    names = set(inject.trainable_parameters(inject.freeze(contract.tiny_classifier())))
    assert names == {"head.weight", "head.bias"}


def test_the_tied_embedding_stays_tied():
    """Adding and merging LoRA leave the embedding, which is the output layer, as it was."""
    model = contract.tiny_gpt()
    embedding = model.embedding.weight
    delta.merge(lora.add_lora(model))
    assert model.embedding.weight is embedding
    assert not [n for n in model.state_dict() if "head" in n or "lm_" in n]


def test_hash_knows_base_from_base():
    """One changed number, name or shape gives another hash; the head does not count."""
    base = inject.base_hash(contract.tiny_gpt())
    assert base == inject.base_hash(contract.tiny_gpt())
    other = contract.tiny_gpt()
    with torch.no_grad():
        other.norm.bias[0] += 1
    assert inject.base_hash(other) != base
    one, two = contract.tiny_classifier(), contract.tiny_classifier()
    nn.init.zeros_(two.head.weight)
    assert inject.base_hash(one) == inject.base_hash(two)


def test_hash_takes_a_base_in_16_bits():
    """A base in bf16 or fp16 has a hash too."""
    hashes = {inject.base_hash(contract.tiny_gpt().to(d)) for d in (torch.bfloat16, torch.half)}
    assert len(hashes) == 2


# ---- counting ----


def test_count_parameters():
    """Trained, head, stored and base are counted apart, the tied embedding once."""
    plain = contract.tiny_classifier()
    total = sum(p.numel() for p in plain.parameters())
    count = delta.count_parameters(with_lora(model=contract.tiny_classifier))
    head = 12 * 2 + 2
    assert (count.trained, count.head, count.stored) == (288, head, 288)
    assert count.base == total - head
    close(count.share, 288 / (total - head), "share")


def test_count_of_full_fine_tuning():
    """Full fine-tuning trains and stores the base, all of it."""
    count = delta.count_parameters(full.add_full(contract.tiny_gpt()))
    assert count.trained == count.stored == count.base
    assert count.head == 0


# ---- files ----


def test_the_file_is_small():
    """A delta's file holds A and B of each layer and nothing of the base: kilobytes."""
    model = with_lora()
    path = saved_file(model)
    tensors, header = safetensors.read(path)
    assert {n.rpartition(".")[2] for n in tensors} == {"A", "B"} and len(tensors) == 8
    assert sum(t.numel() for t in tensors.values()) == 288
    assert path.stat().st_size < 4 * 288 + 2048
    assert header["method"] == "lora"


def test_a_folder_stands_for_its_file():
    """save and load take a folder or a .safetensors file."""
    model, folder = with_lora(), Path(tempfile.mkdtemp(dir=FOLDER.name))
    path = delta.save(model, folder / "run", {"note": "x"})
    assert path == folder / "run" / "delta.safetensors"
    again = delta.load(contract.tiny_gpt(), folder / "run").eval()
    hold_bits(contract.out(again, contract.tokens()), contract.out(model, contract.tokens()), "out")


def test_load_brings_every_argument_back():
    """A loaded delta knows rank, alpha, targets, dropout and init as they were given."""
    model = with_lora(targets=("k_proj",), dropout=0.25, init="kaiming")
    again = delta.load(contract.tiny_gpt(), saved_file(model))
    assert again.delta == model.delta
    assert again.blocks[0].attention.k_proj.dropout.p == 0.25


def test_the_head_is_saved():
    """What else was trained beside A and B? The head: the scores come back from the file."""
    model = with_lora(model=contract.tiny_classifier)
    nn.init.normal_(model.head.weight)
    path, ids = saved_file(model), contract.tokens()
    hold("head.weight" in delta.read(path).tensors, "the head is not in the file")
    again = delta.load(contract.tiny_classifier(seed=0), path).eval()
    hold_bits(contract.out(again, ids), contract.out(model, ids), "scores after load")


def test_another_base_is_refused():
    """A delta fits only the base it was trained on; the refused model stays plain."""
    path, other = saved_file(with_lora()), contract.tiny_gpt(seed=9)
    hold_refusal(lambda: delta.load(other, path), ("another base", path.name), "another base")
    assert getattr(other, "delta", None) is None and not inject.attachments(other)
    carrying = lora.add_lora(other)
    hold_refusal(lambda: delta.swap(carrying, delta.read(path)), ("another base",), "swap")


def test_a_file_that_does_not_fit_leaves_the_model_plain():
    """A tensor is missing: one line that names it, and the base is as it was."""
    path = saved_file(with_lora())
    tensors, header = safetensors.read(path)
    name = sorted(tensors)[0]
    del tensors[name]
    safetensors.write(path, tensors, header)
    model = contract.tiny_gpt()
    before = contract.clone(model.state_dict())
    hold_refusal(lambda: delta.load(model, path), (name,), "a tensor too few")
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before)


def test_what_is_no_delta_is_refused():
    """A base, a cut file and an unknown method are each met with one line that names the file."""
    folder = Path(tempfile.mkdtemp(dir=FOLDER.name))
    base = folder / "base.safetensors"
    safetensors.write(base, contract.tiny_gpt().state_dict(), {"family": "gpt"})
    hold_refusal(lambda: delta.read(base), (base.name, "not a delta"), "a base")
    cut = saved_file(with_lora())
    cut.write_bytes(cut.read_bytes()[:-40])
    hold_refusal(lambda: delta.read(cut), (cut.name,), "a cut file")
    strange = saved_file(with_lora())
    tensors, header = safetensors.read(strange)
    safetensors.write(strange, tensors, header | {"method": "telepathy"})
    hold_refusal(lambda: delta.read(strange), (strange.name, "method"), "an unknown method")


def test_only_a_model_with_a_method_has_a_delta():
    """save, merge, remove, swap and off on a plain model say that it carries none."""
    saved = delta.read(saved_file(with_lora()))
    for act in (
        delta.merge, delta.remove, delta.carried,
        lambda m: delta.swap(m, saved), lambda m: delta.off(m).__enter__(),
    ):  # fmt: skip
        hold_refusal(lambda act=act: act(contract.tiny_gpt()), ("carries no method",), "plain")


# ---- swapping, switching off ----


def test_a_swap_that_fails_keeps_the_delta():
    """Another rank's file with a tensor missing: one line, and the model's own delta is back."""
    model, ids = with_lora(), contract.tokens()
    want = contract.out(model, ids)
    other = delta.read(saved_file(lora.add_lora(contract.tiny_gpt(), rank=2)))
    del other.tensors[min(other.tensors)]
    hold_refusal(lambda: delta.swap(model, other), (other.path, "1 tensors do not fit"), "a gap")
    hold_bits(contract.out(model, ids), want, "output after a swap that failed")


def test_a_refused_argument_leaves_the_model_plain():
    """rank 0 is refused, and then the model is as it was: it trains, and takes another method."""
    model = contract.tiny_gpt()
    hold_refusal(lambda: lora.add_lora(model, rank=0), ("rank 0",), "rank 0")
    assert all(p.requires_grad for p in model.parameters())
    assert inject.attachments(lora.add_lora(model))


def test_a_delta_of_the_base_fits_it_under_a_head():
    """The base is the same with and without a head; metadata cannot hide the file's header."""
    base, classifier = contract.tiny_gpt(), TextClassifier(contract.tiny_gpt(), 3)
    assert inject.base_hash(classifier) == inject.base_hash(base)
    model = with_lora()
    saved = delta.read(delta.save(model, Path(FOLDER.name) / "meta", {"base": "mine", "n": "1"}))
    assert saved.base == model.delta.base and saved.metadata["n"] == "1"


def test_swap_to_another_rank():
    """A delta of another rank and other targets takes the place of the first."""
    model, other, ids = with_lora(), with_lora(targets=("up_proj",)), contract.tokens()
    want = contract.out(other, ids)
    swapped = delta.swap(model, delta.read(saved_file(other))).eval()
    hold_bits(contract.out(swapped, ids), want, "output after swap")
    names = [spot.path for spot in inject.attachments(swapped)]
    assert all(name.endswith("up_proj") for name in names) and len(names) == 2


def test_off_comes_back_after_an_error():
    """An error inside `off` leaves the method in its place."""
    model, ids = with_lora(), contract.tokens()
    want = contract.out(model, ids)
    with pytest.raises(RuntimeError, match="inside"), delta.off(model):
        raise RuntimeError("inside")
    hold_bits(contract.out(model, ids), want, "output after off")


def test_off_keeps_what_trains():
    """After `off` the same parameters train, so that an optimiser goes on."""
    model = with_lora()
    before = {n: id(p) for n, p in inject.trainable_parameters(model).items()}
    with delta.off(model):
        assert not [p for p in model.parameters() if p.requires_grad]
    assert {n: id(p) for n, p in inject.trainable_parameters(model).items()} == before


def test_off_keeps_the_mode_set_inside():
    """`model.eval()` inside the block holds for the method that comes back, too."""
    model = with_lora().train()
    with delta.off(model):
        model.eval()
    assert not any(module.training for module in model.modules())


def test_all_trains_again_after_remove_and_merge():
    """A plain model is handed back: every parameter trains, and a method can be added again."""
    for act in (delta.remove, delta.merge):
        model = act(with_lora())
        assert all(p.requires_grad for p in model.parameters())
        lora.add_lora(model)


def test_merge_of_a_non_square_layer():
    """Merging up_proj (o = 4 i) and down_proj keeps the output."""
    model, ids = with_lora(targets=("up_proj", "down_proj")), contract.tokens()
    want = contract.out(model, ids)
    close(contract.out(delta.merge(model), ids), want, "merged", atol=1e-5)


def test_checkpointing_reaches_lora():
    """The embedding is frozen, so no input requires a gradient; A and B get theirs all the same."""
    model = with_lora().train()
    model.checkpoint_activations = True
    loss = model.loss(contract.batch(model))
    hold(loss.requires_grad, "no LoRA gradient with checkpointing: the loss hangs on nothing")
    loss.backward()
    missing = [n for n, p in inject.trainable_parameters(model).items() if p.grad is None]
    hold(not missing, f"no LoRA gradient with checkpointing: {missing[:1]}")


FULL = contract.Case(
    full.add_full,
    count=lambda model: sum(p.numel() for p in model.parameters()),
    writes=lambda name: True,
)


@pytest.mark.parametrize("point", contract.points(FULL), ids=lambda point: point.__name__)
def test_contract_of_full_fine_tuning(point):
    """The baseline holds to the contract as well."""
    assert point in contract.ALL + contract.CAUSAL
    if point is not contract.merging:  # its weights are in place: the output is the same bits
        point(FULL)
