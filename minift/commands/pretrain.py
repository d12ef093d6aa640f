"""Train a base model from random weights on plain text."""

import hashlib
import json
import re
import time
import zlib
from itertools import chain
from pathlib import Path

import torch

from minift import batching, distributed, measure, train
from minift.commands.opening import read
from minift.metrics import perplexity
from minift.models import pretrained
from minift.models.gpt import GPT, GPTConfig
from minift.tokenizer import HAN, Tokenizer

HELP = "train a base model from random weights"
EXAMPLE = "python -m minift pretrain --data corpus.jsonl --out my_base.safetensors --steps 2000"


def arguments(command):
    """The options of `pretrain`."""
    command.add_argument("--data", required=True, help="a text file, or JSON lines with text")
    command.add_argument("--out", required=True, help="the .safetensors file to write")
    command.add_argument("--tokenizer", help="a tokenizer's file (default: the shipped one)")
    command.add_argument(
        "--train-tokenizer", type=int, metavar="SIZE", help="train a tokenizer of SIZE tokens first"
    )
    command.add_argument("--context", type=int, default=256, help="positions")
    command.add_argument("--width", type=int, default=128, help="width of the hidden states")
    command.add_argument("--layers", type=int, default=4, help="number of blocks")
    command.add_argument("--heads", type=int, default=4, help="attention heads a block")
    command.add_argument("--steps", type=int, default=2000, help="optimiser steps")
    command.add_argument(
        "--batch", type=int, default=32, help="rows a step, each of context tokens"
    )
    command.add_argument("--lr", type=float, default=2e-3, help="peak learning rate")
    command.add_argument("--first-data", help="texts for the first steps, before all others")
    command.add_argument("--first-steps", type=int, default=0, metavar="N", help="how many steps")
    command.add_argument(
        "--marks", action="store_true", help="<sep> or roles in the place of half the line breaks"
    )
    command.add_argument("--seed", type=int, default=0, help="seed of weights and order")
    command.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    command.set_defaults(columns=None, kind="text", limit=None)


class InTurn:
    """`count` batches of `first`, then those of `rest`: what is to be learnt before all else."""

    def __init__(self, first, count, rest):
        self.first, self.count, self.rest = first, count, rest

    def __len__(self):
        return len(self.rest)

    def __getitem__(self, at):
        return self.first[at] if at < self.count else self.rest[at - self.count]


def pieces(ids, context):
    """A text's ids in rows of at most `context`; all tokens but a row's first are targets."""
    rows = [tuple(ids[n : n + context]) for n in range(0, max(len(ids) - 1, 1), context - 1)]
    return [batching.Encoded(row, (False,) + (True,) * (len(row) - 1)) for row in rows]


def layout(text, words, marks):
    """A text's ids; with `marks`, in half of the texts they stand in the place of line breaks.

    A base that has never met <sep> or <assistant> reads noise where a task's answer begins. So
    three texts in ten have <sep> between their lines, and two in ten are turns of a dialogue.
    """
    kind = zlib.crc32(text.encode()) % 10 if marks and "\n" in text else 0
    if kind < 5:
        return [words.bos, *words.encode(text), words.eos]
    lines = [words.encode(line) for line in text.split("\n")]
    if kind < 8:
        joined = list(chain.from_iterable([words.sep, *line] for line in lines))
        return [words.bos, *joined[1:], words.eos]
    roles = (words.user, words.assistant)
    turns = [[roles[n % 2], *line, words.eos] for n, line in enumerate(lines)]
    return [words.bos, *chain.from_iterable(turns)]


def script(text):
    """Which letters a text has: "latin", "han" or "both"; names the parts that are held out."""
    han, latin = re.search(f"[{HAN}]", text), re.search("[A-Za-z]", text)
    return "both" if han and latin else "han" if han else "latin"


