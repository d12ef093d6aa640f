"""Lesson 03. Prefix tuning: trained keys and values before the text (增量式微调 – 前缀)

A prompt steers a model by what its words leave behind: a key and a value for each word in every
layer. Prefix tuning (前缀微调) leaves out the words and trains p keys and values a layer; the base
is frozen. One base then serves many tasks and users, each with a small prefix of its own.

    z = [PREFIX; x; y]              a GPT
    z = [PREFIX; x; PREFIX′; y]     an encoder-decoder: PREFIX for the one, PREFIX′ for the other
    P = MLP(P′)                     while it trains; a task keeps P alone

About 60 s on two CPU cores.
"""

# %% The constants: change one and run again
import minift  # noqa: F401, I001 (first: it quiets OpenMP before torch is loaded)
import copy
import inspect

import torch

from lessons import findings, pictures_prefix, soft_prompt, task
from lessons.settings import DATA, out
from lessons.sweeps import lesson03
from minift import batching
from minift.models import gpt, pretrained, seq2seq
from minift.models.generate import generate
from minift.peft import delta, prefix, serving

LENGTH, HIDDEN, LR, SEED = lesson03.LENGTH, lesson03.HIDDEN, lesson03.LR["prefix"], 0

# %% Three slots by hand: one of the prefix, two of the text
# The prefix has a key and a value and asks nothing. Its share of a query's softmax is λ.
q, K, V = torch.tensor([1.0, 0, 2]), torch.eye(3)[:2], torch.tensor([[2.0, 0, 0], [0, 4, 0]])
P_K, P_V = torch.tensor([[0.0, 0, 1]]), torch.tensor([[0.0, 0, 9]])
alone, all_three = ((keys @ q / 3**0.5).softmax(dim=0) for keys in (K, torch.cat([P_K, K])))
print("weights of the text alone", alone, "with the prefix", all_three)
mixed = (1 - all_three[0]) * alone @ V + all_three[0] * P_V[0]
print("(1 − λ) · text + λ · P_V ", mixed)
torch.testing.assert_close(mixed, all_three @ torch.cat([P_V, V]))

# %% Equations (1) and (2) in the library
print(inspect.getsource(prefix.PrefixNetwork.forward), inspect.getsource(prefix.by_layer), sep="\n")

# %% The slides' index tables, read off what the code does; a word is a token here
x = "Harry Potter , Education , Hogwarts".split()
y = "[SEP] Harry Potter is graduated from Hogwarts".split()
ids_x, ids_y = ([(x + y).index(word) for word in words] for words in (x, y))
size = {"vocab_size": 13, "context": 32, "d_model": 6, "n_layers": 2, "n_heads": 2}
one = prefix.add_prefix(gpt.GPT(gpt.GPTConfig(**size)), length=2, hidden=5)
two = prefix.add_prefix(seq2seq.Seq2Seq(seq2seq.Seq2SeqConfig(**size)), length=2, hidden=5)
[(P_idx, text)] = pictures_prefix.index_table(one, ids_x + ids_y)
print(f"GPT      P_idx {P_idx}  X_idx {text[:6]}  Y_idx {text[6:]}")
(P1_idx, X_idx), (P2_idx, Y_idx) = pictures_prefix.index_table(two, ids_x, ids_y)
print(f"Seq2Seq  P_idx {P1_idx}  X_idx {X_idx}  P′_idx {P2_idx}  Y_idx {Y_idx}")
assert (P_idx, text) == ([1, 2], list(range(3, 16))) and P2_idx == [9, 10] and Y_idx[-1] == 17
print("positions from 0: GPT", pictures_prefix.positions(one, ids_x + ids_y))
print("Seq2Seq counts the text alone", pictures_prefix.positions(two, ids_x, ids_y))

# %% A prefix on the base: what trains, what is kept, where it starts
base, noise = pretrained.open_base("gpt"), torch.arange(4, 40)[None]
torch.manual_seed(SEED)
fresh = prefix.add_prefix(copy.deepcopy(base), LENGTH, HIDDEN)
count = delta.count_parameters(fresh)
print(f"{count.trained:,} numbers train; a task keeps {count.stored:,}: 2 · p · layers · width")
print(f"no start is the base: a logit moves by {(fresh(noise) - base(noise)).abs().max():.1f}")

# %% At which rate does it learn? (The paper's is 5e-5, for bases of hundreds of millions)
rows = lesson03.STORED.rows(base, pretrained.open_base("seq2seq"))
pictures_prefix.rates(rows, out("03") / "rates.png")

