"""A text of a corpus: its ids for one model or another, the letters it has, what it says twice."""

import re
import zlib
from itertools import chain

import numpy as np

from minift.batching import Encoded
from minift.tokenizer import HAN

COLUMN = re.compile(r" (?:=|\||->|-) |(?:: |：)(?=.)")


def pieces(ids, context):
    """A text's ids in rows of at most `context`; all tokens but a row's first are targets."""
    rows = [tuple(ids[n : n + context]) for n in range(0, max(len(ids) - 1, 1), context - 1)]
    return [Encoded(row, (False,) + (True,) * (len(row) - 1)) for row in rows]


def layout(text, words, marks):
    """A text's ids; with `marks`, in half of the texts they stand in the place of line breaks.

    A base that has never met <sep> or <assistant> reads noise where a task's answer begins. So
    three texts in ten have <sep> between their lines, and two in ten are turns of a dialogue.
    """
    kind = zlib.crc32(text.encode()) % 10 if marks and "\n" in text else 0
    if kind < 5:
        return [words.bos, *words.encode(text), words.eos]
    lines = [words.encode(line) for line in text.split("\n")]
    if kind < 8:
        joined = list(chain.from_iterable([words.sep, *line] for line in lines))
        return [words.bos, *joined[1:], words.eos]
    roles = (words.user, words.assistant)
    turns = [[roles[n % 2], *line, words.eos] for n, line in enumerate(lines)]
    return [words.bos, *chain.from_iterable(turns)]


def script(text):
    """Which letters a text has: "latin", "han" or "both"; names the parts that are held out."""
    han, latin = re.search(f"[{HAN}]", text), re.search("[A-Za-z]", text)
    return "both" if han and latin else "han" if han else "latin"


def language(text):
    """ "han" for a text with at least as many Han characters as words in Latin letters."""
    han, latin = (len(re.findall(letters, text)) for letters in (f"[{HAN}]", "[A-Za-z]+"))
    return "han" if han >= latin else "latin"


def two_languages(pair):
    return language(pair[0]) != language(pair[1])


def pairs(text):
    """What a text says first and what it says then, [(source, target), …]; most have none.

    A text of two lines is a pair. So are two columns in two languages, and lines in two languages
    if these take turns, or if the second half of the lines is in the other one.
    """
    lines = text.split("\n")
    columns = [COLUMN.split(line) for line in lines]
    if all(len(parts) == 2 and two_languages(parts) for parts in columns):
        return list(map(tuple, columns))
    if len(lines) == 2:
        return [tuple(lines)]
    in_turn = list(zip(lines[::2], lines[1::2], strict=False))
    if len(lines) % 2 or len(lines) < 2:
        return []
    if all(map(two_languages, in_turn)):
        return in_turn
    half = len(lines) // 2
    spoken = list(map(language, lines))
    halved = len(set(spoken[:half])) == len(set(spoken[half:])) == 1 and spoken[0] != spoken[half]
    return [("\n".join(lines[:half]), "\n".join(lines[half:]))] if halved else []


def runs(ids, length):
    """A text's ids as arrays of at most `length`."""
    return [np.array(ids[n : n + length], np.int32) for n in range(0, len(ids), length)]
