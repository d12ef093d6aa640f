"""The pictures of lesson 04: rivals, learning rates, which biases move and matter, headlines."""

import torch
from matplotlib.colors import LinearSegmentedColormap

from lessons import biases, pictures
from lessons.sweeps import lesson04, lesson05
from minift import plotting

# method of the sweep: (whose colour, words, line style); the head alone is the frozen base here
LOOKS = {
    "head": ("base", "head alone, base frozen", "--"),
    "random": ("bitfit", "random scalars", ":"),
    "subset": ("bitfit", "BitFit, q and up", "--"),
    "bitfit": ("bitfit", "BitFit, all biases", "-"),
    "lora": ("lora", f"LoRA, rank {lesson04.RANK}", "-"),
    "full": ("full", "full fine-tuning", "-"),
}
SHORT = {kind: kind.removesuffix("_proj") for kind in biases.KINDS} | {"norm": "last norm"}
SHORT["norms"] = "all norms"


def rivals(rows, path):
    """Accuracy on test for each size of training set on the GPT, and on the encoder."""
    few, many = lesson04.SIZES
    panels = {
        f"GPT, {few} examples, 5 seeds": (few, "gpt", tuple(LOOKS)),
        f"GPT, {many:,} examples, 5 seeds": (many, "gpt", tuple(LOOKS)),
        f"encoder, {many:,} examples, 3 seeds": (many, "encoder", lesson04.RATE["encoder", many]),
    }
    made, axes = plotting.figure(1, 3, (4.4, 3.0), "Sentiment: what trains, and how well")
    for ax, (title, (size, family, methods)) in zip(axes, panels.items(), strict=True):
        points = {}
        for method in methods:
            colour, label, _ = LOOKS[method]
            setting = lesson04.cell(method, size, family=family)
            points[label] = spread_of(rows, "test", setting, colour)
        pictures.rows_of_dots(ax, points, digits=1)
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("accuracy on test (%), mean ± sd", fontsize=8)
        ax.set_xlim(55, 95)
    return plotting.save(made, path)


def rates(rows, path):
    """Accuracy on dev over the learning rate of each method, in the trials: one seed."""
    title = f"Trials: each method has a rate of its own ({lesson04.SIZES[-1]:,} examples, one seed)"
    made, ax = plotting.figure(size=(7.2, 3.8), title=title)
    for method, choice in lesson04.RATES.items():
        cells = [lesson04.cell(method, lr=lr) | {"seed": lesson04.TRIAL} for lr in choice]
        right = [pictures.measured(rows, "dev", **one)[0] for one in cells]
        colour, words, line = LOOKS[method]
        how = pictures.look(colour, words) | {"linestyle": line}
        ax.plot(choice, right, marker="o", markersize=3, **how)
    ax.set(xscale="log", xlabel="learning rate", ylabel="accuracy on dev (%)")
    plotting.label_lines(ax)
    return plotting.save(made, path)


def move_tables(rows, base):
    """Two tables (blocks, kinds): mean |Δb| over the seeds, and as a share of mean |b₀|."""
    setting, sizes = lesson04.cell("bitfit"), biases.sizes_of_biases(base)
    blocks = sorted({int(n.split(".")[1]) for n in sizes if n.startswith("blocks.")})
    names = [[layer_of(block, kind) for kind in biases.KINDS] for block in blocks]
    mains = [row for row in rows if row["setting"]["seed"] != lesson04.TRIAL]
    ways = [[pictures.measured(mains, f"moved {n}", **setting)[0] for n in row] for row in names]
    before = [[sizes[n] for n in row] for row in names]
    return torch.tensor(ways), torch.tensor(ways) / torch.tensor(before)


def layer_of(block, kind):
    """The name of a layer by its block and kind."""
    inside = {"q": "attention.", "k": "attention.", "v": "attention.", "out": "attention."}
    inside |= {"up": "feedforward.", "down": "feedforward."}
    return f"blocks.{block}.{inside.get(SHORT[kind], '')}{kind}"


