"""Lesson 04. BitFit: only the biases train (指定式微调 – BitFit)

A specifying method (指定式) adds nothing to a model: it says which of its own numbers may change.
BitFit says: the biases (偏置), what a layer adds whatever its input is, and the task's head:

    linear    y = W x + b        layer norm    y = g ⊙ (x − μ)/σ + b
    θ = { b of every layer }     or some of them: b_q and b_m2, the bias of the MLP's first layer

The chapter: about 0.1% of the parameters. The paper: on few examples as good as training them all.

About 60 s on two CPU cores. --data FILE takes a file of texts with classes.
"""

# %% The constants: change one and run again
import minift  # noqa: F401, I001 (first: it quiets OpenMP before torch is loaded)
import copy
import inspect

import torch

from lessons import biases, findings, pictures, pictures_bitfit, task
from lessons.settings import FAST, out
from lessons.sweeps import lesson04, lesson05
from minift import batching
from minift.models import pretrained
from minift.models.encoder import EncoderConfig
from minift.peft import bitfit, delta, inject

SIZE, SEED = lesson04.SIZES[-1], 0
STEPS, DEV, TEST = (4, 16, 8) if FAST else (lesson04.STEPS["gpt"], lesson04.DEV, lesson04.TEST)

# %% Three by three: three keys, one query, and a bias b that is added to every key
q, K = torch.tensor([1.0, 2, 0]), torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 1, 1]])
v, b = torch.tensor([1.0, 2, 4]), torch.tensor([1.0, 1, 5])
weight = (K @ q).softmax(0)
moved = ((K + b) @ q).softmax(0)
print("q·k        ", (K @ q).tolist(), " → softmax", weight.numpy().round(3))
print("q·(k + b)  ", ((K + b) @ q).tolist(), " → softmax", moved.numpy().round(3))
# The output o = Σ wᵢ vᵢ; its slope along score i is wᵢ (vᵢ − o), and these slopes sum to nothing.
slope = weight * (v - weight @ v)
print("∂o/∂score  ", slope.numpy().round(3), f" sum {slope.sum():.0e}")
print("∂o/∂b_k = Σ slopeᵢ · q   ", (slope.sum() * q).numpy().round(6), " b_k learns nothing")
print("∂o/∂b_q = Σ slopeᵢ · kᵢ  ", (slope @ K).numpy().round(3))
print(f"∂o/∂b_v = Σ wᵢ            {weight.sum():.0f}: a bias of the values arrives as it is")
assert torch.allclose(moved, weight) and slope.sum().abs() < 1e-6

# %% Equations (1) and (2) in the library
print(inspect.getsource(bitfit.biases))
print(inspect.getsource(bitfit.bitfit))

# %% How many? A block has 12c² weights and 11c biases: 11/12c, so a narrow model has a larger share
base, encoder = pretrained.open_base("gpt"), pretrained.open_base("encoder")
configs = {
    "BERT-large": EncoderConfig(30522, 512, 1024, 24, 16),
    "BERT-base": EncoderConfig(30522, 512, 768, 12, 12), "our encoder": encoder.config,
}  # fmt: skip
for name, config in configs.items():
    everything, some, whole = biases.count_biases(config)
    shares = (
        f"{everything:7,} = {everything / whole:.2%}, b_q and b_m2 {some:7,} = {some / whole:.2%}"
    )
    print(f"{name:11} c {config.d_model:4}: biases {shares}; a head {2 * config.d_model + 2:,}")

# %% A bias starts where the base has it: at first nothing has changed, to the last bit
words = task.open_task("sentiment", base.config.context, None, DEV, TEST)
torch.manual_seed(SEED)
plain = task.with_head(base, words)
tuned = bitfit.bitfit(copy.deepcopy(plain))
batch = batching.pad(words.train[:64], words.tokenizer.pad)
assert torch.equal(tuned(batch.ids, mask=batch.mask), plain(batch.ids, mask=batch.mask))
count = delta.count_parameters(tuned)
print(f"{count.trained:,} biases train ({count.share:.2%} of the base), and {count.head} of a head")

