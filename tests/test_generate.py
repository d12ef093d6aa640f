"""Decoding: greedy, sampling and beam search, with a cache and with prompts of unequal length."""

import itertools

import pytest
import torch
from torch import nn

from minift.models.attention import Extra
from minift.models.generate import generate, generate_many, restrict
from minift.models.step import SMALL, threads_for
from tests.test_encoder import masked
from tests.test_gpt import CONFIG, model

PROMPTS = [[5, 6, 7], [1, 2, 3, 4, 5, 6, 7, 8], [9], [11, 3]]


def slow_greedy(gpt, prompt, steps, eos=None):
    """The whole text through the model for every new token: the specification."""
    text = list(prompt)
    for _ in range(steps):
        token = int(gpt(torch.tensor([text]))[0, -1].argmax())
        if token == eos:
            break
        text.append(token)
    return text[len(prompt) :]


def test_greedy_is_the_argmax_of_the_whole_pass():
    """A batch of unequal prompts gives, row by row, what the slow loop gives."""
    gpt = model()
    assert generate(gpt, PROMPTS, 12) == [slow_greedy(gpt, p, 12) for p in PROMPTS]


def test_many_prompts_come_back_in_their_order():
    """Batches of like length change no answer and no order; each batch is told."""
    gpt, done = model(), []
    many = generate_many(gpt, PROMPTS * 3, 6, size=5, after_batch=done.append)
    assert many == [generate(gpt, [p], 6)[0] for p in PROMPTS] * 3 and done == [5, 10, 12]


class Users(nn.Module):
    """A prefix of two slots for each of the users."""

    length = 2

    def __init__(self, users):
        super().__init__()
        self.keys = torch.randn(2, users, 3, 2, 4, generator=torch.Generator().manual_seed(3))

    def forward(self, b, rows):
        keys, values = self.keys[:, rows]
        return {"self": [Extra(keys, values)] * CONFIG.n_layers}


def test_many_prompts_keep_their_users():
    """Sorted and cut into batches, each prompt still meets its own prefix."""
    gpt, rows = model(), torch.arange(4)
    gpt.prefix = Users(4)
    many = generate_many(gpt, PROMPTS, 6, size=3, rows=rows)
    assert many == [generate(gpt, [p], 6, rows=rows[n : n + 1])[0] for n, p in enumerate(PROMPTS)]


def test_the_end_token_counts_in_a_beams_length():
    """Of two texts with as many steps the more probable one wins, though one of them ended."""
    gpt = model(vocab_size=5)
    probabilities = torch.tensor([[0.01, 0.96, 0.01, 0.01, 0.01], [0.01, 0.43, 0.54, 0.01, 0.01]])
    steps = iter([probabilities[:1].log(), probabilities[1:].log()])

    def logits(hidden):
        return next(steps).expand(len(hidden), -1)

    gpt.logits = logits
    assert generate(gpt, [[3]], 2, beams=2, eos=2) == [[1]]


def test_a_row_ends_at_its_end_token():
    """Each row stops before its own end token; the others go on."""
    gpt = model()
    eos = slow_greedy(gpt, PROMPTS[1], 12)[4]
    want = [slow_greedy(gpt, p, 12, eos) for p in PROMPTS]
    assert generate(gpt, PROMPTS, 12, eos=eos) == want
    assert len(want[1]) <= 4


def test_beam_search_that_keeps_everything_is_exhaustive():
    """With as many beams as there are texts, the best text of all is found."""
    gpt = model(vocab_size=5)
    best, most = None, -float("inf")
    for text in itertools.product(range(5), repeat=3):
        logp = gpt(torch.tensor([[2, 4, *text]])).log_softmax(-1)[0, 1:4]
        total = sum(logp[i, w].item() for i, w in enumerate(text))
        best, most = (list(text), total) if total > most else (best, most)
    assert generate(gpt, [[2, 4]], 3, beams=25) == [best]


def test_beams_do_not_mix_rows():
    """A batch of unequal prompts gives, row by row, what each gives alone, and 1 beam is greedy."""
    gpt = model()
    together = generate(gpt, PROMPTS, 8, beams=4, eos=3)
    assert together == [generate(gpt, [p], 8, beams=4, eos=3)[0] for p in PROMPTS]
    assert generate(gpt, PROMPTS, 8, beams=1) == generate(gpt, PROMPTS, 8)


