"""What every fine-tuning method must hold to, whatever it does inside.

    CASE = contract.Case(lora.add_lora, {"rank": 3, "alpha": 6}, count=…, zero=("A",))

    @contract.each(CASE, contract.MODELS)
    def test_contract(case, point):
        point(case)

Each point is one property; its words say what broke. The first eight are the spec's, then what a
model that writes adds: no token sees its future, padding and the order of a batch change nothing,
decoding with a cache gives what decoding without one gives. `Case.on(name)` is the same method on
another model; `points(case)` are those that its model can be held to.

For a Seq2Seq, `ids` are the source, and the target is the same for every test (`TARGET`), except
where a point is about the target.
"""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from minift.batching import Batch
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.generate import generate
from minift.models.gpt import GPT, GPTConfig
from minift.models.heads import TextClassifier
from minift.models.masked import MaskedLM
from minift.models.seq2seq import Seq2Seq, Seq2SeqConfig
from minift.peft import delta, inject
from tests.compare import close, hold, hold_bits, hold_refusal

VOCABULARY, CONTEXT, T = 23, 24, 7
SIZES = (VOCABULARY, CONTEXT, 12, 2, 3)  # two layers, width 12 in three heads
ATTENTIONS = {GPT: 2, Encoder: 2, Seq2Seq: 6}  # how many attentions two layers have (a side)


def tiny_gpt(seed=0, dropout=0.0):
    """A GPT of two layers, width 12 in three heads, with weights large enough to matter."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(*SIZES, dropout))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def lively(model):
    """The same for a post-LN model, with positions so large that it writes more than one word."""
    sizes = {"position": 2.0, "norm": 0.1, "embedding": 0.3}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=next((s for part, s in sizes.items() if part in name), 0.2))
            parameter.add_("norm" in name and name.endswith("weight"))
    return model.eval()


def tiny_encoder(seed=0, dropout=0.0):
    """A masked language model on an Encoder of the same size."""
    torch.manual_seed(seed)
    return lively(MaskedLM(Encoder(EncoderConfig(*SIZES, dropout))))


def tiny_seq2seq(seed=0, dropout=0.0):
    """A Seq2Seq of the same size."""
    torch.manual_seed(seed)
    return lively(Seq2Seq(Seq2SeqConfig(*SIZES, dropout)))


def tiny_classifier(seed=0, make=tiny_gpt):
    """A model under a head with two classes."""
    return TextClassifier(make(seed), 2).eval()


MODELS = {"gpt": tiny_gpt, "encoder": tiny_encoder, "seq2seq": tiny_seq2seq}
CLASSIFIERS = {
    "gpt classifier": tiny_classifier,
    "encoder classifier": lambda seed=0: tiny_classifier(seed, tiny_encoder),
    "seq2seq classifier": lambda seed=0: tiny_classifier(seed, tiny_seq2seq),
}
ALL_MODELS = MODELS | CLASSIFIERS


def attentions(model):
    """How many attentions the model has, for the formula of a method that goes into each."""
    return ATTENTIONS[type(inject.body(model))]


@dataclass(frozen=True)
class Case:
    """A method as the contract sees it.

    count   count(model): the closed formula of what trains, without the head
    zero    last parts of the names whose gradient is exactly 0 at the start
    starts  "equal" to the base to the last bit, "near" it, or "elsewhere", as the method says
    writes  writes(name): may this tensor of the base change? (biases, layer norms)
    stored  stored(model): parameters in the file, where it is not what trains
    """

    add: Callable
    options: dict = field(default_factory=dict)
    count: Callable | None = None
    zero: tuple = ()
    starts: str = "equal"
    writes: Callable = staticmethod(lambda name: False)
    stored: Callable | None = None
    model: Callable = tiny_gpt
    merges: bool = True

    def on(self, name):
        """The same method on another model."""
        return replace(self, model=ALL_MODELS[name])

    def make(self):
        """The model with the method added, in eval mode, as it starts."""
        torch.manual_seed(1)
        return self.add(self.model(), **self.options).eval()

    def trained(self):
        """The same, with every trained parameter moved, so that the method has an effect."""
        model = self.make()
        torch.manual_seed(2)
        with torch.no_grad():
            for parameter in inject.trainable_parameters(model).values():
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
        return model


# ---- inputs ----


def tokens(rows=3, t=T, seed=3):
    """ids (b, t)."""
    return torch.randint(1, VOCABULARY, (rows, t), generator=torch.Generator().manual_seed(seed))


TARGET = tokens(rows=1, t=5, seed=6)


def is_seq2seq(model):
    """Whether the model itself, not a classifier on it, is one."""
    return isinstance(model, Seq2Seq)


def batch(model):
    """Ragged rows, with the labels of the model's family (or a class for each row).

    A GPT predicts each next token, a masked language model every second token, a Seq2Seq all
    behind the first three.
    """
    ids, mask = tokens(), torch.arange(T) < torch.tensor([[7], [4], [5]])
    if inject.task_head(model) is not None:
        return Batch(ids * mask, torch.tensor([0, 1, 1]), mask)
    if isinstance(model, MaskedLM):
        return Batch(ids * mask, ids.where(mask & (torch.arange(T) % 2 == 0), -100), mask)
    labels = torch.full_like(ids, -100)
    labels[:, :-1] = ids[:, 1:].where(mask[:, 1:], -100)
    labels[:, : 2 * is_seq2seq(model)] = -100
    return Batch(ids * mask, labels, mask)


def out(model, ids, mask=None, target=None, **call):
    """The model's output without gradients; a Seq2Seq's for each row of ids as its source."""
    with torch.no_grad():
        if not is_seq2seq(model):
            return model(ids, mask=mask, **call)
        target = TARGET.expand(len(ids), -1) if target is None else target
        return model(ids, target, source_mask=mask, **call)


def base_of(model):
    """{name in the plain base: tensor}; a replaced layer is found inside what replaced it."""
    return {name.replace(".frozen.", "."): t for name, t in model.state_dict().items()}


def clone(tensors):
    """A dictionary of tensors, copied."""
    return {name: tensor.clone() for name, tensor in tensors.items()}


def step(model, weight_decay=0.1):
    """One step of AdamW on what trains."""
    parameters = list(inject.trainable_parameters(model).values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=weight_decay)
    model.train()
    model.loss(batch(model)).backward()
    optimizer.step()
    model.zero_grad()
    return model.eval()


def reload(case, model):
    """The file that the model's delta makes, and a fresh base with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = delta.save(model, Path(folder) / "delta.safetensors")
        return path.stat().st_size, delta.read(path), delta.load(case.model(), path).eval()


