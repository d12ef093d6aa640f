"""BitFit: which biases there are, which are named, what trains and comes back (spec: peft §4).

The checks marked `asks` are the homework's; the other tests hold the reference alone.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from minift import train
from minift.models.attention import Extra
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.gpt import GPT, GPTConfig
from minift.models.seq2seq import Seq2Seq
from minift.peft import bitfit, delta, inject
from tests import contract
from tests.answer_check import asks
from tests.compare import close, hold, hold_bits, hold_refusal

REFERENCE = "minift.peft.bitfit"
HOMEWORK = "04_bitfit.py"

ALL = "BitFit trains the biases of the model and the task's head; about 0.1% of the parameters"
SOME = "BitFit trains only the biases, or some of them: in the paper b_q and b_m2"


class Kinds(nn.Module):
    """A layer of each kind that has a bias, and things that only look like a bias."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 7)
        self.norm = nn.LayerNorm(7)
        self.convolution = nn.Conv1d(2, 3, kernel_size=5)
        self.plain = nn.Linear(7, 11, bias=False)
        self.relative_attention_bias = nn.Embedding(13, 2)
        self.masked = nn.Module()
        self.masked.register_buffer("bias", torch.ones(5, 5))


def found(model):
    """`biases(model)`, after a look at what it is."""
    got = bitfit.biases(model)
    hold(isinstance(got, dict), f"biases gives {type(got).__name__}, expected a dictionary")
    whole = [name for name in got if name.endswith(".bias")]
    hold(not whole, f"{whole[:1]} is a parameter's name; expected the name of its layer")
    return got


# ---- 4.1: which biases there are ----

biases_task = {
    "todo": "4.1",
    "chapter": ALL,
    "hint": "Go through the modules, not through the names of parameters: a layer holds its bias "
    "as the attribute `bias`, an nn.Parameter; None where it has none, and a buffer of that name "
    "is no parameter. Begin at inject.body(model): a delta belongs to the base, the head to the "
    "task. Print list(biases(model)).",
}


@asks("biases", **biases_task)
def test_each_kind_of_layer_has_its_bias():
    """The biases of linear layers, layer norms and convolutions are found, the very parameters."""
    model = Kinds()
    got = found(model)
    hold("linear" in got, "the bias of the linear layer is missing")
    hold("norm" in got, "the bias of the layer norm is missing: it has a gain and a bias")
    hold("convolution" in got, "the bias of the convolution is missing: ask for no class of layer")
    for name in ("linear", "norm", "convolution"):
        itself = got[name] is model.get_submodule(name).bias
        hold(itself, f"what you give for {name} is not its bias itself: a copy trains nothing")


@asks("biases", **biases_task, after=test_each_kind_of_layer_has_its_bias)
def test_what_only_looks_like_a_bias_is_none():
    """A table with "bias" in its name, a buffer and a gain are no biases."""
    got = found(Kinds())
    hold("linear" in got, "the linear layer's bias is missing")
    table = any("relative" in name for name in got)
    hold(not table, "relative_attention_bias is a table: go by the attribute, not by its name")
    hold("masked" not in got, "masked.bias is a buffer, a mask as GPT-2 has it: no parameter")
    stray = sorted(got.keys() - {"linear", "norm", "convolution"})
    gain = any("norm" in name for name in stray)
    hold(not gain, "a layer norm's gain is no bias: it is multiplied, not added")
    hold(not stray or stray == ["plain"], f"these have no bias: {', '.join(stray)}")


@asks("biases", **biases_task, after=test_each_kind_of_layer_has_its_bias)
def test_a_layer_without_a_bias_gets_none():
    """A layer that has no bias is left out, and has none afterwards either."""
    model = Kinds()
    got = found(model)
    hold("linear" in got, "the linear layer's bias is missing")
    grown = model.plain.bias is not None
    hold(not grown, "a layer without a bias has got one: the model is another from the start")
    hold("plain" not in got, "plain, a layer without a bias, is in the answer")