# %% One base, three prefixes (with --data, your file is the first of the three tasks)
words, tuned, files = {}, {}, {}
for name in lesson03.TASKS:
    data = DATA if name == lesson03.TASKS[0] else None
    words[name] = lesson03.open_words(name, base.config.context, data)
    start = task.dev_loss(base, words[name])
    tuned[name], end = lesson03.learn(base, words[name], lesson03.BRIEF, SEED)
    files[name] = delta.save(tuned[name], out("03") / f"{name}.safetensors")
    print(f"{name}: dev loss {start:.3f} → {end:.3f}, {files[name].stat().st_size // 1000} kB")
    findings.state(f"a prefix teaches {name}", end < start - 0.02)

# %% One batch, three tasks: the base runs once, and each row has a prefix of its own
served = serving.serve(copy.deepcopy(base), list(files.values()))
asked, tokenizer = [some.test[0] for some in words.values()], words["zh_en"].tokenizer
prompts = [batching.prompt_ids(record, tokenizer) for record in asked]
answers = generate(served, prompts, 60, eos=tokenizer.eos, rows=torch.arange(3))
for model, prompt, record, answer in zip(tuned.values(), prompts, asked, answers, strict=True):
    print(f"{record.prompt[:95]}\n    → {tokenizer.decode(answer).strip()}")
    assert generate(model, [prompt], 60, eos=tokenizer.eos) == [answer]  # as it writes alone

# %% Two users, one batch: one likes a venue's name in front, the other at the end
liked, steps = [lesson03.liked(where) for where in ("front", "end")], lesson03.STEPS
users = [lesson03.learn(base, some, steps, SEED)[0] for some in liked]
mine = [delta.save(user, out("03") / f"user{n}.safetensors") for n, user in enumerate(users)]
served, rows_of = serving.serve(copy.deepcopy(base), mine), torch.arange(2)
prompts = [[tokenizer.bos, *tokenizer.encode(lesson03.STARBUCKS), tokenizer.sep]] * 2
told = generate(served, prompts, 30, eos=tokenizer.eos, rows=rows_of)
front, end = (tokenizer.decode(ids).strip(" .") for ids in told)
print(f"{lesson03.STARBUCKS}\n    the first user   {front}.\n    the second user  {end}.")
both = lesson03.likes("front", front, "Starbucks") and lesson03.likes("end", end, "Starbucks")
findings.state("each user gets the sentence that he likes", both)
with torch.no_grad():
    before = served(torch.tensor(prompts), rows=rows_of)
    served.prefix.banks["self"][1] = float("nan")  # whatever the second user has there …
    assert torch.equal(served(torch.tensor(prompts), rows=rows_of)[0], before[0])  # … no leak

# %% Examples in the prompt: what the frozen base reads is a prefix too, of its own keys and values
shots = soft_prompt.in_words(task.drawn(words["zh_en"], 4, SEED).train)
shown, asked = prefix.of_prompt(copy.deepcopy(base), shots), prompts[0]
with torch.no_grad():
    behind = base(torch.tensor([shots + asked]))[:, len(shots) :]
    apart = (shown(torch.tensor([asked])) - behind).abs().max().item()
assert apart < 1e-4, apart
print(f"4 examples, {len(shots)} slots: a logit is {apart:.0e} apart from that behind the prompt")
pictures_prefix.examples(rows, out("03") / "examples.png")
lesson03.report(rows, "examples")

# %% How long, and in which layers? “Embedding only” trains p vectors that the base reads as words
print(inspect.getsource(soft_prompt.SoftPrompt.forward))
pictures_prefix.lengths(rows, out("03") / "lengths.png")
lesson03.report(rows, "lengths")

# %% Three tasks on two kinds of base; and sentiment, answered by a word: “good” or “bad”
pictures_prefix.tasks(rows, out("03") / "tasks.png")
lesson03.report(rows, "tasks")
lesson03.report(rows, "sentiment")

# %% Who looks at the prefix, and how much?
record = words["table_to_text"].test[0]
ids = batching.encode(record, tokenizer, base.config.context).ids
shares = pictures_prefix.prefix_shares(tuned["table_to_text"], ids)
pieces = pictures_prefix.pieces(tokenizer, ids)
pictures_prefix.attention(shares, pieces, out("03") / "attention.png")
even = sum(LENGTH / (LENGTH + n) for n in range(1, len(ids) + 1)) / len(ids)
print(f"with equal weights for all slots λ would be {even:.2f} on average")
for name, share in shares.items():
    print(f"{name}: λ is {share.mean():.2f} on average, {share.max():.2f} at most")

# %% Three questions, and the homework
# 1. A prefix of one slot has a key of zeros in every layer. Is the model the base? What is λ?
# 2. Two users with prefixes of 5 and of 10 slots share a batch. Why not fill up with zeros?
# 3. LoRA can be merged and a prefix cannot. What does that cost, and what does it allow?
# Homework: write it yourself in lessons/homework/03_prefix.py, then python -m lessons check 03,
# and at last python -m lessons 03 --mine: this lesson, with your own prefix before the model.
