"""The tokenizer: learnt as a slow recount learns, applied as tiktoken applies, nothing lost."""

import json
import os
import random
import re
from collections import Counter
from pathlib import Path

import pytest
import tiktoken

from minift.tokenizer import BYTES, HAN, IDS, PATTERN, SPECIALS, Tokenizer, learn_tokens

TEXTS = [
    "The lighthouse keeper doesn't read the letters; she reads the weather, the weather!\n",
    "灯塔看守人不读信，她读天气。天气很好，天气很冷，二〇二四年天气也很好。\r\n",
    "Room 2024 costs 2024 coins, the rooms' keys cost 20 coins.  Café, naïve, Ελλάδα.\n\n",
    "def read(x):\n    return x  # 天气 weather 😀😀 👩‍🔬\n",
    "banana bananas anna nanana aaaaaaa aaa abab abcabcab cabcab bcab\n",
] * 3
ALPHABET = "aabbct's ’. ,!_\n\r\t\x0b 12９٣é×÷ßДя한かナ天气好㐀𠀀〇々，。😀"
ALPHABET += "\u3000\u00a0\u2028\u200d\x00\x1c\ufffd"


def random_texts(count, longest, seed):
    """Short texts over characters of every class of the pattern and of those at its borders."""
    draw = random.Random(seed)
    for _ in range(count):
        yield "".join(draw.choice(ALPHABET) for _ in range(draw.randrange(longest)))


def any_text(length, seed):
    """Characters from the whole of Unicode but the surrogates."""
    draw = random.Random(seed)
    codes = [draw.randrange(0x110000) for _ in range(length)]
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)


def naive_encode(piece, order):
    """BPE of one piece from its bytes: join what was learnt first till nothing fits."""
    word = [bytes([byte]) for byte in piece.encode()]
    while True:
        fits = [
            (order[word[i] + word[i + 1]], i)
            for i in range(len(word) - 1)
            if word[i] + word[i + 1] in order
        ]
        if not fits:
            return word
        i = min(fits)[1]
        word = word[:i] + [word[i] + word[i + 1]] + word[i + 2 :]


def slow_learn(texts, size):
    """The specification: before each join, encode all again and count afresh."""
    order = {byte: i for i, byte in enumerate(BYTES)}
    pieces = [piece for text in texts for piece in re.findall(PATTERN, text)]
    while len(order) < size:
        counts = Counter()
        for piece in pieces:
            word = naive_encode(piece, order)
            counts.update(word[i] + word[i + 1] for i in range(len(word) - 1))
        repeated = sorted((-count, token) for token, count in counts.items() if count > 1)
        if not repeated:
            break
        order[repeated[0][1]] = len(order)
    return list(order)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(TEXTS, 400)


def pieces_of(texts):
    return Counter(piece for text in texts for piece in re.findall(PATTERN, text))


def test_example_of_the_docstring():
    """The three joins that the head of the file shows, then nothing occurs twice."""
    learnt = list(learn_tokens(pieces_of(["low low lower"]), 1000))
    assert learnt[256:] == [b"lo", b"low", b" low"]


@pytest.mark.parametrize("seed", range(4))
def test_learns_what_a_full_recount_learns(seed):
    """Incremental counts give the slow specification's tokens, in its order, to the last repeat."""
    draw = random.Random(seed)
    letters = "abc" if seed < 2 else "aab 天气.1\n"
    texts = ["".join(draw.choice(letters) for _ in range(60)) for _ in range(8)]
    size = 256 + (90 if seed % 2 else 1000)
    assert list(learn_tokens(pieces_of(texts), size + len(IDS))) == slow_learn(texts, size)


def test_learns_words_as_a_full_recount_does():
    """The same on words of several scripts, where many counts tie."""
    assert list(learn_tokens(pieces_of(TEXTS[:5]), 340 + len(IDS))) == slow_learn(TEXTS[:5], 340)


def test_training_is_deterministic_and_blind_to_order():
    """The same texts in any order give the same tokens: a tie is broken by bytes, not by chance."""
    first = Tokenizer.train(TEXTS, 500).encoding._mergeable_ranks
    assert Tokenizer.train(iter(TEXTS[::-1]), 500).encoding._mergeable_ranks == first


