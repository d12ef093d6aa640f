"""Comparisons that say what is wrong in one line, in this order of finding:

type; shape; a named slip; a constant ratio; the worst position with both numbers.

A wrong answer is often known by the number it makes: `slips` lists what likely misunderstandings
would have given, each with the words for it.
"""

import torch

RTOL, ATOL = 1e-4, 1e-6


class Wrong(AssertionError):
    """A comparison that failed; the text is one line."""

    def __init__(self, text):
        super().__init__(" ".join(text.split()))


def hold(holds, text):
    """Raise Wrong(text) unless `holds`."""
    if not holds:
        raise Wrong(text)


def close(got, want, what, slips=(), rtol=RTOL, atol=ATOL):
    """Hold `got` to `want` (a tensor or a number).

    slips: [(message, the value that this slip would give), …].
    """
    if text := fault(got, want, slips, rtol, atol):
        raise Wrong(f"{what}: {text}")


def hold_bits(got, want, what, slips=()):
    """`close` without any tolerance: equal to the last bit."""
    if text := fault(got, want, slips, 0.0, 0.0):
        raise Wrong(f"{what}: {text}; expected the same to the last bit")


def hold_shape(got, want, what, slips=()):
    """Hold the shape of a tensor; slips: [(message, the shape that this slip would give), …]."""
    hold(torch.is_tensor(got), f"{what}: {type(got).__name__}, expected a tensor")
    named = "".join(f"; {message}" for message, shape in slips if tuple(got.shape) == shape)
    hold(
        tuple(got.shape) == tuple(want),
        f"{what}: shape {tuple(got.shape)}, expected {tuple(want)}{named}",
    )


def hold_refusal(call, words, what, kind=ValueError):
    """`call()` must raise `kind`, its message holding all `words`. Other errors pass through."""
    try:
        call()
    except kind as error:
        for word in words:
            hold(word in str(error), f'{what}: your error says "{error}"; it must name {word}')
        return
    raise Wrong(f"{what}: no error; expected a {kind.__name__}")


def fault(got, want, slips, rtol, atol):
    """What is wrong with `got`, or None."""
    if torch.is_tensor(want) and not torch.is_tensor(got):
        missing = "; is the return missing?" if got is None else ""
        return f"{type(got).__name__}, expected a tensor{missing}"
    if not isinstance(got, int | float | torch.Tensor):
        return f"{type(got).__name__}, expected a number"
    got, want = torch.as_tensor(got).detach(), torch.as_tensor(want).detach()
    if got.is_floating_point() != want.is_floating_point():
        return f"{got.dtype}, expected {want.dtype}"
    got, want = got.double(), want.double()
    named = slip_of(got, want, slips, rtol, atol)
    if got.shape != want.shape:
        shapes = f"shape {tuple(got.shape)}, expected {tuple(want.shape)}"
        return f"{shapes}; {named}" if named else shapes
    if torch.allclose(got, want, rtol, atol):
        return None
    return named or ratio(got, want) or worst(got, want)


def slip_of(got, want, slips, rtol, atol):
    """The message of the first slip that gives just this value (and not the right one)."""
    loose = max(rtol, RTOL), max(atol, ATOL)
    for message, value in slips:
        value = torch.as_tensor(value).detach().double()
        right = value.shape == want.shape and torch.allclose(value, want, rtol, atol)
        if not right and value.shape == got.shape and torch.allclose(got, value, *loose):
            return message
    return None


def ratio(got, want):
    """Says "yours is 4 times the expected value everywhere", if it is."""
    if not bool(got.any()):
        return "yours is 0 everywhere"
    clear = want.abs() > 1e-3 * want.abs().max()
    times = got[clear] / want[clear]
    if len(times) < 2 or not bool(((times - times[0]).abs() < 1e-3 * times[0].abs()).all()):
        return None
    if not torch.allclose(got, times[0] * want, rtol=1e-2, atol=1e-5):
        return None
    return f"yours is {times[0].item():.4g} times the expected value everywhere"


def worst(got, want):
    """The position with the largest difference (or the first that is no number), both numbers."""
    difference = (got - want).abs().nan_to_num(nan=float("inf"))
    index = int(difference.argmax())
    numbers = f"{got.flatten()[index].item():.6g}, expected {want.flatten()[index].item():.6g}"
    if got.dim() == 0:
        return numbers
    position = tuple(int(n) for n in torch.unravel_index(torch.tensor(index), got.shape))
    return f"{numbers} at {position}, where it differs most"
