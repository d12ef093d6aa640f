r"""Decoding with a key-value cache: greedy, sampling, beam search.

    p(w) ∝ exp(logit_w / T)        (1)   over the top k, or over the smallest set with mass ≥ top_p

`temperature=0` is greedy decoding. A batch of prompts of unequal length is padded on the left, its
padding is masked and positions are counted from each row's first real token, so that each row gives
what it gives alone. A GPT goes on with the prompt; of a Seq2Seq the prompt is the source, and the
decoder starts by itself: what differs is in the model's `advance`, `new_cache` and `room`.
"""

from contextlib import contextmanager

import torch

from minift.models.beam import beam_search
from minift.models.step import next_logits


def left_pad(prompts, pad=0):
    """Lists of unequal length → ids (b, t), padded on the left, and mask (b, t) or None."""
    width = max(map(len, prompts))
    rows = [[pad] * (width - len(row)) + list(row) for row in prompts]
    lengths = torch.tensor([len(row) for row in prompts])
    mask = torch.arange(width) >= width - lengths[:, None]  # (b, t)
    return torch.tensor(rows), None if bool(mask.all()) else mask


def restrict(logits, temperature=1.0, top_k=None, top_p=None):
    """Logits (b, v) divided by T, with −∞ for the tokens that may not be drawn."""
    logits = logits / temperature
    if top_k is not None:
        kth = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[:, -1:]  # (b, 1)
        logits = logits.masked_fill(logits < kth, float("-inf"))  # (b, v)
    if top_p is not None:
        ordered, order = logits.sort(dim=-1, descending=True)
        share = ordered.softmax(dim=-1)  # (b, v)
        beyond = share.cumsum(dim=-1) - share >= top_p  # the token that crosses top_p still belongs
        logits = logits.masked_fill(
            torch.zeros_like(beyond).scatter(1, order, beyond), float("-inf")
        )
    return logits  # (b, v)   (1)


def draw(logits, temperature, top_k, top_p, generator):
    """One token a row: the best one at temperature 0, else a sample of equation (1)."""
    if temperature == 0:
        return logits.argmax(dim=-1)  # (b)
    share = restrict(logits.float(), temperature, top_k, top_p).softmax(dim=-1)
    return torch.multinomial(share, 1, generator=generator)[:, 0]  # (b)


@contextmanager
def deciding(model):
    """No gradients and no dropout inside; the model's mode is put back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, was in modes:
            module.training = was


def check_arguments(model, ids, max_new_tokens, temperature, top_k, top_p, beams):
    """One clear line for an empty prompt, an impossible number, or a text that will not fit."""
    if not len(ids) or not all(len(row) for row in ids):
        raise ValueError("generate: an empty prompt; expected at least one token a row")
    if max_new_tokens < 1 or temperature < 0 or not 0 < (1.0 if top_p is None else top_p) <= 1:
        raise ValueError("generate: expected max_new_tokens ≥ 1, temperature ≥ 0 and 0 < top_p ≤ 1")
    if (1 if top_k is None else top_k) < 1 or beams < 1:
        raise ValueError(f"generate: top_k {top_k} and beams {beams}; expected at least 1")
    if not hasattr(model, "advance"):
        raise ValueError(f"generate: a {type(model).__name__} writes no text")
    longest, context = max(map(len, ids)), model.config.context
    if max_new_tokens > (room := model.room(longest)):
        raise ValueError(
            f"generate: {longest} prompt + {max_new_tokens} new tokens exceed the context of "
            f"{context}: there is room for {max(room, 0)}"
        )


def generate(
    model,
    ids,
    max_new_tokens,
    temperature=0.0,
    top_k=None,
    top_p=None,
    eos=None,
    generator=None,
    pad=0,
    beams=1,
    rows=None,
):
    """The new tokens of each row as a list, up to and without `eos`.

    ids: lists of unequal length or a tensor (b, t) without padding; temperature 0 is greedy; top_k
    and top_p restrict sampling; beams > 1 is beam search; rows (b,) the task or user of each row.
    Raises ValueError for an empty prompt or one that leaves no room for the new tokens.
    """
    prompts = ids.tolist() if torch.is_tensor(ids) else [list(row) for row in ids]
    check_arguments(model, prompts, max_new_tokens, temperature, top_k, top_p, beams)
    device = model.embedding.weight.device
    ids, mask = left_pad(prompts, pad)
    ids, mask = ids.to(device), None if mask is None else mask.to(device)
    rows = None if rows is None else rows.to(device)
    with deciding(model):
        if beams > 1:
            tokens = beam_search(model, ids, mask, max_new_tokens, beams, eos, rows)
        else:
            choose = (temperature, top_k, top_p, generator)
            tokens = decode(model, ids, mask, max_new_tokens, choose, eos, rows)
    return [until(row, eos) for row in tokens.tolist()]


def generate_many(model, prompts, max_new_tokens, size=32, after_batch=None, rows=None, **how):
    """`generate` for any number of prompts, `size` of like length at a time, in the order given.

    after_batch(done) is called with the number of prompts that are done.
    """
    order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
    answers = [[] for _ in prompts]
    for start in range(0, len(order), size):
        some = order[start : start + size]
        whose = None if rows is None else rows[torch.tensor(some)]
        new = generate(model, [prompts[n] for n in some], max_new_tokens, rows=whose, **how)
        for n, tokens in zip(some, new, strict=True):
            answers[n] = tokens
        if after_batch:
            after_batch(start + len(some))
    return answers


def until(row, eos):
    """A row's tokens before the first end token."""
    return row[: row.index(eos)] if eos in row else row


def decode(model, ids, mask, max_new_tokens, choose, eos, rows):
    """One token a step: (b, s) new tokens. Stops as soon as every row has ended."""
    cache = model.new_cache(ids.shape[1] + max_new_tokens)
    ended = torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
    chosen = []
    for _ in range(max_new_tokens):
        token = draw(next_logits(model, ids, mask, cache, rows), *choose)  # (b)
        chosen.append(token)
        ids, mask = token[:, None], None
        if eos is not None:
            ended |= token == eos
            if bool(ended.all()):
                break
    return torch.stack(chosen, dim=1)  # (b, s)
