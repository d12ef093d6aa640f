"""The pictures of lesson 06 alone: the budget, the rank map, AdaLoRA against LoRA, what R does."""

import torch

from lessons import pictures, pictures_lora
from lessons.sweeps import lesson06
from minift import plotting
from minift.peft import adalora

FULL = pictures_lora.FULL
KINDS = [kind.removesuffix("_proj") for kind in adalora.EVERY_MATRIX]


def printed(step, b0, bT, total, t_i, t_f):
    """Equation (8) as the paper prints it, with a slip: t − tᵢ − t_f for t − tᵢ."""
    left = 1 - (step - t_i - t_f) / (total - t_i - t_f)
    return bT + (b0 - bT) * left**3


def budget(living, plan, path):
    """The triplets that live after each step, beside what (8) allows and what is printed as (8)."""
    made, ax = plotting.figure(size=(7.2, 3.6), title="The budget: how many triplets live")
    steps = range(1, len(living) + 1)
    between = [t for t in steps if plan["t_i"] <= t <= plan["total"] - plan["t_f"]]
    slip = {"color": "0.5", "linestyle": ":", "label": "(8) as the paper prints it"}
    ax.plot(between, [printed(t, **plan) for t in between], **slip)
    ax.plot(steps, [plan["bT"]] * len(living), **pictures.look("lora", "LoRA of the same end"))
    ax.plot(steps, living, **pictures.look("adalora", "AdaLoRA, counted"))
    some = [*steps][:: max(1, len(living) // 30)]
    colour = plotting.COLOURS["adalora"]
    ax.plot(some, [adalora.budget(t, **plan) for t in some], "o", ms=5, mfc="none", color=colour)
    for x, words in ((plan["t_i"], "tᵢ"), (plan["total"] - plan["t_f"], "T − t_f")):
        ax.axvline(x, color="0.8", linewidth=0.8)
        look = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": 9, "color": "0.4"}
        ax.annotate(words, (x, 0), **look)
    ax.set(xlabel="training step (circles: b(t) of the library)", ylabel="triplets with λ ≠ 0")
    ax.set_ylim(0, None)
    plotting.label_lines(ax)
    return plotting.save(made, path)


def ranks(rows, path):
    """The rank of each matrix at the end, a panel a budget: mean ± sd over seeds in each cell."""
    title = "Where the triplets are left (rank, mean ± sd over seeds)"
    made, axes = plotting.figure(1, len(lesson06.STARTS), (4.6, 3.0), title)
    for ax, (rank, start) in zip(axes, lesson06.STARTS.items(), strict=True):
        maps = torch.stack(lesson06.maps(rows, **lesson06.adalora_at(rank)))
        mean, sd = maps.mean(0), maps.std(0)
        ax.imshow(mean.numpy(), cmap="Blues", vmin=0, vmax=start, origin="lower", aspect="auto")
        for block, kind in torch.cartesian_prod(*map(torch.arange, mean.shape)).tolist():
            words = f"{mean[block, kind]:.1f}\n± {sd[block, kind]:.1f}"
            dark = mean[block, kind] > 0.6 * start
            look = {"ha": "center", "va": "center", "fontsize": 8}
            ax.text(kind, block, words, color="white" if dark else "black", **look)
        ax.set_xticks(range(len(KINDS)), KINDS)
        ax.set_yticks(range(len(mean)))
        words = f"from rank {start} to a mean of {rank}, {len(maps)} seeds"
        ax.set(title=words, ylabel="block")
        ax.title.set_fontsize(9)
        ax.grid(False)
    return plotting.save(made, path)


def against(rows, levels, path):
    """Dev loss and exact texts over what a task stores; `levels` has the baselines' runs."""
    title = "Headlines: as many triplets at the end (mean ± sd, 5 seeds; rank 4 and full: 3)"
    made, axes = plotting.figure(1, 2, (5.6, 3.6), title)
    words = {"dev_loss": "dev loss (nats a token)", "exact": "exact texts (share)"}
    stored = {
        method: [pictures.measured(rows, "stored", **at(rank))[0] for rank in lesson06.STARTS]
        for method, at in lesson06.RIVALS.items()
    }
    ends = (min(sum(stored.values(), [])) / 1.1, max(sum(stored.values(), [])) * 1.1)
    for ax, (name, axis) in zip(axes, words.items(), strict=True):
        ax.set(xscale="log", xlabel="numbers stored for the task", ylabel=axis)
        pictures.baselines(ax, levels, name, ends, FULL)
        for method, at in lesson06.RIVALS.items():
            points = [pictures.measured(rows, name, **at(rank)) for rank in lesson06.STARTS]
            pictures.with_spread(ax, stored[method], points, method, words="_")
            ax.plot(ends[1:], points[-1][:1], **pictures.look(method))  # the label alone
        ticks = zip(stored["lora"], lesson06.STARTS, strict=True)
        ax.set_xticks(stored["lora"], [f"{n:,.0f}\nLoRA, rank {r}" for n, r in ticks])
        ax.minorticks_off()
        plotting.label_lines(ax)
    return plotting.save(made, path)


def orthogonality(rows, levels, path):
    """γ = 0 beside γ = 0.1: how far the vectors are from orthonormal, and what it does to loss."""
    base, _ = pictures.measured(levels, "dev_loss", method="base")
    whole, _ = pictures.measured(levels, "dev_loss", **FULL)
    title = "The orthogonality term, each at its own rate (mean ± sd over seeds)"
    made, axes = plotting.figure(1, 3, (3.8, 2.0), title)
    words = {
        "gap": "R for each vector (0: orthonormal)",
        "overlap": "mean |cosine| of two vectors",
        "dev_loss": f"dev loss (base, frozen {base:.2f}; full {whole:.2f})",
    }
    for ax, (name, axis) in zip(axes, words.items(), strict=True):
        points = {}
        for at in (lesson06.free_at, lesson06.adalora_at):
            setting = at(lesson06.TRIED)
            mean, sd = pictures.measured(rows, name, **setting)
            points[f"γ = {setting['gamma']:g}"] = (mean, mean - sd, mean + sd, "adalora")
        pictures.rows_of_dots(ax, points, digits=3)
        ax.margins(x=0.15)
        ax.set_xlabel(axis)
    return plotting.save(made, path)
