"""Lesson 02. Adapter: a small network behind each sub-layer (增量式微调 – 适配器)

Full fine-tuning stores all weights again for each task. The chapter's first way out adds something
small and freezes the rest: in each block an adapter (适配器) behind the attention and another one
behind the feed-forward layer, a bottleneck of m numbers with a skip (跳跃连接) around it:

    A(h) = h + W_up φ(W_down h + b_down) + b_up      W_down (m, c), W_up (c, m), m ≪ c

W_down and W_up start near zero, so that A starts near the identity (近似恒等) and the base's
knowledge is still there. m is the capacity; of too much the chapter says that it over-fits little
data. And what stands in the way of every forward pass takes time. All of it is measured here.

About 60 s on two CPU cores.
"""

# %% The constants: change one and run again
import minift  # noqa: F401, I001 (first: it quiets OpenMP before torch is loaded)
import copy
import inspect
from functools import partial

import numpy as np
import torch

from lessons import findings, pictures, pictures_adapter, settings, task, timing
from lessons.settings import FAST, out
from lessons.sweeps import lesson02
from minift import batching, noising
from minift.models import pretrained
from minift.peft import adapter, delta

M, SEED, (STEPS, ROUNDS, PAGES) = 32, 0, (4, 3, 4) if FAST else (300, 40, 64)

# %% Three by three: c = 3 numbers through a bottleneck of m = 1, by hand, with φ = ReLU
small = adapter.Adapter(3, 1, activation="relu")
with torch.no_grad():
    small.down_proj.weight.copy_(torch.tensor([[1.0, -1, 0]]))
    small.up_proj.weight.copy_(torch.tensor([[2.0], [0], [1]]))
    for h in (torch.tensor([3.0, 1, 1]), torch.tensor([1.0, 3, 1])):
        low, made = small.down_proj(h), small(h, None).tolist()
        print(f"h {h.tolist()}  W_down h {low.tolist()}  φ {low.relu().tolist()}  A(h) {made}")
    assert made == [1, 3, 1], "φ is 0 on this side: only the skip is left"
# No matrix does this to both, so no matrix of the base could take an adapter in: it stays.

# %% The same two equations in the library
print(inspect.getsource(adapter.Adapter.change))
print(inspect.getsource(adapter.Adapter.forward))

# %% Sentiment in two languages: the encoder has read such texts, and was never asked what they mean
base = pretrained.open_base("encoder")
words = lesson02.some_words(base.config.context, lesson02.MANY, SEED, settings.DATA)
print(f"{len(words.train):,} examples to train on, classes {words.labels}; new texts such as")
for record in words.test[:4]:
    print(f"  {record.label}  {record.text}")

# %% Two adapters a block. What trains: 2L (2mc + m + c), 2c for each layer norm, and the head
tuned = adapter.add_adapters(task.with_head(copy.deepcopy(base), words), bottleneck=M)
count, (L, c) = delta.count_parameters(tuned), (base.config.n_layers, base.config.d_model)
assert count.trained == 2 * L * (2 * M * c + M + c) + (2 * L + 1) * 2 * c
print(f"{count.trained:,} numbers train ({count.share:.1%}), and {count.head} of a new head")

# %% Near the identity or far from it: can the base still guess masked words, before any training?
# The loss of a new head tells nothing at step 0: it is near ln 2 = 0.69 whatever it is given.
texts = batching.pad(task.sample_of_corpus(base.config.context, PAGES), words.tokenizer.pad)
masked = noising.mask_words(texts, words.tokenizer, np.random.default_rng(SEED))
guessed = {}
for std in (0, *lesson02.STDS):
    torch.manual_seed(SEED)
    model = adapter.add_adapters(copy.deepcopy(base), M, init_std=std) if std else base
    with torch.no_grad():
        guessed[std] = model.loss(masked).item() / masked.targets
    print(f"σ = {std:g}: {guessed[std]:.3f} nats a masked word" + " (no adapter)" * (not std))
harm = guessed[0.5] - guessed[0]
findings.state(f"σ = 0.5 destroys what the base knows, {harm:+.2f} nats", harm > 1)

# %% The same start after training: three seeds each, `python -m lessons sweep 02` runs them
rows = lesson02.runs(base)
pictures_adapter.starts(rows, guessed, out("02") / "starts.png")
near = lesson02.adapter_cell()
for std in (1e-3, 0.5):
    far_off, words_for = lesson02.adapter_cell(std=std), f"σ = {std:g} ends higher than 0.01 (nats)"
    print(findings.against(rows, "dev_loss", words_for, far_off, near))

