"""Lesson 09. The chapter's two tables, measured (小结: strengths, weaknesses, where each fits)

The chapter ends its methods with two tables: what each is good and bad at, and where each fits.
Here their sentences, told in our words, become measured cells, on one task and one small base:

    memory   =  weights + gradients + Adam's two moments + what the forward pass keeps
    verdict  =  mean of five seeds' differences ± Student's 95 %: shown, not shown, the opposite

Each method first gets the best of four learning rates, for 100 and for 2,000 examples. There are
some fifty verdicts: two or three would fall to either side by chance alone.

About 50 s on two CPU cores.
"""

# %% The constants: change one and run again
import minift  # noqa: F401, I001 (first: it quiets OpenMP before torch is loaded)
import copy
import inspect

import torch

from lessons import costs, findings, pictures, pictures_blocks, pictures_tables, timing
from lessons.settings import FAST, out
from lessons.sweeps import lesson05, lesson09
from minift import batching
from minift.models import generate, pretrained
from minift.peft import delta

(FEW, MUCH), SCORE, SEED = lesson09.SIZES, lesson09.SCORE, 0
BATCH, TRAIN_ROUNDS, USE_ROUNDS = (4, 2, 2) if FAST else (16, 18, 36)
ALL = list(lesson09.METHODS)
THIN = [method for method in ALL if method != "full"]  # the base, or nearly all of it, is frozen


# %% Three by three: the bytes of one layer's training step, by hand
# y = W x + b with 9 + 3 numbers, two rows of x, loss ‖y‖². Four bytes a number; Adam has two more
# numbers for each that trains, and a counter for each tensor. To get dL/dW one has to keep x; where
# W is frozen and only b trains, x may go. y is kept in both, for the square.
class Layer(torch.nn.Linear):
    x, targets = torch.ones(2, 3), 1  # it brings its batch along

    def loss(self, batch):
        return self(batch.x).square().sum()


layer = Layer(3, 3)
for words, wanted in (("all of it", [48, 48, 104, 48]), ("its bias", [48, 12, 28, 24])):
    held = costs.memory(costs.Step(layer, layer))
    print(f"trains {words}:", ", ".join(f"{what} {size}" for what, size in held.items()))
    assert list(held.values()) == wanted
    layer.weight.requires_grad = False

# %% How the activations are counted
print(inspect.getsource(costs.kept_for_backward))

# %% Every method in a copy of the base; the picture shows what a forward pass went through
torch.manual_seed(SEED)
base = pretrained.open_base("gpt")
words = lesson05.open_words(base.config.context, 8)
models = {method: lesson09.put(copy.deepcopy(base), method) for method in ALL}
ids = torch.tensor([words.train[0].ids])
pictures_blocks.blocks({m: models[m] for m in THIN}, ids, out("09") / "blocks.png")
for method, model in models.items():
    count = delta.count_parameters(model)
    print(f"{method:8} {count.trained:9,} train, {count.trained / count.base:6.1%} of the base")

# %% A training step: bytes, and milliseconds for 16 examples, the methods in turns
batch = batching.pad(words.train[:BATCH], words.tokenizer.pad)
steps = {method: costs.Step(model, batch) for method, model in models.items()}
memory = {method: costs.memory(step) for method, step in steps.items()}
training = timing.take_turns(steps, TRAIN_ROUNDS)
for method, held in memory.items():
    print(f"{method:8}", ", ".join(f"{what} {size / 1e6:.1f}" for what, size in held.items()), "MB")

# %% Use: a prompt read and 16 tokens written; also merged, where that is exact
served = {"base": base, **models}
for method in ("lora", "adalora"):
    served[f"{method}, merged"] = delta.merge(copy.deepcopy(models[method]))
    with torch.no_grad():
        plain, tuned, merged = (served[n](ids) for n in ("base", method, f"{method}, merged"))
    assert (merged - tuned).abs().max() < 1e-3 < (plain - tuned).abs().max()
calls = {n: lambda model=model: generate.generate(model, ids, 16) for n, model in served.items()}
use = timing.take_turns(calls, USE_ROUNDS)
pictures_tables.costs(memory, training, use, out("09") / "costs.png")

