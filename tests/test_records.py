"""Readers: each format as people have it, the same files broken, and the split by meaning."""

import gzip
import json

import pytest

from minift import records
from minift.records import Chat, Labelled, Pair, Ranked, Text, Turn

USER, ANSWER = (lambda t: Turn("user", t)), (lambda t: Turn("assistant", t))
SHAREGPT = [("human", "Who are you?"), ("gpt", "A model."), ("human", "Bye"), ("gpt", "Bye!")]


@pytest.fixture
def have(tmp_path):
    """Write a file of any content and read it; `have.path` is its name, which tells nothing."""

    def read(content, **options):
        data = content if isinstance(content, bytes) else content.encode()
        read.path.write_bytes(data)
        return records.read(read.path, **options)

    read.path = tmp_path / "data"
    return read


def lines(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def says(raised, have, where, *words):
    """The error is one line, `file:line: …`, and holds each of the words."""
    text = str(raised.value)
    assert "\n" not in text and text.startswith(f"{have.path}:{where}: "), text
    assert all(word in text for word in words), text


def conversation(*turns):
    return {"id": "i", "conversations": [{"from": f, "value": v} for f, v in turns]}


def hh(*turns):
    return "".join(f"\n\n{speaker}: {text}" for speaker, text in turns)


# ------------------------------------------------------------------ every format, read as it should


ALPACA = [
    {"instruction": "List two colors.", "input": "", "output": "Red, blue."},
    {"instruction": "Uppercase it.", "input": "ab", "output": "AB"},
    {"instruction": "Greet 你好.", "input": None, "output": "🙂"},
    {"instruction": "Stop.", "output": "Stopped.", "unknown": 1},
]
ALPACA_PAIRS = [
    Pair("List two colors.", "Red, blue.", ("Red, blue.",)),
    Pair("Uppercase it.\nab", "AB", ("AB",)),
    Pair("Greet 你好.", "🙂", ("🙂",)),
    Pair("Stop.", "Stopped.", ("Stopped.",)),
]
TREE = {
    "message_tree_id": "x",
    "prompt": {
        "text": "q", "role": "prompter",
        "replies": [
            {"text": "worst", "role": "assistant", "rank": 2, "replies": [
                {"text": "again", "role": "prompter", "rank": None, "replies": [
                    {"text": "B", "role": "assistant", "rank": 1, "replies": []},
                    {"text": "A", "role": "assistant", "rank": 0, "replies": []}]}]},
            {"text": "best", "role": "assistant", "rank": 0},
            {"text": "none", "role": "assistant", "rank": None},
            {"text": "middle", "role": "assistant", "rank": 1, "replies": [
                {"text": "lonely", "role": "prompter", "replies": [
                    {"text": "one", "role": "assistant", "rank": 0}]}]},
        ],
    },
}  # fmt: skip
SHARED = [("Human", "Hi"), ("Assistant", "Hello!"), ("Human", "Bye")]
HH = {
    "chosen": hh(*SHARED, ("Assistant", "Goodbye.")),
    "rejected": hh(*SHARED, ("Assistant", "No.")),
}
HH_TURNS = (USER("Hi"), ANSWER("Hello!"), USER("Bye"))
COMPARISON = {
    "info": {"id": "t3", "post": "p", "title": "t", "subreddit": "s"},
    "summaries": [{"text": " a", "policy": "sup4"}, {"text": " b", "note": None}],
    "choice": 1,
}
CASES = {
    "alpaca": (json.dumps(ALPACA), "alpaca", ALPACA_PAIRS),
    "alpaca lines": (lines(*ALPACA), "alpaca", ALPACA_PAIRS),
    "alpaca indented": (json.dumps(ALPACA, indent=2), "alpaca", ALPACA_PAIRS),
    "alpaca objects": (
        "\n".join(json.dumps(row, indent=1) for row in ALPACA), "alpaca", ALPACA_PAIRS,
    ),
    "alpaca table": (
        'instruction,input,output\n"Add, please",1 2,3\n', "alpaca",
        [Pair("Add, please\n1 2", "3", ("3",))],
    ),
    "seeds": (
        lines({
            "id": "s", "name": "n", "instruction": "Antonym.", "is_classification": False,
            "instances": [{"input": "hot", "output": "cold"}, {"input": "", "output": "x"}],
        }),
        "seed-tasks", [Pair("Antonym.\nhot", "cold", ("cold",)), Pair("Antonym.", "x", ("x",))],
    ),
    "completion": (
        lines({"prompt": "p", "completion": " c<|endoftext|>\n"},
              {"prompt": "p", "response": "r "}),
        "prompt-completion", [Pair("p", " c", (" c",)), Pair("p", "r ", ("r ",))],
    ),
    "completion of messages": (
        lines({
            "prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            "completion": [{"role": "assistant", "content": "c"}],
        }),
        "prompt-completion-messages",
        [Chat((USER("a"), Turn("assistant", "b", False), ANSWER("c")))],
    ),
    "sharegpt": (
        json.dumps([conversation(*SHAREGPT)]), "sharegpt",
        [Chat((USER("Who are you?"), ANSWER("A model."), USER("Bye"), ANSWER("Bye!")))],
    ),
    "messages": (
        lines({"messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."}]}),
        "messages", [Chat((Turn("system", "Be brief."), USER("Hi"), ANSWER("Hello.")))],
    ),
    "messages in parts": (
        lines({"messages": [
            {"role": "user", "content": [{"type": "text", "value": "a"}], "loss_weight": 0.0},
            {"role": "assistant", "content": "b", "loss_weight": 0},
            {"role": "user", "content": "c"},
            {"role": "assistant", "content": [{"type": "text", "text": "d"}], "loss_weight": 1.0},
        ]}),
        "messages", [Chat((USER("a"), Turn("assistant", "b", False), USER("c"), ANSWER("d")))],
    ),
    "hh": (lines(HH), "hh", [Ranked(HH_TURNS, (("Goodbye.",), ("No.",)))]),
    "preference": (
        lines({"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}), "preference",
        [Ranked((USER("The sky is"),), ((" blue.",), (" green.",)))],
    ),
    "preference implicit": (
        lines(
            {"chosen": "The sky is blue.", "rejected": "The sky is green."},
            {"chosen": "It is blue.", "rejected": "It is blurred."},
            {"chosen": "天是蓝的", "rejected": "天是绿的"},
        ),
        "preference",
        [
            Ranked((USER("The sky is "),), (("blue.",), ("green.",))),
            Ranked((USER("It is "),), (("blue.",), ("blurred.",))),
            Ranked((USER("天是"),), (("蓝的",), ("绿的",))),
        ],
    ),
    "preference of messages": (
        lines({
            "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}],
            "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}],
        }),
        "preference", [Ranked((USER("q"),), (("good",), ("bad",)))],
    ),
    "preference of instructions": (
        lines({"instruction": "q", "input": "i", "chosen": "good", "rejected": "bad"}),
        "preference", [Ranked((USER("q\ni"),), (("good",), ("bad",)))],
    ),
    "conversation and two replies": (
        lines({
            "conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}],
            "chosen": {"from": "gpt", "value": "good"}, "rejected": {"from": "gpt", "value": "bad"},
        }),
        "conversation-preference",
        [Ranked((Turn("system", "s"), USER("q")), (("good",), ("bad",)))],
    ),
    "ranked": (
        lines(
            {"prompt": "p", "responses": ["A", "B", "C", "D"], "ranking": [2, 0, 3, 1]},
            {"prompt": "p", "responses": ["A", "B", "C", "D"], "ranks": [1, 3, 0, 2]},
            {"prompt": "p", "responses": ["A", "B", "C", "D"], "ranks": [1, 2, 0, 1]},
        ),
        "ranked",
        [
            Ranked((USER("p"),), (("C",), ("A",), ("D",), ("B",))),
            Ranked((USER("p"),), (("C",), ("A",), ("D",), ("B",))),
            Ranked((USER("p"),), (("C",), ("A", "D"), ("B",))),
        ],
    ),
    "comparisons": (
        lines(COMPARISON), "openai-comparisons", [Ranked((USER("t\n\np"),), ((" b",), (" a",)))],
    ),
    "tree": (
        lines(TREE), "oasst",
        [
            Ranked((USER("q"),), (("best",), ("middle",), ("worst",))),
            Ranked((USER("q"), ANSWER("worst"), USER("again")), (("A",), ("B",))),
        ],
    ),
    "scitldr": (
        lines({"source": ["One.", "Two."], "target": ["T1", "T2"], "title": "t"}),
        "source-target", [Pair("One. Two.", "T1", ("T1", "T2"))],
    ),
    "e2e": (
        '"mr","ref"\r\n"name[X], area[city]","X, in ""town""."\r\n"name[Y]",Y.\r\n'
        '"name[X], area[city]","There\nis X."\r\n',
        "e2e",
        [
            Pair("name[X], area[city]", 'X, in "town".', ('X, in "town".', "There\nis X.")),
            Pair("name[Y]", "Y.", ("Y.",)),
        ],
    ),
    "e2e without references": ('MR\n"name[X], near[Y]"\n', "e2e", [Pair("name[X], near[Y]", "")]),
    "labels": (
        "so good\t1\nso 'bad\"\t0\n", "labels", [Labelled("so good", 1), Labelled("so 'bad\"", 0)],
    ),
    "labels with a header": ("words\tmood\ngood\t1\n", "labels", [Labelled("good", 1)]),
    "labels in CSV": ('"good, really",1\nbad,0\n', "labels", [Labelled("good, really", 1),
                                                             Labelled("bad", 0)]),
    "labels with a known header": (
        "id\tsentence\tlabel\n7\tgood\t1\n8\tbad\t0\n", "text-label",
        [Labelled("good", 1), Labelled("bad", 0)]),
    "words in CSV": (
        'text,label\n"good, really",pos\nbad,neg\n', "text-label",
        [Labelled("good, really", "pos"), Labelled("bad", "neg")]),
    "labels in JSON": (
        lines({"text": "a", "label": 2}, {"text": "b", "label": "neg"},
              {"sentence": "c", "label": True}),
        "text-label", [Labelled("a", 2), Labelled("b", "neg"), Labelled("c", 1)],
    ),
    "pairs": (
        "Run.\t跑。\tCC-BY\nHi.\t嗨。\tCC-BY\n", "pairs",
        [Pair("Run.", "跑。", ("跑。",)), Pair("Hi.", "嗨。", ("嗨。",))],
    ),
    "pairs with a header": ("en\tzh\nRun.\t跑。\n", "pairs", [Pair("Run.", "跑。", ("跑。",))]),
    "text lines": (lines({"text": "a\nb"}), "text", [Text("a\nb")]),
    "stories": ("One.\n\nMore.\n<|endoftext|>\nTwo.\n", "plain",
                [Text("One.\n\nMore."), Text("Two.")]),
    "paragraphs": ("A:\nhi, you\n\n \nB:\nyou, too\n", "plain", [Text("A:\nhi, you"),
                                                               Text("B:\nyou, too")]),
    "verse": ("[Verse 1]\nLa, la\n", "plain", [Text("[Verse 1]\nLa, la")]),
    "prompts": (lines({"prompt": "p"}), "prompts", [Pair("p", "")]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_format_is_recognised_and_read(have, name):
    """The content alone tells the format; every record is the expected one."""
    content, form, expected = CASES[name]
    found = have(content)
    assert (found.format, list(found)) == (form, expected)
    assert found.kind == type(expected[0]).__name__.lower()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "wrap", ["bom", "crlf", "blank lines", "gzip", "utf-16", "no last newline"]
)
def test_the_wrapping_changes_nothing(have, name, wrap):
    """Byte-order mark, CRLF, blank last lines, gzip: the records stay the same."""
    content, form, expected = CASES[name]
    data = content.encode()
    if wrap == "bom":
        data = b"\xef\xbb\xbf" + data
    elif wrap == "crlf":
        data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    elif wrap == "blank lines":
        data += b"\n \n\n"
    elif wrap == "gzip":
        data = gzip.compress(data)
    elif wrap == "utf-16":
        data = content.encode("utf-16")
    else:
        data = data.rstrip(b"\n")
    assert (list(have(data)), have(data).format) == (expected, form)


def test_sources_name_file_and_line(have):
    """`source` is file:line, also in an indented array, after a quoted newline, and in prose."""

    def where(content):
        return [int(record.source.removeprefix(f"{have.path}:")) for record in have(content)]

    assert where(json.dumps(ALPACA[:2], indent=1)) == [2, 7]
    assert where("\n" + lines(*ALPACA[:2])) == [2, 3]
    assert where('mr,ref\nX,"a\nb"\nY,c\n') == [2, 4]
    assert where("\n\nA\nb\n\n\nC\n") == [3, 7]
    assert where("A\n<|endoftext|>\n\nB\n<|endoftext|>\n") == [1, 4]


# ------------------------------------------------------------------ a reading asked for


def test_columns_are_named_or_swapped(have):
    """`columns` takes names or numbers, of tables and of JSON rows, in the order wanted."""
    table = "Run.\t跑。\tA\nHi.\t嗨。\tB\n"
    assert have(table, columns=("1", "0"))[0] == Pair("跑。", "Run.", ("Run.",))
    assert have(table, columns="2,0")[1] == Pair("B", "Hi.", ("Hi.",))
    headed = "id,review,stars,verdict\n7,good food,5,yes\n8,bad food,1,no\n"
    assert list(have(headed, columns=("Review", "stars"))) == [
        Labelled("good food", 5), Labelled("bad food", 1),
    ]  # fmt: skip
    assert have(headed, columns=("review", "verdict"))[0] == Pair("good food", "yes", ("yes",))
    rows = lines({"q": "one", "a": "eins"}, {"q": "two", "a": None})
    found = have(rows, columns=("q", "a"))
    assert list(found) == [Pair("one", "eins", ("eins",))] and "2: the response" in found.skipped[0]


def test_kind_forces_a_reading(have):
    """A kind of record or the name of a format overrides what the content suggests."""
    table = "good\t1\nbad\t0\n"
    assert have(table, kind="pair")[0] == Pair("good", "1", ("1",))
    assert have("good\tpos\nbad\tneg\n", kind="labelled").labels == ["neg", "pos"]
    assert have(table, kind="plain")[0] == Text(table.strip())
    assert have(table, kind="text")[0] == Text(table.strip())
    assert have("a,b\nc,d\n")[0] == Text("a,b\nc,d")
    assert have("a,b\nc,d\n", kind="pairs")[1] == Pair("c", "d", ("d",))
    both = lines({"text": "t", "label": 1})
    assert have(both, kind="Text")[0] == Text("t")
    with pytest.raises(ValueError, match="expected one of text, pair"):
        have(table, kind="csv")
    with pytest.raises(ValueError) as raised:
        have(lines(*ALPACA), kind="chat")
    says(raised, have, 1, "instruction, input, output", "expected", "messages")


def test_more_than_twenty_numbers_are_no_labels(have):
    """Whole numbers of at most 20 values are labels; more are responses."""
    assert have("".join(f"t\t{n}\n" for n in range(20))).kind == "labelled"
    assert have("".join(f"t\t{n}\n" for n in range(21))).kind == "pair"


# ------------------------------------------------------------------ broken files


BROKEN = {
    "empty": ("", 1, ["empty"]),
    "blank": (" \n\n", 1, ["empty"]),
    "no rows": ("[]", 1, ["no rows"]),
    "truncated line": ('{"text": "a"}\n{"text": "b', 2, ["column 10", "JSON"]),
    "truncated array": ('[\n {"text": "a"},\n {"text": "b"', 3, ["JSON"]),
    "array without end": ('[{"text": "a"}', 1, ["column 15", "cut off"]),
    "two arrays": ('[{"text": "a"}]\n[{"text": "b"}]', 1, ["column 15", "follows"]),
    "missing comma": ('[{"text": "a"}\n {"text": "b"}]', 2, ["column 2", "comma"]),
    "row of the wrong type": ('[{"text": "a"},\n 3]', 2, ["a number", "an object"]),
    "line of the wrong type": ('{"text": "a"}\n"b"\n', 2, ["text", "an object"]),
    "first row of the wrong type": ("[1, 2]", 1, ["a number", "an object"]),
    "missing field": (lines(ALPACA[0], {"instruction": "x"}), 2, ["output", "missing", "text"]),
    "number for text": (
        lines(ALPACA[0], {"instruction": "x", "output": 3}), 2, ["output", "3", "expected text"]),
    "half an emoji": (
        lines(ALPACA[0]) + '{"instruction": "x", "output": "\\ud83d"}', 2, ["output", "surrogate"]),
    "unknown fields": (lines({"foo": 1, "bar": 2}), 1, ["foo, bar", "instruction, output"]),
    "instances no list": (
        lines({"instruction": "x", "instances": {}}), 1, ["instances", "an object", "a list"]),
    "instance no object": (
        lines({"instruction": "x", "instances": ["a"]}), 1, ["instances[0]", "objects"]),
    "nested without end": ('[' + '{"a":' * 100_000, 1, ["deep"]),
    "name with a newline": (lines({"foo\nbar": 1}), 1, ["foo\\nbar"]),
    "role of the wrong type": (
        lines({"prompt": {"text": "q", "role": "prompter", "replies": [{"role": [], "text": ""}]}}),
        1, ["prompt.replies[0].role", "a list", "text"]),
    "field of an instance": (
        lines({"instruction": "x", "instances": [{"input": ""}]}), 1, ["instances[0].output"]),
    "role": (lines(conversation(("wizard", "x"))), 1, ["conversations[0].from", "wizard", "user"]),
    "no role": (lines({"messages": [{"content": "x"}]}), 1, ["messages[0].from", "missing"]),
    "part of a loss": (
        lines({"messages": [{"role": "assistant", "content": "x", "loss_weight": 0.5}]}), 1,
        ["messages[0].loss_weight", "0.5", "0 or 1"]),
    "ranking of ranks": (
        lines({"prompt": "p", "responses": ["A", "B", "C"], "ranking": [1, 2, 3]}), 1,
        ["ranking", "0 to 2", "best first"]),
    "ambiguous rank": (
        lines({"prompt": "p", "responses": ["A", "B"], "rank": [0, 1]}), 1, ["ranking", "ranks"]),
    "two orders": (
        lines({"prompt": "p", "responses": ["A", "B"], "ranking": [0, 1], "ranks": [0, 1]}), 1,
        ["ranking and ranks", "ambiguous"]),
    "too few ranks": (
        lines({"prompt": "p", "responses": ["A", "B"], "ranks": [0]}), 1, ["ranks", "2 whole"]),
    "rank of the wrong type": (
        lines({"prompt": "p", "responses": ["A", "B"], "ranks": [0, True]}), 1, ["ranks[1]"]),
    "choice": (lines(COMPARISON | {"choice": 2}), 1, ["choice", "0 or 1"]),
    "no transcript": (lines({**HH, "chosen": "x" + HH["chosen"]}), 1, ["chosen", "Human"]),
    "columns of a table": ("a\tb\nc\td\ne\n", 3, ["1 column,", "at least 2"]),
    "columns of CSV": ("mr,ref\nname[A], area[B],C\n", 2, ["3 columns", "expected 2"]),
    "open quote": ('mr,ref\nX,a\nY,"b\nZ,c\n', 3, ["CSV"]),
    "not UTF-8": (b"a\tb\nc\t" + "中".encode("gbk"), 2, ["UTF-8"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_malformed_file_is_one_line_with_its_place(have, name):
    """Nothing is guessed: the error names file, line, field and what was expected."""
    content, line, words = BROKEN[name]
    with pytest.raises(ValueError) as raised:
        have(content)
    says(raised, have, line, *words)


def test_files_that_are_no_text(have, tmp_path):
    """A missing file, a folder, a damaged gzip and a Parquet file are each met by name."""
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(FileNotFoundError, match="no such file"):
            records.read(path)
    with pytest.raises(ValueError, match="gzip"):
        have(gzip.compress(b"text " * 100)[:20])
    with pytest.raises(ValueError, match="Parquet"):
        have(b"PAR1\x15\x04")
    with pytest.raises(ValueError, match="column colour is missing, expected one of a, b"):
        have("a,b\nc,d\n", columns=("a", "colour"))


UNUSABLE = {
    "empty response": (lines(ALPACA[0], {"instruction": "x", "output": " "}), ["2: the response"]),
    "null response": (
        lines({"instruction": "x", "output": None}, ALPACA[0]), ["1: field output is null"]),
    "empty prompt": ("a\tb\n\tc\n", ["2: the prompt is empty"]),
    "empty label": ("a\t1\nb\t\nc\t0\n", ["2: the text or the label is empty"]),
    "history": (lines({**ALPACA[0], "history": [["a", "b"]]}, ALPACA[0]), ["1: field history"]),
    "instance": (
        lines({"instruction": "x", "instances": [{"output": None}, {"output": "y"}]}),
        ["1: instances[0]: field instances[0].output is null"]),
    "answer first": (
        lines(conversation(("gpt", "Hi"), *SHAREGPT)), ["1: field conversations[0]: an assistant"]),
    "answer after system": (
        lines(conversation(("system", "s"), ("gpt", "Hi"), *SHAREGPT)),
        ["1: field conversations[1]"]),
    "no answer": (
        lines(conversation(("human", "Hi")), conversation(*SHAREGPT)), ["1: no assistant turn"]),
    "tool": (
        lines(conversation(*SHAREGPT, ("tool", "x")), conversation(*SHAREGPT)),
        ["1: field conversations[4].from is tool"]),
    "null content": (
        lines({"messages": [{"role": "user", "content": None}]},
              {"messages": [{"role": "user", "content": "a"},
                            {"role": "assistant", "content": "b"}]}),
        ["1: field messages[0].content is null"]),
    "same replies": (
        lines({"prompt": "p", "chosen": "a", "rejected": "a"},
              {"prompt": "p", "chosen": "a", "rejected": "b"}), ["1: the same reply"]),
    "all tied": (
        lines({"prompt": "p", "responses": ["A", "B"], "ranks": [1, 1]},
              {"prompt": "p", "responses": ["A", "B"], "ranks": [1, 2]}),
        ["1: no reply is better"]),
    "no shared prompt": (
        lines({"chosen": hh(("Human", "a"), ("Assistant", "b")),
               "rejected": hh(("Human", "c"), ("Assistant", "d"))}, HH),
        ["1: chosen and rejected"]),
    "bad completion": (
        lines({"prompt": "p", "completion": "c", "label": False},
              {"prompt": "p", "completion": "c", "label": True}), ["1: field label is false"]),
    "tree": (
        lines(TREE),
        ["1: prompt.replies[2].rank is null", "1: prompt.replies[3].replies[0]: ranked"]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_row_is_skipped_and_counted(have, name):
    """A well-formed row that gives no record stands in `.skipped` with its line and its reason."""
    content, reasons = UNUSABLE[name]
    found = have(content)
    assert len(found) >= 1
    assert len(found.skipped) == len(reasons)
    for line, reason in zip(found.skipped, reasons, strict=True):
        assert line.startswith(f"{have.path}:{reason}"), line


def test_a_dialogue_keeps_what_can_be_learnt(have):
    """Without the leading answer the rest stays; a last question stays too, and teaches nothing."""
    found = have(lines(conversation(("gpt", "Hi"), *SHAREGPT, ("human", "Well?"))))
    assert [turn.text for turn in found[0].turns] == [
        "Who are you?", "A model.", "Bye", "Bye!", "Well?",
    ]  # fmt: skip


def test_transcripts_that_part_early_are_cut_where_they_agree(have):
    """hh-rlhf: prompts that differ are compared from their last common question on."""
    later = hh(("Human", "Hi"), ("Assistant", "A"), ("Human", "More"), ("Assistant", "B"))
    found = have(lines({"chosen": later, "rejected": hh(("Human", "Hi"), ("Assistant", "C"))}))
    assert list(found) == [
        Ranked((USER("Hi"),), (("A\n\nHuman: More\n\nAssistant: B",), ("C",)))
    ]  # fmt: skip


# ------------------------------------------------------------------ write and split


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_is_read_back(have, name, tmp_path):
    """`read(write(records))` gives the same records, whatever their kind."""
    found = have(CASES[name][0])
    records.write(found, tmp_path / "new" / "file.jsonl")
    again = records.read(tmp_path / "new" / "file.jsonl")
    assert list(again) == list(found) and again.kind == found.kind


def test_split_keeps_each_meaning_on_one_side():
    """No prompt is on two sides, nothing is lost, and neither order nor run changes the parts."""
    found = records.Records([Pair(f"p{n % 37}", f"r{n}") for n in range(148)], "pairs", "pair")
    parts = records.split(found, (0.7, 0.2, 0.1), seed=3)
    prompts = [{record.prompt for record in part} for part in parts]
    assert [len(p) for p in prompts] == [26, 7, 4]
    assert len(set().union(*prompts)) == 37 and sum(map(len, parts)) == 148
    assert all(part.kind == "pair" for part in parts)
    reversed_parts = records.split(found[::-1], (0.7, 0.2, 0.1), seed=3)
    assert [{r.prompt for r in part} for part in reversed_parts] == prompts
    assert [{r.prompt for r in p} for p in records.split(found, (0.7, 0.2, 0.1), 4)] != prompts
    with pytest.raises(ValueError, match="add up to 1"):
        records.split(found, (0.7, 0.2))


def test_branches_of_a_tree_stay_together(have):
    """Two rankings of one tree, and a question asked with other spacing, have one meaning."""
    tree = have(CASES["tree"][0])
    assert {record.meaning for record in tree} == {"q"}
    parts = records.split([Text("a  b"), Text("a b\n"), Text("c")], (0.5, 0.5))
    assert sorted(len(part) for part in parts) == [1, 2]


def test_one_per_reference():
    """Three references make three pairs with one response each; kind and source stay."""
    pair = records.Pair("p", "a", ("a", "b", "c"), "f:1")
    many = records.one_per_reference(records.Records([pair, pair], kind="pair"))
    assert [r.response for r in many] == ["a", "b", "c"] * 2 and many.kind == "pair"
    assert {r.references for r in many} == {("a",), ("b",), ("c",)} and many[0].source == "f:1"


@pytest.mark.parametrize(
    "row",
    (
        {"instruction": "Name one.", "input": "", "output": "a", "references": ["a", "b"]},
        {"prompt": "Name one.", "response": "a", "references": ["b", "a"]},
    ),
)
def test_references_of_a_pair_are_read(tmp_path, row):
    """All right answers of a row are kept, the response first."""
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert records.read(file)[0].references == ("a", "b")


def test_references_of_a_dialogue_are_read_and_written(tmp_path):
    """The right last answers come back from a file, and none where none were told."""
    turns = [{"role": "user", "content": "Name one."}, {"role": "assistant", "content": "a"}]
    file = tmp_path / "rows.jsonl"
    rows = [{"messages": turns, "references": ["b"]}, {"messages": turns}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = records.read(file)
    assert [chat.references for chat in found] == [("a", "b"), ()]
    records.write(found, tmp_path / "again.jsonl")
    assert records.read(tmp_path / "again.jsonl") == found