def test_vocabulary_has_the_layout_of_the_docstring(tokenizer):
    """Special ids 0 to 15, bytes 16 to 271, learnt tokens after them; pad is 0 and is not eos."""
    assert [IDS[name] for name in SPECIALS] == list(range(16))
    assert (tokenizer.pad, tokenizer.bos, tokenizer.eos, tokenizer.sep) == (0, 1, 2, 3)
    assert (tokenizer.system, tokenizer.user, tokenizer.assistant, tokenizer.mask) == (4, 5, 6, 7)
    assert [tokenizer.encoding.decode_single_token_bytes(16 + i) for i in range(256)] == BYTES
    assert tokenizer.vocab_size == 400 == len(tokenizer.encoding._mergeable_ranks) + 16


def test_too_little_text_gives_a_smaller_vocabulary():
    """No token is made up from what was seen once: the vocabulary stops early and says so."""
    assert Tokenizer.train(["low low lower"], 1000).vocab_size == 16 + 256 + 3
    assert Tokenizer.train([], 1000).vocab_size == 16 + 256


def test_tiktoken_encodes_as_the_naive_loop(tokenizer):
    """tiktoken on a whole text equals the pattern and a hand-written join loop, piece by piece."""
    ranks = tokenizer.encoding._mergeable_ranks
    texts = [*TEXTS, *random_texts(200, 40, 0), any_text(2000, 0), "weatherweather" * 20]
    for text in texts:
        want = [t for piece in re.findall(PATTERN, text) for t in naive_encode(piece, ranks)]
        assert tokenizer.encode(text) == [ranks[token] for token in want]


def test_both_engines_split_alike():
    """With every stretch of a text as a token, tiktoken's tokens are its pieces: Python's."""
    for text in [*random_texts(300, 14, 1), *(any_text(12, seed) for seed in range(100)), TEXTS[3]]:
        data = text.encode()
        spans = {data[i:j] for j in range(len(data) + 1) for i in range(j)} | set(BYTES)
        ranks = {span: i for i, span in enumerate(sorted(spans, key=lambda s: (len(s), s)))}
        rust = tiktoken.Encoding("spans", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
        pieces = [rust.decode([i]) for i in rust.encode_ordinary(text)]
        assert pieces == re.findall(PATTERN, text)


def test_pattern_loses_no_character():
    """The pieces of a text join to it, for each character of Unicode and for random texts."""
    everything = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    assert "".join(re.findall(PATTERN, everything)) == everything
    for text in random_texts(500, 30, 2):
        assert "".join(re.findall(PATTERN, text)) == text


@pytest.mark.parametrize(
    "text, pieces",
    [
        ("It's 'fine', isn't it?", "It|'s| '|fine|',| isn|'t| it|?"),
        ("They’ll pay 2024.", "They|’ll| pay| |2|0|2|4|."),
        ("今天天气很好。", "今天|天气|很好|。"),
        ("天a气 b", "天|a|气| b"),
        ("Café naïve,  two", "Café| naïve|,|  |two"),
        ("a\r\n\r\n\tb", "a|\r\n\r\n|\t|b"),
        ("x=😀😀!", "x|=😀😀!"),
        ("二〇二四", "二〇|二四"),
    ],
)
def test_pieces_by_hand(text, pieces):
    """Words with their space, an apostrophe with what follows, two Han characters, one digit."""
    assert re.findall(PATTERN, text) == pieces.split("|")


def test_no_token_crosses_a_piece():
    """However frequent a phrase is, its tokens hold at most two Han characters and one digit."""
    tokens = learn_tokens(pieces_of(["总的来说，2024年的天气很好 2024 2024"] * 50), 2000)
    texts = [token.decode(errors="replace") for token in tokens]
    assert max(len(re.findall(f"[{HAN}]", text)) for text in texts) == 2
    assert all(len(text) == 1 for text in texts if re.search("[0-9]", text))


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n", "a\r\nb\rc\n", *TEXTS, "e\u0301 ﷽ \u202e", "🏳️‍🌈", "\x00\x7f\x80", "<eos>"],
)
def test_round_trip(tokenizer, text):
    """decode(encode(text)) is the text, in whatever script, line ending or control character."""
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_round_trip_of_random_text(tokenizer):
    """The same for random texts over all of Unicode, and for the shortest vocabulary there is."""
    bare = Tokenizer.train([], 272)
    for text in [*random_texts(300, 60, 3), any_text(5000, 1)]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert bare.decode(bare.encode(text)) == text
        assert len(bare.encode(text)) == len(text.encode())


