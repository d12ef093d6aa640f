"""Lesson 06. AdaLoRA: rank where it pays (重参数化微调 – LoRA变体 – AdaLoRA)

LoRA gives every matrix the same rank, though some matter more to a task than others. The chapter:
AdaLoRA writes the change like a singular value decomposition (奇异值分解), a sum of triplets (a
column of P, λ, a row of Q), measures how important (重要性) each is, and lets the triplets of all
matrices compete for one budget (预算), which shrinks while training:

    h = W x + (α/r) · P Λ Q x        P, Q near orthonormal: the loss has γ R beside it
    S = s(λ) + mean s(P's column) + mean s(Q's row),  s = Ī · Ū,  of I = |w · ∂L/∂w|
    λ ← λ if S is among the b(t) largest of all layers, else 0

About 45 s on two CPU cores.
"""

# %% The constants: change one and run again
import minift  # noqa: F401, I001 (first: it quiets OpenMP before torch is loaded)
import copy
import inspect
from statistics import fmean

import torch

from lessons import findings, pictures, pictures_adalora, task, triplets
from lessons.settings import FAST, out
from lessons.sweeps import lesson05, lesson06
from minift.models import pretrained
from minift.peft import adalora, delta, pruning

RANK, START, LR, SEED = 2, lesson06.STARTS[2], lesson06.RATE["adalora"], 0
STEPS, TEST = lesson06.STEPS, 8 if FAST else 64

# %% Three by three: two triplets, and room for one
# The first has the larger λ, on a direction that x hardly has. The loss is g · h, so it changes by
# λ · ∂L/∂λ when a triplet goes: sensitivity I is what the loss would lose, to first order.
layer = adalora.AdaLoRALinear(torch.nn.Linear(3, 3, bias=False), rank=2, alpha=2)  # α/r = 1
x, g = torch.tensor([0.1, 2, 1]), torch.tensor([1.0, 1, 0])
with torch.no_grad():
    layer.P.copy_(torch.eye(3)[:, :2])
    layer.lam.copy_(torch.tensor([3.0, 1]))
    layer.Q.copy_(torch.eye(3)[:2])
(g @ layer(x)).backward()
layer.measure(beta1=0.85, beta2=0.85)

# %% The same by hand, with equations (4) to (7): the small λ wins
# Columns: three numbers of P, λ, three of Q. ∂L/∂λ = (g·p)(q·x): 1 · 0.1 and 1 · 2.
now = torch.tensor([[0.3, 0, 0, 0.3, 0.3, 0, 0], [0, 2, 0, 2, 0, 2, 0]])
mean = 0.15 * now  # from 0
spread = 0.15 * (now - mean).abs()
s = mean * spread
S = s[:, 3] + s[:, :3].mean(1) + s[:, 4:].mean(1)
print(f"λ {layer.lam.tolist()}   I of λ {[0.3, 2.0]}   S {[round(v, 4) for v in S.tolist()]}")
torch.testing.assert_close(layer.scores().detach(), S)
print("with a budget of one there live:", adalora.best([S], 1)[0].tolist())

# %% The library: what is measured, and who may live
print(inspect.getsource(adalora.AdaLoRALinear.measure))
print(inspect.getsource(adalora.allocate))

# %% Lesson 05's task and base; all six matrices of each block get triplets
base = pretrained.open_base("gpt")
words = lesson05.open_words(base.config.context, TEST)
torch.manual_seed(SEED)
tuned = lesson06.put_in(copy.deepcopy(base), RANK, START)
layers, ids = adalora.layers_of(tuned), torch.tensor([words.train[0].ids])
assert torch.equal(tuned(ids), base(ids)), "λ is zero: this is the base, to the last bit"
print(f"{len(layers)} matrices with {START} triplets each, of which {RANK * len(layers)} may stay")

# %% Tune it, and count the living after every step
seen = []


def allocate_and_count(step, model):
    """The library's choice, and a note of it."""
    adalora.allocate(step, model)
    seen.append(triplets.alive(model))


task.tune(tuned, words, STEPS, LR, SEED, after_step=allocate_and_count)
living = [int(row.sum()) for row in seen]

# %% The budget curve: counted, by equation (8), and by the slip in the paper's print of it
plan = {"b0": START * len(layers), "bT": RANK * len(layers), "total": STEPS}
plan |= {"t_i": lesson06.T_I, "t_f": lesson06.T_F}
pictures_adalora.budget(living, plan, out("06") / "budget.png")
allowed = [adalora.budget(t, **plan) for t in range(1, STEPS + 1)]
assert living[-1] == plan["bT"] and living == allowed
print(f"printed, (8) would start at {pictures_adalora.printed(plan['t_i'], **plan):.0f} triplets")
print(f"{triplets.came_back(seen)} triplets were dropped and came back: P and Q are never written")

