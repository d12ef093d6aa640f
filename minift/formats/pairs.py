"""Rows that hold one question and one answer, a labelled text or a text."""

import re

from minift.formats.fields import Unusable
from minift.formats.kinds import Labelled, Pair, Text
from minift.formats.rows import END_OF_TEXT

WHOLE = re.compile(r"[+-]?\d+")


def pair(prompt, response, source, references=None):
    """A Pair, unless the prompt or the response is empty."""
    if not prompt.strip():
        raise Unusable("the prompt is empty")
    if not response.strip():
        raise Unusable("the response is empty")
    return Pair(prompt, response, tuple(references or (response,)), source)


def ask(instruction, given):
    """An instruction and its input as one prompt, each on lines of its own."""
    return f"{instruction}\n{given}" if given.strip() else instruction


def alpaca(row):
    """`instruction`, `output`; `input` may be missing, null or empty. `references` as below."""
    for name in ("history", "system"):
        if row.values.get(name):
            raise Unusable(f"field {name} is used: a pair has no earlier turns")
    prompt = ask(row.text("instruction"), row.text("input", True))
    yield pair(prompt, row.text("output"), row.at, all_right(row, row.text("output")))


def all_right(row, response):
    """The response and what the field `references` may list beside it, each once, in order."""
    others = row.texts("references") if "references" in row else []
    return dict.fromkeys([response, *others])


def seed_tasks(row):
    """One Pair for each of the instruction's instances."""
    instances = row.objects("instances")
    if not instances:
        yield Unusable("field instances is empty")
    for instance in instances:
        try:
            prompt = ask(row.text("instruction"), instance.text("input", True))
            yield pair(prompt, instance.text("output"), row.at)
        except Unusable as reason:
            yield Unusable(f"{instance.inside.rstrip('.')}: {reason}")


def prompt_completion(row):
    """`prompt`, `completion` or `response`; an end mark written out as text is taken off.

    `references` may list other right answers. A `label` of false (unpaired preference data) marks a
    completion that must not be learnt.
    """
    if row.values.get("label") is False:
        raise Unusable("field label is false: not an answer to learn")
    name = "completion" if "completion" in row.values else "response"
    response = row.text(name).rstrip().removesuffix(END_OF_TEXT)
    if response == row.text(name).rstrip():
        response = row.text(name)
    yield pair(row.text("prompt"), response, row.at, all_right(row, response))


def prompt_alone(row):
    """Nothing but a prompt: a question to put to a model."""
    if not row.text("prompt").strip():
        raise Unusable("the prompt is empty")
    yield Pair(row.text("prompt"), "", (), row.at)


def source_target(row):
    """`source` and `target` (SciTLDR): texts, or lists of sentences and of references."""
    references = [text for text in row.texts("target") if text.strip()]
    prompt = " ".join(row.texts("source"))
    yield pair(prompt, references[0] if references else "", row.at, references)


def e2e(row):
    """`mr`, `ref`; without `ref` (the published test set) the prompt alone."""
    if "ref" in row.values:
        yield pair(row.text("mr"), row.text("ref"), row.at)
    else:
        yield Pair(row.text("mr"), "", (), row.at)


def by_prompt(records):
    """One Pair a prompt: the first response, and all of them as references."""
    found = {}
    for record in records:
        found.setdefault(record.prompt, []).append(record)
    return [
        Pair(prompt, same[0].response, sum((r.references for r in same), ()), same[0].source)
        for prompt, same in found.items()
    ]


def labelled(row):
    """`text` (or `sentence`) and `label`: a whole number, true or false, or a word."""
    text = row.text("text" if "text" in row.values else "sentence")
    label = row.value("label", (int, str), "a whole number or a word")
    yield label_text(text, str(int(label) if isinstance(label, bool) else label), row.at)


def label_text(text, label, source):
    """A Labelled; a label written as a whole number is that number, any other a word."""
    label = label.strip()
    if not text.strip() or not label:
        raise Unusable("the text or the label is empty")
    return Labelled(text, int(label) if WHOLE.fullmatch(label) else label, source)


def text(row):
    if not row.text("text").strip():
        raise Unusable("the text is empty")
    yield Text(row.text("text"), row.at)
