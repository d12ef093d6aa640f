"""`finetune --method …` from end to end: each method on a tiny base of each family."""

import json
import re

import pytest
import torch

from minift import measure, records, train
from minift.__main__ import main, parser
from minift.commands import methods, opening
from minift.models import pretrained
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.gpt import GPT, GPTConfig
from minift.models.masked import MaskedLM
from minift.models.seq2seq import Seq2Seq, Seq2SeqConfig
from minift.peft import adalora, delta
from minift.peft.methods import METHODS
from tests import contract

C, LAYERS, CONTEXT = 16, 2, 48
SIZES = (4096, CONTEXT, C, LAYERS, 2)  # 4096 tokens: the shipped tokenizer's
DATA = {"gpt": "pairs.jsonl", "encoder": "labels.tsv", "seq2seq": "pairs.jsonl"}
NORMS, ADAPTER = (2 * LAYERS + 1) * 2 * C, 2 * C * 64 + 64 + C
# numbers in the file of a GPT's delta; of AdaLoRA's, whose layers end with unlike ranks, triplets
STORED = {
    "full": (4096 + CONTEXT) * C + LAYERS * (12 * C * C + 9 * C) + NORMS,
    "lora": LAYERS * 2 * 8 * (C + C),
    "adapter": LAYERS * 2 * ADAPTER + NORMS,
    "prefix": 10 * 2 * LAYERS * C,
    "bitfit": LAYERS * 9 * C + NORMS // 2,
    "adalora": 8 * 6 * LAYERS,
    "unipelt": LAYERS * (10 * 2 * C + 2 * 8 * (C + C) + 2 * C * 48 + 48 + C + 4 * (C + 1)),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """A folder with a base of each family and two files of examples."""
    folder = tmp_path_factory.mktemp("bases")
    torch.manual_seed(0)
    for family, model in (
        ("gpt", GPT(GPTConfig(*SIZES))),
        ("encoder", MaskedLM(Encoder(EncoderConfig(*SIZES)))),
        ("seq2seq", Seq2Seq(Seq2SeqConfig(*SIZES))),
    ):
        pretrained.save(contract.lively(model), folder / f"{family}.safetensors")
    pairs = [records.Pair(f"name {n}", f"this is {n}") for n in range(30)]
    records.write(pairs, folder / "pairs.jsonl")
    rows = [f"{('good', 'bad')[n % 2]} day {n}\t{n % 2}" for n in range(30)]
    (folder / "labels.tsv").write_text("\n".join(rows))
    return folder


def finetune(bases, out, *more, family="gpt", data=None, steps=6):
    """Run `finetune` on a base; a rate so high that each method shows."""
    words = ["finetune", "--base", str(bases / f"{family}.safetensors"), "--out", str(out)]
    words += ["--data", str(bases / (data or DATA[family])), "--device", "cpu", "--batch", "4"]
    return main([*words, "--steps", str(steps), "--lr", "0.05", *more])


def opened(out):
    """The model with the delta as `evaluate` opens it, and its loss on what was held out."""
    words = ["evaluate", "--delta", str(out), "--data", str(out / "heldout.jsonl")]
    options = parser().parse_args(words)
    model, tokenizer, _, labels = opening.open_delta(options)
    examples = opening.read(options.data, options)
    encoded = opening.encode_and_tell(examples, tokenizer, opening.longest(model), labels or None)
    return model, measure.mean_loss(model, encoded, tokenizer.pad)


def refusal(capsys):
    """The one line on standard error."""
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith("minift finetune: ")
    return told


@pytest.mark.parametrize("family", DATA)
@pytest.mark.parametrize("method", methods.LEARNING_RATE)
def test_a_method_trains_and_comes_back_from_its_file(bases, tmp_path, capsys, method, family):
    """What the file gives is what was trained: the held-out loss is that of the training's end."""
    assert finetune(bases, tmp_path, "--method", method, family=family) == 0
    found = re.search(r"held-out loss (\S+) before, (\S+) after 6", capsys.readouterr().out)
    before, after = map(float, found.groups())
    model, loss = opened(tmp_path)
    assert model.delta.method == method and abs(before - after) > 0.01
    assert loss == pytest.approx(after, abs=2e-4)
    half = (bases / f"{family}.safetensors").stat().st_size / 2
    assert ((tmp_path / "delta.safetensors").stat().st_size < half) == (method != "full")
    words = ["evaluate", "--delta", str(tmp_path), "--data", str(tmp_path / "heldout.jsonl")]
    capsys.readouterr()
    if family == "encoder":
        assert main([*words, "--metric", "accuracy", "--device", "cpu"]) == 0
        assert "accuracy" in capsys.readouterr().out
        return
    assert main([*words, "--device", "cpu"]) == 0
    assert f"\nloss {loss:.4g}  perplexity" in capsys.readouterr().out
    words = ["generate", "--delta", str(tmp_path), "--prompt", "name 1", "--tokens", "5"]
    assert main([*words, "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("name 1\n  → ")


@pytest.mark.parametrize("method", methods.LEARNING_RATE)
def test_a_file_holds_what_the_task_owns_alone(bases, tmp_path, method):
    """The numbers in a GPT's file are the formula's: no base, no network, no dead triplet."""
    assert finetune(bases, tmp_path, "--method", method, steps=2) == 0
    tensors = delta.read(tmp_path).tensors
    if method == "adalora":
        tensors = {name: t for name, t in tensors.items() if name.endswith(".lam")}
    assert sum(t.numel() for t in tensors.values()) == STORED[method]


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("lora --rank 3 --alpha 6 --targets up_proj --dropout 0.5 --init kaiming",
         {"rank": 3, "alpha": 6, "targets": ["up_proj"], "dropout": 0.5, "init": "kaiming"}),
        ("adapter --bottleneck 5 --placement pfeiffer --activation relu --no-train-layernorm",
         {"bottleneck": 5, "placement": "pfeiffer", "activation": "relu", "init_std": 1e-2,
          "train_layernorm": False}),
        ("prefix --length 3 --hidden 5 --no-reparameterize",
         {"length": 3, "hidden": 5, "reparameterize": False}),
        ("bitfit --only q_proj,attention.v_proj", {"only": ["q_proj", "attention.v_proj"]}),
        ("adalora --rank 3 --target-rank 2 --t-i 1 --t-f 4 --every 2 --targets v_proj",
         {"rank": 3, "target_rank": 2, "alpha": 16, "total": 7, "t_i": 1, "t_f": 4, "every": 2,
          "targets": ["v_proj"], "dropout": 0.0, "beta1": 0.85, "beta2": 0.85}),
        ("unipelt --length 3 --rank 2 --bottleneck 5 --hidden 4 --no-masked",
         {"length": 3, "rank": 2, "bottleneck": 5, "hidden": 4, "reparameterize": False,
          "activation": "relu", "masked": False}),
    ],
)  # fmt: skip
def test_options_reach_the_method(bases, tmp_path, words, arguments):
    """What the command line says is what the file says of the method."""
    assert finetune(bases, tmp_path, "--method", *words.split(), steps=7) == 0
    found = delta.read(tmp_path).arguments
    ranks = found.pop("ranks", {})
    assert found == arguments
    assert words.startswith("adalora") == (sum(ranks.values()) == 2 * LAYERS)


def test_adalora_is_planned_for_the_steps_there_are(bases, tmp_path):
    """Without --t-i and --t-f: a tenth of the steps before, half of them after the choices."""
    assert finetune(bases, tmp_path, "--method", "adalora", steps=21) == 0
    plan = delta.read(tmp_path).arguments
    assert (plan["total"], plan["t_i"], plan["t_f"]) == (21, 2, 10)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lora --bottleneck 8", "--bottleneck is no option of lora, but of adapter"),
        ("prefix --rank 2", "--rank is no option of prefix, but of lora and adalora"),
        ("bitfit --no-reparameterize", "--no-reparameterize is no option of bitfit, but of prefix"),
        ("full --gamma 0", "--gamma is no option of full, but of adalora"),
        ("lora --t-i 3", "--t-i is no option of lora, but of adalora"),
    ],
)
def test_an_option_of_another_method_is_refused(bases, tmp_path, capsys, words, message):
    """One line that says whose it is, before a file is read or written."""
    out = tmp_path / "run"
    assert finetune(bases, out, "--method", *words.split(), data="nowhere.csv") == 2
    assert message in refusal(capsys) and not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lora --targets nothing", "target nothing matches no linear layer"),
        ("adapter --placement anywhere", 'placement "anywhere"; expected houlsby or pfeiffer'),
        ("bitfit --only embedding", "embedding names no layer with a bias"),
        ("adalora --rank 4", "rank 4, target_rank 8; expected"),
        ("adalora --t-i 5", "total 6, t_i 5, t_f 3: no step is left"),
        ("prefix --length 0", "length 0"),
        ("prefix --length 47", "a prefix of 47 slots leaves no room in a context of 48"),
    ],
)
def test_a_value_out_of_place_is_refused(bases, tmp_path, capsys, words, message):
    """What the method itself refuses is one line, too."""
    assert finetune(bases, tmp_path / "run", "--method", *words.split()) == 2
    assert message in refusal(capsys) and not (tmp_path / "run").exists()


