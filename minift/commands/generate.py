"""Generate text from a base, or from a base with a delta on it."""

import torch

from minift import distributed, records
from minift.commands import opening
from minift.models import generate as decoding

HELP = "generate text"
EXAMPLE = 'python -m minift generate --delta out/e2e --prompt "name[Blue Spice], area[riverside]"'


def arguments(command):
    """The options of `generate`."""
    opening.base_options(command)
    command.add_argument("--delta", help="folder or file of a delta (default: the plain base)")
    command.add_argument("--prompt", required=True, action="append", help="may be given many times")
    command.add_argument("--tokens", type=int, default=80, help="at most so many new tokens")
    command.add_argument("--temperature", type=float, default=0.0, help="0 takes the best token")
    command.add_argument("--top-k", type=int, help="sample from the k best tokens only")
    command.add_argument("--top-p", type=float, help="sample from the smallest set of this mass")
    command.add_argument("--beams", type=int, default=1, help="width of the beam search")
    command.add_argument("--seed", type=int, default=0, help="seed of the sampling")


def as_record(prompt, kind):
    """A prompt as the kind of example that the delta was trained on."""
    if kind == "pair":
        return records.Pair(prompt, "", (), "prompt")
    if kind == "chat":
        return records.Chat((records.Turn("user", prompt),), "prompt")
    return records.Text(prompt, "prompt")


def run(options):
    """Print the continuation of each prompt; a classifier prints its label."""
    model, words, kind, labels = opening.open_delta(options)
    model.to(distributed.choose_device(options.device))
    if labels:
        raise ValueError("this delta is a classifier, which writes no text; see evaluate")
    asked = [as_record(prompt, kind) for prompt in options.prompt]
    ids = opening.prompts(asked, words, opening.longest(model), options.tokens)
    device = next(model.parameters()).device
    tokens = decoding.generate(
        model,
        ids,
        options.tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        eos=words.eos,
        generator=torch.Generator(device).manual_seed(options.seed),
        pad=words.pad,
        beams=options.beams,
    )
    for prompt, row in zip(options.prompt, tokens, strict=True):
        text = words.decode(row)
        print(prompt + text if kind == "text" else f"{prompt}\n  → {text}")
