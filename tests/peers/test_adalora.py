"""AdaLoRA against Hugging Face peft: layer, regulariser, importance, budget, 50 steps of training.

Where peft and the spec agree the numbers are equal (≤ 1e-5; peft's scale is α/(r + 1e-5), which is
made up for). Where peft is wrong the test says so and pins the right value.
"""

import copy
import warnings

import peft
import pytest
import torch
import torch.nn.functional as F
from peft.tuners.adalora import RankAllocator, SVDLinear
from torch import nn
from transformers import OPTConfig, OPTForCausalLM

from minift.peft import adalora, pruning
from tests.peers.near import check_near

V, T = 61, 19
RANK, TARGET, ALPHA, STEPS, T_I, T_F = 4, 2, 5, 50, 8, 12
TARGETS = ("q_proj", "v_proj", "fc1")  # fc1 is (72, 40)


def small_opt():
    """An OPT whose matrices are three times their usual start, so that its losses differ."""
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=V, hidden_size=40, ffn_dim=72, num_hidden_layers=2, num_attention_heads=5,
        max_position_embeddings=32, word_embed_proj_dim=40, dropout=0.0, pad_token_id=0,
    )  # fmt: skip
    model = OPTForCausalLM(config)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3.0 if p.dim() > 1 else 1.0)
    return model


def config(**options):
    numbers = {"init_r": RANK, "target_r": TARGET, "tinit": T_I, "tfinal": T_F, "deltaT": 1}
    numbers |= {"total_step": STEPS, "lora_alpha": ALPHA, "target_modules": list(TARGETS)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.AdaLoraConfig(**numbers | options)


def peft_layers(model):
    """{name in the base model: peft's AdaLoRA layer}"""
    layers = {n: m for n, m in model.named_modules() if isinstance(m, SVDLinear)}
    return {name.removeprefix("base_model.model."): layer for name, layer in layers.items()}


def our_layers(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, adalora.AdaLoRALinear)}


def pairs(ours, theirs):
    """(name, ours, peft's) of each parameter; peft's λ is a column."""
    for name, layer in our_layers(ours).items():
        peer = peft_layers(theirs)[name]
        yield f"{name} P", layer.P, peer.lora_B["default"]
        yield f"{name} λ", layer.lam, peer.lora_E["default"]
        yield f"{name} Q", layer.Q, peer.lora_A["default"]


def twins(every=1, task_type="CAUSAL_LM", **options):
    """The same base with our AdaLoRA and with peft's; P, λ, Q copied, peft's scale made α/r."""
    base = small_opt()
    theirs = peft.get_peft_model(
        copy.deepcopy(base), config(deltaT=every, task_type=task_type, **options)
    )
    ours = adalora.add_adalora(
        base, RANK, TARGET, ALPHA, total=STEPS, t_i=T_I, t_f=T_F, every=every, targets=TARGETS
    )
    assert our_layers(ours).keys() == peft_layers(theirs).keys() and len(our_layers(ours)) == 6
    with torch.no_grad():
        for _, mine, peer in pairs(ours, theirs):
            peer.copy_(mine.view(peer.shape))
        for peer in peft_layers(theirs).values():
            peer.ranknum["default"].fill_(RANK - 1e-5)
    return ours, theirs


def batches():
    """One fresh batch a step, of which every second token can be learned."""
    generator = torch.Generator().manual_seed(5)
    while True:
        ids = torch.randint(1, V, (4, T + 1), generator=generator)
        ids[:, 1::2] = (3 * ids[:, 0::2] + 1) % V
        yield ids


def task_loss(model, ids):
    """The mean loss from the logits, so that peft adds nothing to it."""
    return F.cross_entropy(model(ids[:, :-1]).logits.flatten(0, 1), ids[:, 1:].flatten())


def optimizer_of(model):
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)


def train_ours(model, steps=STEPS, gamma=0.1):
    """(losses, how many λ are not 0) after each step."""
    optimizer, data, rows = optimizer_of(model), batches(), []
    for step in range(1, steps + 1):
        loss = task_loss(model, next(data))
        (loss + gamma * adalora.orthogonality(model, form="code")).backward()
        optimizer.step()
        adalora.allocate(step, model)
        optimizer.zero_grad()
        alive = sum(int((layer.lam != 0).sum()) for layer in our_layers(model).values())
        rows.append((loss.item(), alive))
    return torch.tensor(rows).T


def train_theirs(model, steps=STEPS, stop_calling=None):
    """The same with peft, as its documentation has the loop; the model's own loss holds R."""
    optimizer, data, rows = optimizer_of(model), batches(), []
    for step in range(1, steps + 1):
        ids = next(data)
        inputs = {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}
        loss = task_loss(model, ids)
        with_r = model(**inputs)
        penalty = with_r.loss - F.cross_entropy(
            with_r.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        )
        (loss + penalty).backward()
        optimizer.step()
        if stop_calling is None or step <= stop_calling:
            model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        alive = sum(int((m.lora_E["default"] != 0).sum()) for m in peft_layers(model).values())
        rows.append((loss.item(), alive))
    return torch.tensor(rows).T


