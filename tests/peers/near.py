"""The one comparison of the peers' tests; `pytest -rP` shows the differences of tests that pass."""


def check_near(ours, theirs, within=1e-5, what="values"):
    """Same shape, and no entry further apart than `within` (for tensors of size O(1))."""
    assert ours.shape == theirs.shape, f"{what}: {tuple(ours.shape)} and {tuple(theirs.shape)}"
    worst = (ours - theirs).detach().abs().max().item()
    print(f"{what}: largest difference {worst:.2e} (at most {within:.0e})")
    assert worst <= within, f"{what}: largest difference {worst:.2e}, expected ≤ {within:.0e}"
