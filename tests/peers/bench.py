"""How fast minift is beside its peers: `python -m tests.peers.bench [name …] [--data FILE]`.

    pretrain   a step (forward, loss, backward, AdamW) of GPT, against a plain GPT with one fused
               q, k, v matrix and F.scaled_dot_product_attention, and against GPT2LMHeadModel
    lora       a LoRA step on equal full batches, against transformers + peft: GPT2 with r = 8 on
               c_attn (as many trained numbers as r = 8 on q and v, in half as many adapters), and
               OPT with GELU (pre-LN, learned positions, tied) with r = 8 on its q_proj and v_proj
    epoch      one LoRA epoch of an E2E file (--data FILE; without it lengths drawn like that
               file's), loss on the response: packed rows, logits only at labels, against peft on
               GPT2 with each batch padded to its longest row and all logits
    generate   64 new tokens for each of 8 prompts, greedy, cached, against `generate`

Both sides take turns in one process (A B A B …) on two threads, after a warm-up. Each line has the
median of both, the median of the ratios of neighbouring runs with their quartiles, the ratio of the
two fastest runs, and the bar; the epoch counts by its total. Before the clock runs, both sides have
the same weights and must give the same loss or tokens (OPT, another model, is only timed).
The peers are called as their documentation calls them: `model(input_ids=…, labels=…)`.

`--rows N` takes the first N examples of the epoch. On a machine that does other work the ratios of
`--threads 1` are steadier: no thread waits for a slower one.
"""

import copy
import math
import sys
import tempfile
import time
from dataclasses import dataclass, replace

import numpy as np
import peft
import torch
import torch.nn.functional as F
import transformers
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from minift import batching, records, tokenizer
from minift.models import generate, pretrained
from minift.peft import lora

V, CONTEXT, WIDTH, LAYERS, HEADS = 4096, 128, 192, 6, 6
ROWS, NEW, ROUNDS, SLICES, WARM_UP = 8, 64, 25, 20, 3
RANK, ALPHA = 8, 16
# deciles of the E2E dev file's prompts and responses in tokens of a tokenizer trained on it
PROMPTS = [12, 18, 23, 27, 29, 30, 32, 34, 36, 37, 41]
RESPONSES = [7, 15, 18, 21, 24, 26, 28, 30, 33, 37, 91]
ALIKE, EXAMPLES = 0.68, 4672  # correlation of the two lengths, number of examples