# %% The key's bias gets no gradient here either: what is left in 32 bits is rounding
short, long = (biases.bias_gradients(copy.deepcopy(tuned).to(kind), batch) for kind in (
    torch.float32, torch.float64
))  # fmt: skip
for kind in short:
    print(f"{kind:10} largest gradient {short[kind]:.0e}, in 64 bits {long[kind]:.0e}")
assert short["k_proj"] < 1e-4 * short["q_proj"] and long["k_proj"] < 1e-10 * long["q_proj"]

# %% Train the biases, and all weights of a second copy
every, start = max(1, STEPS // 8), task.dev_loss(plain, words)
models = {"bitfit": tuned, "full": lesson04.let_train(copy.deepcopy(plain), "full", SEED)[0]}
some, rates = task.drawn(words, SIZE, SEED), lesson04.RATE["gpt", SIZE]
runs = {
    name: task.tune(model, some, STEPS, rates[name], SEED, every, weight_decay=0.0)
    for name, model in models.items()
}
sizes = {"bitfit": count.trained, "full": count.base}
title = f"Sentiment, {SIZE:,} examples: the biases, or everything"
pictures.convergence(runs, start, sizes, title, out("04") / "convergence.png", unit="text")
found = {name: task.classify(model, words, words.test) for name, model in models.items()}
print(", ".join(f"{name}: {share:.1%} of the test right" for name, share in found.items()))
findings.state("the biases alone learn the task", found["bitfit"] > 0.6)

# %% Against the head alone, as many numbers elsewhere, and everything
rows = lesson04.STORED.rows(encoder, base)
print(lesson04.main_table(rows))
pictures_bitfit.rivals(rows, out("04") / "rivals.png")
rivals = {
    "the head alone": "head", "as many random scalars": "random", "the paper's subset": "subset",
    "LoRA of as many numbers": "lora", "full fine-tuning": "full",
}  # fmt: skip
mains = [row for row in rows if row["setting"]["seed"] != lesson04.TRIAL]
for size in lesson04.SIZES:
    for told, method in rivals.items():
        left, right = (lesson04.cell(name, size) for name in ("bitfit", method))
        claim = f"{size:,} examples: all biases beat {told} (test, %)"
        print(findings.against(mains, "test", claim, left, right, digits=1))

# %% The same on the encoder
left, right = (lesson04.cell(method, family="encoder") for method in ("bitfit", "full"))
claim = "encoder: all biases beat full fine-tuning (test, %)"
print(findings.against(mains, "test", claim, left, right, digits=1))

# %% Rates: the best one for full fine-tuning is too small for the biases
pictures_bitfit.rates(rows, out("04") / "rates.png")

# %% Which biases move, and which matter?
pictures_bitfit.moves(rows, base, out("04") / "moves.png")
pictures_bitfit.kinds(rows, out("04") / "kinds.png")
with torch.no_grad():
    logits = [model(batch.ids) for model in (tuned, biases.put_back(tuned, "k_proj"))]
print(f"b_k put back: logits change by {(logits[0] - logits[1]).abs().max():.0e}")

# %% To write takes more than to judge: headlines by the GPT's biases, beside LoRA's ranks
lora_rows = lesson05.STORED.rows(base)
pictures_bitfit.headlines(rows, lora_rows, out("04") / "headlines.png")

# %% What a task stores, and what it costs in use: nothing moved in, so nothing is slower
file = delta.save(tuned, out("04") / "sentiment.safetensors")
assert [n for n, _ in inject.body(tuned).named_modules()] == [
    n for n, _ in inject.body(base).named_modules()
]
print(f"{file.stat().st_size / 1000:.0f} kB a task")

# %% Three questions, and the homework
# 1. b_v, too, could be left out: which other bias can do its work? (Where does W_o b_v arrive?)
# 2. Weight decay pulls to 0. Why is that wrong for a bias, and right enough for LoRA's B?
# 3. LLaMA has no biases. What would you let train in its place, at the same number of parameters?
# Homework: write BitFit yourself in lessons/homework/04_bitfit.py, then python -m lessons check 04,
# and at last python -m lessons 04 --mine: this lesson, trained by your own lines.
