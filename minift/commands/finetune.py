"""Fine-tune a base on a file of examples: text, pairs, labels or dialogues."""

import json
from pathlib import Path

import torch

from minift import batching, checkpoint, distributed, measure, plotting, records, train
from minift.commands import opening
from minift.models.heads import TextClassifier
from minift.peft import delta, full, lora

HELP = "fine-tune a base on your examples"
EXAMPLE = "python -m minift finetune --method lora --data e2e.csv --steps 300 --out out/e2e"
LEARNING_RATE = {"lora": 1e-2, "full": 5e-4}  # each method's own, for bases of this size


def arguments(command):
    """The options of `finetune`."""
    opening.base_options(command)
    opening.data_options(command)
    command.add_argument("--method", choices=sorted(LEARNING_RATE), default="lora", help="which")
    command.add_argument("--out", required=True, help="folder for delta, log and loss curve")
    command.add_argument("--dev", help="examples to watch (default: a tenth of the data, held out)")
    command.add_argument("--steps", type=int, default=300, help="optimiser steps")
    command.add_argument("--batch", type=int, default=16, help="examples a step")
    command.add_argument("--accumulate", type=int, default=1, help="batches a step")
    command.add_argument("--packed", action="store_true", help="several examples a row, kept apart")
    command.add_argument("--lr", type=float, help="learning rate (default: lora 1e-2, full 5e-4)")
    command.add_argument("--rank", type=int, default=8, help="LoRA's rank r")
    command.add_argument("--alpha", type=float, default=16, help="LoRA's α; the scale is α/r")
    command.add_argument("--targets", default="q_proj,v_proj", help="layers that get a LoRA")
    command.add_argument("--dropout", type=float, default=0.0, help="dropout on LoRA's input")
    command.add_argument("--seed", type=int, default=0, help="seed of start, split and order")
    command.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint")


def run(options):
    """Read, split, add the method, train, save the delta; say what came of it."""
    torch.manual_seed(options.seed)
    out, team = Path(options.out), distributed.join(options.device)
    checkpoint.refuse_second_run(out, options.resume)
    training, held_out = examples(options)
    model, words, told = prepare(options, training, held_out)
    print(parameter_table(model, options.method))
    context = model.config.context if hasattr(model, "config") else model.body.config.context
    if training.kind == "pair":
        training = records.one_per_reference(training)
    labels = json.loads(told["labels"]) or None
    data = opening.encode_and_tell(training, words, context, labels)
    watched = opening.encode_and_tell(held_out, words, context, labels)
    packed = context if options.packed else None
    batches = batching.Batches(data, options.batch, options.seed, words.pad, packed_to=packed)

    def dev(model, step=0):
        return {"held_out_loss": measure.mean_loss(model, watched, words.pad)}

    before = dev(model)["held_out_loss"]
    if not options.dev and not options.resume and team.first:
        records.write(held_out, out / "heldout.jsonl")
        print(f"  what is held out is kept in {out / 'heldout.jsonl'}")
    history = train_as_told(model, batches, dev, options)
    if not team.first:
        return
    file = delta.save(model.cpu(), out, told)
    plotting.loss_curve(history, out / "loss.png", options.method)
    after = history[-1]["held_out_loss"]
    print(f"held-out loss {before:.4f} before, {after:.4f} after {options.steps} steps")
    print(f"{file}: {file.stat().st_size / 1000:,.0f} kB; loss curve in {out / 'loss.png'}")


def train_as_told(model, batches, dev, options):
    """The training loop with the options of the command line."""
    return train.fit(
        model,
        batches,
        type(model).loss,
        steps=options.steps,
        lr=LEARNING_RATE[options.method] if options.lr is None else options.lr,
        accumulate=options.accumulate,
        bf16=options.bf16,
        device=options.device,
        out=options.out,
        save_every=25,
        evaluate=dev,
        evaluate_every=max(options.steps // 10, 1),
        resume=options.resume,
    )


def examples(options):
    """The examples to train on and those held out."""
    found = opening.read(options.data, options)
    if found.kind == "ranked":
        raise ValueError(f"{options.data}: ranked answers train a reward model, not a fine-tuning")
    if options.dev:
        return found, opening.read(options.dev, options)
    training, held_out = records.split(found, (0.9, 0.1), options.seed)
    print(f"  {len(training)} to train on, {len(held_out)} held out")
    if not training or not held_out:
        raise ValueError(f"{options.data}: too few examples to hold some out; expected --dev FILE")
    return training, held_out


def prepare(options, training, held_out):
    """The model with its method, the tokenizer, and what the delta must remember."""
    options.base = options.base or "gpt"
    model, words = opening.base_with_tokenizer(options.base, options.tokenizer)
    labels = training.of([*training, *held_out]).labels
    if labels:
        model = TextClassifier(model, len(labels))
    if options.method == "lora":
        targets = tuple(options.targets.split(","))
        lora.add_lora(model, options.rank, options.alpha, targets, options.dropout)
    else:
        full.add_full(model)
    return model, words, opening.origin(options, labels, training.kind)


def parameter_table(model, method):
    """What trains and what a task stores, as lines to print."""
    count = delta.count_parameters(model)
    rows = [
        ("frozen base", f"{count.base:,}", ""),
        (f"{method}: trained", f"{count.trained:,}", f"{count.share:.2%} of the base"),
        (f"{method}: stored", f"{count.stored:,}", f"{count.stored * 4 / 1000:,.0f} kB a task"),
        ("task's head", f"{count.head:,}", "trained and stored as well"),
    ]
    return "\n".join(f"  {name:<18}{number:>14}   {word}" for name, number, word in rows)
