"""Watching UniPELT's gates: where they are, what they let through of each text, what leaks."""

import re
import statistics
from functools import partial

import torch
from torch import nn

from minift import batching, measure
from minift.models.context import call_of
from minift.peft import inject, unipelt

GATED = ("prefix", "q_proj", "v_proj", "after_feedforward")  # what a gate's name has in it


def gates_of(model):
    """{(part, block): gate}, part by part in the order of GATED."""
    found = {}
    for name, module in inject.body(model).named_modules():
        if isinstance(module, unipelt.Gate):
            part = next(part for part in GATED if part in name)
            found[part, int(re.search(r"\d+", name)[0])] = module
    return dict(sorted(found.items(), key=lambda pair: (GATED.index(pair[0][0]), pair[0][1])))


def hold_still(model):
    """Every gate is half open for all texts, and does not learn. Returns the model."""
    for gate in gates_of(model).values():
        nn.init.zeros_(gate.score.weight)
        gate.requires_grad_(False)
    return model


def values_of(model, examples, pad):
    """{(part, block): G of each example (b)}, read while the model's loss is taken."""
    gates, made = gates_of(model), {}

    def keep(place, module, given, value):
        made.setdefault(place, []).append(value.flatten())

    handles = [gate.register_forward_hook(partial(keep, at)) for at, gate in gates.items()]
    batches = (batching.pad(examples[n : n + 64], pad) for n in range(0, len(examples), 64))
    try:
        measure.loss_over(model, batches)
    finally:
        for handle in handles:
            handle.remove()
    return {place: torch.cat(made[place]) for place in gates}


def columns(values):
    """A result's columns: of each gate the mean over texts, and the deviation between texts."""
    found = {f"gate {part} {block}": each.mean().item() for (part, block), each in values.items()}
    for (part, block), each in values.items():
        found[f"texts {part} {block}"] = each.std().item()
    return found


def spreads(runs, setting):
    """{part: (mean gate, deviations between blocks, between texts, between seeds)} of a setting."""
    results = [row["result"] for row in runs if setting.items() <= row["setting"].items()]
    found = {}
    for part in GATED:
        rows = [held(result, f"gate {part} ") for result in results]  # a seed each, over blocks
        blocks = [statistics.fmean(block) for block in zip(*rows, strict=True)]
        seeds = [deviation(block) for block in zip(*rows, strict=True)]
        texts = [statistics.fmean(held(result, f"texts {part} ")) for result in results]
        spread = (deviation(blocks), statistics.fmean(texts), statistics.fmean(seeds))
        found[part] = (statistics.fmean(blocks), *spread)
    return found


def held(result, start):
    """The values of the columns whose names begin so."""
    return [value for name, value in result.items() if name.startswith(start)]


def deviation(values):
    """The deviation of a sample, 0 of a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def moved(model, batch, at, token):
    """The largest change of a logit at each position of one row when position `at` gets `token`."""
    changed = batch.ids.clone()
    changed[:, at] = token
    with torch.no_grad():
        before, after = (model(ids, **call_of(batch)) for ids in (batch.ids, changed))
    return (after - before).abs().amax(dim=(0, 2)).tolist()