def heat(ax, table, form, title):
    """A table as colours, with its numbers in the cells."""
    colours = LinearSegmentedColormap.from_list("bitfit", ["white", plotting.COLOURS["bitfit"]])
    ax.imshow(table, cmap=colours, aspect="auto", vmin=0, vmax=table.max().item())
    for (row, column), value in zip(
        torch.cartesian_prod(*map(torch.arange, table.shape)).tolist(),
        table.flatten().tolist(), strict=True,
    ):  # fmt: skip
        ax.text(column, row, form.format(value), ha="center", va="center", fontsize=8)
    ax.set_xticks(range(table.shape[1]), [SHORT[kind] for kind in biases.KINDS])
    ax.set_yticks(range(table.shape[0]), [f"block {n + 1}" for n in range(table.shape[0])])
    ax.set_title(title, fontsize=9)
    ax.grid(False)


def moves(rows, base, path):
    """Which biases move: layer × kind, absolute and relative."""
    title = f"Which biases move? ({lesson04.SIZES[-1]:,} examples, mean of 5 seeds)"
    made, axes = plotting.figure(1, 2, (5.6, 2.9), title)
    ways, shares = move_tables(rows, base)
    heat(axes[0], 1000 * ways, "{:.1f}", "mean |Δb| · 1000")
    heat(axes[1], shares, "{:.0%}", "mean |Δb| ÷ mean |b| of the base")
    return plotting.save(made, path)


def kinds(rows, path):
    """Each kind of bias alone, and all biases without that kind, beside the baselines."""
    made, axes = plotting.figure(1, 2, (5.4, 3.8), "Which biases matter? (mean ± sd over seeds)")
    trained, alone = lesson04.cell("bitfit"), {}
    for method in ("full", "bitfit", "subset", "head"):
        colour, words, _ = LOOKS[method]
        alone[words] = spread_of(rows, "test", lesson04.cell(method), colour)
    without = {"none put back": spread_of(rows, "dev_loss", trained, "bitfit")}
    for kind in lesson04.ALONE:
        alone[f"{SHORT[kind]} alone"] = spread_of(rows, "test", lesson04.cell(kind), "bitfit")
    for kind in (*biases.KINDS, "norm"):
        without[SHORT[kind]] = spread_of(rows, f"without {kind}", trained, "bitfit")
    pictures.rows_of_dots(axes[0], alone, digits=1)
    axes[0].set_xlabel("accuracy on test (%), only these trained")
    pictures.rows_of_dots(axes[1], without, digits=3)
    axes[1].set_xlabel("dev loss, all trained, then these put back")
    return plotting.save(made, path)


def spread_of(rows, column, setting, colour):
    """(mean, mean − sd, mean + sd, colour) for a row of dots; a trial of rates is no such run."""
    mains = [row for row in rows if row["setting"]["seed"] != lesson04.TRIAL]
    mean, sd = pictures.measured(mains, column, **setting)
    return mean, mean - sd, mean + sd, colour


def headlines(rows, lora_rows, path):
    """Exact headlines over the numbers that train: the GPT's biases beside LoRA's ranks."""
    made, ax = plotting.figure(size=(6.6, 3.6), title="Headlines by the GPT (mean ± sd, 3 seeds)")
    cells = [lesson05.lora_cell(rank=rank) for rank in lesson05.RANKS]
    trained = [pictures.measured(lora_rows, "trained", **one)[0] for one in cells]
    points = [pictures.measured(lora_rows, "exact", **one) for one in cells]
    pictures.baselines(
        ax, lora_rows, "exact", (trained[0], trained[-1]),
        {"method": "full", "lr": lesson05.FULL_LR},
    )  # fmt: skip
    pictures.with_spread(ax, trained, points, "lora")
    mine = [pictures.measured(rows, name, **lesson04.HEADLINE) for name in ("trained", "exact")]
    pictures.with_spread(ax, [mine[0][0]], [mine[1]], "bitfit")
    ax.set(xscale="log", xlabel="numbers that train", ylabel="exact texts (share)", ylim=(0, None))
    ax.set_xticks(trained, [f"{number:,.0f}" for number in trained])
    ax.minorticks_off()
    plotting.label_lines(ax)
    return plotting.save(made, path)
