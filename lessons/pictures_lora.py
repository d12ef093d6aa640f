"""The pictures of lesson 05 alone: rank and scale, places, directions, latency."""

import statistics

import torch

from lessons import pictures, timing
from lessons.sweeps import lesson05
from minift import plotting

PLACES = {
    "q_proj": "q, r = 20", "v_proj": "v, r = 20", "q_proj v_proj": "q and v, r = 10",
    "q_proj k_proj v_proj out_proj": "q, k, v, out, r = 5", "up_proj down_proj": "MLP, r = 4",
}  # fmt: skip
FULL = {"method": "full", "lr": lesson05.FULL_LR}


def ranks(rows, path):
    """Dev loss and exact texts over the rank, and exact texts over α/r; baselines in each."""
    made, axes = plotting.figure(
        1, 3, (4.4, 3.6), "Headlines, LoRA on q and v (mean ± sd over 3 seeds)"
    )
    panels = [("rank", "dev_loss", lesson05.RANKS), ("rank", "exact", lesson05.RANKS)]
    panels += [("scale", "exact", sorted({*lesson05.SCALES, 2}))]
    trained = next(r["result"]["trained"] for r in rows if r["setting"].get("rank") == 1)
    words = {"rank": f"rank r (α/r = 2; {trained:,} · r numbers train)", "scale": "α/r (rank 8)"}
    words |= {"dev_loss": "dev loss (nats a token)", "exact": "exact texts (share)"}
    for ax, (over, name, values) in zip(axes, panels, strict=True):
        ax.set(xscale="log", xlabel=words[over], ylabel=words[name])
        if name == "exact":
            ax.set_ylim(-0.03, 1.03)
        points = [pictures.measured(rows, name, **lesson05.lora_cell(**{over: v})) for v in values]
        pictures.baselines(ax, rows, name, (values[0], values[-1]), FULL)
        pictures.with_spread(ax, values, points, "lora")
        ax.set_xticks(values, [f"{v:g}" for v in values])
        ax.minorticks_off()
        plotting.label_lines(ax)
    return plotting.save(made, path)


def places(rows, path):
    """Exact texts for the same number of parameters in different matrices, beside the baselines."""
    title = "As many LoRA parameters, in different matrices (mean ± sd, 5 seeds; full 3)"
    made, axes = plotting.figure(1, 2, (4.8, 3.4), title)
    for ax, name in zip(axes, ("dev_loss", "exact"), strict=True):
        settings = {"base, frozen": ({"method": "base"}, "base")} if name == "exact" else {}
        for targets, label in PLACES.items():
            cell = lesson05.lora_cell(targets, lesson05.PLACES[targets])
            settings[label] = (cell, "lora")
        settings["full fine-tuning"] = (FULL, "full")
        points = {}
        for label, (setting, method) in settings.items():
            mean, sd = pictures.measured(rows, name, **setting)
            points[label] = (mean, mean - sd, mean + sd, method)
        pictures.rows_of_dots(ax, points, digits=3)
    base, _ = pictures.measured(rows, "dev_loss", method="base")
    axes[0].set_xlabel(f"dev loss (nats a token; the frozen base: {base:.2f})")
    axes[1].set(xlabel="exact texts (share)", xlim=(-0.05, 1.05))
    return plotting.save(made, path)


def spectrum(change):
    """The share of ‖ΔW‖² that the 1, 2, 3, … strongest directions hold."""
    energy = torch.linalg.svdvals(change.detach()).square()
    return energy.cumsum(0) / energy.sum()


def directions(changes, path):
    """{method: [ΔW of each matrix]}: how much of a change its strongest directions hold."""
    made, ax = plotting.figure(
        size=(6.4, 3.6), title="Singular values of ΔW: how many directions does a change use?"
    )
    for method, matrices in changes.items():
        curves = torch.stack([spectrum(change) for change in matrices])
        ks = range(1, curves.shape[1] + 1)
        for curve in curves:
            ax.plot(ks, curve, **pictures.look(method, "_") | {"linewidth": 0.5, "alpha": 0.4})
        ax.plot(ks, curves.mean(0), **pictures.look(method))
    ax.set(xscale="log", ylim=(0, 1.03))
    ax.set_xlabel("number of strongest directions (thin: one matrix; thick: mean over all q and v)")
    ax.set_ylabel("share of ‖ΔW‖² in them")
    powers = [2**n for n in range(ks[-1].bit_length())]
    ax.set_xticks(powers, powers)
    ax.minorticks_off()
    plotting.label_lines(ax)
    return plotting.save(made, path)


def latency(times, path):
    """Forward times over the base's, round by round: median and quartiles."""
    made, ax = plotting.figure(size=(6.0, 2.6), title="What LoRA costs when the model is used")
    points, words = {}, {"base": "base, full fine-tuning"}
    for name in times:
        middle, low, high = timing.ratios(times, name)
        points[words.get(name, name)] = (middle, low, high, "base" if name == "base" else "lora")
    pictures.rows_of_dots(ax, points)
    milliseconds = statistics.median(times["base"])
    ax.set_xlabel(f"time of a forward pass ÷ the base's ({milliseconds:.1f} ms); quartiles")
    return plotting.save(made, path)
