"""The pictures of lesson 01: over-fitting, sizes of the training set, domains."""

from lessons.pictures import look, measured, with_spread
from lessons.sweeps import lesson01
from minift import plotting

PARTS = {"dev": "train's templates", "test": "new templates", "far": "another domain"}


def overfitting(runs, start, path):
    """Training and dev loss over steps of {number of examples: history}."""
    made, ax = plotting.figure(size=(7.0, 3.6), title="Full fine-tuning: few examples over-fit")
    last = max(history[-1]["step"] for history in runs.values())
    ax.plot([0, last], [start, start], **look("base"))
    for (size, history), style in zip(runs.items(), ("-", "--"), strict=False):
        for column, width in (("loss", 1.0), ("dev_loss", 2.2)):
            steps, losses = history.column(column)
            words = f"{size:,}: {'dev' if column == 'dev_loss' else 'training'}"
            how = look("full", words) | {"linestyle": style, "linewidth": width}
            ax.plot(steps, losses, **how)
    ax.set(xlabel="training step", ylabel="loss (nats a token)", ylim=(0, None))
    plotting.label_lines(ax)
    return plotting.save(made, path)


def sizes(rows, path):
    """The strict metric on test over the number of examples: LoRA and full fine-tuning."""
    made, ax = plotting.figure(size=(6.4, 3.6), title="Table to text: more examples")
    for method in ("full", "lora"):
        points = [
            measured(rows, "test all_slots", **lesson01.cell("table_to_text", "base", method, n))
            for n in lesson01.SIZES
        ]
        with_spread(ax, lesson01.SIZES, points, method)
    ax.set(xlabel="training examples", ylabel="all slots right on test (%)", xscale="log")
    plotting.label_lines(ax)
    return plotting.save(made, path)


def domains(rows, path):
    """LoRA and full fine-tuning on dev, test and far, for the tasks that have a far test."""
    made, axes = plotting.figure(columns=len(lesson01.FAR), size=(4.4, 3.4))
    for ax, (name, metric) in zip(axes, lesson01.FAR.items(), strict=True):
        for method, shift in (("full", -0.06), ("lora", 0.06)):
            setting = lesson01.cell(name, "base", method)
            points = [measured(rows, f"{part} {metric}", **setting) for part in PARTS]
            with_spread(ax, [n + shift for n in range(len(PARTS))], points, method)
        ax.set(title=name.replace("_", " "), ylabel="BLEU" if metric == "bleu" else f"{metric} (%)")
        ax.set_xticks(range(len(PARTS)), list(PARTS.values()))
        plotting.label_lines(ax)
    return plotting.save(made, path)
