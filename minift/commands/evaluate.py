"""Measure a base, or a base with a delta on it, on a file of examples."""

import json
from pathlib import Path

import torch

from minift import batching, distributed, measure, metrics, records
from minift.commands import opening
from minift.models.generate import generate_many
from minift.progress import Progress

HELP = "measure on a file of examples"
EXAMPLE = "python -m minift evaluate --delta out/e2e --data out/e2e/heldout.jsonl --metric bleu"
SIZE = 32


def arguments(command):
    """The options of `evaluate`."""
    opening.base_options(command)
    opening.data_options(command)
    command.add_argument("--delta", help="folder or file of a delta (default: the plain base)")
    command.add_argument(
        "--metric", choices=("bleu", "rouge", "accuracy", "complete", "perplexity"),
        default="perplexity",
        help="what to measure; accuracy of labels, or of texts that must be equal; complete: texts "
        "with all words that their references share",
    )  # fmt: skip
    command.add_argument("--tokens", type=int, default=80, help="at most so many new tokens a text")
    command.add_argument("--beams", type=int, default=1, help="width of the beam search")
    command.add_argument("--predictions", help="write the texts to this file, as JSON lines")


def run(options):
    """Print the metric, and what it was measured on."""
    model, words, kind, labels = opening.open_delta(options)
    model.to(distributed.choose_device(options.device)).eval()
    examples = opening.read(options.data, options)
    if options.metric == "perplexity":
        result = surprise(model, words, examples)
    elif labels:
        result = classify(model, words, examples, labels, options.metric)
    else:
        result = write_texts(model, words, examples, options)
    print("  ".join(f"{name} {value:.4g}" for name, value in result.items()))


def surprise(model, words, examples):
    """Loss per target token and its exponential."""
    if not hasattr(model, "advance"):
        raise ValueError("a model that writes no text has no perplexity; see --metric accuracy")
    examples = records.one_per_reference(examples) if examples.kind == "pair" else examples
    encoded = opening.encode_and_tell(examples, words, opening.longest(model))
    total, targets = measure.total_loss(model, encoded, words.pad)
    return {"loss": total / targets, "perplexity": metrics.perplexity(total, targets)}


def classify(model, words, examples, labels, metric):
    """Accuracy and macro-F1 of a classifier."""
    if metric != "accuracy" or examples.kind != "labelled":
        raise ValueError(f"a classifier: expected labelled texts and accuracy, got {metric}")
    encoded = opening.encode_and_tell(examples, words, opening.longest(model), labels)
    device, found = next(model.parameters()).device, []
    with torch.no_grad():
        for start in range(0, len(encoded), SIZE):
            batch = batching.pad(encoded[start : start + SIZE], words.pad).to(device)
            found += model(batch.ids, mask=batch.mask).argmax(dim=1).tolist()
    want = [labels.index(r.label) if r.label in labels else -1 for r in examples]
    return {
        "accuracy": metrics.accuracy(found, want),
        "macro_f1": metrics.macro_f1(found, want),
    }


def write_texts(model, words, examples, options):
    """Generate a text for each prompt, or last answer of a dialogue, and compare it."""
    if examples.kind not in ("pair", "chat"):
        expected = "pairs or dialogues"
        raise ValueError(f"{options.data}: {options.metric} needs {expected}, not {examples.kind}")
    ids = opening.prompts(examples, words, opening.longest(model), options.tokens)
    progress = Progress(len(ids), "text")
    how = {"eos": words.eos, "pad": words.pad, "beams": options.beams}
    rows = generate_many(model, ids, options.tokens, SIZE, progress.update, **how)
    texts = [words.decode(row) for row in rows]
    progress.close()
    if options.predictions:
        keep(examples, texts, options.predictions)
    return score(texts, [answers(r) for r in examples], options.metric)


def answers(record):
    """All the right answers to a Pair's prompt, or of a dialogue's last turn."""
    if isinstance(record, records.Chat) and not record.references:
        return [turn.text for turn in record.turns[-1:] if turn.role == "assistant"]
    return list(record.references)


def keep(examples, texts, path):
    """Write prompt, prediction and references of each example to `path`."""
    lines = [
        {"prompt": r.meaning, "prediction": text, "references": answers(r)}
        for r, text in zip(examples, texts, strict=True)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    Path(path).write_text(text, encoding="utf-8")


def score(texts, references, metric):
    """The metric's numbers over all texts."""
    if metric == "bleu":
        return {"bleu": metrics.bleu(texts, references)}
    if metric == "rouge":
        return metrics.rouge(texts, references)
    if metric == "complete":
        return {"complete": metrics.complete(texts, references)}
    return {"accuracy": metrics.exact_match(texts, references)}
