"""Lesson 01. Full fine-tuning: pretrain once, then tune every weight (大模型微调概述)

A large model is trained twice. Pretraining (预训练) reads a great deal of text and learns to go on
with it; fine-tuning (微调) shows few examples of one task. Both do the same thing:

    L(θ) = − 1/N · Σ_i log p_θ(y_i | x, y_<i)        the mean over the N target tokens
    θ ← θ − η · AdamW(∇L)                            for every weight: full fine-tuning (全量微调)

The chapter says what it costs: all weights are stored again for each task, they over-fit (过拟合)
where examples are few, and they forget (遗忘). All of it is measured here, on the shipped base.

About 60 s on two CPU cores.
"""

# %% The constants: change one and run again
import minift  # noqa: F401, I001 (first: it quiets OpenMP before torch is loaded)
import copy
import inspect

import torch

from lessons import findings, pictures_full, task
from lessons.settings import FAST, out
from lessons.sweeps import lesson01
from minift import measure, train
from minift.models import pretrained
from minift.models.generate import generate
from minift.peft import delta, full

LR, SEED = lesson01.RATE["base", "full"], 0
STEPS, FEW, MORE, DEV, TEST = (4, 16, 32, 16, 8) if FAST else (150, 50, 500, 100, 64)

# %% The base has read about a small world in two languages, and goes on with what it is given
base = pretrained.open_base("gpt")
words = task.open_task("table_to_text", base.config.context, MORE, DEV, TEST)
noise = torch.Generator().manual_seed(1)
for start in ("On Monday", "昨天", "name[Clowns], area[riverside]\n"):
    ids = [words.tokenizer.bos, *words.tokenizer.encode(start)]
    told = generate(base, [ids], 40, temperature=0.7, eos=words.tokenizer.eos, generator=noise)
    print(repr(start), "→", repr(words.tokenizer.decode(told[0])))

# %% The loop is the same for pretraining, full fine-tuning and every method of the course
print(inspect.getsource(train.loop))

# %% What is forgotten is seen on text such as the base was trained on
old = task.sample_of_corpus(base.config.context, DEV)
print(f"loss of the base on its own kind of text: {measure.mean_loss(base, old, 0):.3f} nats")

# %% Tune all weights on 50 examples, and on 500, for the same number of steps
runs, models = {}, {}
for size in (FEW, MORE):
    some = task.open_task("table_to_text", base.config.context, size, DEV, TEST)
    models[size] = full.add_full(copy.deepcopy(base))
    runs[size] = task.tune(models[size], some, STEPS, LR, SEED, max(1, STEPS // 10))
pictures_full.overfitting(runs, task.dev_loss(base, words), out("01") / "overfitting.png")
for size, history in runs.items():
    steps, losses = history.column("dev_loss")
    best = min(range(len(losses)), key=losses.__getitem__)
    print(f"{size} examples: training loss {history[-1]['loss']:.3f} at the end,", end=" ")
    print(f"dev loss {losses[best]:.3f} at best (step {steps[best]}), {losses[-1]:.3f} at the end")

# %% Forgetting: the tuned models on the base's own kind of text
for size, model in models.items():
    print(f"after {size} examples: {measure.mean_loss(model, old, 0):.3f} nats on the old text")
forgotten = measure.mean_loss(models[FEW], old, 0) - measure.mean_loss(base, old, 0)
findings.state(f"full fine-tuning forgets, {forgotten:+.2f} nats", forgotten > 0.03)
count = delta.count_parameters(models[FEW])
print(f"and it stores {count.stored:,} numbers a task, of {count.base:,}")

# %% More examples: 5,000 took minutes, so they stand in lessons/results/, three seeds each
rows = lesson01.STORED.rows(base)
pictures_full.sizes(rows, out("01") / "sizes.png")
few, some, many = (lesson01.cell("table_to_text", method="full", size=n) for n in lesson01.SIZES)
print(findings.against(rows, "test all_slots", "500 examples beat 50 (all slots, %)", some, few))
print(findings.against(rows, "test all_slots", "5,000 beat 500 (all slots, %)", many, some))

# %% What the base is good for: the same training from random weights
for name in task.MAIN:
    column = lesson01.main_metric(name)
    tuned = lesson01.cell(name, method="full")
    scratch = lesson01.cell(name, "random", "full")
    print(
        findings.against(rows, column, f"{name}: the base beats random weights", tuned, scratch, 1)
    )

# %% In the domain and out of it: does tuning fewer parameters generalise better?
# dev has train's templates; test has templates that train never shows; far is another domain. Of
# instruct_tasks, test asks for tasks that tuning never asked for, far for such as no text asks for.
pictures_full.domains(rows, out("01") / "domains.png")
for name, metric in lesson01.FAR.items():
    for part in ("dev", "test", "far"):
        thin, whole = lesson01.cell(name), lesson01.cell(name, method="full")
        words_for = f"{name}, {part}: LoRA beats full fine-tuning"
        print(findings.against(rows, f"{part} {metric}", words_for, thin, whole, 1))

# %% Three questions
# 1. The training loss on 50 examples goes to nothing. Why is the dev loss not the same?
# 2. Which of the two would you stop earlier, and how would you know when?
# 3. A base forgets while it is tuned. What could you mix into the batches against it?
# There is no homework for this lesson: lesson 05 begins with a method of your own.
