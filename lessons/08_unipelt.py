"""Lesson 08. UniPELT: prefix, LoRA and adapter, each behind a gate (混合式微调 – UniPELT)

Which method does best differs from task to task, and nobody knows it beforehand. The chapter takes
three at once and lets gates (门控), trained with them, decide how much of each a text gets:

    G = mean over the text's tokens of σ(w·h + b)                   one number a gate and text
    W_q x + G_L · B A x,  h + G_A · Δ(h),  [G_P · P_K; K], [G_P · P_V; V]

The claim, the chapter's and the paper's: on little data it beats the best of its parts.

About 60 s on two CPU cores. --data FILE (pairs) takes the place of the headlines, not of sentiment.
"""

# %% The constants: change one and run again
import minift  # noqa: F401, I001 (first: it quiets OpenMP before torch is loaded)
import copy
import inspect

import torch

from lessons import findings, gates, pictures_unipelt, task, timing
from lessons.settings import FAST, out
from lessons.sweeps import lesson08
from minift import batching
from minift.models import pretrained
from minift.peft import delta, unipelt

SEED, FEW, ALL, SIZES, ROUNDS = 0, lesson08.FEW, lesson08.ALL, lesson08.SIZES, 5 if FAST else 60
RATE, WORDS, PARTS = lesson08.RATE, pictures_unipelt.WORDS, pictures_unipelt.PARTS

# %% Three tokens by hand: how far does a gate open for this text?
h = torch.tensor([[0.0, 1, 2], [3, 0, 1], [1, 2, 0], [9, 9, 9]])  # three tokens, and padding
w, real = torch.tensor([1.0, -1, 0.5]), torch.tensor([[True, True, True, False]])
score, each = h @ w, torch.sigmoid(h @ w)  # b = 0
gate = unipelt.mean_over(each[None, :, None], real).item()
print("w·h          ", score[:3].tolist())
print("σ of each    ", [round(x, 3) for x in each[:3].tolist()])
print(f"their mean    {gate:.3f}  so much of its part does this text get")
print(f"σ of the mean {torch.sigmoid(score[:3].mean()):.3f}  is another number")
print(f"with padding  {each.mean():.3f}  as in the released code: pad more, and the answer changes")
assert abs(gate - sum(each[:3].tolist()) / 3) < 1e-6

# %% The same in the library: the gate, and two of its three places
for shown in (unipelt.Gate, unipelt.GatedLoRALinear, unipelt.GatedAdapter):
    print(inspect.getsource(shown.forward))

# %% In a GPT with a head: four gates a block, half open, and so not the base, even untrained
base, encoder = pretrained.open_base("gpt"), pretrained.open_base("encoder")
words = task.drawn(lesson08.all_of("sentiment", base.config.context), FEW, SEED)
torch.manual_seed(SEED)
tuned = lesson08.starting_point(copy.deepcopy(base), words, "unipelt")
count, numbers = delta.count_parameters(tuned), 4 * (base.config.d_model + 1) * base.config.n_layers
assert numbers == sum(p.numel() for g in gates.gates_of(tuned).values() for p in g.parameters())
print(f"{count.trained:,} numbers train, {numbers:,} of them in gates")
batch = batching.pad(words.dev[:16], words.tokenizer.pad)
with torch.no_grad():
    here = tuned.body.summary(batch.ids, mask=batch.mask)
    with delta.off(tuned):
        plain = tuned.body.summary(batch.ids, mask=batch.mask)
away = (here - plain).norm() / plain.norm()
print(f"hidden states {away:.0%} away from the base's, untrained: half of a drawn prefix is on")

# %% Tune it on 100 reviews; beside it the head alone, on the frozen base
head = lesson08.starting_point(copy.deepcopy(base), words, "base")
for method, model in {"base": head, "unipelt": tuned}.items():
    lesson08.train(model, words, "sentiment", RATE["sentiment"][method], SEED)
    print(f"{WORDS[method]}: accuracy on test {task.classify(model, words, words.test):.1%}")

# %% The gates of this run: what do they choose, and for which texts?
values = gates.values_of(tuned, words.dev, words.tokenizer.pad)
for part in gates.GATED:
    row = [each for (owner, _), each in values.items() if owner == part]
    cells = "  ".join(f"{each.mean():.2f} ± {each.std():.2f}" for each in row)
    print(f"{PARTS[part][0]:10} block by block, mean ± sd over texts: {cells}")

