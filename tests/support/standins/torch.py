"""A stand-in for torch on a machine without a GPU: as much as is asked of it where the model is loaded."""

from __future__ import annotations

from types import SimpleNamespace

cuda = SimpleNamespace(is_available=lambda: False)
backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False))