@asks("biases", **biases_task, after=test_each_kind_of_layer_has_its_bias)
def test_a_head_is_not_of_the_base():
    """The base under a head has the biases that it has alone, by the same names."""
    want = set(found(contract.tiny_gpt()))
    got = set(found(contract.tiny_classifier()))
    hold(want, "a plain GPT has no bias, you say")
    hold("head" not in got, "the head's bias is among them; the head trains whole, by freeze")
    outside = any(name.startswith("body.") for name in got)
    hold(not outside, "the names begin with body.; a delta's names begin inside of the body")
    hold(got == want, f"under a head: {sorted(got ^ want)[:1]} differs")
    tied = {"", "dense"} & set(found(contract.tiny_encoder()))
    hold(not tied, "a masked language model's tied head is among them; it never trains")


# ---- 4.2: which are named ----

select_task = {
    "todo": "4.2",
    "chapter": SOME,
    "hint": "inject.matches(name, targets) compares whole parts of a name from the right. Ask each "
    "target by itself whether it names a layer: two names, of which one is misspelt, must not "
    "pass. None is not the same as an empty tuple.",
}


def layers():
    """{name: a bias} of made-up layers, among them one that only a whole part tells apart."""
    names = ("attention.q_proj", "cross_attention.q_proj", "feedforward.up_proj", "old_q_proj")
    return {f"blocks.0.{name}": nn.Parameter(torch.zeros(2)) for name in names}


def named(there, only):
    """The names that `select` keeps, which still have their biases."""
    got = bitfit.select(there, only)
    hold(isinstance(got, dict), f"select gives {type(got).__name__}, expected a dictionary")
    hold(all(got[name] is there[name] for name in got), "a name has lost its bias")
    return {name.removeprefix("blocks.0.") for name in got}


@asks("select", **select_task)
def test_none_is_all_of_them():
    """Without names all biases stay; an empty tuple is no such thing."""
    there = layers()
    hold(len(named(there, None)) == 4, "only=None keeps some; expected all")
    hold(not named(there, ()), "only=() keeps all of them; an empty tuple names nothing")


@asks("select", **select_task)
def test_names_are_dotted_suffixes():
    """A name of `only` is compared with whole parts of the layer's name, from the right."""
    got = named(layers(), ("q_proj", "up_proj"))
    hold("old_q_proj" not in got, "old_q_proj is kept: a name is no substring")
    hold("feedforward.up_proj" in got, "up_proj, the second of two names, is not kept")
    want = {"attention.q_proj", "cross_attention.q_proj", "feedforward.up_proj"}
    hold(got == want, f"kept: {sorted(got)}, expected {sorted(want)}")
    got = named(layers(), ("cross_attention.q_proj",))
    hold(got == {"cross_attention.q_proj"}, f"cross_attention.q_proj keeps {sorted(got)}")


@asks("select", **select_task, after=test_names_are_dotted_suffixes)
def test_a_name_that_no_layer_has_is_refused():
    """A misspelt name is an error that says which, and which names there are."""
    there, words = layers(), ("query", "q_proj", "up_proj")
    hold_refusal(lambda: bitfit.select(there, ("query",)), words, "no such layer")
    both = ("q_proj", "query")
    hold_refusal(lambda: bitfit.select(there, both), words, "one right name, one misspelt")


# ---- 4.3: into a model ----

bitfit_task = {
    "todo": "4.3",
    "chapter": ALL,
    "hint": "Choose first, so that a refused call changes nothing; then inject.begin, which "
    "freezes all but the head; then copy the biases, under the names that "
    "inject.body(model).get_parameter understands; then let them train. Print "
    "[n for n, p in model.named_parameters() if p.requires_grad].",
}


def tuned(model, **options):
    """`bitfit(model)`, after a look whether it froze anything."""
    got = bitfit.bitfit(model, **options)
    hold(got is not None, "bitfit returns None, expected the model")
    hold(not inject.body(model).embedding.weight.requires_grad, "nothing is frozen in the model")
    return got


