"""Encoded bytes → frames of the format wanted, whatever the label says. Importing this loads no decoder."""

from __future__ import annotations

from voicemode.codecs.opening import load, open_decoder

__all__ = ["load", "open_decoder"]