class PlainBlock(nn.Module):
    """Pre-LN attention and feed-forward with q, k and v in one matrix."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).split(c, dim=2)
        q, k, v = (y.view(b, t, HEADS, c // HEADS).transpose(1, 2) for y in (q, k, v))
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(heads.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class PlainGPT(nn.Module):
    """The same model as minift's GPT, as one would write it without doors."""

    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(V, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(PlainBlock() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)


def plain_twin(gpt):
    """A PlainGPT with the weights of a minift GPT."""
    plain = PlainGPT()
    ends = [(plain.tokens, gpt.embedding), (plain.positions, gpt.position_embedding)]
    for mine, theirs in zip(plain.blocks, gpt.blocks, strict=True):
        attention, feedforward = theirs.attention, theirs.feedforward
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        for kind in ("weight", "bias"):
            getattr(mine.qkv, kind).data = torch.cat([getattr(p, kind).data for p in parts])
        ends += [(mine.norm1, theirs.norm1), (mine.norm2, theirs.norm2)]
        ends += [(mine.out, attention.out_proj)]
        ends += [(mine.up, feedforward.up_proj), (mine.down, feedforward.down_proj)]
    for mine, theirs in [*ends, (plain.norm, gpt.norm)]:
        mine.load_state_dict(theirs.state_dict())
    return plain


def twins():
    """A GPT2LMHeadModel and the minift GPT with its weights."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=V, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
        pad_token_id=0,
    )  # fmt: skip
    theirs = GPT2LMHeadModel(config)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return theirs, pretrained.load_gpt2(folder)


def opt_with_gelu():
    """The architecture nearest to GPT-2 whose q and v are layers of their own."""
    config = OPTConfig(
        vocab_size=V, hidden_size=WIDTH, ffn_dim=4 * WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, max_position_embeddings=CONTEXT, word_embed_proj_dim=WIDTH,
        activation_function="gelu_new", dropout=0.0,
    )  # fmt: skip
    return OPTForCausalLM(config)


def with_peft(model, targets):
    fused = targets == ["c_attn"]
    config = peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=targets, fan_in_fan_out=fused
    )
    return peft.get_peft_model(model, config)


def full_batch(seed=0):
    """8 rows of 128 tokens; each position but the last has a label, as in transformers."""
    ids = torch.randint(1, V, (ROWS, CONTEXT), generator=torch.Generator().manual_seed(seed))
    labels = torch.full_like(ids, -100)
    labels[:, :-1] = ids[:, 1:]
    return batching.Batch(ids, labels, torch.ones_like(ids, dtype=torch.bool))


def our_loss(model, batch):
    return model.loss(batch) / batch.targets


def plain_loss(model, batch):
    return F.cross_entropy(model(batch.ids).flatten(0, 1), batch.labels.flatten())


def their_loss(model, batch):
    """What transformers does with labels, which it shifts itself."""
    ids, mask, labels = batch
    return model(input_ids=ids, attention_mask=mask, labels=labels).loss


def trainer(model, loss):
    """step(batch): one training step with the AdamW of train.fit, and the loss before it."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    model.train()

    def step(batch):
        optimizer.zero_grad()
        value = loss(model, batch)
        value.backward()
        optimizer.step()
        return value.item()

    return step


@dataclass
class Comparison:
    """Two callables of the round's number; a ratio above 1 says that ours is faster."""

    name: str
    ours: object
    theirs: object
    bar: float
    rounds: int = ROUNDS
    whole: bool = False  # the rounds are the parts of one piece of work: their sum counts


def agree(ours, theirs, what):
    """Refuse to time two sides that do not compute the same thing."""
    if not math.isclose(ours, theirs, rel_tol=1e-4):
        raise ValueError(f"{what}: ours gives {ours}, the peer {theirs}; expected the same")


def pretrain():
    theirs, ours = twins()
    plain, batch = plain_twin(ours), full_batch()
    triple = (batch.ids, None, batch.ids)
    step, plain_step = trainer(ours, our_loss), trainer(plain, plain_loss)
    again, their_step = trainer(copy.deepcopy(ours), our_loss), trainer(theirs, their_loss)
    agree(step(batch), plain_step(batch), "pretrain against the plain GPT")
    agree(again(batch), their_step(triple), "pretrain against GPT2LMHeadModel")
    yield Comparison(
        "pretrain / plain GPT", lambda _: step(batch), lambda _: plain_step(batch), 0.94
    )
    yield Comparison(
        "pretrain / GPT2LMHeadModel", lambda _: again(batch), lambda _: their_step(triple), 1.15
    )


def lora_step():
    gpt2, ours = twins()
    batch = full_batch()
    triple = (batch.ids, None, batch.ids)
    step = trainer(lora.add_lora(ours, RANK, ALPHA), our_loss)
    fused = trainer(with_peft(gpt2, ["c_attn"]), their_loss)
    separate = trainer(with_peft(opt_with_gelu(), ["q_proj", "v_proj"]), their_loss)
    agree(step(batch), fused(triple), "lora against peft on GPT2")
    for name, peer in [("GPT2 c_attn", fused), ("OPT q_proj, v_proj", separate)]:
        yield Comparison(
            f"lora / peft {name}", lambda _: step(batch), lambda _, peer=peer: peer(triple), 1.2
        )


def drawn_examples():
    """As many examples as the E2E dev file has, with lengths distributed and related as there."""
    random = np.random.default_rng(0)
    both = random.multivariate_normal([0, 0], [[1, ALIKE], [ALIKE, 1]], EXAMPLES)
    share = both.argsort(axis=0).argsort(axis=0) / (EXAMPLES - 1)
    deciles = np.linspace(0, 1, 11)
    prompts = np.interp(share[:, 0], deciles, PROMPTS).round().astype(int) + 2  # <bos>, <sep>
    responses = np.interp(share[:, 1], deciles, RESPONSES).round().astype(int) + 1  # <eos>
    examples = []
    for p, r in zip(prompts, responses, strict=True):
        ids = random.integers(1, V, p + r)[:CONTEXT].tolist()
        answer = [False] * p + [True] * (len(ids) - p)
        examples.append(batching.Encoded(tuple(ids), tuple(answer), None))
    return examples


def file_examples(path):
    """Every reference of the file, encoded by a tokenizer that is trained on it."""
    found = records.read(path, kind="pair")
    pairs = [replace(p, response=r) for p in found for r in p.references or (p.response,)]
    texts = [pair.prompt for pair in pairs] + [pair.response for pair in pairs]
    examples, _ = batching.encode_all(pairs, tokenizer.Tokenizer.train(texts, V), CONTEXT)
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))
    return [examples[i] for i in order]


def padded(examples):
    """(ids, mask, labels) as transformers' collators make them: each batch to its longest row."""
    longest = max(len(e.ids) for e in examples)
    rows, masks, labels = [], [], []
    for e in examples:
        rest = longest - len(e.ids)
        rows.append(list(e.ids) + [0] * rest)
        masks.append([1] * len(e.ids) + [0] * rest)
        learnt = [i if a else -100 for i, a in zip(e.ids, e.answer, strict=True)]
        labels.append(learnt + [-100] * rest)
    return torch.tensor(rows), torch.tensor(masks), torch.tensor(labels)


