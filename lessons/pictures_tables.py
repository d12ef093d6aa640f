"""The pictures of lesson 09: costs, learning rates, score against size."""

from lessons import pictures, timing
from lessons.sweeps import lesson09
from minift import plotting

SCORES = {"dev bleu": "in the domain (dev)", "test bleu": "out of it (test: events in new words)"}
MARKS = dict(zip(lesson09.SIZES, ("white", None), strict=True))  # 100 examples hollow, 2,000 full


def line_of(rows, method, memory, training, use):
    """The cells of one method: sizes, costs, and scores for both numbers of examples."""
    own = [lesson09.own(rows, method, size) for size in lesson09.SIZES]
    counts = [pictures.measured(rows, name, **own[-1])[0] for name in ("trained", "stored")]
    merged = f"{method}, merged"
    times = [
        f"{timing.ratios(training, method, 'full')[0]:.2f}", f"{timing.ratios(use, method)[0]:.2f}",
        f"{timing.ratios(use, merged)[0]:.2f}" if merged in use else "",
    ]  # fmt: skip
    scores = [pictures.measured(rows, name, **one) for one in own for name in SCORES]
    sizes = [*(f"{n:,.0f}" for n in counts), f"{sum(memory[method].values()) / 1e6:.0f}"]
    return [method, *sizes, *times, *("{:.1f} ± {:.1f}".format(*one) for one in scores)]


def table(rows, memory, training, use):
    """The chapter's tables as numbers, one line a method, in Markdown."""
    head = ["method", "trained", "stored", "MB", "step ÷ full", "write ÷ base", "merged"]
    head += [f"{n:,}, {where}" for n in lesson09.SIZES for where in ("in", "out")]
    frozen = [f"{pictures.measured(rows, n, **lesson09.FROZEN)[0]:.1f}" for n in SCORES]
    lines = [head, ["base", "0", "0", "", "", "1.00", "", *frozen, *frozen]]
    lines += [line_of(rows, method, memory, training, use) for method in lesson09.METHODS]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    padded = [[c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def rates(rows, path):
    """Score over the learning rate with one seed: the best one (ring) is a method's own."""
    columns = -(-len(lesson09.METHODS) // 2)
    title = "Four learning rates a method, one seed: the best score on dev decides (ring)"
    made, axes = plotting.figure(2, columns, (2.7, 2.3), title)
    base, _ = pictures.measured(rows, lesson09.SCORE, **lesson09.FROZEN)
    for ax, (method, (_, tried)) in zip(axes, lesson09.METHODS.items(), strict=False):
        ax.plot([tried[0], tried[-1]], [base, base], **pictures.look("base", "base"))
        for size in lesson09.SIZES:
            runs = [lesson09.cell(method, size, lr, lesson09.SEEDS[0]) for lr in tried]
            scores = [pictures.measured(rows, lesson09.SCORE, **one)[0] for one in runs]
            look = pictures.look(method, f"{size:,}")
            ax.plot(tried, scores, marker="o", markersize=3, **look)
            ring = {"markersize": 9, "fillstyle": "none", "color": look["color"], "label": "_"}
            ax.plot(lesson09.rate(rows, method, size), max(scores), "o", **ring)
        ax.set(xscale="log", ylim=(0, 90), title=method)
        ax.title.set_fontsize(9)
        plotting.label_lines(ax)
    for ax in axes[::columns]:
        ax.set_ylabel("BLEU on dev", fontsize=8)
    for ax in axes[len(lesson09.METHODS) :]:
        ax.remove()
    return plotting.save(made, path)


def label_above(ax, points):
    """Names in a row above the axes, {name: its highest point}, each with a line to its point."""
    ax.figure.draw_without_rendering()  # fixes what the places depend on
    frame = ax.get_window_extent()
    inches = [(ax.transData.transform(p)[0] - frame.x0) / ax.figure.dpi for p in points.values()]
    places = plotting.apart(inches, 0.72, 0.3, frame.width / ax.figure.dpi - 0.3)
    for (name, point), place in zip(points.items(), places, strict=True):
        colour = plotting.COLOURS[name]
        ax.annotate(
            name, point, xytext=(place * ax.figure.dpi / frame.width, 1.03), color=colour,
            textcoords="axes fraction", ha="center", fontsize=plotting.LABEL_SIZE,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6},
        )  # fmt: skip


def scatter(rows, path):
    """Score against stored parameters: 100 examples hollow, 2,000 filled; mean ± sd over seeds."""
    title = "Headlines: score against what a task stores (○ 100, ● 2,000 examples; ± sd, 5 seeds)"
    made, axes = plotting.figure(1, 2, (6.2, 4.2), title)
    for ax, (column, words) in zip(axes, SCORES.items(), strict=True):
        ax.set(xscale="log", xlabel="parameters that a task stores", ylabel=f"BLEU {words}")
        highest = {}
        for method in lesson09.METHODS:
            for size, inside in MARKS.items():
                own, colour = lesson09.own(rows, method, size), plotting.COLOURS[method]
                stored, _ = pictures.measured(rows, "stored", **own)
                mean, sd = pictures.measured(rows, column, **own)
                how = {"fmt": "o", "color": colour, "mfc": inside or colour, "capsize": 3}
                ax.errorbar([stored], [mean], [sd], **how)
                highest[method] = max(highest.get(method, (stored, 0)), (stored, mean))
        base, _ = pictures.measured(rows, column, **lesson09.FROZEN)
        ax.axhline(base, **pictures.look("base"))
        where = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "bottom"}
        look = {"color": plotting.COLOURS["base"], "fontsize": plotting.LABEL_SIZE}
        ax.text(0.99, base, "base, frozen", **where, **look)
        label_above(ax, highest)
    return plotting.save(made, path)


def costs(memory, training, use, path):
    """Bytes of a training step, its time over full fine-tuning's, the time of use over the base's.

    memory: {method: {what: bytes}}; training and use: what `timing.take_turns` gave.
    """
    made, axes = plotting.figure(1, 3, (4.6, 3.8), "What a method costs on this machine")
    for height, (method, held) in enumerate(reversed(memory.items())):
        left = 0.0
        for (what, size), alpha in zip(held.items(), (0.25, 0.5, 0.75, 1.0), strict=True):
            colour = plotting.COLOURS[method]
            axes[0].barh(height, size / 1e6, left=left, color=colour, alpha=alpha, height=0.6)
            if height == len(memory) - 1:
                axes[0].text(left, height + 0.4, what, fontsize=7, rotation=30)
            left += size / 1e6
        axes[0].text(left + 1, height, f"{left:.0f}", fontsize=8, va="center")
    axes[0].set_yticks(range(len(memory)), reversed(memory))
    axes[0].set(xlabel="megabytes of a training step", ylim=(-0.6, len(memory) + 0.4))
    for ax, times, rival, words in (
        (axes[1], training, "full", "a training step ÷ full fine-tuning's"),
        (axes[2], use, "base", "writing 16 tokens ÷ the base's"),
    ):
        points = {n: (*timing.ratios(times, n, rival), n.partition(",")[0]) for n in times}
        pictures.rows_of_dots(ax, points)
        ax.set_xlabel(f"time of {words}; quartiles")
    return plotting.save(made, path)
