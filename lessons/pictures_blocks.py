"""Where methods sit in a block, drawn from the model itself (lesson 09).

A forward pass is watched by hooks: which modules a block calls, what each of them reads and gives,
which slots an attention is handed. The picture has nothing that was not seen on the way.
"""

from dataclasses import dataclass, field

import torch
from matplotlib.patches import Rectangle
from torch import nn

from lessons import pictures
from minift import plotting
from minift.models.attention import Extra, MultiHeadAttention
from minift.peft import delta, inject

GREY, SMALL = "#E4E4E4", 6


@dataclass
class Level:
    """Modules of a block that read one tensor.

    skip: the number of the level whose input was added to what the level below gave; None: no add.
    """

    given: torch.Tensor
    gave: torch.Tensor | None = None
    parts: dict = field(default_factory=dict)  # {name: module, or the Extra of an attention}
    skip: int | None = None


def drawn(block):
    """{name: module} of a block's linear layers and norms; what moved in stands as one piece."""
    moved = {spot.path: spot.module for spot in inject.attachments(block)}
    inside = tuple(f"{path}." for path in moved)
    kinds = (nn.Linear, nn.LayerNorm)
    plain = {n: m for n, m in block.named_modules() if isinstance(m, kinds)}
    return moved | {n: m for n, m in plain.items() if n not in moved and not n.startswith(inside)}


def traced(block, run):
    """The levels of a block as `run()`, a forward pass of its model, goes through them.

    Nothing is known beforehand: modules that read the same tensor share a level, slots are where an
    attention is handed some, and an add is where a tensor is the sum of two earlier ones.
    """
    levels, slots, handles = [], {}, []

    def use(module, given, gave):
        if not levels or levels[-1].given is not given[0]:
            levels.append(Level(given[0]))
        levels[-1].parts[names[module]], levels[-1].gave = module, gave

    def attend(module, given, named):
        slots[attentions[module]] = named.get("extra")

    names = {module: name for name, module in drawn(block).items()}
    attentions = {m: n for n, m in block.named_modules() if isinstance(m, MultiHeadAttention)}
    handles = [module.register_forward_hook(use) for module in names]
    handles += [m.register_forward_pre_hook(attend, with_kwargs=True) for m in attentions]
    handles.append(block.register_forward_hook(lambda _, __, gave: levels.append(Level(gave))))
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    for path, extra in slots.items():
        first = next(level for level in levels if any(n.startswith(path) for n in level.parts))
        if extra is not None:  # the slots stand left of the text
            first.parts = {f"{path}.prefix": extra, **first.parts}
    find_adds(levels)
    return levels


def find_adds(levels):
    """Set `skip` of each level that reads what the level below gave plus an earlier input."""
    for here, level in enumerate(levels[1:], 1):
        below = levels[here - 1].gave
        for number, earlier in enumerate(levels[:here]):
            alike = earlier.given.shape == below.shape == level.given.shape
            if alike and torch.equal(earlier.given + below, level.given):
                level.skip = number


def told(part):
    """(whether something of a part is frozen, lines that tell what of it trains)."""
    if isinstance(part, Extra):
        gate = [] if part.gate is None else ["gate"]
        return False, [f"{part.keys.shape[2]} keys,", f"{part.values.shape[2]} values", *gate]
    trained = {name: p for name, p in part.named_parameters() if p.requires_grad}
    frozen = len(trained) < len(list(part.parameters()))
    if all(p.ndim == 1 for p in trained.values()):
        return frozen, [", ".join(trained)] if trained else []
    sizes = {n: "×".join(map(str, p.shape)) for n, p in trained.items() if not n.endswith("bias")}
    return frozen, [f"{name.partition('.')[0]} {size}" for name, size in sizes.items()]


def box(ax, x, y, width, height, colour, lines, ink="black"):
    """A filled box with lines of text in its middle."""
    ax.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="white", lw=1))
    middle = (x + width / 2, y + height / 2)
    ax.text(*middle, "\n".join(lines), ha="center", va="center", fontsize=SMALL, color=ink)


def height_of(level):
    """Room for the lines of the part that has most to tell."""
    return 0.7 + 0.35 * max(len(lines) for _, lines in map(told, level.parts.values()))


def draw_level(ax, level, y, colour):
    """The parts of a level side by side: grey is frozen, the method's colour trains."""
    width, height = 0.8 / len(level.parts), height_of(level)
    for number, (name, part) in enumerate(level.parts.items()):
        frozen, lines = told(part)
        x, name = 0.1 + number * width, name.rpartition(".")[2]
        below = 0.5 if frozen and lines else height if frozen else 0.0
        if frozen:
            box(ax, x, y, width, below, GREY, [name])
        if lines:
            text = lines if frozen else [name, *lines]
            box(ax, x, y + below, width, height - below, colour, text, "white")


def draw_names(ax, spans):
    """What holds the parts (attention, feedforward), once beside all of its levels."""
    merged = []
    for name, low, high in spans:
        if merged and merged[-1][0] == name:
            merged[-1][2] = high
        else:
            merged.append([name, low, high])
    for name, low, high in merged:
        where = {"rotation": 90, "ha": "center", "va": "center"}
        ax.text(0.05, (low + high) / 2, name, fontsize=SMALL, **where)


def draw_block(ax, levels, method):
    """A block from its input at the bottom to its output; skips run along the right side."""
    y, inputs, spans = 0.0, [], []
    for level in levels:
        ax.plot([0.5, 0.5], [y - 0.3, y], color="black", lw=0.8)
        if level.skip is not None:
            start = inputs[level.skip] - 0.15
            ax.plot([0.5, 0.97, 0.97, 0.5], [start, start, y + 0.15, y + 0.15], "black", lw=0.8)
            ax.text(0.5, y + 0.15, "+", ha="center", va="center", bbox={"fc": "white", "pad": 1})
            y += 0.7
            ax.plot([0.5, 0.5], [y - 0.35, y], color="black", lw=0.8)
        inputs.append(y)
        if level.parts:
            draw_level(ax, level, y, plotting.COLOURS[method])
            parent = next(iter(level.parts)).rpartition(".")[0]
            spans.append((parent, y, y + height_of(level)))
            y += height_of(level) + 0.3
    draw_names(ax, spans)
    return y


def blocks(models, ids, path):
    """The first block of each model, {method: model that carries it}, as it reads ids."""
    columns, tops = -(-len(models) // 2), []
    title = "A block with each method: grey is frozen, colour trains; read from the bottom up"
    made, axes = plotting.figure(2, columns, (3.4, 4.8), title)
    for ax, (method, model) in zip(axes, models.items(), strict=False):
        levels = traced(model.blocks[0], lambda model=model: model(ids))
        tops.append(draw_block(ax, levels, method))
        name = pictures.WORDS.get(method, method)
        ax.set_title(f"{name}: {delta.count_parameters(model).trained:,} train", fontsize=9)
    for ax in axes:
        ax.set(xlim=(0, 1.02), ylim=(-0.4, max(tops)))
        ax.axis("off")
    return plotting.save(made, path)
