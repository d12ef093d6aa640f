r"""Byte-level byte-pair encoding (BPE), trained by hand and applied by tiktoken.

Source: Sennrich et al. 2016, arXiv 1508.07909; on bytes: Radford et al. 2019 (GPT-2).

A text is cut into pieces (`PATTERN`), a piece is its UTF-8 bytes, each of the 256 bytes is a token:
no text is unknown and each comes back byte for byte. Training adds a token at a time: the two
neighbours that are most frequent become one. Thrice so on "low low lower" (· is a space):

    pieces      low      ·low       ·lower        candidates, most frequent first
    bytes       l o w    · l o w    · l o w e r   lo 3, ow 3, ·l 2, er 1, we 1
    + lo        lo w     · lo w     · lo w e r    low 3, ·lo 2, er 1, we 1
    + low       low      · low      · low e r     ·low 2, er 1, lowe 1
    + ·low      low      ·low       ·low e r      er 1, ·lowe 1: seen once is no habit, so stop

A tie goes to the smaller bytes, so the same texts give the same tokens. A candidate is named by the
bytes that it makes: the same bytes, when they are two tokens, are the same two everywhere, since
the same joins made these. Encoding repeats the joins: of the neighbours whose joined bytes are a
token, those learnt first, the leftmost first, until none are left.

Ids: 0–15 special tokens (`SPECIALS`), 16–271 the bytes, from 272 on what was learnt, in order. Only
its id makes a special token: `encode` spells "<eos>" out in ordinary tokens, whoever typed it.
"""

import heapq
import json
import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import tiktoken

from minift import ROOT
from minift.safetensors import atomically

FORMAT = "minift tokenizer 1"
SPECIALS = ["<pad>", "<bos>", "<eos>", "<sep>", "<system>", "<user>", "<assistant>", "<mask>"]
SPECIALS += [f"<spare_{i}>" for i in range(8)]
IDS = {name: i for i, name in enumerate(SPECIALS)}
BYTES = [bytes([byte]) for byte in range(256)]

# tiktoken splits in Rust and training in Python, whose \s, \w and \d differ in rare characters: so
# the pattern names its characters and looks neither ahead nor behind. Each character must match, as
# tiktoken drops what does not. Two Han characters or one digit a piece keep whole phrases and
# numbers from becoming tokens; 32 of the others keep one endless run from costing its square.
HAN = r"\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
DIGIT = r"0-9\uff10-\uff19"
LETTER = r"A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff"  # Latin, Greek, …
LETTER += r"\u3041-\u30ff\uac00-\ud7a3\uff21-\uff3a\uff41-\uff5a"  # kana, Hangul, full width
SPACE = r" \t\x0b\x0c"
PATTERN = (
    rf"['\u2019][{LETTER}]{{1,32}}"  # it's is it and 's
    rf"| ?[{LETTER}]{{1,32}}"  # a word takes the one space before it
    rf"|[{HAN}]{{1,2}}|[{DIGIT}]"
    rf"| ?[^{LETTER}{HAN}{DIGIT}{SPACE}\r\n]{{1,32}}"  # punctuation, emoji, all else
    rf"|[\r\n]{{1,32}}|[{SPACE}]{{1,32}}"
)


def join_neighbours(word, token):
    """Put `token` in the place of neighbours that make it up, from left to right."""
    i = 0
    while i < len(word) - 1:
        if word[i] + word[i + 1] == token:
            word[i : i + 2] = [token]
        i += 1


def learn_tokens(pieces, vocab_size):
    """Each token's id, in the order learnt, the 256 bytes first; `pieces` counts each piece.

    Only the words that hold a new token are counted again. A changed count goes on the heap anew.
    """
    ranks = {byte: len(IDS) + i for i, byte in enumerate(BYTES)}
    words = [[bytes([byte]) for byte in piece.encode()] for piece in pieces]
    frequency = list(pieces.values())
    counts, holders = Counter(), defaultdict(set)  # candidate → how often, in which words
    changed = set()

    def count_word(index, times):
        for left, right in pairwise(words[index]):
            counts[left + right] += times
            holders[left + right].add(index)
            changed.add(left + right)

    for index, times in enumerate(frequency):
        count_word(index, times)
    heap = [(-count, token) for token, count in counts.items()]
    heapq.heapify(heap)
    while heap and heap[0][0] <= -2 and len(IDS) + len(ranks) < vocab_size:
        negative, token = heapq.heappop(heap)
        if -negative != counts[token]:  # outdated
            continue
        ranks[token] = len(IDS) + len(ranks)
        changed.clear()
        for index in holders.pop(token):
            count_word(index, -frequency[index])
            join_neighbours(words[index], token)
            count_word(index, frequency[index])
        for candidate in changed:
            heapq.heappush(heap, (-counts[candidate], candidate))
    return ranks


