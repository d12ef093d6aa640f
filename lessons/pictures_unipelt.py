"""The pictures of lesson 08 alone: gates by block, few examples, the leak, latency."""

import statistics

from lessons import gates, pictures, timing
from lessons.sweeps import lesson08
from minift import plotting

PARTS = {  # of a gate's name: its label, the method whose colour it has, its line
    "prefix": ("prefix", "prefix", "-"), "q_proj": ("LoRA on q", "lora", "--"),
    "v_proj": ("LoRA on v", "lora", "-"), "after_feedforward": ("adapter", "adapter", "-"),
}  # fmt: skip
STUDIES = {  # name: what it is called, on how many examples
    "sentiment": ("sentiment (GPT), 100 examples", 100),
    "headline": ("headlines (GPT), 100 examples", 100),
    "zh_en": ("Chinese to English (GPT), 100 examples", 100),
    "encoder": ("sentiment (encoder), 5,000 examples", 5000),
}
WORDS = {
    "base": "base, frozen", "full": "full fine-tuning", "lora": "LoRA", "prefix": "prefix",
    "adapter": "adapter", "unipelt": "UniPELT", "still": "UniPELT with gates held at ½",
}  # fmt: skip


def blocks_of(runs):
    """How many blocks the gates of these runs are in."""
    return 1 + max(
        int(column.split()[2])
        for row in runs
        for column in row["result"]
        if column.startswith("gate ")
    )


def by_block(runs, path):
    """Each study's gates, block by block: bars are seeds, the shade is the spread over texts."""
    title = "How far the gates let each part through (bars: sd over seeds; shade: sd between texts)"
    made, axes = plotting.figure(2, len(STUDIES) // 2, (5.4, 3.2), title)
    blocks = range(blocks_of(runs))
    for ax, (name, (words, size)) in zip(axes, STUDIES.items(), strict=True):
        setting = lesson08.cell("unipelt", size, name)
        ax.plot([blocks[0] + 1, blocks[-1] + 1], [0.5, 0.5], **pictures.look("base", "start: ½"))
        for part in gates.GATED:
            draw_gate(ax, runs, setting, part, blocks)
        ax.set(title=words, xlabel="block", ylabel="gate, mean over texts", ylim=(0, 1))
        ax.set_xticks([block + 1 for block in blocks])
        plotting.label_lines(ax)
    return plotting.save(made, path)


def draw_gate(ax, runs, setting, part, blocks):
    """One part's gates over the blocks, with both spreads."""
    label, method, line = PARTS[part]
    colour, xs = plotting.COLOURS[method], [block + 1 for block in blocks]
    found = [pictures.measured(runs, f"gate {part} {block}", **setting) for block in blocks]
    means, sds = zip(*found, strict=True)
    texts = [pictures.measured(runs, f"texts {part} {block}", **setting)[0] for block in blocks]
    low = [mean - text for mean, text in zip(means, texts, strict=True)]
    high = [mean + text for mean, text in zip(means, texts, strict=True)]
    ax.fill_between(xs, low, high, color=colour, alpha=0.15, lw=0)
    ax.plot(xs, means, marker="o", markersize=4, color=colour, linestyle=line, label=label)
    ax.errorbar(xs, means, sds, fmt="none", ecolor=colour, capsize=3)


def few(runs, path):
    """Sentiment on test and headlines: UniPELT, its parts and the two baselines, few examples."""
    title = "Few examples, a GPT (mean ± sd over 5 seeds; headlines 3)"
    made, axes = plotting.figure(1, 2, (5.6, 3.8), title)
    for shift, method in enumerate(lesson08.RATE["sentiment"]):
        draw_sizes(axes[0], runs, method, 1.02 ** (shift - 3))
    axes[0].set(xscale="log", xlabel="training examples", ylabel="sentiment, accuracy on test (%)")
    axes[0].set_xticks(lesson08.SIZES, lesson08.SIZES)
    axes[0].minorticks_off()
    plotting.label_lines(axes[0])
    pictures.rows_of_dots(axes[1], dots(runs), digits=1)
    axes[1].set_xlim(left=-2)
    axes[1].set_xlabel(f"headlines, {lesson08.FEW} examples: exact texts (%)")
    return plotting.save(made, path)


def draw_sizes(ax, runs, method, shift):
    """One method over the number of examples, a little aside, so that bars can be told apart."""
    settings = [lesson08.cell(method, size) for size in lesson08.SIZES]
    means, sds = zip(*(pictures.measured(runs, "test", **one) for one in settings), strict=True)
    xs, style = [size * shift for size in lesson08.SIZES], pictures.look(method, WORDS[method])
    ax.plot(xs, means, marker="o", markersize=4, **style | {"label": "_"})
    ax.errorbar(xs, means, sds, fmt="none", ecolor=style["color"], capsize=3)
    ax.plot([1.1 * lesson08.SIZES[-1]], means[-1:], **style)  # where the label stands, behind bars


def dots(runs):
    """The methods on headlines, as `rows_of_dots` takes them."""
    settings = {"base": lesson08.cell("base", 0, "headline")}
    for method in lesson08.RATE["headline"]:
        settings[method] = lesson08.cell(method, lesson08.FEW, "headline")
    found = {}
    for method, setting in settings.items():
        mean, sd = pictures.measured(runs, "test", **setting)
        found[WORDS[method]] = (mean, mean - sd, mean + sd, method)
    return found


def leak(moves, at, path):
    """{words: the change of a logit at each position} when the token at position `at` changes."""
    made, ax = plotting.figure(size=(7.0, 3.4), title="Does a token see its future through a gate?")
    most = max(max(heights[:at]) for heights in moves.values())
    for (words, heights), line in zip(moves.items(), (":", "-"), strict=True):
        style = pictures.look("unipelt", "_") | {"linestyle": line}
        ax.plot(range(1, len(heights) + 1), heights, **style)
        place = {"xytext": (0, 6), "textcoords": "offset points", "color": style["color"]}
        ax.annotate(words, (1, max(heights[:at])), **place)
    ax.axvline(at + 1, color="black", linewidth=0.8)
    ax.set_ylim(-0.1 * most, 2 * most)  # the changed token itself moves logits much farther
    ax.annotate("this token changes", (at + 1, ax.get_ylim()[1]), xytext=(-4, -10),
                textcoords="offset points", ha="right", fontsize=8)  # fmt: skip
    ax.set(xlabel="position in the text", ylabel="largest change of a logit")
    return plotting.save(made, path)


def costs(times, path):
    """Forward times over the base's, round by round: median and quartiles."""
    made, ax = plotting.figure(size=(6.4, 3.0), title="What the parts cost when the model is used")
    points = {}
    for method in times:
        middle, low, high = timing.ratios(times, method)
        points[WORDS[method]] = (middle, low, high, method)
    pictures.rows_of_dots(ax, points)
    milliseconds = statistics.median(times["base"])
    ax.set_xlabel(f"time of a forward pass ÷ the base's ({milliseconds:.1f} ms); quartiles")
    return plotting.save(made, path)
