"""The five kinds of record, to which every file format is brought.

    Text      running text, to learn language from
    Pair      a prompt and its response; `references` are all the responses that count as right
    Labelled  a text and its class
    Ranked    a dialogue up to where the assistant speaks, and replies to it, best first
    Chat      a dialogue of turns

`source` is "file:line"; it takes no part in comparisons. `meaning` is what a split must keep on one
side: two records of the same meaning are the same question.
"""

from dataclasses import dataclass, field

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Turn:
    """One turn of a dialogue; `role` is one of ROLES. `learn` False: an answer not to be learnt."""

    role: str
    text: str
    learn: bool = True


@dataclass(frozen=True)
class Text:
    text: str
    source: str = field(default="", compare=False)

    @property
    def meaning(self):
        return self.text


@dataclass(frozen=True)
class Pair:
    """`references` holds `response` too; both are empty in a test set without answers."""

    prompt: str
    response: str
    references: tuple[str, ...] = ()
    source: str = field(default="", compare=False)

    @property
    def meaning(self):
        return self.prompt


@dataclass(frozen=True)
class Labelled:
    """`label` is what the file says, a number or a word; `encoding.encode` numbers the classes."""

    text: str
    label: int | str
    source: str = field(default="", compare=False)

    @property
    def meaning(self):
        return self.text


@dataclass(frozen=True)
class Ranked:
    """`groups`: the replies, best group first; replies that are equally good share a group."""

    turns: tuple[Turn, ...]
    groups: tuple[tuple[str, ...], ...]
    source: str = field(default="", compare=False)

    @property
    def meaning(self):
        return opening(self.turns)


@dataclass(frozen=True)
class Chat:
    """`references` are all the right texts of the last turn, an answer; empty: it is the only."""

    turns: tuple[Turn, ...]
    source: str = field(default="", compare=False)
    references: tuple[str, ...] = ()

    @property
    def meaning(self):
        return opening(self.turns)


def opening(turns):
    """The first question of a dialogue: all branches of a tree share it."""
    return next((turn.text for turn in turns if turn.role == "user"), "")


KINDS = (Text, Pair, Labelled, Ranked, Chat)