# %% Gates by block and task, five seeds (three where it is not sentiment on the GPT)
trials, runs = lesson08.trials_and_runs(lesson08.STORED.rows(encoder, base))
pictures_unipelt.by_block(runs, out("08") / "gates.png")
for name, (title, size) in pictures_unipelt.STUDIES.items():
    print(f"{title}: mean gate; deviation between blocks, between texts, between seeds")
    for part, four in gates.spreads(runs, lesson08.cell("unipelt", size, name)).items():
        print(f"  {PARTS[part][0]:10}", *(f"{x:.3f}" for x in four), sep="  ")

# %% 50, 100, 500 examples: against the best of the parts (named on dev), and more
pictures_unipelt.few(runs, out("08") / "few.png")
print(lesson08.table(runs))
rivals = [("sentiment", size, lesson08.best_part(runs, size)) for size in SIZES]
rivals.append(("headline", FEW, lesson08.best_part(runs, FEW, "headline")))
rivals += [*(("sentiment", size, "full") for size in SIZES), ("sentiment", FEW, "still")]
for name, size, rival in rivals:
    claim = f"{name}, {size} examples: UniPELT beats {WORDS[rival]}, points on test"
    pair = (lesson08.cell(method, size, name) for method in ("unipelt", rival))
    print(findings.against(runs, "test", claim, *pair, 1))

# %% On the encoder, with 500 examples and with 5,000
for size in (500, ALL):
    for method in RATE["encoder"]:
        found = lesson08.of(runs, lesson08.cell(method, size, "encoder"))
        words_for = f"encoder, {size:,} examples: {WORDS[method]} beats guessing, points on test"
        print(findings.judge(words_for, [one["test"] - 50 for one in found], 1))

# %% Means hide that a run either learns or does not: how many stay at guessing, below 55 %?
for method in ("lora", "adapter", "prefix", "unipelt"):
    found = [lesson08.of(runs, lesson08.cell(method, size)) for size in SIZES]
    print(f"{WORDS[method]}: {[sum(x['test'] < 55 for x in five) for five in found]} of 5 each")

# %% 100 headlines, or your pairs
own = task.drawn(task.open_task("headline", base.config.context, None, 64, 8), FEW, SEED)
torch.manual_seed(SEED)
writer = unipelt.add_unipelt(copy.deepcopy(base))
start = task.dev_loss(writer, own)
lesson08.train(writer, own, "headline", RATE["headline"]["unipelt"], SEED)
print(f"dev loss {start:.2f} → {task.dev_loss(writer, own):.2f}")

# %% A GPT's gate pools the prompt. Over all positions, as in the released code, the future leaks
# One token of the answer is exchanged: what stands before it must keep its logits.
example = max(own.dev, key=lambda example: sum(example.answer))
one, at = batching.pad([example], own.tokenizer.pad), len(example.ids) - 3
leaky = copy.deepcopy(writer)
for gate in gates.gates_of(leaky).values():
    gate.masked = False
pair = {"gates over all positions": leaky, "gates over the prompt": writer}
moves = {told: gates.moved(model, one, at, example.ids[1]) for told, model in pair.items()}
pictures_unipelt.leak(moves, at, out("08") / "leak.png")
worst = {told: max(heights[:at]) for told, heights in moves.items()}
print("largest change of a logit before the changed token:", worst)
assert worst["gates over the prompt"] == 0 < worst["gates over all positions"]

# %% What it costs: numbers, bytes, time; and it cannot be merged away
kinds = ("base", "lora", "adapter", "prefix", "unipelt")
models = {k: lesson08.starting_point(copy.deepcopy(base), words, k).eval() for k in kinds}
calls = {m: lambda model=model: model(batch.ids, mask=batch.mask) for m, model in models.items()}
with torch.no_grad():
    times = timing.take_turns(calls, ROUNDS)
pictures_unipelt.costs(times, out("08") / "costs.png")
print(findings.judge("UniPELT takes longer than the base", timing.surcharge(times, "unipelt")))
print(f"merge? {unipelt.NO_MERGE}")

# %% The numbers that train, what a task stores, and the time over the base's
for method in kinds[1:]:
    count, ratio = delta.count_parameters(models[method]), timing.ratios(times, method)[0]
    size = delta.save(models[method], out("08") / method).stat().st_size
    told = f"{count.trained:,} train, {count.stored:,} stored, {size:,} bytes"
    print(f"{method:8} {told}; {ratio:.2f} of the base's time")

# %% Three questions, and the homework
# 1. All gates are shut, G = 0. Why is the model still not the base? (Which keys are zeros?)
# 2. Where α/r stood in LoRA, a gate stands now. What can it do that a constant cannot?
# 3. Why is a gate of a text that is being written computed once, when the prompt is read?
# Homework: lessons/homework/08_unipelt.py, then python -m lessons check 08, and last 08 --mine.