def gpt2_parts():
    """Token ids, special ids and pattern of GPT-2's own encoding, our special tokens added."""
    try:
        base = tiktoken.get_encoding("gpt2")
    except (OSError, ValueError) as error:
        why = f"gpt2: its vocabulary is not here and cannot be fetched ({type(error).__name__})"
        files = "vocab.bpe as 6d1cbeee0f20b3d9449abfede4726ed8212e3aee and encoder.json as "
        files += "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6 in the TIKTOKEN_CACHE_DIR folder"
        raise FileNotFoundError(f"{why}; expected {files}") from None
    names = ["<|endoftext|>"] + [name for name in SPECIALS if name not in ("<bos>", "<eos>")]
    ids = {name: base.eot_token + i for i, name in enumerate(names)}
    return base._mergeable_ranks, ids, base._pat_str


def read_tokens(document, path):
    """Each token's id in a saved document; what is wrong in it is named by its field."""
    known = document if isinstance(document, dict) else {}
    for field, want in {"format": FORMAT, "specials": SPECIALS, "pattern": PATTERN}.items():
        if known.get(field) != want:
            expected = f"expected {field.upper()} of minift/tokenizer.py"
            raise ValueError(f"{path}: {field}: made by another version; {expected}")
    try:
        tokens = [e.encode() if isinstance(e, str) else bytes([*e]) for e in known["tokens"]]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: tokens: expected texts and lists of bytes") from None
    if tokens[:256] != BYTES or not all(tokens) or len(set(tokens)) < len(tokens):
        raise ValueError(f"{path}: tokens: expected the 256 bytes, then others, all different")
    return {token: len(IDS) + i for i, token in enumerate(tokens)}


class Tokenizer:
    """Text to ids and back. `pad`, `bos`, `eos`, … are ids; `vocab_size` counts these too."""

    def __init__(self, ranks, ids=IDS, pattern=PATTERN):
        self.encoding = tiktoken.Encoding(
            "minift", pat_str=pattern, mergeable_ranks=ranks, special_tokens=ids
        )
        self.vocab_size = self.encoding.n_vocab
        self.specials = frozenset(ids.values())
        end = ids.get("<|endoftext|>")  # GPT-2's one special token is its <bos> and its <eos>
        chosen = [ids.get(name, end) for name in SPECIALS[:8]]
        self.pad, self.bos, self.eos, self.sep = chosen[:4]
        self.system, self.user, self.assistant, self.mask = chosen[4:]

    @classmethod
    def train(cls, texts, vocab_size):
        """Learn from texts; where these repeat too little, fewer tokens come out than asked for."""
        least = len(IDS) + len(BYTES)
        if vocab_size < least:
            raise ValueError(f"vocab_size: {vocab_size} is too small; expected at least {least}")
        if isinstance(texts, str):
            raise ValueError("texts: a single text; expected a list of texts")
        pieces = Counter(piece for text in texts for piece in re.findall(PATTERN, text))
        return cls(learn_tokens(pieces, vocab_size))

    @classmethod
    def load(cls, path=ROOT / "data" / "tokenizer.json"):
        """A saved tokenizer (by default the shipped one) or, by the name "gpt2", GPT-2's own."""
        if str(path) == "gpt2":
            return cls(*gpt2_parts())
        try:
            document = json.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            why = f"{path}: {error.strerror}; expected a saved tokenizer or the name gpt2"
            raise FileNotFoundError(why) from None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not JSON ({error}); expected a saved tokenizer") from None
        return cls(read_tokens(document, path))

    def save(self, path):
        """Write JSON that can be read: a token is its text, or its bytes where they are no text."""
        if self.pad != 0:
            raise ValueError("gpt2: not ours to save; expected to be loaded by its name")
        head = json.dumps({"format": FORMAT, "specials": SPECIALS, "pattern": PATTERN})
        entries = []
        for token in self.encoding._mergeable_ranks:
            text = token.decode(errors="replace")
            entry = text if text.encode() == token else list(token)
            entries.append(json.dumps(entry, ensure_ascii=False))
        whole = head[:-1] + ', "tokens": [\n' + ",\n".join(entries) + "\n]}\n"
        atomically(path, lambda file: file.write(whole.encode()))

    def encode(self, text):
        """Ids of a text, never a special one, even where the text spells a special token out."""
        text.encode()  # a lone surrogate is an error here; tiktoken would replace it silently
        return self.encoding.encode_ordinary(text)

    def decode(self, ids, specials=False):
        """Text of ids, special tokens left out unless asked for; broken UTF-8 becomes U+FFFD."""
        kept = [int(i) for i in ids if specials or int(i) not in self.specials]
        wrong = [i for i in kept if not 0 <= i < self.vocab_size]
        if wrong:
            raise ValueError(f"ids: {wrong[0]} is no token; expected 0 to {self.vocab_size - 1}")
        return self.encoding.decode_bytes(kept).decode(errors="replace")
