"""The pictures of lesson 03: what attention sees of a prefix, rates, lengths, examples, tasks."""

from functools import partial

import torch
from matplotlib.colors import LinearSegmentedColormap

from lessons import pictures
from lessons.sweeps import lesson03
from minift import plotting
from minift.models.attention import attend
from minift.models.generate import deciding
from minift.peft import inject

MODELS = {"gpt": "GPT", "seq2seq": "encoder-decoder"}


def watch(model, sides, ending, keep):
    """Run the model on one text; keep(name, layer, inputs, options) before each layer so named.

    sides: lists of tokens, one for a GPT, source and target for a Seq2Seq.
    """
    named = [(n, m) for n, m in inject.body(model).named_modules() if n.endswith(ending)]
    handles = [m.register_forward_pre_hook(partial(keep, n), with_kwargs=True) for n, m in named]
    try:
        with deciding(model):
            model(*(torch.tensor([side]) for side in sides))
    finally:
        for handle in handles:
            handle.remove()


def attention_weights(model, *sides):
    """{name of an attention: the weight (h, t, s) that each query gives each slot}."""
    found = {}

    def keep(name, layer, inputs, options):
        x, memory = (*inputs, None)[:2]
        k, _ = layer.keys_values(x if memory is None else memory, x, options.get("extra"))
        q = layer.split(layer.q_proj(x))  # (b, h, t, d)
        one = torch.eye(k.shape[2]).expand(*k.shape[:2], -1, -1)  # a value is the slot's own number
        seen = {name: options.get(name) for name in ("allowed", "causal")}
        found[name] = attend(q, k, one, **seen)[0]  # (h, t, s)

    watch(model, sides, (".attention", ".cross_attention"), keep)
    return found


def index_table(model, *sides):
    """[(P_idx, indices of the text)] of each side, counted from 1 on: [PREFIX; x; PREFIX′; y]."""
    table, end = [], 0
    for name, weight in attention_weights(model, *sides).items():
        if name.endswith("blocks.0.attention"):
            _, t, s = weight.shape
            slots = list(range(end + 1, end + s + 1))
            table.append((slots[: s - t], slots[s - t :]))
            end += s
    return table


def positions(model, *sides):
    """The positions, from 0 on, that the model gives to the tokens of each side."""
    found = []

    def keep(name, layer, inputs, options):
        found.append(inputs[0].flatten().tolist())

    watch(model, sides, "position_embedding", keep)
    return found


def prefix_shares(model, *sides):
    """{name of an attention: λ (h, t)}: how much of each query's softmax the prefix takes."""
    p = inject.body(model).prefix.length
    found = attention_weights(model, *sides)
    return {name: weight[:, :, :p].sum(dim=-1) for name, weight in found.items()}


def pieces(tokenizer, ids):
    """Each token as text, the special ones by their names."""
    named = {getattr(tokenizer, name): f"<{name}>" for name in ("bos", "sep", "eos")}
    return [named.get(number) or tokenizer.decode([number]).strip() for number in ids]


def attention(shares, words, path):
    """λ as a heat map: a row for each head of each layer, a column for each token."""
    title = "Where the tuned GPT looks: the prefix's share λ of each softmax"
    made, ax = plotting.figure(size=(9.0, 4.4), title=title)
    colours = LinearSegmentedColormap.from_list("prefix", ["white", plotting.COLOURS["prefix"]])
    heads = len(next(iter(shares.values())))
    image = ax.imshow(torch.cat(list(shares.values())), cmap=colours, vmin=0, vmax=1, aspect="auto")
    for layer in range(1, len(shares)):
        ax.axhline(layer * heads - 0.5, color="#808080", linewidth=0.8)
    middles = [heads * n + (heads - 1) / 2 for n in range(len(shares))]
    ax.set_yticks(middles, [f"layer {n + 1}" for n in range(len(shares))])
    ax.set_xticks(range(len(words)), words, rotation=60, ha="right", rotation_mode="anchor")
    ax.set(ylabel=f"{heads} heads a layer", xlabel="the token that looks")
    ax.grid(False)
    made.colorbar(image, ax=ax, label="λ", pad=0.01)
    return plotting.save(made, path)


def found(rows, column, cells):
    """(mean, sd) of a column for each of the settings."""
    return [pictures.measured(rows, column, **cell) for cell in cells]


def levels(ax, rows, name, column, ends):
    """The frozen base and full fine-tuning on a task, as level lines."""
    task = {"name": name, "model": "gpt"}
    mine = [row for row in rows if task.items() <= row["setting"].items()]
    pictures.baselines(ax, mine, column, ends, lesson03.cell(name, "full"))