def test_each_method_has_its_rate_and_adalora_its_term(bases, tmp_path, monkeypatch):
    """`train.fit` gets the method's own rate, or --lr, and for AdaLoRA γ R and the choice."""
    told = []

    def fit(model, *_, **options):
        told.append((model, options))
        raise ValueError("seen")

    monkeypatch.setattr(train, "fit", fit)
    base = ["finetune", "--base", str(bases / "gpt.safetensors"), "--device", "cpu"]
    base += ["--data", str(bases / "pairs.jsonl"), "--out", str(tmp_path)]
    assert methods.LEARNING_RATE.keys() <= METHODS.keys()
    for method, rate in methods.LEARNING_RATE.items():
        assert main([*base, "--method", method]) == main([*base, "--lr", "2"]) == 2
        assert [options["lr"] for _, options in told[-2:]] == [rate, 2]
        assert ("penalty" in told[-2][1]) == (method == "adalora")
    assert main([*base, "--method", "adalora", "--gamma", "0.25"]) == 2
    model, options = told[-1]
    assert options["after_step"] is adalora.allocate
    assert options["penalty"](model).item() == 0.25 * adalora.orthogonality(model).item() > 0


def stop_at(step, monkeypatch):
    """Ctrl-C in the middle of a step."""
    real, count = train.clip_gradients, []

    def clip(*arguments):
        count.append(None)
        if len(count) == step:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(train, "clip_gradients", clip)


