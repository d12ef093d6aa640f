"""Pictures that several lessons draw: runs side by side, sweeps with their spread over seeds."""

from minift import plotting, sweep

WORDS = {
    "base": "base, frozen", "full": "full fine-tuning", "bitfit": "BitFit", "lora": "LoRA",
    "adalora": "AdaLoRA", "unipelt": "UniPELT",
}  # fmt: skip


def look(method, words=None):
    """The method's style with a label for people."""
    return plotting.style(method) | {"label": words or WORDS.get(method, method)}


def convergence(runs, start, sizes, title, path, unit="token"):
    """Dev loss over steps of {method: history}; all start at the frozen base's loss."""
    made, ax = plotting.figure(size=(7.0, 3.6), title=title)
    last = max(history[-1]["step"] for history in runs.values())
    ax.plot([0, last], [start, start], **look("base"))
    for method, history in runs.items():
        steps, losses = history.column("dev_loss")
        words = f"{WORDS.get(method, method)} ({sizes[method]:,} trained)"
        ax.plot([0, *steps], [start, *losses], marker="o", markersize=3, **look(method, words))
    ax.set(xlabel="training step", ylabel=f"dev loss (nats a {unit})")
    ax.xaxis.get_major_locator().set_params(integer=True)
    plotting.label_lines(ax)
    return plotting.save(made, path)


def measured(rows, column, /, **setting):
    """(mean, sd) of a result over the seeds of one setting; sd is 0 for a single run."""
    chosen = [row["result"][column] for row in rows if setting.items() <= row["setting"].items()]
    mean, sd, _ = sweep.spread(chosen)
    return mean, sd or 0.0


def baselines(ax, rows, name, ends, full):
    """The frozen base, and full fine-tuning in the setting `full`, as level lines."""
    for method, setting in (("base", {"method": "base"}), ("full", full)):
        mean, sd = measured(rows, name, **setting)
        ax.plot(ends, [mean, mean], **look(method))
        ax.fill_between(
            ends, mean - sd, mean + sd, color=plotting.COLOURS[method], alpha=0.15, lw=0
        )


def with_spread(ax, xs, points, method, words=None, **other):
    """A curve of means with their standard deviations over seeds; points are (mean, sd)."""
    means, sds = zip(*points, strict=True)
    ax.plot(xs, means, marker="o", markersize=4, **look(method, words) | other)
    ax.errorbar(xs, means, sds, fmt="none", ecolor=plotting.COLOURS[method], capsize=3)


def rows_of_dots(ax, points, digits=2):
    """One row a name: {name: (middle, lower end, upper end, method)}, with its number above it."""
    for height, (middle, low, high, method) in zip(
        range(len(points))[::-1], points.values(), strict=True
    ):
        colour = plotting.COLOURS[method]
        ax.errorbar(
            [middle], [height], xerr=[[middle - low], [high - middle]], fmt="o", color=colour,
            capsize=3,
        )  # fmt: skip
        ax.annotate(
            f"{middle:.{digits}f}", (middle, height), xytext=(0, 7), textcoords="offset points",
            ha="center", fontsize=8, color=colour,
        )  # fmt: skip
    ax.set_yticks(range(len(points))[::-1], list(points))
    ax.set_ylim(-0.6, len(points) - 0.3)
    ax.grid(False, axis="y")
