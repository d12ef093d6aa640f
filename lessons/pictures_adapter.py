"""The pictures of lesson 02 alone: learning, capacity, starts, budgets, domains, latency."""

import statistics

from lessons import pictures, timing
from lessons.sweeps import lesson02
from minift import plotting

PARTS = {"dev": "train's templates", "test": "new templates", "far": "another domain"}
NAMES = {"base": "frozen base, new head", "full": "full fine-tuning", "adapter": "adapter"}
SHORT = {"base": "head only", "full": "full"}
METHODS = {"base": "head", "full": "full"}  # whose colour: which runs


def learning(runs, sizes, path):
    """Dev loss over steps of {method: history}."""
    title = "Sentiment, 5,000 examples: three ways to use one base"
    made, ax = plotting.figure(size=(7.6, 3.6), title=title)
    for method, history in runs.items():
        steps, losses = history.column("dev_loss")
        words = f"{NAMES[method]} ({sizes[method]:,} trained)"
        ax.plot(steps, losses, marker="o", markersize=3, **pictures.look(method, words))
    ax.set(xlabel="training step", ylabel="dev loss (nats a text)", ylim=(0, None))
    plotting.label_lines(ax)
    return plotting.save(made, path)


def level(ax, rows, column, ends, method, size=lesson02.MANY):
    """A baseline, mean and spread over seeds, as a level line."""
    setting = lesson02.plain_cell(METHODS[method], size)
    mean, sd = pictures.measured(rows, column, **setting)
    ax.plot(ends, [mean, mean], **pictures.look(method, SHORT[method]))
    ax.fill_between(ends, mean - sd, mean + sd, color=plotting.COLOURS[method], alpha=0.15, lw=0)


def log_ticks(ax, values, axis="x"):
    """A logarithmic axis with a tick at these values and no other."""
    getattr(ax, f"set_{axis}scale")("log")
    getattr(ax, f"set_{axis}ticks")(values, [f"{value:g}" for value in values])
    ax.minorticks_off()


def capacity(rows, path):
    """Accuracy and losses over the bottleneck, a column for each size of the training set."""
    title = "Sentiment: what capacity does with few and with many examples (mean ± sd over seeds)"
    made, axes = plotting.figure(2, 3, (4.3, 2.9), title)
    ends = (lesson02.BOTTLENECKS[0], lesson02.BOTTLENECKS[-1])
    for upper, lower, size in zip(axes[:3], axes[3:], lesson02.SIZES, strict=True):
        upper.set(title=f"{size:,} examples", ylim=(45, 102), ylabel="accuracy on dev (%)")
        for method in METHODS:
            level(upper, rows, "dev accuracy", ends, method, size)
        for ax, column, words, line in (
            (upper, "dev accuracy", "adapter", "-"), (lower, "dev_loss", "on dev", "-"),
            (lower, "train_loss", "on train", ":"),
        ):  # fmt: skip
            cells = [lesson02.adapter_cell(m, size) for m in lesson02.BOTTLENECKS]
            curve(ax, rows, column, lesson02.BOTTLENECKS, cells, "adapter", words, line)
        lower.set(xlabel="bottleneck m", ylabel="loss (nats a text)", ylim=(0, None))
        for ax in (upper, lower):
            log_ticks(ax, lesson02.BOTTLENECKS)
            plotting.label_lines(ax)
    return plotting.save(made, path)


def curve(ax, rows, column, xs, cells, method, words, line="-"):
    """Means with their spread over the seeds, a point for each setting."""
    means, sds = zip(*(pictures.measured(rows, column, **cell) for cell in cells), strict=True)
    how = pictures.look(method, words) | {"linestyle": line}
    ax.plot(xs, means, marker="o", markersize=4, **how)
    ax.errorbar(xs, means, sds, fmt="none", ecolor=how["color"], capsize=3)