# %% Tune it, beside a new head on the frozen base and full fine-tuning
runs, models, sizes = {}, {}, {}
ways = {"base": lesson02.plain_cell("head"), "full": lesson02.plain_cell("full")}
for name, setting in (ways | {"adapter": lesson02.adapter_cell(M)}).items():
    shape = {key: value for key, value in setting.items() if key not in ("size", "lr")}
    torch.manual_seed(SEED)
    models[name] = lesson02.prepared(copy.deepcopy(base), words, **shape)
    sizes[name] = delta.count_parameters(models[name]).trained
    runs[name] = task.tune(models[name], words, STEPS, setting["lr"], SEED, max(1, STEPS // 6))
pictures_adapter.learning(runs, sizes, out("02") / "learning.png")
for name, history in runs.items():
    print(f"{name}: dev loss {history[-1]['dev_loss']:.3f} after {STEPS} steps")

# %% Longer, three seeds: how much of what full fine-tuning gains do adapters gain?
ways |= {"adapter": near}
found = {name: pictures.measured(rows, "dev_loss", **way) for name, way in ways.items()}
print("dev loss:", ", ".join(f"{name} {m:.3f} ± {sd:.3f}" for name, (m, sd) in found.items()))
head, whole, ours = (found[name][0] for name in ("base", "full", "adapter"))
closed = (head - ours) / (head - whole)
findings.state(f"adapters gain {closed:.0%} of what full fine-tuning gains on a head", closed > 0.4)

# %% Capacity: does too much of it over-fit little data? Five seeds for 50 examples, three for more
pictures_adapter.capacity(rows, out("02") / "capacity.png")
claims = {"gap": "a wider gap of dev to training loss", "dev accuracy": "more right on dev (%)"}
for size in lesson02.SIZES:
    thin, wide = (lesson02.adapter_cell(m, size) for m in (2, 128))
    for column, told in claims.items():
        words_for = f"{size:,} examples: m = 128 has {told} than m = 2"
        print(findings.against(rows, column, words_for, wide, thin, 2))

# %% The same budget at the top: the pooler and the last blocks, trained as they are
pictures_adapter.budgets(rows, out("02") / "budgets.png")
for m, blocks in ((8, 0), (128, 1)):
    left, right = lesson02.adapter_cell(m), lesson02.plain_cell("top", blocks=blocks)
    words_for = f"m = {m} beats the pooler and {blocks} block{'s' * (not blocks)} (accuracy, %)"
    print(findings.against(rows, "dev accuracy", words_for, left, right, 1))

# %% In the domain and out of it; and adapters behind the feed-forward layer alone (Pfeiffer)
pictures_adapter.domains(rows, out("02") / "domains.png")
half = lesson02.adapter_cell(64, placement="pfeiffer")
for part in ("dev", "test", "far"):
    column, words_for = f"{part} accuracy", f"{part}: adapters beat"
    print(findings.against(rows, column, f"{words_for} full fine-tuning", near, ways["full"], 1))
    print(findings.against(rows, column, f"{words_for} the same in one place", near, half, 1))

# %% What it costs in use: the layers come one after the other, and cannot be merged
one = adapter.add_adapters(task.with_head(copy.deepcopy(base), words), M, placement="pfeiffer")
kinds, timed = {"base": task.with_head(base, words), "houlsby": tuned, "pfeiffer": one}, {}
for size in (1, 32):
    ids = torch.randint(base.config.vocab_size, (size, 32))
    calls = {name: partial(kind, ids) for name, kind in kinds.items()}
    with torch.no_grad():
        timed[size] = timing.take_turns(calls, ROUNDS)
    for name in ("houlsby", "pfeiffer"):
        words_for = f"{name}, batch of {size}, takes longer (share of the base's time)"
        print(findings.judge(words_for, timing.surcharge(timed[size], name)))
pictures_adapter.latency(timed, out("02") / "latency.png")
print(f"merge? {adapter.NO_MERGE}")

# %% What a task stores, three questions, and the homework
file = delta.save(models["adapter"], out("02") / "sentiment.safetensors")
print(f"{file.stat().st_size // 1000} kB a task; the base is stored once for all")
# 1. Why may both matrices not start at zero? (Write down the gradients of both.)
# 2. The layer norms train too, and are stored a task. What would happen if tasks shared them?
# 3. Two adapters a block, 4 % of the numbers: why is a forward pass slower by more?
# Homework: write adapters yourself in lessons/homework/02_adapter.py, then python -m lessons check
# 02, and at last python -m lessons 02 --mine: this lesson, with your adapters training the model.
