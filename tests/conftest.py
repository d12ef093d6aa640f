"""What holds for every test: quiet OpenMP threads, no network, and the markers.

The answer check (`--mine`) is a plugin of its own: `pytest_plugins` names it.
"""

import os
import socket

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before any test imports torch

pytest_plugins = ["tests.answer_check"]

MARKERS = {
    "loopback": "may open sockets to this machine itself (torchrun); nothing may reach further",
    "gpu": "needs a CUDA device; skipped where there is none",
}
LOOPBACK = ("127.", "::1", "localhost")
allowing = {"loopback": False}


class NetworkBlocked(OSError):
    """A test tried to reach the network; an OSError, so that the code sees an offline machine."""


def guarded(method):
    """The socket method, refused for what `refuse` refuses."""

    def guard(self, *arguments):
        host = arguments[-1][0] if isinstance(arguments[-1], tuple) else None  # else AF_UNIX
        refuse(host)
        return method(self, *arguments)

    return guard


def refuse(host):
    """Raise `NetworkBlocked` unless there is no host, or it is loopback and the test may use it."""
    host = host.decode() if isinstance(host, bytes) else host
    if host is None or (allowing["loopback"] and host.startswith(LOOPBACK)):
        return
    raise NetworkBlocked(f"tests use no network, yet this one asks for {host}")


def resolve(host, *arguments, **options):
    """`socket.getaddrinfo` behind the same guard: to look a name up is to use the network."""
    refuse(host)
    return getaddrinfo(host, *arguments, **options)


getaddrinfo = socket.getaddrinfo


def pytest_configure(config):
    for name, words in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {words}")
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex", "sendto"):
        patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
    patch.setattr(socket, "getaddrinfo", resolve)
    config.add_cleanup(patch.undo)


@pytest.fixture(autouse=True)
def only_what_it_asks_for(request, monkeypatch):
    """Loopback for tests marked `loopback`; tests marked `gpu` are skipped without one."""
    monkeypatch.setitem(allowing, "loopback", "loopback" in request.keywords)
    if "gpu" in request.keywords:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