@asks("bitfit", **bitfit_task)
def test_returns_the_model():
    """bitfit works in place and returns the model: a copy would untie tied weights."""
    model = contract.tiny_gpt()
    got = bitfit.bitfit(model)
    hold(got is not None, "bitfit returns None, expected the model")
    hold(got is model, "bitfit returns another model; a copy has its own embedding")
    hold(not model.embedding.weight.requires_grad, "nothing is frozen in the model")


@asks("bitfit", **bitfit_task, after=test_returns_the_model)
def test_only_biases_and_the_head_train():
    """Under a classifier exactly the biases of the base and the whole head train."""
    model = tuned(contract.tiny_classifier())
    got = set(inject.trainable_parameters(model))
    want = {n for n, p in model.named_parameters() if n.startswith("body.") and n[-5:] == ".bias"}
    hold(got & want, "no bias trains: were they frozen with the rest, after you chose them?")
    whole = "head.weight" in got
    hold(whole, "the head's weight does not train; a random head, frozen, caps what is learned")
    gains = sorted(n for n in got if n.startswith("body.") and n.endswith("weight"))
    hold(not gains, f"{gains[:1]} trains: let the bias train, not its whole layer")
    hold(got == want | {"head.weight", "head.bias"}, f"trains or not: {sorted(got ^ want)[:3]}")


@asks("bitfit", **bitfit_task, after=test_only_biases_and_the_head_train)
def test_named_biases_alone_train():
    """With `only` the biases of the named layers train, and no other."""
    got = set(inject.trainable_parameters(tuned(contract.tiny_gpt(), only=bitfit.SUBSET)))
    parts = ("attention.q_proj", "feedforward.up_proj")
    want = {f"blocks.{n}.{part}.bias" for n in range(2) for part in parts}
    hold(got == want, f"`only` does not arrive: {len(got)} biases train, expected {len(want)}")


@asks("bitfit", **bitfit_task, after=test_returns_the_model)
def test_keeps_the_bases_biases():
    """model.delta.originals has a copy of each bias that trains, by its name in the base."""
    model = tuned(contract.tiny_classifier())
    kept, base = model.delta.originals, inject.body(model)
    want = {n: t for n, t in contract.tiny_gpt().state_dict().items() if n.endswith(".bias")}
    hold(kept, "delta.originals is empty: off, swap and remove cannot give the base back")
    strange = sorted(kept.keys() ^ want.keys())
    hold(not strange, f"delta.originals by other names than the base's: {strange[:1]}")
    for name, tensor in kept.items():
        hold_bits(tensor, want[name], f"original of {name}")
        shared = tensor.data_ptr() == base.get_parameter(name).data_ptr()
        hold(not shared, "an original is the bias itself, not a copy: it learns along")


@asks("bitfit", **bitfit_task, after=test_returns_the_model)
def test_starts_as_the_base():
    """The first output is the base's, to the last bit: a bias starts where the base has it."""
    ids = contract.tokens()
    model = tuned(contract.tiny_gpt()).eval()
    hold_bits(contract.out(model, ids), contract.out(contract.tiny_gpt(), ids), "first output")


@asks("bitfit", **bitfit_task, after=test_returns_the_model)
def test_leaves_the_mode():
    """Training mode stays training mode: dropout belongs to the mode, not to what trains."""
    for mode in (True, False):
        model = tuned(contract.tiny_gpt(dropout=0.25).train(mode))
        same = all(module.training == mode for module in model.modules())
        hold(same, "bitfit has changed the mode: a frozen layer drops in training as before")


