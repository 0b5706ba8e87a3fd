"""A stand-in for torch on a machine without a GPU: as much of it as the engine asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

cuda = SimpleNamespace(is_available=lambda: False, empty_cache=lambda: None)
backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False))
_grad = [True]


def is_grad_enabled() -> bool:
    return _grad[-1]


def zeros(*size: int) -> Tensor:
    return Tensor(np.zeros(size, "float32"))


@contextmanager
def no_grad() -> Iterator[None]:
    _grad.append(False)
    try:
        yield
    finally:
        _grad.pop()


class Tensor:
    """As much of it as the package gives its caller."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self._values = values

    def squeeze(self, dim: int) -> Tensor:
        return Tensor(self._values.squeeze(dim))

    def unsqueeze(self, dim: int) -> Tensor:
        return Tensor(np.expand_dims(self._values, dim))

    def numel(self) -> int:
        return self._values.size

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> npt.NDArray[np.float32]:
        return self._values
