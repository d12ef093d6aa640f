"""Dialogues: ShareGPT `conversations`, OpenAI `messages`, prompt and completion in messages."""

from minift.formats.fields import Fields, Unusable
from minift.formats.kinds import Chat, Turn

SPEAKERS = {"system": "system", "developer": "system", "human": "user", "user": "user"}
SPEAKERS |= {"prompter": "user", "gpt": "assistant", "assistant": "assistant"}
SPEAKERS |= {"chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "model": "assistant"}
NO_SPEAKERS = {"tool", "function", "function_call", "observation", "ipython"}


def read_turn(fields):
    """{"from", "value"} or {"role", "content"} as a Turn."""
    name = "role" if "role" in fields.values else "from"
    speaker = fields.text(name).strip().lower()
    if speaker in NO_SPEAKERS:
        raise Unusable(f"field {fields.inside}{name} is {speaker}: only system, user and assistant")
    if speaker not in SPEAKERS:
        raise ValueError(
            f"{fields.at}: field {fields.inside}{name} is {speaker!r}, expected one of "
            + ", ".join(SPEAKERS)
        )
    role = SPEAKERS[speaker]
    return Turn(role, content(fields), learns(fields, role))


def content(fields):
    """The text of a turn: a string, or a list of parts {"type": "text", "text" or "value"}."""
    name = "content" if "content" in fields.values else "value"
    if not isinstance(fields.values.get(name), list):
        return fields.text(name)
    parts = fields.objects(name)
    for part in parts:
        if part.text("type") != "text":
            raise Unusable(f"field {part.inside}type is {part.text('type')!r}: only text is read")
    return "".join(part.text("text" if "text" in part.values else "value") for part in parts)


def learns(fields, role):
    """`loss_weight` 0 marks an answer that is not to be learnt; the turns of others never are."""
    weight = fields.values.get("loss_weight")
    if weight is None:
        return True
    if weight not in ((0, 1) if role == "assistant" else (0,)):
        expected = "0 or 1" if role == "assistant" else "0: only an assistant's turns are learnt"
        raise fields.error("loss_weight", expected)
    return bool(weight) or role != "assistant"


def read_turns(row, name):
    """A field that holds a dialogue: a list of turns, one turn, or the text of one user's turn."""
    value = row.values.get(name)
    if isinstance(value, str):
        return (Turn("user", row.text(name)),)
    if isinstance(value, dict):
        return (read_turn(row.object(name)),)
    return tuple(read_turn(turn) for turn in row.objects(name))


def chat(row, turns):
    """The Chat of these turns; a dialogue without an answer to learn is unusable.

    `references` may list other right texts of the last turn.
    """
    answers = [turn for turn in turns if turn.role == "assistant"]
    if not answers:
        raise Unusable("no assistant turn")
    if not all(turn.text.strip() for turn in answers):
        raise Unusable("an assistant turn is empty")
    if not any(turn.learn for turn in answers):
        raise Unusable("no assistant turn to learn: every loss_weight is 0")
    others = row.texts("references") if "references" in row else []
    references = tuple(dict.fromkeys([turns[-1].text, *others])) if others else ()
    return Chat(tuple(turns), row.at, references)


def dialogue(row, name):
    """Answers before the first question answer nothing: they are left out and counted."""
    turns = read_turns(row, name)
    asked = next((i for i, turn in enumerate(turns) if turn.role == "user"), len(turns))
    kept = []
    for i, turn in enumerate(turns):
        if turn.role == "assistant" and i < asked:
            yield Unusable(f"field {name}[{i}]: an assistant turn before any question, left out")
        else:
            kept.append(turn)
    yield chat(row, kept)


def sharegpt(row: Fields):
    yield from dialogue(row, "conversations")


def messages(row: Fields):
    yield from dialogue(row, "messages")


def prompt_completion_messages(row: Fields):
    """The answers within the prompt stand by; the completion's are learnt."""
    prompt = read_turns(row, "prompt")
    prompt = tuple(Turn(turn.role, turn.text, turn.role != "assistant") for turn in prompt)
    yield chat(row, prompt + read_turns(row, "completion"))