@asks("bitfit", **bitfit_task, after=test_returns_the_model)
def test_is_recorded_for_the_file():
    """model.delta holds the method and `only`, so that a saved file can add BitFit again."""
    model = tuned(contract.tiny_gpt(), only=("q_proj",))
    record = getattr(model, "delta", None)
    hold(record is not None, "the model does not know that it carries BitFit: inject.begin")
    hold(record.method == "bitfit", f"method {record.method}, expected bitfit")
    got = record.arguments.get("only")
    hold(got and list(got) == ["q_proj"], f"recorded: only={got}, expected ['q_proj']")
    got = tuned(contract.tiny_gpt()).delta.arguments.get("only", ())
    hold(got is None, f"recorded: only={got}, expected None, as it was given")


@asks("bitfit", **bitfit_task, after=test_returns_the_model)
def test_a_refused_call_leaves_the_model_plain():
    """A misspelt name is refused before anything is frozen."""
    model = contract.tiny_gpt()
    hold_refusal(lambda: bitfit.bitfit(model, only=("query",)), ("query",), "only=query")
    plain = getattr(model, "delta", None) is None and model.embedding.weight.requires_grad
    hold(plain, "the refused call has frozen the model: choose before inject.begin")


@asks("bitfit", **bitfit_task, after=test_returns_the_model)
def test_a_model_without_a_bias_is_refused():
    """Where there is nothing to train, as in a LLaMA, an error says so."""
    model = nn.Sequential(nn.Linear(5, 7, bias=False))
    hold_refusal(lambda: bitfit.bitfit(model), ("bias",), "a model without a bias")


@asks("bitfit", **bitfit_task, after=test_is_recorded_for_the_file)
def test_one_method_at_a_time():
    """A model that already carries a method refuses a second one."""
    model = bitfit.bitfit(contract.tiny_gpt())
    again = "bitfit on a model that has it"
    hold_refusal(lambda: bitfit.bitfit(model, only=("q_proj",)), ("already",), again)


# ---- what follows (the reference alone) ----

BASE, LARGE = (30522, 512, 768, 12, 12), (30522, 512, 1024, 24, 16)


@pytest.mark.parametrize(
    ("sizes", "only", "numbers"),
    [
        (BASE, None, 102_912),
        (BASE, bitfit.SUBSET, 46_080),
        (BASE, (*bitfit.SUBSET, "pooler"), 46_848),
        (LARGE, None, 272_384),
        (LARGE, bitfit.SUBSET, 122_880),
    ],
    ids=["base", "base subset", "base, as the released code", "large", "large subset"],
)
def test_counts_of_the_paper(sizes, only, numbers):
    """BERT has l(7c + f) + 2c biases, and l(c + f) in the subset, on models without memory."""
    with torch.device("meta"):
        model = Encoder(EncoderConfig(*sizes))
    chosen = bitfit.select(bitfit.biases(model), only)
    _, _, c, layers, _ = sizes
    formula = layers * 5 * c if only else layers * 11 * c + 2 * c
    close(formula + c * (only is not None and "pooler" in only), numbers, "the formula")
    close(sum(bias.numel() for bias in chosen.values()), numbers, "biases")


def test_the_share_of_gpt2():
    """GPT-2 small has l(7c + f) + c biases: 0.08% of its parameters."""
    with torch.device("meta"):
        model = GPT(GPTConfig(50257, 1024, 768, 12, 12))
    numbers = sum(bias.numel() for bias in bitfit.biases(model).values())
    assert numbers == 12 * 11 * 768 + 768
    close(numbers / sum(p.numel() for p in model.parameters()), 0.00082, "share", rtol=0.01)


def test_the_subset_is_the_papers():
    """b_q and b_m2: m2 is the MLP's first layer, from c to f = 4c; m3 goes back to c."""
    chosen = bitfit.select(bitfit.biases(contract.tiny_gpt()), bitfit.SUBSET)
    sizes = {name.rpartition(".")[2]: len(bias) for name, bias in chosen.items()}
    assert sizes == {"q_proj": 12, "up_proj": 48}