# ---- where they agree ----


def test_layer_and_merged_weight_equal_peft():
    """Output and ΔW of one layer with λ that are not 0."""
    torch.manual_seed(1)
    linear = nn.Linear(11, 13)
    peer = SVDLinear(copy.deepcopy(linear), "default", config(), r=RANK, lora_alpha=ALPHA)
    layer = adalora.AdaLoRALinear(linear, RANK, ALPHA)
    with torch.no_grad():
        for mine in (layer.P, layer.lam, layer.Q):
            mine.normal_()
        peer.lora_A["default"].copy_(layer.Q)
        peer.lora_B["default"].copy_(layer.P)
        peer.lora_E["default"].copy_(layer.lam[:, None])
        peer.ranknum["default"].fill_(RANK - 1e-5)
    x = torch.randn(3, 7, 11)
    check_near(layer(x), peer(x), what="h")
    change = adalora.merge(layer).weight - linear.weight
    check_near(change, peer.get_delta_weight("default"), what="ΔW")
    peer.ranknum["default"].fill_(float(RANK))
    ratio = (change / peer.get_delta_weight("default")).mean().item()
    assert ratio == pytest.approx(1 + 1e-5 / RANK, abs=1e-6), "peft's scale is α/(r + 1e-5)"


def test_start_has_the_deviation_of_peft():
    """P and Q are N(0, 0.02²) in both, λ is 0."""
    peer = SVDLinear(nn.Linear(300, 400), "default", config(), r=200, lora_alpha=ALPHA)
    layer = adalora.AdaLoRALinear(nn.Linear(300, 400), 200, ALPHA)
    for mine, name in ((layer.P, "lora_B"), (layer.Q, "lora_A")):
        want = getattr(peer, name)["default"].std().item()
        assert mine.std().item() == pytest.approx(want, rel=0.02)
    assert not layer.lam.any() and not peer.lora_E["default"].any()