# %% The scores took half an hour; they stand in lessons/results/: first the rates, then five seeds
rows = lesson09.STORED.rows(base)
pictures_tables.rates(rows, out("09") / "rates.png")
pictures_tables.scatter(rows, out("09") / "scatter.png")
own = {(m, size): lesson09.own(rows, m, size) for m in ALL for size in lesson09.SIZES}
ends = [f"{m} {size:,}" for (m, size), one in own.items() if one["lr"] in lesson09.ends(m)]
print("best at an end of its four rates, so that a better one may lie outside:", ", ".join(ends))

# %% The table: BLEU in the domain and out of it, mean ± sd of five seeds
print(pictures_tables.table(rows, memory, training, use))

# %% What the base is good for: the same methods, at the same rates, on random weights
for method in ALL:
    both = (method, MUCH), (method, MUCH, "random")
    print(lesson09.verdict(rows, f"{method}: the base helps", *both))
    least = min(lesson09.gaps(rows, SCORE, *both))
    findings.state(f"{method}: it is worth 10 points or more, in each seed", least > 10)

# %% Table 1, strengths: how good it gets, in BLEU on dev (3 points: what one may lack and keep up)
for method in THIN:
    given = [gap + 3 for gap in lesson09.gaps(rows, SCORE, (method, MUCH), ("full", MUCH))]
    print(findings.judge(f"{method} keeps up with full: beats it, given 3 points", given, 1))
print(lesson09.verdict(rows, "with many data full beats LoRA", ("full", MUCH), ("lora", MUCH)))
for size in lesson09.SIZES:
    parts = [("unipelt", part) for part in ("adapter", "prefix", "lora")]
    for left, right in (("adalora", "lora"), *parts):
        words_for = f"{left} beats {right} with {size:,} examples"
        print(lesson09.verdict(rows, words_for, (left, size), (right, size)))

# %% Table 1, weaknesses: where it falls behind, and what it stores
few, much = (lesson09.gaps(rows, SCORE, ("lora", n), ("bitfit", n)) for n in lesson09.SIZES)
grown = [after - before for before, after in zip(few, much, strict=True)]
print(findings.judge("bitfit: LoRA's lead over it grows with the data", grown, 1))
print(lesson09.verdict(rows, "prefix is behind LoRA", ("lora", MUCH), ("prefix", MUCH)))
sds = [pictures.measured(rows, SCORE, **own[m, MUCH])[1] for m in ("prefix", "lora")]
seen = "shown" if sds[0] > 3.1 * sds[1] else "not shown, below 3.1 times it may be chance (F)"
print(f"{seen}: prefix depends more on the seed: sd {sds[0]:.1f}, LoRA {sds[1]:.1f}")
stored = {m: pictures.measured(rows, "stored", **own[m, MUCH])[0] for m in ALL}
print("kB a task:", ", ".join(f"{m} {4 * number / 1000:,.0f}" for m, number in stored.items()))
findings.state("full stores 40 times as much as any other", stored["full"] > 40 * stored["unipelt"])

# %% Table 1, costs: time to train and to use
for method in THIN:
    less = [-more for more in timing.surcharge(training, method, "full")]
    print(findings.judge(f"{method}: a step takes less time than full", less, 2))
slower = timing.surcharge(training, "adalora", "lora")
print(findings.judge("adalora: a step takes more time than LoRA", slower, 2))
for name in list(served)[1:]:
    print(findings.judge(f"{name}: slower to write than the base", timing.surcharge(use, name), 2))

# %% Table 2, where each fits: few examples, another domain, little memory
for method in THIN:
    for words_for, column, n in (("few examples", SCORE, FEW), ("new words", "test bleu", MUCH)):
        sides = (method, n), ("full", n)
        print(lesson09.verdict(rows, f"{words_for}: {method} beats full", *sides, column))
total = {method: sum(held.values()) for method, held in memory.items()}
saved = {method: 1 - total[method] / total["full"] for method in THIN}
print("less memory than full while training:", ", ".join(f"{m} {s:.0%}" for m, s in saved.items()))
findings.state("each holds less than full", min(saved.values()) > 0.05)

# %% Three questions
# 1. The optimiser's share falls to nothing, the activations' does not. What would shrink those?
# 2. Prefix trains a hundred times what bitfit trains and stores twice as much. Where is the rest?
# 3. A rate at the end of its grid: whom does it favour? How would you choose four rates fairly?
# There is no homework for this lesson: it measures what you wrote in 02 to 08.
