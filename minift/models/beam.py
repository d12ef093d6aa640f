r"""Beam search: the k most probable beginnings go on together.

    score(w₁ … w_n) = Σ log p(w_i | w₁ … w_{i−1}) ÷ n^a        (1)   a: length_penalty

With k = 1 it is greedy decoding; with as many beams as there are texts it is exhaustive search.
"""

import torch

from minift.models.step import next_logits


def beam_search(model, ids, mask, max_new_tokens, beams, eos, rows, length_penalty=1.0):
    """The best of `beams` continuations by log-probability ÷ length**length_penalty: (b, s).

    A beam that has ended stays in the race with its score and is filled up with `eos`.
    """
    b, k, stop = ids.shape[0], beams, -1 if eos is None else eos
    cache = model.new_cache(ids.shape[1] + max_new_tokens)
    logits = next_logits(model, ids, mask, cache, rows)  # (b, v)
    copies = torch.arange(b, device=ids.device).repeat_interleave(k)  # (b*k)
    cache.select(copies)  # the prompt is read once a row, not once a beam
    logits, rows = logits[copies], None if rows is None else rows[copies]
    score = logits.new_full((b, k), float("-inf"), dtype=torch.float)  # (b, k)
    score[:, 0] = 0.0  # at the start the k beams are the same: only the first one counts
    tokens = ids.new_full((b * k, max_new_tokens), stop)  # (b*k, s)
    ended = torch.zeros(b * k, dtype=torch.bool, device=ids.device)
    for step in range(max_new_tokens):
        if step:
            logits = next_logits(model, tokens[:, step - 1 : step], None, cache, rows)  # (b*k, v)
        logp = logits.float().log_softmax(dim=-1)  # (b*k, v)
        if eos is not None:
            logp[ended] = float("-inf")
            logp[ended, eos] = 0.0
        score, parent, token = best_beams(score, logp.view(b, k, -1))  # (b, k), (b*k), (b*k)
        cache.select(parent)
        tokens, ended = tokens[parent], ended[parent] | (token == stop)
        tokens[:, step] = token
        if bool(ended.all()):
            break
    length = ((tokens != stop).sum(dim=1) + ended).view(b, k)  # (b, k), the end token counted
    best = (score / length**length_penalty).argmax(dim=1)  # (b)   (1)
    return tokens.view(b, k, -1)[torch.arange(b, device=ids.device), best]  # (b, s)


def best_beams(score, logp):
    """The k best continuations: score (b, k), row of the parent beam (b*k), token (b*k)."""
    b, k, v = logp.shape
    total = (score[:, :, None] + logp).view(b, k * v)  # (b, k*v)
    score, index = total.topk(k, dim=1)  # (b, k), (b, k)
    first = torch.arange(b, device=logp.device)[:, None] * k  # (b, 1)
    return score, (index // v + first).flatten(), (index % v).flatten()  # (b, k), (b*k), (b*k)