def test_regulariser_equals_peft():
    """form="code" times γ is what peft adds to the model's own loss."""
    ours, theirs = twins(orth_reg_weight=0.3)
    ids = next(batches())
    output = theirs(input_ids=ids, labels=ids)
    plain = F.cross_entropy(output.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    mine = 0.3 * adalora.orthogonality(ours, form="code")
    check_near(mine.detach(), (output.loss - plain).detach(), what="γ R")


def test_importance_equals_peft():
    """Ī, Ū and the scores S after seven steps of given weights and gradients, β₁ ≠ β₂."""
    ours, theirs = twins(beta1=0.7, beta2=0.9)
    allocator = theirs.base_model.rankallocator
    generator = torch.Generator().manual_seed(2)
    for _ in range(7):
        for _, mine, peer in pairs(ours, theirs):
            mine.data = torch.randn(mine.shape, generator=generator)
            mine.grad = torch.randn(mine.shape, generator=generator)
            peer.data, peer.grad = mine.data.view(peer.shape), mine.grad.view(peer.shape)
        allocator.update_ipt(theirs.base_model.model)
        for layer in our_layers(ours).values():
            layer.measure(0.7, 0.9)
    for name, layer in our_layers(ours).items():
        o = len(layer.P)
        for part, columns in (("B", slice(0, o)), ("E", [o]), ("A", slice(o + 1, None))):
            key = f"{name}.lora_{part}.default"
            rows = {"mean": allocator.exp_avg_ipt[key], "spread": allocator.exp_avg_unc[key]}
            for kind, want in rows.items():
                got = getattr(layer, f"running_{kind}")[:, columns]
                check_near(got, want.T if part == "B" else want, what=f"{key} {kind}")
        scores = [
            allocator._element_score(f"{name}.lora_{part}.default").mean(dim)
            for part, dim in (("A", 1), ("B", 0), ("E", 1))
        ]
        check_near(layer.scores(), sum(scores), what=f"{name} S")


def test_budget_equals_peft():
    """Every step of three plans: the same whole number (and both are the spec's fixtures)."""
    for b0, bT, total, t_i, t_f in (
        (12, 8, 100, 10, 20),
        (96, 64, 100, 10, 20),
        (24, 12, 50, 0, 7),
    ):
        allocator = RankAllocator.__new__(RankAllocator)
        allocator.init_bgt, allocator.target_bgt = b0, bT
        allocator.peft_config = config(tinit=t_i, tfinal=t_f, total_step=total)
        for step in range(total + 1):
            want, _ = allocator.budget_schedule(step)
            assert adalora.budget(step, b0, bT, total, t_i, t_f) == want, step


@pytest.mark.parametrize("every", [1, 5])
def test_training_trajectory_equals_peft(every):
    """50 steps with R, allocation and final phase: each loss, each budget, P, λ, Q, the ranks."""
    ours, theirs = twins(every, orth_reg_weight=0.1)
    mine, want = train_ours(ours.train()), train_theirs(theirs.train())
    check_near(mine[0], want[0], what="loss")
    assert mine[1].tolist() == want[1].tolist()
    assert mine[1][-1] == TARGET * 6 and mine[1][0] == RANK * 6
    for name, parameter, peer in pairs(ours, theirs):
        check_near(parameter, peer.view(parameter.shape), what=name)
    pattern = theirs.peft_config["default"].rank_pattern
    ranks = {n.removesuffix(".lora_E.default"): sum(mask) for n, mask in pattern.items()}
    assert ranks == pruning.rank_pattern(ours) and len(set(ranks.values())) > 1


# ---- where peft is wrong, and what is right ----


def test_peft_without_a_task_type_has_no_regulariser():
    """task_type=None: peft's own loss silently lacks R. Here R is a term that the loop is given."""
    ids = next(batches())
    losses = []
    for kind in (None, "CAUSAL_LM"):
        _, theirs = twins(task_type=kind, orth_reg_weight=0.5)
        losses.append(theirs(input_ids=ids, labels=ids).loss.item())
    ours, theirs = twins(orth_reg_weight=0.5)
    plain = theirs.base_model.model(input_ids=ids, labels=ids).loss.item()
    assert losses[0] == pytest.approx(plain, abs=1e-6)
    penalty = 0.5 * adalora.orthogonality(ours, form="code").item()
    assert losses[1] == pytest.approx(plain + penalty, abs=1e-4) and penalty > 0.5


def test_peft_adds_the_regulariser_to_the_evaluation():
    """In eval mode peft's loss holds R as well; the right loss is that of the task alone."""
    ours, theirs = twins(orth_reg_weight=0.5)
    ids = next(batches())
    with torch.no_grad():
        peers = theirs.eval()(input_ids=ids, labels=ids).loss.item()
        mine = ours.eval()(input_ids=ids, labels=ids).loss.item()
    right = task_loss(ours, ids).item()
    assert mine == pytest.approx(right, abs=1e-5) and peers > right + 0.5


def test_peft_fails_where_nothing_is_to_be_pruned():
    """target_r = init_r: kthvalue(0) raises in peft. Right: all triplets are kept."""
    _, theirs = twins(target_r=RANK)
    allocator = theirs.base_model.rankallocator
    for parameter in theirs.parameters():
        parameter.grad = torch.ones_like(parameter)
    with pytest.raises((RuntimeError, IndexError)):
        allocator.update_and_allocate(theirs.base_model.model, T_I + 1)
    kept = adalora.best([torch.rand(RANK) for _ in range(6)], RANK * 6)
    assert all(mask.all() for mask in kept)


def test_peft_masks_everything_at_a_tie():
    """All scores equal, 12 of 24 to keep: peft keeps 0 (score <= threshold). Right: 12."""
    _, theirs = twins()
    allocator = theirs.base_model.rankallocator
    inner = theirs.base_model.model
    with torch.no_grad():
        for peer in peft_layers(theirs).values():
            for part in ("lora_A", "lora_E", "lora_B"):
                getattr(peer, part)["default"].fill_(1.0)
                getattr(peer, part)["default"].grad = torch.ones_like(
                    getattr(peer, part)["default"]
                )
    allocator.update_ipt(inner)
    allocator.mask_to_budget(inner, 12)
    alive = sum(int((m.lora_E["default"] != 0).sum()) for m in peft_layers(theirs).values())
    kept = adalora.best([torch.ones(RANK) for _ in range(6)], 12)
    assert alive == 0 and sum(int(mask.sum()) for mask in kept) == 12


def test_peft_revives_the_pruned_when_the_hook_is_not_called():
    """λ = 0 has a gradient: without the call in the final phase all 24 are back in one step."""
    _, theirs = twins(orth_reg_weight=0.1)
    last = STEPS - T_F
    peers = train_theirs(theirs.train(), last + 2, stop_calling=last)
    assert peers[1][last - 1 :].tolist() == [12, 24, 24]
    ours, _ = twins()
    assert train_ours(ours.train(), last + 2)[1][last - 1 :].tolist() == [12, 12, 12]


def test_peft_leaves_the_last_step_unmeasured():
    """At T − t_f peft chooses by the Ī and Ū of the step before. Right: measured, then chosen."""
    ours, theirs = twins()
    inner, last = theirs.base_model, STEPS - T_F
    generator = torch.Generator().manual_seed(3)
    for step in (last - 1, last):
        for _, mine, peer in pairs(ours, theirs):
            mine.data = torch.ones_like(mine)
            mine.grad = torch.rand(mine.shape, generator=generator)
            if mine.dim() == 1:
                mine.grad[: RANK // 2] += 1e3 * (step == last)
            peer.data, peer.grad = mine.data.view(peer.shape).clone(), mine.grad.view(peer.shape)
        adalora.allocate(step, ours)
        inner.update_and_allocate(step)
    mine = torch.stack([layer.running_kept for layer in our_layers(ours).values()])
    want = torch.stack([m.lora_E["default"].view(-1) != 0 for m in peft_layers(theirs).values()])
    assert mine[:, : RANK // 2].all() and not torch.equal(mine, want)
