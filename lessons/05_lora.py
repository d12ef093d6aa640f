"""Lesson 05. LoRA: a change of low rank (重参数化微调 – LoRA)

Fine-tuning turns every weight matrix W of a model into W + ΔW. Does ΔW need as many numbers as W?
The chapter says no: a pretrained model has a low intrinsic dimension (内在维度), so the change that
a task needs has a low rank r. LoRA learns it as a product of two thin matrices; W is frozen:

    h = W x + (α/r) · B A x        A (r, i) starts Gaussian, B (o, r) starts at zero
    W' = W + (α/r) · B A           merged (合并): the tuned model costs no more than the base

About 80 s on two CPU cores. Run it whole, or cell by cell in an editor.
"""

# %% The constants: change one and run again
import minift  # noqa: F401, I001 (first: it quiets OpenMP before torch is loaded)
import copy
import inspect

import torch

from lessons import findings, pictures, pictures_lora, task, timing
from lessons.settings import FAST, out
from lessons.sweeps import lesson05
from minift.models import pretrained
from minift.peft import delta, inject, lora

RANK, ALPHA, LR, FULL_LR, SEED = 8, 16, lesson05.LR, lesson05.FULL_LR, 0
STEPS, TEST = (4, 8) if FAST else (lesson05.STEPS, 64)

# %% Three by three: a change of rank 1, by hand
# W has 9 numbers. A reads the input along one direction and B writes along one: 6 numbers. α/r = 2.
W, x = torch.eye(3), torch.tensor([1.0, 1, 1])
A, B = torch.tensor([[1.0, 2, 0]]), torch.tensor([[0.0], [1], [3]])
print("A x         ", (A @ x).tolist(), "  one number is all that B gets to see of x")
print("(α/r) B A x ", (2 * B @ (A @ x)).tolist())
print("h           ", (W @ x + 2 * B @ (A @ x)).tolist())
print("W'          ", (W + 2 * B @ A).tolist(), "  each row of the change is a multiple of A")
assert torch.equal((W + 2 * B @ A) @ x, W @ x + 2 * B @ (A @ x))

# %% The same two equations in the library
print(inspect.getsource(lora.LoRALinear.forward))
print(inspect.getsource(lora.merge))

# %% One task: a headline or a summary for an article; the base has read both, and was never asked
base = pretrained.open_base("gpt")
words = lesson05.open_words(base.config.context, TEST)
print(f"{len(words.train)} examples to train on, {len(words.test)} texts to be tested on, such as")
print(f"  prompt    {words.test[0].prompt!r}\n  a person  {words.test[0].response}")
print(f"  the base  {task.respond(base, words, words.test[:1])[0][:80]!r}")

# %% B starts at zero, so the adapted model is the base model, to the last bit
torch.manual_seed(SEED)
ids = torch.tensor([words.train[0].ids])
tuned = lora.add_lora(copy.deepcopy(base), rank=RANK, alpha=ALPHA, targets=("q_proj", "v_proj"))
assert torch.equal(tuned(ids), base(ids))
count = delta.count_parameters(tuned)
print(f"{count.trained:,} numbers train, {count.base:,} are frozen: {count.share:.1%}")