def test_a_long_run_is_no_trouble(tokenizer):
    """A hundred thousand equal characters are learnt and encoded at once: pieces are short."""
    for text in ["a" * 100_000, "天" * 100_000, " " * 100_000, "!" * 100_000]:
        assert max(map(len, re.findall(PATTERN, text))) <= 32
        learnt = Tokenizer.train([text], 300)
        assert learnt.decode(learnt.encode(text)) == text
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_text_never_becomes_a_special_token(tokenizer):
    """A text that spells special tokens out is ordinary text, and comes back as it was typed."""
    for text in ["<eos>", "<pad><bos> <assistant>hi<eos>", "<|endoftext|>", "<spare_0>"]:
        ids = tokenizer.encode(text)
        assert min(ids) >= 16 and tokenizer.decode(ids) == text
    spelt = Tokenizer.train(["<eos> <eos> <eos>"] * 9, 400)
    assert min(spelt.encode("<eos>")) >= 16


def test_decode_leaves_special_tokens_out_unless_asked(tokenizer):
    """Special ids vanish from the text, or show their names."""
    ids = [tokenizer.bos, *tokenizer.encode("天气"), tokenizer.sep, 15, tokenizer.eos, 0]
    assert tokenizer.decode(ids) == "天气"
    assert tokenizer.decode(ids, specials=True) == "<bos>天气<sep><spare_7><eos><pad>"


def test_decode_bears_broken_utf8():
    """A cut character becomes U+FFFD and the rest is kept; a generator may stop anywhere."""
    bare = Tokenizer.train([], 272)
    ids = bare.encode("a天b")
    assert bare.decode(ids[:2] + ids[-1:]) == "a\ufffdb"
    assert bare.decode(i for i in range(272)).startswith("\x00\x01\x02")


def test_lone_surrogate_is_refused(tokenizer):
    """Half a surrogate pair is no text: an error that shows it, not a silent U+FFFD."""
    with pytest.raises(ValueError, match=r"\\ud83d.*position 2"):
        tokenizer.encode("ab\ud83d")
    with pytest.raises(ValueError, match="surrogates not allowed"):
        Tokenizer.train(["ab\ud83d"], 300)


def test_errors_of_use_are_one_line(tokenizer):
    """Wrong arguments are named with what was expected."""
    with pytest.raises(ValueError, match="^vocab_size: 271 is too small; expected at least 272$"):
        Tokenizer.train(TEXTS, 271)
    with pytest.raises(ValueError, match="^texts: a single text; expected a list of texts$"):
        Tokenizer.train("one text", 300)
    for wrong in (400, -1, 2**40):
        with pytest.raises(ValueError, match=f"^ids: {wrong} is no token; expected 0 to 399$"):
            tokenizer.decode([20, wrong])


def test_save_and_load(tokenizer, tmp_path):
    """A saved tokenizer comes back the same, its file is text, and no half-written file is left."""
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    tokenizer.save(path)
    loaded = Tokenizer.load(path)
    assert loaded.encoding._mergeable_ranks == tokenizer.encoding._mergeable_ranks
    assert loaded.encode("".join(TEXTS)) == tokenizer.encode("".join(TEXTS))
    assert loaded.vocab_size == tokenizer.vocab_size and loaded.eos == tokenizer.eos
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]
    lines = path.read_text("utf-8").splitlines()
    assert '"天气",' in lines and '" weather",' in lines and "[255]," in lines


