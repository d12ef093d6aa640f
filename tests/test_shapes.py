"""Every shape comment of minift is executed and held to the tensor that its line made."""

import importlib
import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minift import ROOT
from tests.shapes import Source, Trace, bare_forwards, shaping

# unequal, so that no axis can pass for another; c = h * d
B, T, S, H, D, P, V, R, IN, OUT = 2, 5, 7, 3, 4, 6, 17, 8, 11, 13
C = H * D
# the letters that mean one size in all that is run below, however often t and s change
FIXED = {"b": B, "h": H, "d": D, "c": C, "p": P, "v": V, "r": R, "i": IN, "o": OUT, "f": 4 * C}
# where reshaping lines are counted, and the least share of them that carries a comment
COUNTED = ("models", "peft", "quant", "optim", "instruct", "rlhf")
SHARE = 0.8


class Bank:
    """A prefix of P slots as `model.prefix` has it: run once a forward, one `Extra` a layer."""

    def __init__(self, layers):
        self.layers, self.length = layers, P

    def __call__(self, batch, rows):
        from minift.models.attention import Extra

        pair = torch.randn(2, batch, H, P, D)
        bank = [Extra(pair[0], pair[1]) for _ in range(self.layers)]
        return dict.fromkeys(("self", "encoder", "decoder", "cross"), bank)


def small_gpt(vocab_size=V):
    from minift.models.gpt import GPT, GPTConfig

    return GPT(GPTConfig(vocab_size=vocab_size, context=31, d_model=C, n_layers=1, n_heads=H))


def small_encoder(vocab_size=V):
    from minift.models.encoder import Encoder, EncoderConfig

    return Encoder(
        EncoderConfig(vocab_size=vocab_size, context=31, d_model=C, n_layers=1, n_heads=H)
    )


def small_seq2seq():
    from minift.models.seq2seq import Seq2Seq, Seq2SeqConfig

    return Seq2Seq(Seq2SeqConfig(vocab_size=V, context=31, d_model=C, n_layers=1, n_heads=H))


def batch(labels=None):
    ids = torch.randint(V, (B, T))
    mask = torch.arange(T) < torch.tensor([[T], [T - 2]])
    labels = ids.masked_fill(~mask, -100) if labels is None else labels
    return SimpleNamespace(ids=ids, labels=labels, mask=mask, positions=None, documents=None)


def attention(module):
    layer, x = module.MultiHeadAttention(C, H), torch.randn(B, T, C)
    extra = module.Extra(torch.randn(B, H, P, D), torch.randn(B, H, P, D))
    for layer.fused in (True, False):
        layer(x, causal=True)
        crossed = {}
        layer(x, torch.randn(B, S, C), crossed=crossed)
        layer(x, crossed=crossed)
        layer(x, extra=extra, cache=module.Cache(capacity=31))
    documents = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 2, 2]])
    module.visible(T, S, causal=True, mask=torch.ones(B, S, dtype=torch.bool), documents=documents)
    module.visible(T, S, causal=False, mask=torch.ones(B, S, dtype=torch.bool))


def block(module):
    module.PreNormBlock(C, H)(torch.randn(B, T, C))
    module.PostNormBlock(C, H)(torch.randn(B, T, C))
    module.DecoderBlock(C, H)(torch.randn(B, T, C), torch.randn(B, S, C))


def gpt(module):
    model, ids = small_gpt(), torch.randint(V, (B, T))
    model.loss(batch())
    model.summary(ids, mask=batch().mask)
    model(ids, documents=torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 2, 2]]))
    model.prefix = Bank(layers=1)
    with torch.no_grad():
        cache = model.new_cache(T + 1)
        model(ids, mask=batch().mask.flip(1), cache=cache)
        model.advance(ids[:, :1], None, cache, None)


def slots(module):
    ids, mask = torch.randint(V, (B, T)), batch().mask
    module.pick(torch.randn(B, T, C), module.last_real(mask))
    module.first_token(mask, ids)
    module.count_positions(ids, None, 3)
    module.count_positions(ids, None, 0, torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 2, 2]]))
    module.count_positions(ids, module.real_slots(mask, ids, 3), 3)


def stack(module):
    small_encoder()(torch.randint(V, (B, T)))


