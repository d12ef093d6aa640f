"""The command line from end to end on a tiny base: pretrain, finetune, evaluate, generate."""

import hashlib
import json
import math
import os
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minift import ROOT, measure, noising, records, safetensors, train
from minift.__main__ import main
from minift.commands import pretrain
from minift.commands.corpus import InTurn, restored_rows
from minift.commands.texts import layout, pairs, pieces, script
from minift.models import pretrained
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.masked import MaskedLM
from minift.models.seq2seq import Seq2Seq, Seq2SeqConfig
from minift.peft import delta
from minift.tokenizer import Tokenizer
from tests import test_encoder
from tests.test_pretrained import bert_folder
from tests.test_train import free_port

TEXTS = [f"Anna has {n} red apples and {n + 1} green ones. 安娜有{n}个苹果。" for n in range(60)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a corpus, a tokenizer and a base, all made by `pretrain`."""
    folder = tmp_path_factory.mktemp("base")
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (folder / "corpus.jsonl").write_text(rows)
    words = ["pretrain", "--data", str(folder / "corpus.jsonl"), "--train-tokenizer", "330"]
    words += ["--tokenizer", str(folder / "words.json"), "--out", str(folder / "b.safetensors")]
    words += "--width 16 --layers 2 --heads 2 --context 48 --steps 4 --batch 2".split()
    assert main([*words, "--device", "cpu"]) == 0
    return folder


def pretraining(base, model, out, *more):
    """Run `pretrain` on the base's corpus and tokenizer."""
    words = ["pretrain", "--model", model, "--data", str(base / "corpus.jsonl"), "--out", str(out)]
    words += ["--tokenizer", str(base / "words.json"), "--device", "cpu", "--lr", "0.01"]
    words += "--width 16 --layers 1 --heads 2 --context 48 --steps 4 --batch 2".split()
    return main([*words, *more])


def finetune(base, data, out, *more):
    """Run `finetune` on the tiny base."""
    words = ["finetune", "--base", str(base / "b.safetensors"), "--data", str(data)]
    words += ["--tokenizer", str(base / "words.json"), "--out", str(out), "--device", "cpu"]
    return main([*words, "--steps", "6", "--batch", "4", *more])


def test_pretrain_writes_a_base_and_a_manifest(base):
    """The file loads, its vocabulary is the tokenizer's, and the manifest tells what was run."""
    model = pretrained.load(base / "b.safetensors")
    told = json.loads((base / "b.json").read_text())
    assert model.config.vocab_size == Tokenizer.load(base / "words.json").vocab_size
    data = (base / "b.safetensors").read_bytes()
    assert told["steps"] == 4 and told["sha256"] == hashlib.sha256(data).hexdigest()
    assert told["parameters"] == sum(p.numel() for p in model.parameters())
    full = 4 * 2 * 48 * told["processes"]  # steps of two rows, which packing nearly fills
    assert told["processes"] == 1 and 0.6 * full < told["tokens"] <= full
    assert safetensors.read(base / "b.safetensors")[0]["norm.weight"].dtype.itemsize == 2


def test_the_manifest_tells_held_out_losses_by_script(base):
    """Perplexity is the exponential of the loss, and the parts add up to the whole."""
    held = json.loads((base / "b.json").read_text())["held_out"]
    parts = [part for name, part in held.items() if name != "all"]
    assert parts and held["all"]["tokens"] == sum(part["tokens"] for part in parts)
    total = sum(part["loss"] * part["tokens"] for part in parts)
    assert held["all"]["loss"] == pytest.approx(total / held["all"]["tokens"], abs=1e-3)
    assert held["all"]["perplexity"] == pytest.approx(math.exp(held["all"]["loss"]), rel=1e-3)
    assert [script(t) for t in ("a, b!", "你好。", "NLP是")] == ["latin", "han", "both"]


@pytest.mark.parametrize("model", ["encoder", "seq2seq"])
def test_pretrain_of_each_family(base, tmp_path, model):
    """The file loads as its family; the manifest's loss is that of the texts with a fixed noise."""
    out = tmp_path / "b.safetensors"
    assert pretraining(base, model, out) == 0
    made, told = pretrained.load(out), json.loads((tmp_path / "b.json").read_text())
    assert type(made) is {"encoder": MaskedLM, "seq2seq": Seq2Seq}[model]
    assert told["model"] == model and told["processes"] == 1 and told["steps"] == 4
    assert told["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert told["parameters"] == sum(p.numel() for p in made.parameters())
    words = Tokenizer.load(base / "words.json")
    ids = np.array(words.encode(TEXTS[-1]))  # a hundredth of the texts is the last one
    row = (None, ids) if model == "seq2seq" else np.r_[words.bos, ids, words.eos]
    kind = noising.Restored if model == "seq2seq" else noising.MaskedWords
    loss, targets = measure.loss_over(made, kind([row], 8192, words, seed=0))
    # all of the text and <eos>; or 30 % of its words, and <bos>
    assert targets == (len(ids) + 1 if model == "seq2seq" else round(0.3 * len(ids)) + 1)
    part = {"loss": round(loss / targets, 4), "tokens": targets}
    part["perplexity"] = round(math.exp(loss / targets), 3)
    assert told["held_out"] == {"both": part, "all": part}
    assert 0.5 * 4 * 96 < told["tokens"] <= 4 * 96


@pytest.mark.parametrize("model", ["encoder", "seq2seq"])
def test_pretraining_starts_from_embeddings(base, tmp_path, monkeypatch, capsys, model):
    """Words and positions are the base's before the first step; another width is one line."""
    started = {}

    def stop(model, *given, **options):
        started.update({name: p.clone() for name, p in model.named_parameters()})
        raise ValueError("seen")

    monkeypatch.setattr(train, "fit", stop)
    path, out = base / "b.safetensors", tmp_path / "e.safetensors"
    words, places = (pretrained.load(path).get_parameter(f"{name}embedding.weight") for name in (
        "", "position_"
    ))  # fmt: skip
    assert pretraining(base, model, out, "--embedding", str(path)) == 2
    body = {"encoder": "body.", "seq2seq": ""}[model]
    assert torch.equal(started[f"{body}embedding.weight"], words)
    found = [p for name, p in started.items() if name.endswith("position_embedding.weight")]
    assert len(found) == {"encoder": 1, "seq2seq": 2}[model]
    assert all(torch.equal(p, places) for p in found)
    capsys.readouterr()
    assert pretraining(base, model, out, "--embedding", str(path), "--context", "40") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "b.safetensors: an embedding of (48, 16), expected (40" in told


@pytest.mark.parametrize("model", ["gpt", "encoder", "seq2seq"])
def test_a_resumed_pretraining_gives_the_same_bits(base, tmp_path, monkeypatch, model):
    """Stopped in its third step and resumed, a run writes the file of one that was not."""
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    monkeypatch.setattr(pretrain, "SAVE_EVERY", 2)
    first = ("--first-data", str(base / "corpus.jsonl"), "--first-steps", "1")
    assert pretraining(base, model, whole, *first) == 0

    def stopping(step, *rest):
        if step == 3:
            raise KeyboardInterrupt
        return schedule(step, *rest)

    schedule = train.schedule
    with monkeypatch.context() as stopped:
        stopped.setattr(train, "schedule", stopping)
        assert pretraining(base, model, cut, *first) == 130
    assert not cut.exists()
    assert pretraining(base, model, cut, *first) == 2  # refused without --resume
    assert pretraining(base, model, cut, *first, "--resume") == 0
    assert cut.read_bytes() == whole.read_bytes()
    assert pretraining(base, model, tmp_path / "c.safetensors", *first, "--seed", "1") == 0
    assert (tmp_path / "c.safetensors").read_bytes() != whole.read_bytes()


@pytest.mark.parametrize("model", ["encoder", "seq2seq"])
def test_marks_are_for_a_gpt(base, tmp_path, capsys, model):
    """What a family has no use for is refused in one line, before the corpus is read."""
    assert pretraining(base, model, tmp_path / "x.safetensors", "--marks") == 2
    told = capsys.readouterr()
    assert f"--marks: expected --model gpt; {model} has a layout" in told.err and not told.out


def test_a_base_to_tell_classes_with(base, tmp_path, capsys):
    """What `pretrain --model encoder` wrote is tuned as any base; its own head is left out."""
    assert pretraining(base, "encoder", tmp_path / "b.safetensors") == 0
    table = tmp_path / "labels.tsv"
    table.write_text("\n".join(f"text number {n}\tclass{n % 2}" for n in range(20)))
    more = ("--kind", "labelled", "--base", str(tmp_path / "b.safetensors"), "--method", "full")
    assert finetune(base, table, tmp_path / "run", *more) == 0
    saved = delta.read(tmp_path / "run").tensors
    assert "head.weight" in saved and not any(name.startswith("dense") for name in saved)


PAIRS = {  # a text, and what it says first and then
    "two lines": ("A long text.\nIts headline", [("A long text.", "Its headline")]),
    "in turn": ("One.\n一。\nTwo.\n二。", [("One.", "一。"), ("Two.", "二。")]),
    "either way": ("One.\n一。\n二。\nTwo.", [("One.", "一。"), ("二。", "Two.")]),
    "asked": (
        "Translate into English: 王琳有三本书。\nWang Lin has three books.\n"
        "翻译成中文：All six of them are at home.\n六个都在家。",
        [
            ("Translate into English: 王琳有三本书。", "Wang Lin has three books."),
            ("翻译成中文：All six of them are at home.", "六个都在家。"),
        ],
    ),
    "by halves": ("One.\nTwo.\n一。\n二。", [("One.\nTwo.", "一。\n二。")]),
    "columns": (
        "sand: 沙\nlight：轻巧\n六 | six",
        [("sand", "沙"), ("light", "轻巧"), ("六", "six")],
    ),
    "one line": ("One. 一。", []),
    "one column": ("sand: 沙\nlight\n六 | six", []),
    "one language": ("One.\nTwo.\nThree.\nFour.", []),
    "three lines": ("One.\n一。\nTwo.", []),
    "mixed": ("One.\nTwo.\n一。\nThree.", []),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_a_text_says_twice(name):
    """Pairs by hand: two lines, two columns, lines in turn or by halves in two languages."""
    text, want = PAIRS[name]
    assert pairs(text) == want


def test_pairs_are_answered_and_restored(base):
    """A text with pairs gives a row to restore and one for each pair that fits."""
    words, options = Tokenizer.load(base / "words.json"), SimpleNamespace(context=20)
    rows = restored_rows("One.\n一。\nTwo.\n二。", words, options)
    assert [(part, source is None) for part, (source, _) in rows] == [
        ("both", True), ("both", True), ("latin to han", False), ("latin to han", False)
    ]  # fmt: skip
    whole = [int(i) for _, (source, target) in rows[:2] for i in target]
    assert words.decode(whole) == "One.\n一。\nTwo.\n二。"
    assert [words.decode(side) for side in rows[2][1]] == ["One.", "一。"]
    long = restored_rows("One.\n" + "一" * 30, words, options)  # a pair, too long to answer
    assert {source is None for _, (source, _) in long} == {True} and len(long) > 2


def test_marks_stand_for_line_breaks(base):
    """About half of the texts of two lines keep their break; <sep> or turns hold the same words."""
    words = Tokenizer.load(base / "words.json")
    texts = [f"one {n}\ntwo {n}" for n in range(400)]
    laid = [layout(text, words, marks=True) for text in texts]
    kinds = Counter(
        "sep" if words.sep in ids else "turns" if words.user in ids else "break" for ids in laid
    )
    assert 160 < kinds["break"] < 240 and 80 < kinds["sep"] < 160 and 40 < kinds["turns"] < 120
    for text, ids in zip(texts, laid, strict=True):
        assert ids[0] == words.bos and ids[-1] == words.eos
        lines = text.split("\n")
        if words.sep in ids:
            assert words.decode(ids[1 : ids.index(words.sep)]) == lines[0]
            assert words.decode(ids[ids.index(words.sep) :]) == lines[1]
        if words.user in ids:
            middle = ids.index(words.assistant)
            assert ids[1] == words.user and ids[middle - 1] == words.eos
            assert (words.decode(ids[:middle]), words.decode(ids[middle:])) == tuple(lines)
        assert layout(text, words, marks=False) == [words.bos, *words.encode(text), words.eos]


def test_a_run_begins_with_the_first_texts():
    """Batches of the first part come before all of the rest, each from its own beginning."""
    turns = InTurn("abc", 2, "xyz")
    assert [turns[i] for i in range(4)] == ["a", "b", "x", "y"] and len(turns) == 3


def test_first_steps_want_their_texts(base, capsys):
    """--first-steps alone is one line that says what is missing."""
    words = ["pretrain", "--data", str(base / "corpus.jsonl"), "--first-steps", "3", "--out", "x"]
    assert main([*words, "--tokenizer", str(base / "words.json"), "--steps", "1"]) == 2
    assert "expected --first-data FILE" in capsys.readouterr().err


def test_a_long_text_is_cut_into_rows_that_miss_no_target():
    """Rows overlap by one token, which is a target once: together they predict each token once."""
    rows = pieces(list(range(50, 73)), 8)
    assert [row.ids for row in rows][0] == tuple(range(50, 58)) and len(rows[-1].ids) > 1
    targets = [w for row in rows for w, learnt in zip(row.ids, row.answer, strict=True) if learnt]
    assert targets == list(range(51, 73)) and max(len(row.ids) for row in rows) == 8


@pytest.mark.parametrize("method", ["lora", "full"])
def test_pairs_from_a_table_with_several_references(base, tmp_path, capsys, method):
    """Meanings are split, not rows; the delta remembers its base; the four metrics run."""
    table = tmp_path / "e2e.csv"
    meanings = [(n, way) for n in range(12) for way in ("is", "is called", "goes by")]
    lines = [f'"name[A{n}], area[city]","In the city the place {way} A{n}."' for n, way in meanings]
    table.write_text("\n".join(["mr,ref", *lines]))
    assert finetune(base, table, tmp_path / "run", "--method", method) == 0
    printed = capsys.readouterr().out
    assert "12 pair records" in printed and "11 to train on, 1 held out" in printed
    assert "held-out loss" in printed and (tmp_path / "run" / "loss.png").stat().st_size > 5000
    held_out = records.read(tmp_path / "run" / "heldout.jsonl")
    assert len(held_out[0].references) == 3
    rows = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["step"] == 6 and "held_out_loss" in json.loads(rows[-1])
    run = ["--delta", str(tmp_path / "run"), "--device", "cpu"]
    for metric, word in (("perplexity", "loss"), ("bleu", "bleu"), ("rouge", "rougeL")):
        words = ["evaluate", *run, "--data", str(table), "--limit", "2", "--tokens", "5"]
        assert main([*words, "--metric", metric]) == 0
        assert word in capsys.readouterr().out
    assert main(["generate", *run, "--prompt", "name[A1]", "--tokens", "5"]) == 0
    assert capsys.readouterr().out.startswith("name[A1]\n  → ")


def test_labels_as_words(base, tmp_path, capsys):
    """A table of labelled texts trains a classifier, whose labels the delta keeps."""
    table = tmp_path / "labels.tsv"
    rows = [f"it was {word} on day {n}\t{label}" for n in range(10)
            for word, label in (("good", "yes"), ("bad", "no"))]  # fmt: skip
    table.write_text("\n".join(rows))
    assert finetune(base, table, tmp_path / "run", "--kind", "labelled") == 0
    saved = delta.read(tmp_path / "run")
    assert json.loads(saved.metadata["labels"]) == ["no", "yes"] and "head.weight" in saved.tensors
    capsys.readouterr()
    words = ["evaluate", "--delta", str(tmp_path / "run"), "--data", str(table), "--kind"]
    assert main([*words, "labelled", "--metric", "accuracy", "--device", "cpu"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main(["generate", "--delta", str(tmp_path / "run"), "--prompt", "x"]) == 2
    assert "classifier, which writes no text" in capsys.readouterr().err


@pytest.fixture(scope="module")
def families(base):
    """A masked language model and a Seq2Seq of the base's vocabulary, as files."""
    size = Tokenizer.load(base / "words.json").vocab_size
    sizes, made = (size, 48, 16, 1, 2), {}
    for model in (MaskedLM(Encoder(EncoderConfig(*sizes))), Seq2Seq(Seq2SeqConfig(*sizes))):
        made[type(model).__name__] = base / f"{type(model).__name__}.safetensors"
        pretrained.save(model, made[type(model).__name__])
    return made


def test_an_encoder_decoder_writes_answers(base, families, tmp_path, capsys):
    """The same table, the same commands: the prompt is read, the answer is written."""
    table, seq2seq = tmp_path / "pairs.jsonl", str(families["Seq2Seq"])
    records.write([records.Pair(f"name {n}", f"this is {n}") for n in range(20)], table)
    assert finetune(base, table, tmp_path / "run", "--base", seq2seq) == 0
    assert "held-out loss" in capsys.readouterr().out
    run = ["--delta", str(tmp_path / "run"), "--device", "cpu"]
    words = ["evaluate", *run, "--data", str(table), "--beams", "2", "--tokens", "5"]
    for metric, word in (("perplexity", "loss"), ("bleu", "bleu")):
        assert main([*words, "--metric", metric]) == 0
        assert word in capsys.readouterr().out
    assert main(["generate", *run, "--prompt", "name 1", "--tokens", "5"]) == 0
    assert capsys.readouterr().out.startswith("name 1\n  → ")
    assert finetune(base, table, tmp_path / "two", "--base", seq2seq, "--packed") == 2
    assert "packed rows have no source and target" in capsys.readouterr().err


def test_an_encoder_tells_classes_and_writes_nothing(base, families, tmp_path, capsys):
    """On labelled texts it trains as a GPT does; text to write is refused in one line."""
    table, encoder = tmp_path / "labels.tsv", str(families["MaskedLM"])
    table.write_text("\n".join(f"text number {n}\tclass{n % 2}" for n in range(20)))
    assert finetune(base, table, tmp_path / "run", "--kind", "labelled", "--base", encoder) == 0
    assert "head.weight" in delta.read(tmp_path / "run").tensors
    capsys.readouterr()
    assert finetune(base, base / "corpus.jsonl", tmp_path / "two", "--base", encoder) == 2
    assert "writes no text; expected a file of labelled texts" in capsys.readouterr().err
    words = ["--base", encoder, "--tokenizer", str(base / "words.json"), "--device", "cpu"]
    assert main(["evaluate", *words, "--data", str(base / "corpus.jsonl")]) == 2
    assert "writes no text has no perplexity" in capsys.readouterr().err
    assert main(["generate", *words, "--prompt", "x", "--tokens", "5"]) == 2
    assert "a MaskedLM writes no text" in capsys.readouterr().err


def test_a_released_bert_wants_its_tokenizer(tmp_path, capsys):
    """Its words are not GPT-2's: nothing is guessed."""
    bert_folder(tmp_path, test_encoder.masked())
    assert main(["generate", "--base", str(tmp_path), "--prompt", "x"]) == 2
    assert "the tokenizer of a BERT or BART is not known" in capsys.readouterr().err


def test_a_class_that_only_the_held_out_part_has(base, tmp_path):
    """The labels are those of all examples: a rare one does not stop the run."""
    table = tmp_path / "labels.tsv"
    table.write_text("\n".join(f"text number {n}\tclass{n}" for n in range(12)))
    assert finetune(base, table, tmp_path / "run", "--kind", "labelled") == 0
    assert len(json.loads(delta.read(tmp_path / "run").metadata["labels"])) == 12


def test_dialogues_and_packed_rows(base, tmp_path, capsys):
    """A chat file trains packed, and its prompt is laid out as a user's turn."""
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    chat = tmp_path / "chat.jsonl"
    chat.write_text("".join(json.dumps({"messages": turns, "n": n}) + "\n" for n in range(8)))
    assert finetune(base, chat, tmp_path / "run", "--packed", "--dev", str(chat)) == 0
    long = ["--prompt", "hi " * 60, "--tokens", "9"]
    assert main(["generate", "--delta", str(tmp_path / "run"), *long]) == 0
    assert "1 prompts cut at their beginning" in capsys.readouterr().out
    assert (
        main(["generate", "--delta", str(tmp_path / "run"), "--prompt", "hi", "--tokens", "9"]) == 0
    )
    assert "hi\n  → " in capsys.readouterr().out


def test_another_base_is_noticed_on_resume(base, tmp_path, capsys):
    """Under full fine-tuning nothing is frozen, and yet a run goes on only from its own base."""
    corpus, other = base / "corpus.jsonl", tmp_path / "other.safetensors"
    assert finetune(base, corpus, tmp_path / "run", "--method", "full") == 0
    model = pretrained.load(base / "b.safetensors")
    model.norm.bias.data += 1
    pretrained.save(model, other)
    words = ("--method", "full", "--base", str(other), "--resume")
    assert finetune(base, corpus, tmp_path / "run", *words) == 2
    assert "cannot resume with other settings: method was" in capsys.readouterr().err


def test_a_rate_of_zero_is_refused(base, tmp_path, capsys):
    """`--lr 0` is not taken for a missing one."""
    assert finetune(base, base / "corpus.jsonl", tmp_path / "run", "--lr", "0") == 2
    assert "expected lr > 0" in capsys.readouterr().err


def test_resume_goes_on_and_a_second_run_is_refused(base, tmp_path, capsys):
    """The same folder twice is refused; with --resume a finished run changes nothing."""
    data = base / "corpus.jsonl"
    assert finetune(base, data, tmp_path / "run") == 0
    before = (tmp_path / "run" / "delta.safetensors").read_bytes()
    held_out = (tmp_path / "run" / "heldout.jsonl").read_bytes()
    assert finetune(base, data, tmp_path / "run", "--seed", "5") == 2
    assert (tmp_path / "run" / "heldout.jsonl").read_bytes() == held_out
    assert "resume it, or choose another folder" in capsys.readouterr().err
    assert finetune(base, data, tmp_path / "run", "--resume") == 0
    assert (tmp_path / "run" / "delta.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["finetune", "--data", "nowhere.csv", "--out", "x"], "nowhere.csv: no such file"),
        (["evaluate", "--data", "nowhere.csv", "--base", "nobase"], "nobase: no such base"),
        (["generate", "--prompt", "x", "--delta", "nodelta"], "delta.safetensors: no such file"),
        (["finetune", "--data", "x", "--out", "x", "--limit", "0"], "--limit 0; expected at least"),
    ],
)
def test_a_mistake_is_one_line(words, message, capsys):
    """Exit code 2 and one line on standard error: the command, the thing, what was expected."""
    assert main(words) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1 and told.startswith(f"minift {words[0]}: ")


def test_two_processes_speak_with_one_voice(base, tmp_path):
    """Under torchrun the lines come once, and the delta is written once."""
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    launch += ["--master-port", str(free_port()), "-m", "minift", "finetune", "--device", "cpu"]
    launch += ["--base", str(base / "b.safetensors"), "--tokenizer", str(base / "words.json")]
    launch += ["--data", str(base / "corpus.jsonl"), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, *launch, "--steps", "2", "--batch", "2"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("held-out loss") == 1
    assert delta.read(tmp_path / "run").method == "lora"


def test_help_of_each_command(capsys):
    """Every command has a help with an example."""
    for name in ("pretrain", "finetune", "generate", "evaluate"):
        with pytest.raises(SystemExit) as caught:
            main([name, "--help"])
        assert caught.value.code == 0 and "example:" in capsys.readouterr().out
