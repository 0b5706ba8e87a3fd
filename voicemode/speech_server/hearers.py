"""The recognisers by name: who listens when a client names a model."""

from __future__ import annotations

from voicemode.engines.first import FirstTranscription
from voicemode.ports import SttEngine
from voicemode.speech_server.answers import UnknownModel

USUAL_MODELS = (
    "voicemode",
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
)
"""What clients name who were written for OpenAI: whoever listens first in the configuration answers. The one that tells
speakers apart is not among them, since nobody here can."""


class Hearers:
    """`usual` answers a client who names none of those that it asks."""

    def __init__(self, usual: SttEngine) -> None:
        self.usual = usual
        asked = usual.engines if isinstance(usual, FirstTranscription) else (usual,)
        self._by_name = {engine.name: engine for engine in asked}

    def choose(self, model: str) -> SttEngine:
        """Raises `UnknownModel`."""
        if not model or model in USUAL_MODELS:
            return self.usual
        engine = self._by_name.get(model)
        if engine is None:
            raise UnknownModel(model, self.models())
        return engine

    def models(self) -> tuple[str, ...]:
        return (*USUAL_MODELS, *self._by_name)