def rates(rows, path):
    """Dev loss over the learning rate, with the network and without it."""
    title = "At which rate does a prefix learn? (zh_en, 10 slots; mean ± sd over 3 seeds)"
    made, ax = plotting.figure(size=(7.4, 3.8), title=title)
    choices = lesson03.RATES
    words = {"prefix": f"from a network, m = {lesson03.HIDDEN}", "matrix": "P itself"}
    above = {"textcoords": "offset points", "xytext": (0, 12), "color": plotting.COLOURS["prefix"]}
    levels(ax, rows, "zh_en", "dev_loss", (min(choices["prefix"]), max(choices["matrix"])))
    for method, dash in (("prefix", "-"), ("matrix", ":")):
        cells = [lesson03.cell("zh_en", method, lr=lr) for lr in choices[method]]
        points = found(rows, "dev_loss", cells)
        how = {"words": "_", "linestyle": dash}  # its words stand where it starts
        pictures.with_spread(ax, choices[method], points, "prefix", **how)
        ax.annotate(words[method], (choices[method][0], sum(points[0])), **above)
    ax.set(xscale="log", xlabel="learning rate", ylabel="dev loss (nats a token)")
    plotting.label_lines(ax)
    return plotting.save(made, path)


def lengths(rows, path):
    """Dev loss and score over the length: all layers, and the embedding only."""
    title = "Headlines: how many slots, and in which layers? (mean ± sd over 5 seeds)"
    made, axes = plotting.figure(1, 2, (5.2, 3.6), title)
    labels = {"dev_loss": "dev loss (nats a token)", "score": "exact headlines (%)"}
    kinds = (("prefix", "all layers", "-", lesson03.LENGTHS),)
    kinds += (("embedding", "embedding only", ":", lesson03.SOFT),)
    for ax, (column, label) in zip(axes, labels.items(), strict=True):
        levels(ax, rows, lesson03.HARD, column, (lesson03.LENGTHS[0], lesson03.LENGTHS[-1]))
        for method, words, dash, choice in kinds:
            cells = [lesson03.cell(lesson03.HARD, method, length=n) for n in choice]
            how = {"words": words, "linestyle": dash}
            pictures.with_spread(ax, choice, found(rows, column, cells), "prefix", **how)
        ax.set(xscale="log", xlabel="length p", ylabel=label)
        ax.set_xticks(lesson03.LENGTHS, lesson03.LENGTHS)
        ax.minorticks_off()
        plotting.label_lines(ax)
    return plotting.save(made, path)


def examples(rows, path):
    """Score over the number of examples: in the prompt of the frozen base, or for a prefix."""
    title = "zh_en: examples in the prompt, or a prefix trained on examples (mean ± sd)"
    made, ax = plotting.figure(size=(7.0, 3.8), title=title)
    sizes, read = (*lesson03.FEW, lesson03.TRAIN), lesson03.SHOWN
    levels(ax, rows, "zh_en", "score", (1, sizes[-1]))
    points = found(rows, "score", [lesson03.shown(n) for n in read])
    pictures.with_spread(ax, read, points, "base", "_", linestyle="-")
    told = {"color": plotting.COLOURS["base"], "va": "top", "fontsize": plotting.LABEL_SIZE}
    ax.text(read[0], points[-1][0] - 8, "base, examples\nin the prompt", **told)
    points = found(rows, "score", [lesson03.cell("zh_en", size=n) for n in sizes])
    pictures.with_spread(ax, sizes, points, "prefix", "a prefix of 10 slots")
    ax.set(xscale="log", xlabel="examples", ylabel="complete translations (%)")
    ax.set_xticks([*read, *sizes[1:]], [*read, *sizes[1:]])
    ax.minorticks_off()
    plotting.label_lines(ax)
    return plotting.save(made, path)


def tasks(rows, path):
    """The score on each task: the frozen base, its prefix, and full fine-tuning."""
    title = "One base, a prefix of 10 slots a task (mean ± sd over 3 or 5 seeds)"
    made, axes = plotting.figure(1, len(MODELS), (5.2, 4.0), title)
    for ax, (model, words) in zip(axes, MODELS.items(), strict=True):
        points = {}
        for name in lesson03.TASKS:
            for method in ("base", "prefix", "full"):
                mean, sd = pictures.measured(rows, "score", **lesson03.cell(name, method, model))
                points[f"{name}, {method}"] = (mean, mean - sd, mean + sd, method)
        pictures.rows_of_dots(ax, points, digits=0)
        ax.set(title=words, xlabel="strict metric of the task (%)", xlim=(-5, 105))
    return plotting.save(made, path)
