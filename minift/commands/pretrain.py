"""Train a base model from random weights on plain text."""

import json
import time
from pathlib import Path

import torch

from minift import batching, train
from minift.commands.opening import read
from minift.models import pretrained
from minift.models.gpt import GPT, GPTConfig
from minift.tokenizer import Tokenizer

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
    command.add_argument("--seed", type=int, default=0, help="seed of weights and order")
    command.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    command.set_defaults(columns=None, kind="text", limit=None)


def corpus(options):
    """The tokenizer, and the text as one long row of tokens with its last hundredth held out."""
    texts = [record.text for record in read(options.data, options)]
    if options.train_tokenizer:
        words = Tokenizer.train(texts, options.train_tokenizer)
        words.save(options.tokenizer or Path(options.out).with_suffix(".tokenizer.json"))
    else:
        words = Tokenizer.load(options.tokenizer) if options.tokenizer else Tokenizer.load()
    stream = [w for text in texts for w in (words.bos, *words.encode(text), words.eos)]
    tokens = torch.tensor(stream)
    cut = len(tokens) - max(len(tokens) // 100, options.context + 1)
    if cut <= options.context:
        raise ValueError(f"{options.data}: {len(tokens)} tokens are too few for this context")
    return words, tokens[:cut], tokens[cut:]


def run(options):
    """Train, then write the model in fp16 and a manifest, measured after the rounding."""
    start = time.time()
    words, tokens, held_out = corpus(options)
    print(f"{len(tokens):,} tokens, {len(held_out):,} held out, {words.vocab_size} words")
    torch.manual_seed(options.seed)
    shape = (options.width, options.layers, options.heads)
    model = GPT(GPTConfig(words.vocab_size, options.context, *shape))
    out = Path(options.out)
    train.fit(
        model,
        batching.Stream(tokens, options.context, options.batch, options.seed),
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
    pretrained.save(model.cpu(), out, dtype=torch.float16)
    manifest(options, out, held_out, time.time() - start)


def manifest(options, out, held_out, seconds):
    """What was run, how long it took, and the held-out loss of the file as written."""
    model = pretrained.load(out).eval()
    ends = range(0, len(held_out) - options.context, options.context)
    stream = [held_out[n : n + options.context + 1] for n in ends]
    ids = torch.stack(stream)
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(model(row[None, :-1])[0], row[1:]) for row in ids
        ]
    loss = torch.stack(losses).mean().item()
    unsaid = {"command", "columns", "kind", "limit"}
    told = {k: v for k, v in vars(options).items() if k not in unsaid}
    told |= {"parameters": sum(p.numel() for p in model.parameters()), "seconds": round(seconds)}
    told |= {"tokens_seen": options.steps * options.batch * options.context}
    told |= {"held_out_loss_after_rounding": round(loss, 4)}
    out.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    print(f"{out}: held-out loss {loss:.4f} after rounding to fp16, {seconds:.0f} s in all")