# ---- the points ----


def frozen_set(case):
    """After a step with weight decay only what the method declares has changed in the base."""
    before = clone(case.model().state_dict())
    after = base_of(step(case.make()))
    head = set(inject.head_parameters(case.model()))
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    stray = sorted(n for n in changed - head if not case.writes(n))
    hold(not stray, f"the step changed {len(stray)} tensors of the base, first {stray[:1]}")


def trained_count(case):
    """What trains, counted, is the closed formula; the head is counted apart."""
    model = case.make()
    head = inject.head_parameters(model)
    trained = {n: p for n, p in inject.trainable_parameters(model).items() if n not in head}
    total = sum(p.numel() for p in trained.values())
    close(total, case.count(model), "trained parameters")
    close(delta.count_parameters(model).trained, total, "count_parameters(model).trained")
    close(delta.count_parameters(model).head, sum(p.numel() for p in head.values()), "head")


def start(case):
    """The first output is the base's, near it or elsewhere, as the method declares."""
    base, first = out(case.model(), tokens()), out(case.make(), tokens())
    if case.starts == "equal":
        return hold_bits(first, base, "first output")
    distance = ((first - base).norm() / base.norm()).item()
    near = case.starts == "near"
    hold(distance > 0 and (distance < 1e-2) == near, f"starts {distance:.2g} from the base")


def gradient_reach(case):
    """After one backward pass each trained parameter has a gradient; the declared ones are 0."""
    model = case.make()
    model.loss(batch(model)).backward()
    for name, parameter in inject.trainable_parameters(model).items():
        hold(parameter.grad is not None, f"{name} gets no gradient")
        zero = name.endswith(case.zero) if case.zero else False
        hold(bool(parameter.grad.any()) != zero, f"the gradient of {name} is 0: {not zero}")


