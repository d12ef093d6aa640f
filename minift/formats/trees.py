"""Open Assistant's conversation trees: every point where people ranked replies is a Ranked."""

from minift.formats.dialogues import SPEAKERS
from minift.formats.fields import Unusable
from minift.formats.kinds import Turn
from minift.formats.preferences import by_place, ranked

NAMES = "prompter or assistant"


def oasst(row):
    """`prompt` is the root; each node has `role`, `text`, `replies`; rank 0 is the best reply."""
    yield from below(row.object("prompt"), ())


def below(node, path):
    """The records of this node and of all below it; `path` holds the turns above."""
    where = node.inside.rstrip(".")
    if node.values.get("deleted"):
        yield Unusable(f"{where} is deleted, left out with what follows it")
        return
    try:
        path = (*path, Turn(speaker(node), node.text("text")))
        replies = node.objects("replies") if "replies" in node else []
        yield from compare(node, path, replies)
    except Unusable as reason:
        yield Unusable(f"{where}: {reason}")
        return
    for reply in replies:
        yield from below(reply, path)


def speaker(node):
    """Who speaks in a node, as the role of a turn."""
    role = node.text("role")
    if role not in SPEAKERS:
        raise ValueError(f"{node.at}: field {node.inside}role is {role!r}, expected {NAMES}")
    return SPEAKERS[role]


def compare(node, path, replies):
    """The Ranked of a node, if two of the assistant's replies to it have a rank."""
    placed, answers = [], 0
    for reply in replies:
        if reply.values.get("deleted") or speaker(reply) != "assistant":
            continue
        answers += 1
        if "rank" in reply:
            placed.append((reply.number("rank"), reply.text("text")))
        else:
            yield Unusable(f"{reply.inside}rank is null: this reply is not compared")
    where = node.inside.rstrip(".")
    if answers and len(placed) < 2:
        yield Unusable(f"{where}: ranked replies {len(placed)}, expected at least 2 to compare")
    elif answers:
        try:
            yield ranked(path, by_place(placed), node.at)
        except Unusable as reason:
            yield Unusable(f"{where}: {reason}")
