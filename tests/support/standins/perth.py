"""A stand-in for resemble-perth, which marks the sound: here it stays as it is."""

from __future__ import annotations

from typing import Any


class PerthImplicitWatermarker:
    def apply_watermark(self, signal: Any, sample_rate: int, **_: Any) -> Any:
        return signal