def encoder(module):
    model, ids = small_encoder(), torch.randint(V, (B, T))
    model.prefix = Bank(layers=1)
    model(ids, mask=batch().mask)
    model.summary(ids, mask=batch().mask)


def masked(module):
    model = module.MaskedLM(small_encoder())
    model(torch.randint(V, (B, T)))
    model.loss(batch())


def seq2seq(module):
    model, source, target = small_seq2seq(), torch.randint(V, (B, S)), torch.randint(V, (B, T))
    mask = torch.arange(S) < torch.tensor([[S], [S - 2]])
    model.prefix = Bank(layers=1)
    model(source, target, source_mask=mask, target_mask=batch().mask)
    model.summary(target, mask=batch().mask)
    model.loss(batch())
    with torch.no_grad():
        cache = model.new_cache(2)
        model.advance(source, mask, cache, None)
        model.advance(target[:, :1], None, cache, None)


def sides(module):
    module.two_sides(batch(), 0)


def heads(module):
    module.TextClassifier(small_gpt(), OUT).loss(batch(labels=torch.tensor([OUT - 1, 0])))
    module.token_loss(small_gpt(), torch.randn(B, T, C), batch().labels)


def beam(module):
    ids = torch.randint(V, (B, T))
    module.beam_search(small_gpt(), ids, None, S, 3, 0, None)


def step(module):
    model = small_gpt()
    module.next_logits(model, torch.randint(V, (B, T)), None, model.new_cache(T), None)


def generate(module):
    prompts = [[1, 2, 3], [4, 5, 6, 7, 8]]
    for settings in ({}, {"temperature": 1.0, "top_k": 4, "top_p": 0.9}, {"beams": 3}):
        module.generate(small_gpt(), prompts, 7, eos=0, **settings)


def pretrained(module):
    from minift.models.masked import MaskedLM

    module.resize_vocabulary(small_gpt(V - 2), V)
    module.resize_vocabulary(MaskedLM(small_encoder(V - 2)), V)


def batching(module):
    examples = [module.Encoded((1,) * n, (True,) * n) for n in (3, 2, 5)]
    module.pad(examples[:B], 0)
    module.pad([module.Encoded((1, 2), (False, False), label=1)] * B, 0)
    module.pack(examples, 7, 0)
    module.Stream(range(31), T, B)[0]


def noising(module):
    from minift.tokenizer import Tokenizer

    ids = torch.arange(272, 272 + T).numpy()
    module.MaskedWords([ids] * B, 2 * B * T, Tokenizer.load())[0]


def adapter(module):
    output, input = torch.randn(B, T, C), torch.randn(B, T, C)
    module.Adapter(C, S)(output, input)


def lora(module):
    layer = module.LoRALinear(nn.Linear(IN, OUT), R, 16)
    layer(torch.randn(B, T, IN))
    module.merge(layer)


def prefix(module):
    model, words = small_seq2seq(), [1] * P
    module.start_as(module.add_prefix(model, P, 5), words, steps=1)
    model(torch.randint(V, (B, S)), torch.randint(V, (B, T)))
    module.of_prompt(small_gpt(), words)(torch.randint(V, (B, T)))


def adalora(module):
    layer = module.AdaLoRALinear(nn.Linear(IN, OUT), R, 16)
    layer(torch.randn(B, T, IN)).sum().backward()
    layer.measure()
    module.best([layer.scores(), layer.scores()], R)
    module.orthogonality(layer)
    module.merge(layer)


def unipelt(module):
    model = module.add_unipelt(small_seq2seq(), length=P, rank=R, bottleneck=11, hidden=5)
    with torch.no_grad():
        cache = model.new_cache(2)
        model.advance(torch.randint(V, (B, S)), None, cache, None)
        model.advance(torch.randint(V, (B, 1)), None, cache, None)
    gpt = module.add_unipelt(small_gpt(), length=P, rank=R, bottleneck=11, hidden=5, masked=False)
    gpt(torch.randint(V, (B, T)))


