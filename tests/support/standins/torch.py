"""A stand-in for torch on a machine without a GPU: as much of it as the engine asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

cuda = SimpleNamespace(is_available=lambda: False)
backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False))
_grad = [True]


def is_grad_enabled() -> bool:
    return _grad[-1]


@contextmanager
def no_grad() -> Iterator[None]:
    _grad.append(False)
    try:
        yield
    finally:
        _grad.pop()
