"""A stand-in for resemble-perth, which marks the sound: here it stays as it is."""

from __future__ import annotations

from typing import Any

LEAST_SECONDS = 1024 / 32_000
"""Of a sound: what its spectrum is padded with, at its own rate."""


class PerthImplicitWatermarker:
    def apply_watermark(self, signal: Any, sample_rate: int, **_: Any) -> Any:
        if len(signal) / sample_rate <= LEAST_SECONDS:
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension"
            )
        return signal