MORE = {  # the last choice of triplets falls behind the checkpoint of step 25
    "adalora": ("--t-f", "2", "--rank", "4", "--target-rank", "2"),
    "prefix": ("--hidden", "8"),
    "lora": ("--dropout", "0.2"),
}


@pytest.mark.parametrize("method", methods.LEARNING_RATE)
def test_a_stopped_run_goes_on_with_the_same_bits(bases, tmp_path, capsys, monkeypatch, method):
    """Stopped after its checkpoint of step 25 and resumed, a run writes the same file."""
    words = ("--method", method, *MORE.get(method, ()))
    assert finetune(bases, tmp_path / "whole", *words, steps=31) == 0
    with monkeypatch.context() as patch:
        stop_at(28, patch)
        assert finetune(bases, tmp_path / "cut", *words, steps=31) == 130
    assert not (tmp_path / "cut" / "delta.safetensors").exists()
    capsys.readouterr()
    assert finetune(bases, tmp_path / "cut", *words, "--resume", steps=31) == 0
    files = [tmp_path / name / "delta.safetensors" for name in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()
    steps = [json.loads(r)["step"] for r in (tmp_path / "cut" / "log.jsonl").open()]
    assert steps == sorted(set(steps)) and steps[-1] == 31


def test_a_run_goes_on_only_with_its_own_method(bases, tmp_path, capsys):
    """Neither γ nor α is in the model's shapes, and yet another one is noticed."""
    run, words = tmp_path / "run", ("--method", "adalora", "--t-i", "0")
    assert finetune(bases, run, *words) == 0
    before = (run / "delta.safetensors").read_bytes()
    for more, message in (
        (("--method", "lora"), "method was adalora, is lora"),
        ((*words, "--gamma", "0.3"), "gamma was 0.1, is 0.3;"),
        ((*words, "--alpha", "8"), "alpha was 16, is 8.0;"),
    ):
        assert finetune(bases, run, *more, "--resume") == 2
        assert f"cannot resume with other settings: {message}" in refusal(capsys)
    assert finetune(bases, run, *words, "--gamma", "0.1", "--resume") == 0
    assert (run / "delta.safetensors").read_bytes() == before


@pytest.mark.parametrize("data", ["pairs.jsonl", "labels.tsv"])
def test_a_prefix_leaves_less_room_for_a_text(bases, tmp_path, capsys, data):
    """A GPT counts its prefix among its positions: texts are cut to what is left, as is said."""
    words = ("--method", "prefix", "--length", "40")
    assert finetune(bases, tmp_path, *words, data=data, steps=2) == 0
    model, _ = opened(tmp_path)
    assert opening.longest(model) == CONTEXT - 40
    assert "context 8:" in capsys.readouterr().out or data == "labels.tsv"
    if data == "labels.tsv":
        words = ["evaluate", "--delta", str(tmp_path), "--data", str(bases / data)]
        assert main([*words, "--metric", "accuracy", "--device", "cpu"]) == 0
        return
    words = ["generate", "--delta", str(tmp_path), "--prompt", "name " * 30, "--tokens", "3"]
    assert main([*words, "--device", "cpu"]) == 0
    assert "context 8: 1 prompts cut at their beginning" in capsys.readouterr().out


def test_gates_and_packed_rows_are_refused_at_once(bases, tmp_path, capsys):
    """UniPELT's gates belong to a text, so `--packed` is refused before anything is trained."""
    assert finetune(bases, tmp_path, "--method", "unipelt", "--packed") == 2
    assert "share unipelt's gates" in refusal(capsys)