def test_the_head_is_counted_apart():
    """Biases and head are two numbers: the head may well have more than the method."""
    count = delta.count_parameters(bitfit.bitfit(contract.tiny_classifier()))
    together = "the head is counted with the biases: quote both numbers, each by itself"
    close(count.trained, 276, "trained", slips=[(together, 276 + 26)])
    close(count.head, 26, "head")
    close(count.stored, 276, "stored")
    close(count.share, 276 / sum(p.numel() for p in contract.tiny_gpt().parameters()), "share")


def test_no_weight_decay_on_biases():
    """The loop's optimiser never decays a bias: decay would pull it to 0, not to the base's."""
    decayed, _ = train.groups(bitfit.bitfit(contract.tiny_classifier()), 0.1)
    shapes = [tuple(p.shape) for p in decayed["params"]]
    hold(shapes == [(2, 12)], f"weight decay falls on {shapes}, expected the head's weight alone")
    for group in train.groups(bitfit.bitfit(contract.tiny_gpt()), 0.1):
        numbers = sum(p.numel() for p in group["params"])
        decay = group["weight_decay"]
        hold(not numbers or decay == 0, f"weight decay {decay} falls on {numbers} biases")


def test_a_masked_models_tied_head_never_trains():
    """Its bias and its layers belong to the base, outside of what a delta knows."""
    names = inject.trainable_parameters(bitfit.bitfit(contract.tiny_encoder()))
    assert names and all(name.startswith("body.") for name in names)


def test_an_empty_choice_is_refused():
    """`only=()` would train nothing, so it is refused; the head alone is not BitFit."""
    model = contract.tiny_classifier()
    hold_refusal(lambda: bitfit.bitfit(model, only=()), ("no bias",), "only=()")


def test_one_step_reaches_the_best_bias_of_a_linear_model():
    """Under a mean square error the best b is mean(y − W x); gradient 2 (b − b*), so lr ½ is it."""
    torch.manual_seed(4)
    model, x, y = nn.Sequential(nn.Linear(5, 3)), torch.randn(11, 5), torch.randn(11, 3)
    optimizer = torch.optim.SGD(bitfit.bitfit(model).parameters(), lr=0.5)
    (model(x) - y).square().sum(1).mean().backward()
    optimizer.step()
    weight = model[0].weight.tolist()
    rest = [
        sum(y[n, o] - sum(w * x[n, i] for i, w in enumerate(row)) for n in range(11)) / 11
        for o, row in enumerate(weight)
    ]
    close(model[0].bias, torch.tensor(rest), "b", atol=1e-5)


# ---- b_k, which learns nothing ----


def exact(name):
    """A model in float64, in which rounding is too small to pass for a gradient."""
    return bitfit.bitfit(contract.ALL_MODELS[name]().double())


def gradients(model, part):
    """The largest gradient of the biases of that name."""
    layers = bitfit.select(bitfit.biases(model), (part,)).values()
    return max(bias.grad.abs().max().item() for bias in layers)


@pytest.mark.parametrize("name", contract.ALL_MODELS)
def test_softmax_ignores_b_k(name):
    """b_k has no gradient, under padding and a causal mask too, and can be anything."""
    model = exact(name)
    model.loss(contract.batch(model)).backward()
    rounding = 1e-12 * gradients(model, "q_proj")
    close(gradients(model, "k_proj"), 0.0, "gradient of b_k", atol=rounding)
    before = contract.out(model, contract.tokens())
    with torch.no_grad():
        for bias in bitfit.select(bitfit.biases(model), ("k_proj",)).values():
            bias.normal_(std=3)
    close(contract.out(model, contract.tokens()), before, "output", rtol=1e-9, atol=1e-9)


class Bank:
    """A prefix of three slots whose keys and values are what they are, without a bias."""

    length = 3

    def __call__(self, batch, rows):
        torch.manual_seed(7)
        slot = torch.randn(2, batch, 3, 3, 4, dtype=torch.float64)
        return {"self": [Extra(slot[0], slot[1])] * 2}