def starts(rows, guessed, path):
    """What the base still knows at step 0, and the dev loss after training, over the start's σ.

    guessed: {σ: nats a masked word}, with the base's own under 0.
    """
    made, (left, right) = plotting.figure(
        1, 2, (4.8, 3.4), "Adapters that start near the identity, and far from it"
    )
    stds = lesson02.STDS
    left.plot((stds[0], stds[-1]), [guessed[0]] * 2, **pictures.look("base", "base, no adapter"))
    look = pictures.look("adapter", "with adapters")
    left.plot(stds, [guessed[std] for std in stds], marker="o", markersize=4, **look)
    left.set(ylabel="masked word at step 0 (nats)", ylim=(0, None))
    for method in METHODS:
        level(right, rows, "dev_loss", (stds[0], stds[-1]), method)
    cells = [lesson02.adapter_cell(std=std) for std in stds]
    curve(right, rows, "dev_loss", stds, cells, "adapter", "adapter, m = 32")
    right.set(ylabel="dev loss after training (nats a text)", ylim=(0, None))
    for ax in (left, right):
        ax.set_xlabel("σ of the adapters' first weights")
        log_ticks(ax, stds)
        plotting.label_lines(ax)
    return plotting.save(made, path)


def budgets(rows, path):
    """Accuracy over the trained parameters: adapters everywhere, or the top of the base."""
    made, axes = plotting.figure(
        1, 2, (5.2, 3.6), "The same number of parameters, everywhere or at the top (5,000 examples)"
    )
    adapters = [lesson02.adapter_cell(m) for m in lesson02.BOTTLENECKS]
    tops = [lesson02.plain_cell("top", blocks=blocks) for blocks in lesson02.DEEP]
    for ax, part in zip(axes, ("dev", "test"), strict=True):
        column = f"{part} accuracy"
        sizes = {
            name: [pictures.measured(rows, "trained", **cell)[0] for cell in cells]
            for name, cells in {"adapter": adapters, "top": tops}.items()
        }
        everything, _ = pictures.measured(rows, "trained", **lesson02.plain_cell("full"))
        for method in METHODS:
            level(ax, rows, column, (min(sizes["adapter"]), everything), method)
        curve(ax, rows, column, sizes["adapter"], adapters, "adapter", "adapters, m = 2 … 128")
        curve(ax, rows, column, sizes["top"], tops, "full", "pooler and top 0 … 2 blocks", ":")
        ax.set(xlabel="trained parameters without the head", xscale="log")
        ax.set_ylabel(f"accuracy, {PARTS[part]} (%)")
        plotting.label_lines(ax)
    return plotting.save(made, path)


def domains(rows, path):
    """Accuracy and nats on dev, test and far: the two baselines and the adapter."""
    made, axes = plotting.figure(1, 2, (5.0, 3.4), "Sentiment, 5,000 examples (mean ± sd, 3 seeds)")
    cells = {"base": lesson02.plain_cell("head"), "full": lesson02.plain_cell("full")}
    cells["adapter"] = lesson02.adapter_cell()
    words = {"accuracy": "accuracy (%)", "nats": "loss (nats a text)"}
    for ax, (metric, label) in zip(axes, words.items(), strict=True):
        for shift, (method, cell) in zip((-0.06, 0, 0.06), cells.items(), strict=True):
            columns = [f"{part} {metric}".replace("dev nats", "dev_loss") for part in PARTS]
            points = [pictures.measured(rows, column, **cell) for column in columns]
            pictures.with_spread(ax, [n + shift for n in range(len(PARTS))], points, method)
        ax.set_ylabel(label)
        ax.set_xticks(range(len(PARTS)), list(PARTS.values()))
        plotting.label_lines(ax)
    return plotting.save(made, path)


def latency(timed, path):
    """{batch: {name: times}}: forward times over the base's, median and quartiles."""
    made, axes = plotting.figure(1, len(timed), (4.8, 2.4), "What adapters cost in use")
    for ax, (batch, times) in zip(axes, timed.items(), strict=True):
        points = {}
        for name in times:
            colour = "base" if name == "base" else "adapter"
            points[name] = (*timing.ratios(times, name), colour)
        pictures.rows_of_dots(ax, points)
        milliseconds = statistics.median(times["base"])
        ax.set_xlabel(f"time ÷ the base's ({milliseconds:.1f} ms), batch of {batch}; quartiles")
    return plotting.save(made, path)