def corpus(options):
    """The tokenizer, the texts' pieces to train on, and the last hundredth, held out, by script."""
    texts = [record.text for record in read(options.data, options)]
    if options.train_tokenizer:
        words = Tokenizer.train(texts, options.train_tokenizer)
        words.save(options.tokenizer or Path(options.out).with_suffix(".tokenizer.json"))
    else:
        words = Tokenizer.load(options.tokenizer) if options.tokenizer else Tokenizer.load()
    ids = [layout(text, words, options.marks) for text in texts]
    cut = len(ids) - max(len(ids) // 100, 1)
    if cut < 1:
        raise ValueError(f"{options.data}: {len(ids)} text; expected one to train on and one more")
    rows = [row for text in ids[:cut] for row in pieces(text, options.context)]
    held_out = {"latin": [], "han": [], "both": []}
    for text, tokens in zip(texts[cut:], ids[cut:], strict=True):
        held_out[script(text)] += pieces(tokens, options.context)
    return words, rows, {name: part for name, part in held_out.items() if part}


def in_order(options, words, rows):
    """The batches of the run, those of --first-data in front."""

    def packed(rows):
        length = options.context
        return batching.Batches(rows, options.batch, options.seed, words.pad, packed_to=length)

    if not options.first_steps:
        return packed(rows)
    if not options.first_data:
        raise ValueError(f"--first-steps {options.first_steps}: expected --first-data FILE as well")
    texts = [record.text for record in read(options.first_data, options)]
    ids = [layout(text, words, options.marks) for text in texts]
    first = [row for text in ids for row in pieces(text, options.context)]
    processes = distributed.join(options.device).world
    return InTurn(packed(first), options.first_steps * processes, packed(rows))


def run(options):
    """Train, then write the model in fp16 and a manifest, measured after the rounding."""
    start = time.time()
    words, rows, held_out = corpus(options)
    size = sum(len(row.ids) for row in rows)
    held = sum(map(len, held_out.values()))
    print(f"{size:,} tokens in {len(rows):,} rows, {held:,} held out")
    torch.manual_seed(options.seed)
    shape = (options.width, options.layers, options.heads)
    model = GPT(GPTConfig(words.vocab_size, options.context, *shape))
    out = Path(options.out)
    history = train.fit(
        model,
        in_order(options, words, rows),
        GPT.loss,
        steps=options.steps,
        lr=options.lr,
        weight_decay=0.1,
        bf16=options.bf16,
        device=options.device,
        out=out.with_suffix(".run"),
        save_every=200,
        resume=options.resume,
    )
    if not distributed.join(options.device).first:
        return
    pretrained.save(model.cpu(), out, dtype=torch.float16)
    seconds = time.time() - start
    told = manifest(options, out, held_out, words.pad)
    told |= {"processes": distributed.join(options.device).world, "corpus_tokens": size}
    told |= {"tokens": sum(row["tokens"] for row in history), "seconds": round(seconds)}
    out.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    loss = told["held_out"]["all"]["loss"]
    print(f"{out}: held-out loss {loss:.4f} after rounding to fp16, {seconds:.0f} s in all")


def manifest(options, out, held_out, pad_id):
    """What was run, and the held-out loss and perplexity, by script, of the file as written."""
    model = pretrained.load(out)
    sums = {name: measure.total_loss(model, rows, pad_id) for name, rows in held_out.items()}
    sums["all"] = tuple(map(sum, zip(*sums.values(), strict=True)))
    unsaid = {"command", "columns", "kind", "limit"}
    told = {k: v for k, v in vars(options).items() if k not in unsaid}
    told |= {"parameters": sum(p.numel() for p in model.parameters())}
    told |= {"sha256": hashlib.sha256(out.read_bytes()).hexdigest()}
    measured = {
        name: {"loss": round(loss / n, 4), "perplexity": round(perplexity(loss, n), 3), "tokens": n}
        for name, (loss, n) in sums.items()
    }
    return told | {"held_out": measured}