def test_beside_a_prefix_b_k_learns():
    """A prefix's keys lack b_k, so that it is no longer added to all scores alike."""
    model = exact("gpt")
    model.prefix = Bank()
    model.loss(contract.batch(model)).backward()
    assert gradients(model, "k_proj") > 1e-2 * gradients(model, "q_proj")


def test_adam_makes_b_k_drift():
    """In float32 b_k's gradient is rounding; Adam makes steps of it, which no output shows."""
    model = bitfit.bitfit(contract.tiny_gpt())
    for _ in range(20):
        contract.step(model, weight_decay=0.0)
    chosen, base = bitfit.biases(model), model.delta.originals
    way = {
        part: torch.stack([
            (bias - base[f"{name}.bias"]).abs().mean()
            for name, bias in bitfit.select(chosen, (part,)).items()
        ]).mean().item()
        for part in ("q_proj", "k_proj")
    }  # fmt: skip
    assert 0 < way["k_proj"] < 0.25 * way["q_proj"], way
    moved = contract.out(model, contract.tokens())
    with torch.no_grad():
        for name, bias in bitfit.select(chosen, ("k_proj",)).items():
            bias.copy_(base[f"{name}.bias"])
    close(contract.out(model, contract.tokens()), moved, "output without the drift", atol=1e-5)


# ---- what a task owns ----


def test_merging_leaves_the_bits():
    """The trained biases are the base's own by now: the same output, to the last bit."""
    model = CASE.trained()
    want, layer = contract.out(model, contract.tokens()), model.blocks[0].attention.q_proj
    plain = delta.merge(model)
    hold_bits(contract.out(plain, contract.tokens()), want, "output of the merged model")
    assert plain is model and plain.delta is None and bitfit.merge(layer) is layer
    assert all(p.requires_grad for p in plain.parameters())


def test_an_optimiser_goes_on_after_off_and_swap():
    """Biases are written in place: the parameters stay those that an optimiser holds."""
    model = CASE.trained()
    before = {name: id(p) for name, p in inject.trainable_parameters(model).items()}
    _, saved, _ = contract.reload(CASE, CASE.trained())
    with delta.off(model):
        pass
    delta.swap(model, saved)
    assert {name: id(p) for name, p in inject.trainable_parameters(model).items()} == before


def count(model):
    """Biases by hand, width 12: 11c a block (16c where it looks at a memory), norms, a pooler."""
    c = 12
    whole = {GPT: 2 * 11 * c + c, Encoder: 2 * 11 * c + 2 * c, Seq2Seq: 2 * (11 + 16) * c + 2 * c}
    return whole[type(inject.body(model))] - c * (model.delta.arguments["only"] is not None)


def reach(case):
    """The contract's gradient_reach, where b_k's gradient is rounding instead of 0."""
    model = case.make()
    model.loss(contract.batch(model)).backward()
    for name, parameter in inject.trainable_parameters(model).items():
        hold(parameter.grad is not None, f"{name} gets no gradient")
        least = 1e-5 * gradients(model, "q_proj")
        rounding = parameter.grad.abs().max().item() < least
        hold(rounding == ("k_proj" in name), f"the gradient of {name} is rounding: {rounding}")


CASE = contract.Case(bitfit.bitfit, count=count, writes=lambda name: name.endswith("bias"))
# only a classifier reads the pooler: all other layers, by name
READ = (*bitfit.SUBSET, "k_proj", "v_proj", "out_proj", "down_proj", "norm", "norm1", "norm2")
MASKED = replace(CASE, options={"only": READ})


@contract.each(CASE, [name for name in contract.ALL_MODELS if name != "encoder"])
def test_contract(case, point):
    """BitFit holds to what every method must, on each model and under a classifier's head."""
    assert point.__doc__
    (reach if point is contract.gradient_reach else point)(case)


@contract.each(MASKED, ["encoder"])
def test_contract_of_a_masked_model(case, point):
    """The same with names, on a model that does not read its pooler."""
    assert point.__doc__
    (reach if point is contract.gradient_reach else point)(case)
