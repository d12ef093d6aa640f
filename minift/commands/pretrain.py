"""Train a base model from random weights on plain text."""

import hashlib
import json
import time
from pathlib import Path

import torch

from minift import distributed, train
from minift.commands.corpus import COURSES, corpus, in_order
from minift.metrics import perplexity
from minift.models import pretrained

HELP = "train a base model from random weights"
EXAMPLE = "python -m minift pretrain --data corpus.jsonl --out my_base.safetensors --steps 2000"
SAVE_EVERY = 200  # steps


def arguments(command):
    """The options of `pretrain`."""
    command.add_argument(
        "--model",
        default="gpt",
        choices=sorted(COURSES),
        help="what learns: left-to-right text "
        "(gpt), masked words (encoder), or to restore and answer texts (seq2seq)",
    )
    command.add_argument("--data", required=True, help="a text file, or JSON lines with text")
    command.add_argument("--out", required=True, help="the .safetensors file to write")
    command.add_argument("--tokenizer", help="a tokenizer's file (default: the shipped one)")
    command.add_argument(
        "--train-tokenizer", type=int, metavar="SIZE", help="train a tokenizer of SIZE tokens first"
    )
    command.add_argument("--context", type=int, default=256, help="positions")
    command.add_argument("--width", type=int, default=128, help="width of the hidden states")
    command.add_argument("--layers", type=int, default=4, help="blocks, of seq2seq on each side")
    command.add_argument("--heads", type=int, default=4, help="attention heads a block")
    how_to_train(command)
    command.set_defaults(columns=None, kind="text", limit=None)


def how_to_train(command):
    """The options of `pretrain` that are about its run."""
    command.add_argument("--steps", type=int, default=2000, help="optimiser steps")
    command.add_argument(
        "--batch",
        type=int,
        default=32,
        help="rows a step, each of context tokens; shorter ones as far as these tokens go",
    )
    command.add_argument("--lr", type=float, default=2e-3, help="peak learning rate")
    command.add_argument(
        "--embedding", metavar="BASE", help="start from the embeddings of a base of this width"
    )
    command.add_argument("--first-data", help="texts for the first steps, before all others")
    command.add_argument("--first-steps", type=int, default=0, metavar="N", help="how many steps")
    command.add_argument(
        "--marks",
        action="store_true",
        help="gpt: <sep> or roles in the place of half the line breaks",
    )
    command.add_argument("--seed", type=int, default=0, help="seed of weights and order")
    command.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint")


def fresh(options, words):
    """A model of the family and size that were asked for; its tokens are those of `words`."""
    family = COURSES[options.model].family
    _, config, make = pretrained.FAMILIES[family]
    own = {"seq2seq": {"start": words.eos}, "masked": {"reads": "last"}}.get(family, {})
    shape = (options.width, options.layers, options.heads)
    model = make(config(words.vocab_size, options.context, *shape, **own))
    if options.embedding:
        take_embeddings(model, pretrained.open_base(options.embedding), options.embedding)
    return model


def take_embeddings(model, base, path):
    """Copy the tokens' and the positions' embeddings of a base; what words mean is known there."""
    body = getattr(model, "body", model)
    parts = [body.embedding, *(part.position_embedding for part in stacks(body))]
    theirs = [base.embedding] + [base.position_embedding] * (len(parts) - 1)
    for part, other in zip(parts, theirs, strict=True):
        if part.weight.shape != other.weight.shape:
            found, wanted = tuple(other.weight.shape), tuple(part.weight.shape)
            raise ValueError(f"--embedding {path}: an embedding of {found}, expected {wanted}")
        part.load_state_dict(other.state_dict())


def stacks(model):
    """The parts of a model that have positions: the model, or an encoder and a decoder."""
    return [part for part in model.modules() if hasattr(part, "position_embedding")]


def run(options):
    """Train, then write the model in fp16 and a manifest, measured after the rounding."""
    start = time.time()
    if options.marks and options.model != "gpt":
        raise ValueError(f"--marks: expected --model gpt; {options.model} has a layout of its own")
    words, rows, held_out = corpus(options)
    size = sum(map(COURSES[options.model].tokens, rows))
    held = sum(map(len, held_out.values()))
    print(f"{size:,} tokens in {len(rows):,} rows, {held:,} held out")
    torch.manual_seed(options.seed)
    model = fresh(options, words)
    out = Path(options.out)
    history = train.fit(
        model,
        in_order(options, words, rows),
        type(model).loss,
        steps=options.steps,
        lr=options.lr,
        weight_decay=0.1,
        bf16=options.bf16,
        device=options.device,
        out=out.with_suffix(".run"),
        save_every=SAVE_EVERY,
        resume=options.resume,
    )
    if not distributed.join(options.device).first:
        return
    pretrained.save(model.cpu(), out, dtype=torch.float16)
    seconds = time.time() - start
    told = manifest(options, out, held_out, words)
    told |= {"processes": distributed.join(options.device).world, "corpus_tokens": size}
    told |= {"tokens": sum(row["tokens"] for row in history), "seconds": round(seconds)}
    out.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    loss = told["held_out"]["all"]["loss"]
    print(f"{out}: held-out loss {loss:.4f} after rounding to fp16, {seconds:.0f} s in all")


def manifest(options, out, held_out, words):
    """What was run, and the held-out loss and perplexity, by part, of the file as written."""
    model, course = pretrained.load(out), COURSES[options.model]
    sums = {name: course.loss(model, rows, words) for name, rows in held_out.items()}
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