EXERCISES = {
    "minift/batching.py": batching,
    "minift/models/attention.py": attention,
    "minift/models/block.py": block,
    "minift/models/beam.py": beam,
    "minift/models/encoder.py": encoder,
    "minift/models/generate.py": generate,
    "minift/models/gpt.py": gpt,
    "minift/models/heads.py": heads,
    "minift/models/masked.py": masked,
    "minift/models/pretrained.py": pretrained,
    "minift/models/seq2seq.py": seq2seq,
    "minift/models/slots.py": slots,
    "minift/models/stack.py": stack,
    "minift/models/step.py": step,
    "minift/noising.py": noising,
    "minift/peft/adapter.py": adapter,
    "minift/peft/adalora.py": adalora,
    "minift/peft/lora.py": lora,
    "minift/peft/prefix.py": prefix,
    "minift/peft/unipelt.py": unipelt,
    "minift/sides.py": sides,
}


def sources():
    files = sorted((ROOT / "minift").rglob("*.py"))
    return [Source(path, path.relative_to(ROOT).as_posix()) for path in files]


def run(source, exercise, module, letters=()):
    """Faults of a file that `exercise` runs: comments that lie and comments that never ran."""
    torch.manual_seed(0)
    with Trace([source], letters) as trace:
        exercise(module)
    return trace.faults + trace.unseen(source)


@pytest.mark.parametrize("name", sorted(EXERCISES))
def test_every_shape_comment_is_true(name):
    """Each shape comment of the file is executed and names the shape that its line made."""
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    faults = run(Source(ROOT / name, name), EXERCISES[name], module, FIXED)
    assert not faults, "\n" + "\n".join(faults)


def test_every_file_with_shape_comments_is_run():
    """No shape comment stands in a file that nothing here runs."""
    commented = {source.name for source in sources() if source.comments or source.faults}
    assert not commented - EXERCISES.keys(), "add an exercise for these files"


def test_coverage(capsys):
    """Every forward returns a value with its shape, and nearly all reshaping lines carry one."""
    counted = [source for source in sources() if source.name.split("/")[1] in COUNTED]
    told = [line for source in counted for line in shaping(source)[True]]
    untold = [line for source in counted for line in shaping(source)[False]]
    comments = sum(len(group) for source in sources() for group in source.comments.values())
    share = len(told) / len(told + untold)
    with capsys.disabled():
        print(f"\nshape comments: {comments}, on {share:.0%} of the lines that reshape or multiply")
    bare = [line for source in sources() for line in bare_forwards(source)]
    assert not bare, "\n" + "\n".join(bare)
    assert share >= SHARE, "no shape comment on: " + ", ".join(untold)


HONEST = '''
@dataclass(frozen=True)
class Pair:
    x: object  # (b, t, c)
    mean: object = None  # (b, t), or (b) of rows


class Layer:
    def forward(self, x, heads=3):
        """x (b, t, c) becomes heads."""
        y = x.view(*x.shape[:2], heads, -1).transpose(1, 2)  # (b, h, t, d)   words (and more)
        z = y.transpose(1, 2).flatten(2)  # (b, t, h*d)   (1)
        first, second = (
            y[:, :, :2],
            y[:, :, 2:],
        )  # (b, h, p, d), (b, h, s, d)
        both = cat([part for part in (first, second)], 2)  # (b, h, p+s, d)
        mask = None  # (b, t) or None
        y.mul_(2)  # (b, h, t, d)
        pair = Pair(x, x.mean((1, 2)))
        for n in range(2):
            with_counter = y[n]  # (h, t, d)
        try:
            mask = x @ x  # (b, r)   never made: the line raises
        except RuntimeError:
            mask = x.sum(2)  # (b, t)
        with no_grad():
            return both, x.sum()  # (..., d), ()
'''