def round_trip(case):
    """The file holds what the task owns and no more; on a fresh base it gives the same bits."""
    model = case.trained()
    size, saved, again = reload(case, model)
    numbers = sum(t.numel() for t in saved.tensors.values())
    head = sum(p.numel() for p in inject.head_parameters(model).values())
    close(numbers, (case.stored or case.count)(model) + head, "numbers in the file")
    names = 4096 + 128 * len(saved.tensors)
    hold(size < 4 * numbers + names, f"the file has {size} bytes for {numbers} numbers")
    hold_bits(out(again, tokens()), out(model, tokens()), "output after save and load")


def padded(ids, count=4):
    """(ids, mask, where the text stands) of rows padded on the right, then on the left."""
    nothing, real = torch.zeros(len(ids), count, dtype=torch.long), torch.ones_like(ids)
    for order, where in ((1, slice(None, ids.shape[1])), (-1, slice(count, None))):
        row, mask = [ids, nothing][::order], [real, nothing][::order]
        yield torch.cat(row, 1), torch.cat(mask, 1).bool(), where


def padding(case):
    """In eval mode a second run gives the same, and padding on either side changes nothing."""
    model, ids = case.trained(), tokens()
    plain, row = out(model, ids), ids[:1]
    hold_bits(out(model, ids), plain, "a second run in eval mode")
    for side, (text, mask, where) in zip(("right", "left"), padded(row), strict=True):
        got = out(model, text, mask)
        if got.dim() == 3 and not is_seq2seq(model):
            got = got[:, where]
        close(got, plain[:1], f"the row padded on the {side}", atol=1e-5)
    for side, (text, mask, where) in zip(("right", "left"), padded(TARGET), strict=True):
        if is_seq2seq(model):
            got = out(model, row, target=text, target_mask=mask)[:, where]
            close(got, plain[:1], f"the target padded on the {side}", atol=1e-5)


def merging(case):
    """Merged weights give the same output and merge once; else merging is refused."""
    model = case.trained()
    expected = out(model, tokens())
    if not case.merges:
        return hold_refusal(lambda: delta.merge(model), ("cannot be merged",), "merge")
    plain = delta.merge(model)
    same = set(plain.state_dict()) == set(case.model().state_dict())
    hold(same, "the merged model does not have the plain base's tensors")
    close(out(plain, tokens()), expected, "output of the merged model", atol=1e-5)
    hold_refusal(lambda: delta.merge(plain), ("carries no method",), "a second merge")


def optimiser_membership(case):
    """What trains is there before the first forward pass: nothing is made later."""
    model = case.make()
    early = set(map(id, inject.trainable_parameters(model).values()))
    step(model)
    late = inject.trainable_parameters(model)
    new = [name for name, parameter in late.items() if id(parameter) not in early]
    hold(not new and len(late) == len(early), f"made after the optimiser: {new[:1]}")


def causality(case):
    """No token sees its future: other words on the right leave the left as it was."""
    model, ids = case.trained(), tokens()
    read = (lambda words: out(model, ids, target=words)) if is_seq2seq(model) else None
    read = read or (lambda words: out(model, words))
    plain = read(ids)
    for t in range(1, T):
        other = ids.clone()
        other[:, t:] = tokens(seed=4)[:, t:]
        close(read(other)[:, :t], plain[:, :t], f"before position {t}", atol=1e-5)


def batch_order(case):
    """A row gives what it gives in another order, and what it gives alone."""
    model, ids = case.trained(), tokens()
    plain, order = out(model, ids), torch.tensor([2, 0, 1])
    close(out(model, ids[order]), plain[order], "the rows in another order", atol=1e-5)
    close(out(model, ids[1:2]), plain[1:2], "a row alone", atol=1e-5)


def cached_decoding(case):
    """Token by token with a cache the hidden states are those of the whole text at once."""
    model, ids = case.trained(), tokens()

    def hidden(words, first=True, **call):
        source = (ids if first else None,) if is_seq2seq(model) else ()
        return model.hidden(*source, words, **call)

    with torch.no_grad():
        whole, cache = hidden(ids), model.new_cache(T)
        parts = [hidden(ids[:, :3], cache=cache)]
        parts += [hidden(ids[:, t : t + 1], first=False, cache=cache) for t in range(3, T)]
    close(torch.cat(parts, 1), whole, "hidden states with a cache", atol=1e-5)


