"""Fine-tune a base on a file of examples: text, pairs, labels or dialogues."""

from pathlib import Path

import torch

from minift import batching, checkpoint, distributed, measure, plotting, records, train
from minift.commands import methods, opening
from minift.models.heads import TextClassifier
from minift.peft import delta

HELP = "fine-tune a base on your examples"
EXAMPLE = "python -m minift finetune --method lora --data e2e.csv --steps 300 --out out/e2e"


def arguments(command):
    """The options of `finetune`."""
    opening.base_options(command)
    opening.data_options(command)
    command.add_argument("--out", required=True, help="folder for delta, log and loss curve")
    command.add_argument("--dev", help="examples to watch (default: a tenth of the data, held out)")
    command.add_argument("--steps", type=int, default=300, help="optimiser steps")
    command.add_argument("--batch", type=int, default=16, help="examples a step")
    command.add_argument("--accumulate", type=int, default=1, help="batches a step")
    command.add_argument("--packed", action="store_true", help="several examples a row, kept apart")
    command.add_argument("--seed", type=int, default=0, help="seed of start, split and order")
    command.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    methods.arguments(command)


def run(options):
    """Read, split, add the method, train, save the delta; say what came of it."""
    methods.chosen(options)  # an option of another method is refused before anything is read
    torch.manual_seed(options.seed)
    out, team = Path(options.out), distributed.join(options.device)
    checkpoint.refuse_second_run(out, options.resume)
    training, held_out = examples(options)
    model, words, told = prepare(options, training, held_out)
    print(parameter_table(model, options.method))
    batches, watched = encode_both(options, model, words, training, held_out)

    def dev(model, step=0):
        return {"held_out_loss": measure.mean_loss(model, watched, words.pad)}

    before = dev(model)["held_out_loss"]
    methods.keep_to(options, team.first)
    if not options.dev and not options.resume and team.first:
        records.write(held_out, out / "heldout.jsonl")
        print(f"  what is held out is kept in {out / 'heldout.jsonl'}")
    history = train_as_told(model, batches, dev, options)
    if not team.first:
        return
    file = delta.save(methods.after_training(model.cpu()), out, told)
    plotting.loss_curve(history, out / "loss.png", options.method)
    after = history[-1]["held_out_loss"]
    print(f"held-out loss {before:.4f} before, {after:.4f} after {options.steps} steps")
    print(f"{file}: {file.stat().st_size / 1000:,.0f} kB; loss curve in {out / 'loss.png'}")


def encode_both(options, model, words, training, held_out):
    """The batches to train on, and the examples to watch, as long as the model takes them."""
    longest = opening.longest(model)
    if training.kind == "pair":
        training = records.one_per_reference(training)
    labels = training.of([*training, *held_out]).labels or None
    data = opening.encode_and_tell(training, words, longest, labels)
    watched = opening.encode_and_tell(held_out, words, longest, labels)
    packed = longest if options.packed else None
    return batching.Batches(data, options.batch, options.seed, words.pad, packed_to=packed), watched


def train_as_told(model, batches, dev, options):
    """The training loop with the options of the command line."""
    return train.fit(
        model,
        batches,
        type(model).loss,
        steps=options.steps,
        lr=methods.LEARNING_RATE[options.method] if options.lr is None else options.lr,
        accumulate=options.accumulate,
        bf16=options.bf16,
        device=options.device,
        out=options.out,
        save_every=25,
        evaluate=dev,
        evaluate_every=max(options.steps // 10, 1),
        resume=options.resume,
        **methods.beside_the_loss(model, options),
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
    elif not hasattr(model, "advance"):
        raise ValueError(f"{options.base} writes no text; expected a file of labelled texts")
    methods.put_into(model, options)
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