# %% Tune it, and tune all weights of a second copy: convergence
full, often, start = copy.deepcopy(base), max(1, STEPS // 8), task.dev_loss(base, words)
runs = {
    "lora": task.tune(tuned, words, STEPS, LR, SEED, often),
    "full": task.tune(full, words, STEPS, FULL_LR, SEED, often),
}
sizes, title = {"lora": count.trained, "full": count.base}, "Headlines: two ways to tune a base"
pictures.convergence(runs, start, sizes, title, out("05") / "convergence.png")
final = {name: history[-1]["dev_loss"] for name, history in runs.items()}
print("dev loss:", ", ".join(f"{n} {v:.3f}" for n, v in {"base": start, **final}.items()))
closed = (start - final["lora"]) / (start - final["full"])
findings.state(f"LoRA gains {closed:.0%} of what full fine-tuning gains in loss", closed > 0.7)

# %% Before and after, on articles about people and towns that training never names
# BLEU counts shared wording; “exact” is strict: the text must be one of the right answers.
models = {"base": base, "lora": tuned, "full": full}
answers = {name: task.respond(model, words) for name, model in models.items()}
scores = {name: task.score(texts, words.test) for name, texts in answers.items()}
for name, score in scores.items():
    print(f"{name}: BLEU {score['bleu']:.1f}, exact {score['exact']:.0%}")
    print(f"    {answers[name][0][:96]!r}")
gain = scores["lora"]["bleu"] - scores["base"]["bleu"]
findings.state(f"LoRA teaches the task, BLEU {gain:+.1f}", gain > 20)

# %% Rank and scale: α/r is held at 2 while r varies; how low may r be?
# Rank 1 is tuned here. The rest took three seeds each, and `python -m lessons sweep 05` runs them.
torch.manual_seed(SEED)
thin = lora.add_lora(copy.deepcopy(base), rank=1, alpha=2)
thin_loss = task.tune(thin, words, STEPS, LR, SEED)[-1]["dev_loss"]
print(f"here: dev loss of rank 1 {thin_loss:.3f}, of rank {RANK} {final['lora']:.3f}")
rows = lesson05.STORED.rows(base)
pictures_lora.ranks(rows, out("05") / "rank.png")
one, eight, most = (lesson05.lora_cell(rank=r) for r in (1, 8, 32))
print(findings.against(rows, "exact", "rank 8 beats rank 1 (exact)", eight, one))
print(findings.against(rows, "exact", "rank 32 beats rank 8 (exact)", most, eight))

# %% Which matrices? The same number of parameters in different places, five seeds each
pictures_lora.places(rows, out("05") / "places.png")
q, v, both, mlp = (lesson05.place(name) for name in ("q", "v", "q v", "up down"))
rivals = {"q and v beat q": (both, q), "q and v beat v": (both, v), "the MLP beats v": (mlp, v)}
for words_for, (left, right) in rivals.items():
    print(findings.against(rows, "exact", f"{words_for} (exact)", left, right))

# %% ΔW has at most rank 8 by construction. How many directions does it use?
names = [name for name, module in tuned.named_modules() if isinstance(module, lora.LoRALinear)]
pairs = [(full.get_submodule(name), tuned.get_submodule(name)) for name in names]
changes = {
    "lora": [layer.scale * layer.B @ layer.A for _, layer in pairs],
    "full": [linear.weight - layer.frozen.weight for linear, layer in pairs],
}
pictures_lora.directions(changes, out("05") / "directions.png")
for name, matrices in changes.items():
    held = torch.stack([pictures_lora.spectrum(change)[[0, 3, 7]] for change in matrices]).mean(0)
    print(f"{name}: 1, 4, 8 directions hold", ", ".join(f"{h:.0%}" for h in held), "of ‖ΔW‖²")

# %% Merged: the same answers, and no layer more than the base has
merged = delta.merge(copy.deepcopy(tuned))
with torch.no_grad():
    apart = (merged(ids) - tuned(ids)).abs().max().item()
    calls = {"base": base, "LoRA, merged": merged, "LoRA, not merged": tuned}
    calls = {name: lambda model=model: model(ids) for name, model in calls.items()}
    times = timing.take_turns(calls, rounds=5 if FAST else 60)
assert apart < 1e-3, apart
print(f"largest difference of a logit, merged and not: {apart:.1e}")
pictures_lora.latency(times, out("05") / "latency.png")
for name in ("LoRA, not merged", "LoRA, merged"):
    print(f"{name}: {timing.ratios(times, name)[0]:.2f} of the base's time (median)")
    print(findings.judge(f"{name}, takes longer", timing.surcharge(times, name)))

# %% Two tasks on one base: swap the delta, kilobytes, and leave the base alone
mine = delta.read(delta.save(tuned, out("05") / "headline.safetensors"))
other = task.open_task("zh_en", base.config.context, lesson05.TRAIN, 64, TEST, data=None)
served = lora.add_lora(copy.deepcopy(base), rank=RANK, alpha=ALPHA)
task.tune(served, other, STEPS // 2, LR, SEED)
file = delta.save(served, out("05") / "zh_en.safetensors")
first = task.respond(served, other, other.test[:1])
delta.swap(served, mine)
assert task.respond(served, words, words.test[:4]) == task.respond(tuned, words, words.test[:4])
assert task.respond(delta.swap(served, delta.read(file)), other, other.test[:1]) == first
print(f"{file.stat().st_size // 1000} kB a task. {other.test[0].prompt} → {first[0]}")
print(f"    a person: {other.test[0].response}")
assert inject.base_hash(delta.remove(served)) == inject.base_hash(base)

# %% Three questions, and the homework
# 1. After one step of training B has changed and A has not. Why? (Write down dL/dA and put B = 0.)
# 2. Rank 8 with α = 16 becomes rank 16. Which α keeps the scale? What would happen with α = 16?
# 3. Merging makes the model as fast as the base. What can two merged tasks no longer do?
# Homework: write LoRA yourself in lessons/homework/05_lora.py, then python -m lessons check 05,
# and at last python -m lessons 05 --mine: this lesson, trained by your own lines.