def part(n, k, parts):
    """The k-th of so many parts of 0 … n-1."""
    k %= parts
    return range(k * n // parts, (k + 1) * n // parts)


def epoch(data=None, rows=None):
    examples = (file_examples(data) if data else drawn_examples())[:rows]
    gpt2, gpt = twins()
    step = trainer(lora.add_lora(gpt, RANK, ALPHA), our_loss)
    their_step = trainer(with_peft(gpt2, ["c_attn"]), their_loss)
    some = examples[:ROWS]
    agree(step(batching.pack(some, CONTEXT, 0)), their_step(padded(some)), "epoch")
    start = time.perf_counter()
    packed = batching.Batches(examples, ROWS, packed_to=CONTEXT)
    packing = time.perf_counter() - start
    chunks = [examples[i : i + ROWS] for i in range(0, len(examples), ROWS)]
    parts = min(SLICES, len(packed), len(chunks))  # no slice is empty
    tokens = sum(len(e.ids) for e in examples)
    print(
        f"epoch: {len(examples)} examples, {tokens} tokens, {tokens / len(examples):.1f} each; "
        f"{len(packed)} packed batches (made in {packing:.2f} s), {len(chunks)} padded ones"
    )
    yield Comparison(
        "epoch / peft GPT2 c_attn, padded",
        lambda k: [step(packed[i]) for i in part(len(packed), k, parts)],
        lambda k: [their_step(padded(chunks[i])) for i in part(len(chunks), k, parts)],
        2.5, parts, True,
    )  # fmt: skip


def generation():
    theirs, ours = twins()
    theirs.eval()
    ids = full_batch().ids[:, : CONTEXT - NEW]
    mask = torch.ones_like(ids)

    def their_tokens(_):
        options = {"do_sample": False, "min_new_tokens": NEW, "max_new_tokens": NEW}
        return theirs.generate(ids, attention_mask=mask, **options)[:, ids.shape[1] :].tolist()

    def our_tokens(_):
        return generate.generate(ours, ids, NEW)

    if our_tokens(0) != their_tokens(0):
        raise ValueError("generate: the two sides give other tokens; expected the same")
    yield Comparison("generate / transformers", our_tokens, their_tokens, 3.0)


def clock(work, k):
    start = time.perf_counter()
    work(k)
    return time.perf_counter() - start


def measure(comparison):
    """Seconds of ours and theirs (rounds, 2), taking turns."""
    for k in range(WARM_UP):
        comparison.ours(k)
        comparison.theirs(k)
    turns = range(comparison.rounds)
    return np.array([(clock(comparison.ours, k), clock(comparison.theirs, k)) for k in turns])


def report(comparison, seconds):
    """One line of the table."""
    ours, theirs = (1000 * np.median(seconds, axis=0)).tolist()
    low, middle, high = np.quantile(seconds[:, 1] / seconds[:, 0], [0.25, 0.5, 0.75])
    fastest = np.divide(*seconds.min(axis=0)[::-1])
    counts = np.divide(*seconds.sum(axis=0)[::-1]) if comparison.whole else middle
    line = f"{comparison.name:34} {ours:8.1f} {theirs:8.1f}   {middle:5.2f} ({low:.2f}–{high:.2f})"
    verdict = "ok" if counts >= comparison.bar else "below the bar"
    whole = "  total: {1:.1f} s and {2:.1f} s, ratio {0:.2f}".format(counts, *seconds.sum(axis=0))
    tail = whole if comparison.whole else ""
    print(f"{line}  {fastest:5.2f}   {comparison.bar:4.2f}  {verdict}{tail}", flush=True)


def arguments(words):
    """(names, {"data": …, "rows": …}) of the command line."""
    names, options = [], {}
    words = iter(words)
    for word in words:
        if word in ("--data", "--rows", "--threads"):
            value = next(words, "")
            options[word[2:]] = value if word == "--data" else int(value)
        elif word in CASES:
            names.append(word)
        else:
            sys.exit(
                f"bench: {word}; expected some of {', '.join(CASES)}, --data, --rows, --threads"
            )
    return names or list(CASES), options


CASES = {"pretrain": pretrain, "lora": lora_step, "epoch": epoch, "generate": generation}


def main():
    names, options = arguments(sys.argv[1:])
    torch.set_num_threads(options.pop("threads", 2))
    transformers.logging.set_verbosity_error()
    title = f"{'ours / theirs':34} {'ours ms':>8} {'theirs':>8}   ratio (quartiles)  fastest   bar"
    print(title)
    start = time.perf_counter()
    for name in names:
        for comparison in CASES[name](**(options if name == "epoch" else {})):
            report(comparison, measure(comparison))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