# %% Before and after; a task's file holds the living alone
before = tuned(ids)
pruning.prune(tuned)
torch.testing.assert_close(tuned(ids), before, rtol=1e-4, atol=1e-4)
answers = {name: task.respond(model, words) for name, model in (("base", base), ("AdaLoRA", tuned))}
scores = {name: task.score(texts, words.test) for name, texts in answers.items()}
for name, score in scores.items():
    print(f"{name}: BLEU {score['bleu']:.1f}, exact {score['exact']:.0%}")
    print(f"    {answers[name][0][:96]!r}")
gain = scores["AdaLoRA"]["bleu"] - scores["base"]["bleu"]
findings.state(f"AdaLoRA teaches the task, BLEU {gain:+.1f}", gain > 10)
file = delta.save(tuned, out("06") / "headline.safetensors")
print(f"{file.stat().st_size // 1000} kB; this run's ranks, one row a block (q k v out up down):")
print(triplets.as_map(pruning.rank_pattern(tuned)).int().tolist())

# %% The rank map, over all seeds of `python -m lessons sweep 06`: is it the task's or the seed's?
rows, levels = lesson06.STORED.rows(base), lesson05.STORED.rows(base)
pictures_adalora.ranks(rows, out("06") / "ranks.png")
for rank in lesson06.STARTS:
    maps = lesson06.maps(rows, **lesson06.adalora_at(rank))
    alike, chance = fmean(triplets.agreement(maps)), triplets.by_chance(maps)
    words_for = (
        f"mean rank {rank}, seeds choose alike: correlation {alike:.2f}, shuffled {chance:.2f}"
    )
    findings.state(words_for, alike > chance)
    wide = [(m[:, 4:].mean() - m[:, :4].mean()).item() for m in maps]
    print(findings.judge("the MLP gets more than attention (the paper)", wide))
    high = [(m[len(m) // 2 :].mean() - m[: len(m) // 2].mean()).item() for m in maps]
    print(findings.judge("upper blocks get more than lower (the paper)", high))

# %% Against LoRA: as many triplets, on the same matrices, each at its own rate
# The paper: AdaLoRA wins, most of all where the budget is small. Is it so on this base?
pictures_adalora.against(rows, levels, out("06") / "against_lora.png")
start = pictures.measured(levels, "dev_loss", method="base")[0]
for rank in lesson06.STARTS:
    pair = (lesson06.lora_at(rank), lesson06.adalora_at(rank))
    ways = [start - pictures.measured(rows, "dev_loss", **setting)[0] for setting in pair]
    print(f"rank {rank}: AdaLoRA's loss falls by {ways[1]:.3f}, LoRA's by {ways[0]:.3f} nats")
    print(findings.against(rows, "dev_loss", f"rank {rank}: AdaLoRA has the lower loss", *pair))
    print(findings.against(rows, "exact", f"rank {rank}: it has more exact texts", *pair[::-1]))

# %% The parts one by one: the form PΛQ, the choice, the orthogonality term
chosen, free = lesson06.adalora_at(RANK), lesson06.free_at(RANK)
plain, lora = lesson06.adalora_at(RANK, start=RANK), lesson06.lora_at(RANK)
print(findings.against(rows, "dev_loss", "PΛQ, nothing dropped, beats LoRA (loss)", lora, plain))
print(findings.against(rows, "dev_loss", "from rank 3 to 2 beats 2 all along", plain, chosen))
print(findings.against(rows, "dev_loss", "γ = 0.1 beats γ = 0 (loss)", free, chosen))
pictures_adalora.orthogonality(rows, levels, out("06") / "orthogonality.png")
loose, tight = (pictures.measured(rows, "gap", **setting)[0] for setting in (free, chosen))
words_for = f"γ = 0.1 makes the vectors orthonormal: R {tight:.1e} a vector, without {loose:.1f}"
findings.state(words_for, tight < 0.01 < 1 < loose)

# %% Three questions, and the homework
# 1. λ = 0 has a gradient. Which step of the loop would bring the dead back, were it forgotten?
# 2. Why are P and Q means in S, and not sums? Which matrices would win with sums?
# 3. The scale is α/r with the first r for ever. What would happen at each death with the rank left?
# Homework: write AdaLoRA yourself in lessons/homework/06_adalora.py (eight parts), then
# python -m lessons check 06, and at last python -m lessons 06 --mine.
