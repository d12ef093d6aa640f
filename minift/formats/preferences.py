"""Replies compared by people: which of two is better, or several in order."""

import os
import re
from itertools import takewhile

from minift.formats.dialogues import SPEAKERS, read_turns
from minift.formats.fields import Unusable
from minift.formats.kinds import Ranked, Turn
from minift.formats.pairs import ask

MARK = re.compile(r"\n\n(Human|Assistant):")
NAMES = {"user": "Human", "assistant": "Assistant", "system": "System"}


def ranked(turns, groups, source):
    """A Ranked, if there is anything to compare."""
    if not any(turn.text.strip() for turn in turns):
        raise Unusable("the prompt is empty")
    if len(set().union(*groups)) < sum(len(set(group)) for group in groups):
        raise Unusable("the same reply stands at two places")
    if len(groups) < 2:
        raise Unusable("no reply is better than another")
    return Ranked(tuple(turns), tuple(tuple(group) for group in groups), source)


def compared(row, chosen, rejected, whole=False):
    """The Ranked of two dialogues that begin alike.

    The prompt is what they share, up to where the assistant speaks. What remains of each must be
    one reply, or, with `whole`, one and more turns, which are then written out.
    """
    pairs = zip(chosen, rejected, strict=False)
    n = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    while n and not all(len(d) > n and d[n].role == "assistant" for d in (chosen, rejected)):
        n -= 1
    if n == 0:
        raise Unusable("chosen and rejected share no prompt, or are the same")
    if not whole and max(len(chosen), len(rejected)) > n + 1:
        raise Unusable("chosen and rejected differ before their last turn")
    return ranked(chosen[:n], ((written(chosen[n:]),), (written(rejected[n:]),)), row.at)


def written(turns):
    """The text of the first turn, and of any that follow, as a transcript."""
    later = [f"\n\n{NAMES[turn.role]}: {turn.text}" for turn in turns[1:]]
    return turns[0].text + "".join(later)


def transcript(row, name):
    """A text of `Human:` and `Assistant:` paragraphs as turns."""
    before, *parts = MARK.split(row.text(name))
    if before.strip() or not parts:
        raise row.error(name, r"a transcript that begins with \n\nHuman:")
    return tuple(
        Turn(SPEAKERS[speaker.lower()], text.strip())
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    )


def hh(row):
    """hh-rlhf: two transcripts, cut at the last `Assistant:` where the prompts before it are equal,
    and otherwise at the last one up to which they agree.
    """
    yield compared(row, transcript(row, "chosen"), transcript(row, "rejected"), whole=True)


def reply(row, name):
    """A reply as turns: a text is the assistant's."""
    if isinstance(row.values.get(name), str):
        return (Turn("assistant", row.text(name)),)
    return read_turns(row, name)


def conversation_preference(row):
    """`conversations` (or `messages`) up to the reply, `chosen`, `rejected`."""
    name = "conversations" if "conversations" in row.values else "messages"
    prompt = read_turns(row, name)
    yield compared(row, prompt + reply(row, "chosen"), prompt + reply(row, "rejected"))


def preference(row):
    """`chosen`, `rejected` (texts or messages) with `prompt` or `instruction`, or with neither."""
    both = reply(row, "chosen"), reply(row, "rejected")
    texts = all(isinstance(row.values[name], str) for name in ("chosen", "rejected"))
    if "prompt" in row.values:
        prompt = read_turns(row, "prompt")
    elif "instruction" in row.values:
        prompt = (Turn("user", ask(row.text("instruction"), row.text("input", True))),)
    elif texts:
        prompt, both = shared_words(row.text("chosen"), row.text("rejected"))
    else:
        prompt = ()
    yield compared(row, prompt + both[0], prompt + both[1])


def shared_words(chosen, rejected):
    """Two texts that begin alike: what they share, up to the last whole word, is the prompt."""
    n = len(os.path.commonprefix([chosen, rejected]))
    while n and any(inside_word(text, n) for text in (chosen, rejected)):
        n -= 1
    if n == 0:
        raise Unusable("chosen and rejected share no prompt")
    both = tuple((Turn("assistant", text[n:]),) for text in (chosen, rejected))
    return (Turn("user", chosen[:n]),), both


def inside_word(text, n):
    """A cut before letter n would part a word; a Chinese character is a word of its own."""
    letters = text[n - 1 : n + 1]
    return len(letters) == 2 and all(a.isalnum() and a < "\u2e80" for a in letters)


def comparison(row):
    """OpenAI's summaries: two, and `choice`, the index of the better one."""
    summaries = [summary.text("text") for summary in row.objects("summaries")]
    choice = row.number("choice")
    if len(summaries) != 2 or choice not in (0, 1):
        raise ValueError(f"{row.at}: fields summaries and choice, expected two and 0 or 1")
    info = row.object("info")
    post = info.text("post" if "post" in info else "article")
    title = info.text("title", True)
    turn = Turn("user", f"{title}\n\n{post}" if title else post)
    yield ranked((turn,), ((summaries[choice],), (summaries[1 - choice],)), row.at)


def ranked_list(row):
    """`ranking[i]` is the index of the i-th best response, `ranks[i]` the place of response i."""
    given = [name for name in ("ranking", "ranks") if name in row.values]
    if len(given) != 1:
        raise ValueError(
            f"{row.at}: field {' and '.join(given) or 'ranking'} is ambiguous or missing, expected "
            "ranking (indices, best first) or ranks (the place of each response)"
        )
    responses, order = row.texts("responses"), row.numbers(given[0])
    if len(order) != len(responses):
        raise row.error(given[0], f"{len(responses)} whole numbers, one a response")
    if given == ["ranking"] and sorted(order) != list(range(len(order))):
        raise row.error("ranking", f"each of 0 to {len(order) - 1} once, best first")
    if given == ["ranking"]:
        groups = [[responses[i]] for i in order]
    else:
        groups = by_place(zip(order, responses, strict=True))
    yield ranked(read_turns(row, "prompt"), groups, row.at)


def by_place(placed):
    """(place, reply) pairs as groups, the lowest place first."""
    groups = {}
    for place, text in placed:
        groups.setdefault(place, []).append(text)
    return [groups[place] for place in sorted(groups)]
