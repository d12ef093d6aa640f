"""Slots: which of them hold a real token, at which position each stands, and who may see whom.

A slot is a column of an attention's keys: first the prefix, then the earlier tokens of a cache,
then the new ones. Positions count real tokens, so that padding on either side changes nothing.
Shape letters: b batch, t new slots, s all slots.
"""

import torch

from minift.models.attention import visible


def check_length(length, config, what="positions (prefix included)"):
    """Raise ValueError for more positions than the model has."""
    if length > config.context:
        raise ValueError(f"{length} {what} exceed the context of {config.context}")


def prefix_slots(bank):
    """How many slots the prefix of a bank (an `Extra` for each layer) takes up; 0 without one."""
    return bank[0].keys.shape[2] if bank else 0


def right_padded(mask):
    """True if the padding of each row, if any, stands right of its tokens."""
    return bool((mask[:, :-1] >= mask[:, 1:]).all())


def first_real(mask):
    """Index (b,) of the first real token of each row of mask (b, t)."""
    return mask.int().argmax(dim=1)  # (b)


def first_token(mask, ids):
    """True at the first real token of each row of ids (b, t), the prompt of a text without one."""
    index = first_real(real_tokens(mask, ids))  # (b)
    return torch.arange(ids.shape[1], device=ids.device) == index[:, None]  # (b, t)


def last_real(mask):
    """Index (b,) of the last real token of each row of mask (b, t), wherever the padding stands."""
    return mask.shape[1] - 1 - first_real(mask.flip(1))  # (b)


def pick(hidden, index):
    """One hidden state a row: hidden (b, t, c) at index (b,)."""
    return hidden.take_along_dim(index[:, None, None], dim=1)[:, 0]  # (b, c)


def real_tokens(mask, ids):
    """mask, or True everywhere where there is none: (b, t) as ids."""
    return torch.ones_like(ids, dtype=torch.bool) if mask is None else mask


def real_slots(mask, ids, left, past=None):
    """Which of all slots are real: (b, s), or None if all are.

    mask (b, t) of the new slots ids (b, t), past that of the `left` ones before them; None: real.
    """
    if mask is None and past is None:
        return None
    new = real_tokens(mask, ids)  # (b, t)
    if past is None:
        past = new.new_ones(ids.shape[0], left)
    return torch.cat([past, new], dim=1)  # (b, s)


def count_positions(ids, slots, start, documents=None):
    """Positions (t) or (b, t) of ids (b, t), behind `start` slots: the real ones on the left count.

    slots (b, s) are those of `real_slots`. Each document of a packed row starts anew.
    """
    t = ids.shape[1]
    count = torch.arange(start, start + t, device=ids.device)  # (t)
    if documents is not None:
        first = torch.ones_like(documents, dtype=torch.bool)  # (b, t)
        first[:, 1:] = documents[:, 1:] != documents[:, :-1]
        return count - (count - start).where(first, 0).cummax(dim=1).values  # (b, t)
    if slots is None or (start == 0 and right_padded(slots)):
        return count
    return (slots.cumsum(dim=1) - 1).clamp(min=0)[:, start:]  # (b, t)


def causal_view(ids, slots, start, documents=None, cache=None):
    """Who sees whom in a causal model: the table of `visible` for ids (b, t) behind `start` slots.

    Padding on the right needs none: nobody looks to the right.
    """
    if slots is not None and cache is None and right_padded(slots):
        slots = None
    t, device = ids.shape[1], ids.device
    return visible(t, start + t, causal=True, mask=slots, documents=documents, device=device)