def plant(tmp_path, text):
    """A file with this text as (source, module)."""
    path = tmp_path / "planted.py"
    imports = "from dataclasses import dataclass\nfrom torch import cat, no_grad\n\n"
    path.write_text(imports + text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("planted", path)
    sys.modules["planted"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Source(path), module


def forward(module):
    module.Layer().forward(torch.randn(B, T, C))


def test_honest_comments_pass(tmp_path):
    """Tuples, sums, products, several lines, in-place calls, `or`, an early return: all pass."""
    source, module = plant(tmp_path, HONEST)
    assert run(source, forward, module) == ["planted.py:27: (b, r) was never executed"]
    assert not bare_forwards(source)


LIES = {
    "wrong order": ("(b, h, t, d)   words", "(b, t, h, d)   words", "(b, t, h, d), the line made"),
    "wrong rank": (
        "(b, t, h*d)",
        "(b, h*d)",
        ":15: comment says (b, h*d), the line made (2, 5, 12)",
    ),
    "wrong product": ("h*d", "2*d", "comment says (b, t, 2*d), the line made (2, 5, 12)"),
    "a letter taken twice": ("(b, h, p, d), (b, h, s", "(b, h, t, d), (b, h, s", "(2, 3, 2, 4)"),
    "wrong number of values": ("(..., d), ()", "(..., d), (), ()", "3 shapes, the line made 2"),
    "wrong return": ("(..., d), ()", "(..., c), ()", "(..., c), (), the line made"),
    "no tensor": ("(b, t) or None", "(b, t)", "comment says (b, t), the line made None"),
    "in place": (
        "(b, h, t, d)\n        pair",
        "(b, h, t)\n        pair",
        "says (b, h, t), the line",
    ),
    "docstring": (
        "x (b, t, c) becomes",
        "x (b, t, c, c) becomes",
        "docstring says x is (b, t, c, c)",
    ),
    "half a docstring": (
        "x (b, t, c) becomes",
        "x (b, time, c) becomes",
        "docstring: (b, time, c)",
    ),
    "field": ("x: object  # (b, t, c)", "x: object  # (b, t)", ":7: x is said to be (b, t), the"),
    "two unknown": ("(b, t, h*d)", "(b, t, k*m)", "(b, t, k*m) cannot be checked: unknown k and m"),
    "no letter of ours": ("(b, t, h*d)", "(b, t, w)", "(b, t, w) looks like a shape"),
    "half a shape": ("(b, t, h*d)", "(b, time, c)", "(b, time, c) looks like a shape"),
    "no value": ("range(2):", "range(2):  # (b, t)", "(b, t) stands behind no value"),
}


@pytest.mark.parametrize("name", LIES)
def test_planted_lies_are_caught(tmp_path, name):
    """A comment that does not name the shape made is reported: file, line, both shapes."""
    true, lie, words = LIES[name]
    assert HONEST.count(true) == 1
    source, module = plant(tmp_path, HONEST.replace(true, lie))
    faults = run(source, forward, module)
    assert words in faults[0], faults


def test_a_letter_that_is_known_before(tmp_path):
    """Letters that mean one size in the whole run hold where a call shows no other shape."""
    text = "def swap(x):\n    return x.mT  # (b, c, t)\n"
    for lie in ("(b, t, c)", "(c, t, b)"):
        source, module = plant(tmp_path, text.replace("(b, c, t)", lie))
        faults = run(source, lambda module: module.swap(torch.ones(B, T, C)), module, FIXED)
        assert faults and faults[0].startswith(
            f"planted.py:5: comment says {lie}, the line made (2,"
        )
    source, module = plant(tmp_path, text)
    assert not run(source, lambda module: module.swap(torch.ones(B, T, C)), module, FIXED)


def test_a_comment_that_never_runs_is_caught(tmp_path):
    """A comment in a branch that the exercise does not reach is reported."""
    text = "def add(x, twice=False):\n    if twice:\n        x = x + x  # (b, t)\n    return x\n"
    source, module = plant(tmp_path, text)
    faults = run(source, lambda module: module.add(torch.ones(B, T)), module)
    assert faults == ["planted.py:6: (b, t) was never executed"]
    assert not run(source, lambda module: module.add(torch.ones(B, T), True), module)


def test_a_forward_without_a_shape_is_caught(tmp_path):
    """A forward that returns no shape and a reshaping line without a comment are reported."""
    source, _ = plant(
        tmp_path, HONEST.replace("  # (..., d), ()", "").replace("# (b, h, t, d)   ", "# ")
    )
    assert bare_forwards(source) == ["planted.py:31: forward returns a value without its shape"]
    assert shaping(source)[False] == ["planted.py:14"]
    source, _ = plant(
        tmp_path, HONEST.replace("return both, x.sum()  # (..., d), ()", 'return {"x": both}')
    )
    assert not bare_forwards(source)