def change(field, value):
    """An edit of a saved document: the field gets this value, or value(old) for a function."""
    return lambda d: d | {field: value(d[field]) if callable(value) else value}


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda d: [d], "format: made by another version; expected FORMAT of"),
        (change("format", "minift tokenizer 9"), "format: made by another version"),
        (change("specials", lambda old: old[::-1]), "specials: made by another version"),
        (change("pattern", "a+"), "pattern: made by another version; expected PATTERN of"),
        (lambda d: {k: d[k] for k in d if k != "tokens"}, "tokens: expected texts and lists"),
        (change("tokens", 7), "tokens: expected texts and lists of bytes"),
        (change("tokens", lambda old: [*old, 10**12]), "tokens: expected texts and lists"),
        (change("tokens", lambda old: [*old, [1, 256]]), "tokens: expected texts and lists"),
        (change("tokens", lambda old: [*old, "\ud83d"]), "tokens: expected texts and lists"),
        (change("tokens", lambda old: old[1:]), "tokens: expected the 256 bytes, then"),
        (change("tokens", lambda old: [*old, old[-1]]), "tokens: .* all different"),
        (change("tokens", lambda old: [*old, ""]), "tokens: .* all different"),
    ],
)
def test_a_spoilt_file_is_named(tokenizer, tmp_path, edit, message):
    """Each broken field gives one line: the file, the field, what was expected."""
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    path.write_text(json.dumps(edit(json.loads(path.read_text("utf-8")))), "utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: {message}") as caught:
        Tokenizer.load(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_tokenizer_file_is_refused(tmp_path):
    """Missing, a folder, cut off, not UTF-8: one line that starts with the path."""
    path = tmp_path / "tokenizer.json"
    for wrong in (path, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"expected a saved tokenizer or the name gpt2$"
        ):
            Tokenizer.load(wrong)
    for content in (b'{"format": ', b"\xff\xfe", b"", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"tokenizer\.json: not JSON \(.*; expected a saved"):
            Tokenizer.load(path)


def test_gpt2_keeps_its_ids_and_gets_ours_behind(monkeypatch, tmp_path):
    """Over GPT-2's 50,257 ids: bos and eos are its own end, pad is another, special ones follow."""
    ranks = {byte: i for i, byte in enumerate(BYTES)}
    ranks |= {i.to_bytes(3, "big"): i for i in range(256, 50256)}
    stored = tiktoken.Encoding(
        "gpt2", pat_str=r"[\s\S]", mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}
    )
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: {"gpt2": stored}[name])
    gpt2 = Tokenizer.load("gpt2")
    assert (gpt2.bos, gpt2.eos, gpt2.pad, gpt2.sep) == (50256, 50256, 50257, 50258)
    assert (gpt2.system, gpt2.user, gpt2.assistant, gpt2.mask) == (50259, 50260, 50261, 50262)
    assert gpt2.vocab_size == 50257 + 14
    assert gpt2.encode("<|endoftext|>") == list(b"<|endoftext|>")
    assert gpt2.decode([104, 50256, 105, 50257]) == "hi"
    assert gpt2.decode([50256, 104, 50270], specials=True) == "<|endoftext|>h<spare_7>"
    with pytest.raises(ValueError, match="^gpt2: not ours to save; expected to be loaded by its"):
        gpt2.save(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("error", [ConnectionError("no\nnetwork"), ValueError("hash mismatch")])
def test_gpt2_not_here_says_where_its_files_go(monkeypatch, error):
    """No copy and no network: one line with both files' names and the variable for the folder."""

    def refuse(name):
        raise error

    monkeypatch.setattr(tiktoken, "get_encoding", refuse)
    with pytest.raises(FileNotFoundError, match="^gpt2: its vocabulary is not here") as caught:
        Tokenizer.load("gpt2")
    for part in ("vocab.bpe as 6d1cbeee", "encoder.json as 6c7ea1a7", "TIKTOKEN_CACHE_DIR"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


STORED = Path(os.environ.get("TIKTOKEN_CACHE_DIR", "")) / "6d1cbeee0f20b3d9449abfede4726ed8212e3aee"


@pytest.mark.skipif(not STORED.is_file(), reason="GPT-2's vocabulary is not stored here")
def test_gpt2_itself():
    """GPT-2's published ids, where TIKTOKEN_CACHE_DIR has its files."""
    gpt2 = Tokenizer.load("gpt2")
    assert gpt2.encode("hello world") == [31373, 995]
    assert gpt2.encode("<|endoftext|>") == [27, 91, 437, 1659, 5239, 91, 29]
    assert gpt2.decode(gpt2.encode("天气 is fine 😀")) == "天气 is fine 😀"