def slow_greedy(model, prompt, steps=4):
    """The new tokens, one at a time, from the whole text each time; a GPT is told its prompt."""
    text = [model.config.start] if is_seq2seq(model) else list(prompt)
    start = len(text)
    for _ in range(steps):
        ids = torch.tensor([prompt if is_seq2seq(model) else text])
        call = {} if is_seq2seq(model) else {"pool": torch.arange(len(text))[None] < start}
        text.append(int(out(model, ids, target=torch.tensor([text]), **call)[0, -1].argmax()))
    return text[start:]


def greedy_decoding(case):
    """`generate`, prompts of unequal length in one batch: the tokens of the slow way."""
    model = case.trained()
    prompts = [tokens()[0, :3].tolist(), tokens()[1, :5].tolist()]
    expected = [slow_greedy(model, prompt) for prompt in prompts]
    got = generate(model, prompts, 4)
    hold(got == expected, f"generate gave {got}, one token at a time without cache {expected}")


def off_and_back(case):
    """Inside `off` the base's own bits, after it the method's, and after `remove` the base's."""
    base, model = out(case.model(), tokens()), case.trained()
    if inject.head_parameters(model):
        return hold(True, "a head is the task's, so that the base's scores are no yardstick")
    changed = out(model, tokens())
    hold(not torch.equal(base, changed), "the trained method changes nothing")
    with delta.off(model):
        hold_bits(out(model, tokens()), base, "output inside off")
    hold_bits(out(model, tokens()), changed, "output after off")
    hold_bits(out(delta.remove(model), tokens()), base, "output after remove")
    hold(set(model.state_dict()) == set(case.model().state_dict()), "remove leaves tensors behind")


def swapping(case):
    """Another task's delta on the same base gives that task's bits, and the first comes back."""
    one, two = case.trained(), case.trained()
    with torch.no_grad():
        for parameter in inject.trainable_parameters(two).values():
            parameter.mul_(0.5)
    first, second = out(one, tokens()), out(two, tokens())
    hold(not torch.equal(first, second), "two deltas give the same output")
    saved_one, saved_two = reload(case, one)[1], reload(case, two)[1]
    hold_bits(out(delta.swap(one, saved_two), tokens()), second, "output after swap")
    hold_bits(out(delta.swap(one, saved_one), tokens()), first, "output after swapping back")


def modes(case):
    """`train()` and `eval()` never change a weight."""
    model = case.trained()
    before = clone(model.state_dict())
    for _ in range(2):
        model.train()
        model.eval()
    after = model.state_dict()
    changed = [n for n in before if not torch.equal(before[n], after[n])]
    hold(before.keys() == after.keys() and not changed, f"train() and eval() changed {changed[:1]}")


def recomputing(case):
    """Activation checkpointing gives the same gradients, though the base is frozen."""
    gradients = []
    for switch in (False, True):
        model = copy.deepcopy(case.trained()).train()
        inject.body(model).checkpoint_activations = switch
        torch.manual_seed(5)
        model.loss(batch(model)).backward()
        gradients.append({n: p.grad for n, p in inject.trainable_parameters(model).items()})
    for name, gradient in gradients[0].items():
        hold(gradients[1][name] is not None, f"{name} gets no gradient with checkpointing")
        close(gradients[1][name], gradient, f"gradient of {name} with checkpointing", atol=1e-5)


ALL = (
    frozen_set, trained_count, start, gradient_reach, round_trip, padding, merging,
    optimiser_membership, batch_order, off_and_back, swapping, modes, recomputing,
)  # fmt: skip
CAUSAL = (causality, cached_decoding, greedy_decoding)


def points(case):
    """The properties that the case must hold to: the causal ones where the model writes."""
    return ALL + CAUSAL * hasattr(case.model(), "advance")


def each(case, names):
    """Parametrizes a test over (case, point): every point on each of the models."""
    cases = [(name, case.on(name)) for name in names]
    pairs = [(name, one, point) for name, one in cases for point in points(one)]
    ids = [f"{name}-{point.__name__}" for name, _, point in pairs]
    return pytest.mark.parametrize(("case", "point"), [pair[1:] for pair in pairs], ids=ids)