def test_sampling_follows_the_softmax():
    """The shares of 4,000 draws are the model's probabilities, within 5 deviations."""
    gpt, n = model(vocab_size=5), 4000
    want = (gpt(torch.tensor([[2, 4]]))[0, -1] / 0.7).softmax(-1)
    drawn = generate(
        gpt, [[2, 4]] * n, 1, temperature=0.7, generator=torch.Generator().manual_seed(0)
    )
    share = torch.bincount(torch.tensor(drawn).flatten(), minlength=5) / n
    assert ((share - want).abs() < 5 * (want * (1 - want) / n).sqrt()).all()


def test_the_same_seed_gives_the_same_text():
    """A generator with the same seed gives the same tokens, another seed others."""
    gpt = model()
    draws = [
        generate(gpt, PROMPTS, 10, 1.0, generator=torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_top_k_and_top_p_keep_what_they_say():
    """Probabilities .5 .25 .15 .1 made by hand: the best two, and the smallest sets of a mass."""
    logits = torch.tensor([[0.15, 0.5, 0.1, 0.25]]).log()
    kept = lambda **how: restrict(logits, **how).isfinite()[0].tolist()  # noqa: E731
    assert kept(top_k=2) == [False, True, False, True]
    assert kept(top_p=0.6) == [False, True, False, True]
    assert kept(top_p=0.8) == [True, True, False, True]
    assert kept(top_p=0.01) == [False, True, False, False]
    assert kept() == [True] * 4


def test_the_mode_and_the_weights_are_as_before():
    """Generating in training mode uses no dropout and puts the mode back."""
    gpt = model(dropout=0.5).train()
    assert generate(gpt, PROMPTS, 6) == generate(gpt, PROMPTS, 6)
    assert gpt.training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[]], 3), "empty prompt"),
        (([[1] * 39], 3), "39 prompt .* 3 new tokens exceed the context of 40"),
        (([[1]], 0), "max_new_tokens ≥ 1"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments, message):
    """Each wrong call names what was expected."""
    assert CONFIG.context == 40
    with pytest.raises(ValueError, match=message):
        generate(model(), *arguments)


def test_what_writes_no_text_is_one_clear_line():
    """An encoder sees the whole text at once; it has no next word."""
    with pytest.raises(ValueError, match="a MaskedLM writes no text"):
        generate(masked(), [[1]], 3)


def test_the_prompt_is_read_once_a_row():
    """Beam search reads each prompt a single time and copies what the cache holds of it."""
    gpt, read = model(), []
    gpt.embedding.register_forward_hook(lambda layer, given, made: read.append(given[0].shape))
    generate(gpt, PROMPTS, 3, beams=5)
    assert read == [(4, 8), (20, 1), (20, 1)]


@pytest.mark.parametrize("beams", [1, 3])
def test_each_step_knows_its_users(beams):
    """At the first step and later, every row and each of its beams belongs to its user."""
    gpt, rows, seen = model(), torch.tensor([5, 2, 7, 1]), []

    class Reader(nn.Module):
        def forward(self, output, input):
            seen.append(gpt.context.now.rows.tolist())
            return output

    gpt.blocks[0].after_attention = Reader()
    generate(gpt, PROMPTS, 3, beams=beams, rows=rows)
    assert seen == [rows.tolist()] + [rows.repeat_interleave(beams).tolist()] * 2


def test_the_number_of_threads_is_put_back():
    """A small step runs on one thread; afterwards, and after an error, as many as before."""
    was = torch.get_num_threads()
    torch.set_num_threads(2)  # one thread would look the same inside and outside
    try:
        hold_threads(2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(was)


def hold_threads(before):
    """Inside a small step there is one thread; behind it there are `before` again."""
    with threads_for(SMALL - 1, torch.device("cpu")):
        assert torch.get_num_threads() == 1
    with pytest.raises(RuntimeError), threads_for(0, torch.device("cpu")):
        raise RuntimeError
    with threads_for(SMALL, torch.device("cpu")):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before
