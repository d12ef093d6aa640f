"""Every format of rows with named fields, the most specific first: the first that matches is taken.

A format is recognised by the fields of the first row; every row must then have them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from minift.formats import dialogues, pairs, preferences, trees
from minift.formats.kinds import Chat, Labelled, Pair, Ranked, Text


@dataclass(frozen=True)
class Format:
    """`fields` for a reader's eyes; `matches(row)`; `convert(row)` yields records, or an `Unusable`
    for a part that is skipped; `finish(records)` sees all of them.
    """

    name: str
    kind: type
    fields: str
    matches: Callable
    convert: Callable
    finish: Callable = list


def has(*names, **types):
    """A test of a row (a dictionary): it has these fields, and those of the given types."""

    def matches(row):
        typed = all(isinstance(row.get(name), kind) for name, kind in types.items())
        return typed and all(name in row for name in names)

    return matches


def either(*tests):
    return lambda row: any(test(row) for test in tests)


def is_hh(row):
    """Two transcripts and no prompt of their own."""
    both = [row.get("chosen"), row.get("rejected")]
    marked = all(isinstance(text, str) and "\n\nAssistant:" in text for text in both)
    return marked and "prompt" not in row


FORMATS = [
    Format("oasst", Ranked, "prompt {replies}", has(prompt=dict), trees.oasst),
    Format(
        "openai-comparisons",
        Ranked,
        "info, summaries, choice",
        has("info", "summaries", "choice"),
        preferences.comparison,
    ),
    Format(
        "ranked",
        Ranked,
        "prompt, responses, ranking or ranks",
        has("prompt", "responses"),
        preferences.ranked_list,
    ),
    Format(
        "conversation-preference",
        Ranked,
        "conversations or messages, chosen, rejected",
        either(has("conversations", "chosen", "rejected"), has("messages", "chosen", "rejected")),
        preferences.conversation_preference,
    ),
    Format("hh", Ranked, "chosen, rejected (transcripts)", is_hh, preferences.hh),
    Format(
        "preference",
        Ranked,
        "chosen, rejected, and maybe prompt",
        has("chosen", "rejected"),
        preferences.preference,
    ),
    Format("sharegpt", Chat, "conversations", has("conversations"), dialogues.sharegpt),
    Format("messages", Chat, "messages", has("messages"), dialogues.messages),
    Format(
        "seed-tasks",
        Pair,
        "instruction, instances",
        has("instruction", "instances"),
        pairs.seed_tasks,
    ),
    Format("alpaca", Pair, "instruction, output", has("instruction", "output"), pairs.alpaca),
    Format(
        "prompt-completion-messages",
        Chat,
        "prompt [messages], completion",
        has("completion", prompt=list),
        dialogues.prompt_completion_messages,
    ),
    Format(
        "prompt-completion",
        Pair,
        "prompt, completion or response",
        either(has("prompt", "completion"), has("prompt", "response")),
        pairs.prompt_completion,
    ),
    Format("source-target", Pair, "source, target", has("source", "target"), pairs.source_target),
    Format("e2e", Pair, "mr, ref", has("mr"), pairs.e2e, pairs.by_prompt),
    Format(
        "text-label",
        Labelled,
        "text or sentence, label",
        either(has("text", "label"), has("sentence", "label")),
        pairs.labelled,
    ),
    Format("text", Text, "text", has("text"), pairs.text),
    Format("prompts", Pair, "prompt", lambda row: set(row) == {"prompt"}, pairs.prompt_alone),
]
