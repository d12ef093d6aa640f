"""The look that all figures of the course share: one colour a method, labels on the curves.

Figures are made without pyplot, so nothing here changes a global setting or needs a screen; a saved
PNG is the same file for the same numbers.
"""

import math

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from minift.safetensors import atomically

# Every pair, and the white page, is told apart by readers who see no red or no green
# (tests/test_plotting.py measures it); base and full stand for the two baselines.
COLOURS = {
    "base": "#808080", "full": "#000000", "adapter": "#30A56E", "prefix": "#E28E00",
    "bitfit": "#D188B7", "lora": "#057CC8", "adalora": "#38AAE4", "qlora": "#332288",
    "unipelt": "#CB5900", "hint": "#A74093", "lomo": "#9F9E47", "intrinsic": "#661200",
    "reward": "#0B7533", "ppo": "#C41D30",
}  # fmt: skip
DASHED = {"base"}  # the frozen base is a level to beat, not a run
LABEL_SIZE = 9
DPI = 150


def style(method):
    """The keyword arguments of `ax.plot` for a method: colour, line style, label."""
    if method not in COLOURS:
        raise ValueError(f"no colour for method {method!r}; there are: {', '.join(COLOURS)}")
    line = "--" if method in DASHED else "-"
    return {"color": COLOURS[method], "linestyle": line, "linewidth": 1.8, "label": method}


def figure(rows=1, columns=1, size=(5.2, 3.4), title=None):
    """(figure, axes): one axis, or a list of them row by row; `size` is one axis in inches."""
    width, height = size
    made = Figure(figsize=(width * columns, height * rows), layout="constrained", dpi=DPI)
    FigureCanvasAgg(made)
    axes = [made.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(True, color="#E6E6E6", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=8)
    if title is not None:
        made.suptitle(title, fontsize=11)
    return made, axes[0] if len(axes) == 1 else axes


def apart(heights, gap, low=-math.inf, high=math.inf):
    """The heights from low to high nearest to the given ones (least squares), `gap` apart.

    Neighbours that are too close form a block, which is centred on the mean of its members.
    Where the room is too small for all, it is left at the top.
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    blocks = []  # [mean of (height − place in the order · gap), members]
    for place, i in enumerate(order):
        blocks.append([heights[i] - place * gap, [i]])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            upper, lower = blocks.pop(), blocks.pop()
            total = upper[0] * len(upper[1]) + lower[0] * len(lower[1])
            members = lower[1] + upper[1]
            blocks.append([total / len(members), members])
    top = max(low, high - gap * (len(heights) - 1))
    free = [min(max(value, low), top) for value, members in blocks for _ in members]
    moved = {i: free[place] + place * gap for place, i in enumerate(order)}
    return [moved[i] for i in range(len(heights))]


def last_point(line):
    """The last finite point of a line, or None."""
    points = zip(line.get_xdata(), line.get_ydata(), strict=True)
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    return finite[-1] if finite else None


def label_lines(ax):
    """Write each line's label at its right end in its colour, none over another. Call it last."""
    lines = [line for line in ax.get_lines() if not line.get_label().startswith("_")]
    ends = [(line, point) for line in lines if (point := last_point(line)) is not None]
    ax.figure.draw_without_rendering()  # fixes the limits and the scale that the heights depend on
    points_a_pixel = 72 / ax.figure.dpi
    heights = [ax.transData.transform(point)[1] * points_a_pixel for _, point in ends]
    low, high = (y * points_a_pixel for y in ax.get_window_extent().intervaly)
    places = apart(heights, 1.3 * LABEL_SIZE, low + LABEL_SIZE / 2, high)
    for (line, point), old, new in zip(ends, heights, places, strict=True):
        ax.annotate(
            line.get_label(), point, xytext=(5, new - old), textcoords="offset points",
            color=line.get_color(), fontsize=LABEL_SIZE, va="center", annotation_clip=False,
        )  # fmt: skip


def save(made, path):
    """Write a figure as PNG, without a date or a version in it; return the path."""
    options = {"format": "png", "dpi": DPI, "metadata": {"Software": None}}
    atomically(path, lambda file: made.savefig(file, **options))
    return path


def loss_curve(history, path, method="full"):
    """The training loss of a run and every evaluated column that ends in 'loss', saved as PNG."""
    made, ax = figure()
    names = {name for row in history for name in row if name.endswith("loss")} - {"loss"}
    for name, line in zip(["loss", *sorted(names)], ["-", "--", ":", "-."], strict=False):
        steps = [row["step"] for row in history if name in row]
        values = [row[name] for row in history if name in row]
        words = "training loss" if name == "loss" else name.replace("_", " ")
        look = style(method) | {"linestyle": line, "label": words}
        ax.plot(steps, values, marker="o" if len(steps) < 2 else None, **look)
    ax.set_xlabel("step")
    ax.set_ylabel("loss per target")
    label_lines(ax)
    return save(made, path)
