"""The user's own models as engines: which speak and listen here, how they are warmed, and what is said of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from voicemode.configuration.config import Config
from voicemode.engines.neural.choice import chosen_ears, chosen_voices
from voicemode.models.store import Installed, Measured, Store, measured

if TYPE_CHECKING:
    from voicemode.engines.neural.ear import NeuralEar
    from voicemode.engines.neural.reading import Ipa
    from voicemode.engines.neural.voice import NeuralVoice
    from voicemode.wiring.status import EngineStatus


class OwnModels:
    """Looked for once, when the application starts. `ipa` reads the voices' text."""

    def __init__(self, config: Config, store: Store, ipa: Ipa) -> None:
        settings = config.neural
        self.store = store
        self._config = config
        self._ipa = ipa
        self._voices = chosen_voices(store, settings.voice)
        self._ears = chosen_ears(store, settings.ear)
        self.voices = [self._voice(model) for model in self._voices.models]
        self.ear = self._ear() if self._ears.models else None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why what the configuration names cannot be used."""
        settings = self._config.neural
        named = ((settings.voice, self._voices), (settings.ear, self._ears))
        return tuple(dict.fromkeys(chosen.problem for name, chosen in named if name and chosen.problem))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models that speak, in the order in which they are asked."""
        return tuple(model.id for model in self._voices.models)

    @property
    def voices_first(self) -> bool:
        """A model that is named comes before servers that nobody has named."""
        return self._voices.named and not self._config.speech.base_urls

    @property
    def ear_first(self) -> bool:
        return self._ears.named and not self._config.listening.base_urls

    def warming(self) -> list[Callable[[], Awaitable[None]]]:
        """Loads what the configuration names, and what nothing comes before but a server that may not be there: a model
        takes hundreds of megabytes, which nobody should pay for a voice that is not used."""
        config = self._config
        alone = not config.endpoints.api_key
        steps: list[Callable[[], Awaitable[None]]] = []
        if self.voices and (self._voices.named or (alone and not config.speech.base_urls)):
            steps += [self.voices[0].warm, partial(self._measure_once, self._voices.models[0])]
        if self.ear and (self._ears.named or (alone and not config.listening.base_urls)):
            steps += [self.ear.warm, partial(self._measure_once, self._ears.models[0])]
        return steps

    def _voice(self, model: Installed) -> NeuralVoice:
        from voicemode.engines.neural.voice import NeuralVoice

        settings = self._config.neural
        return NeuralVoice(
            model,
            ipa=self._ipa,
            preferred=self._config.speech.voices,
            threads=settings.threads,
            idle_seconds=settings.idle_s,
        )

    def _ear(self) -> NeuralEar:
        from voicemode.engines.neural.ear import NeuralEar

        settings = self._config.neural
        return NeuralEar(self._ears.models, threads=settings.threads, idle_seconds=settings.idle_s)

    async def _measure_once(self, model: Installed) -> None:
        """For the next time it is loaded: what was installed without the library, or lies in a folder of the user's."""
        if await asyncio.to_thread(measured, model) is None:
            await self.measure(model)

    async def measure(self, model: Installed) -> Measured:
        """How fast a model is here; kept beside it. Raises `EngineError`."""
        from voicemode.engines.neural.measuring import measure

        return await measure(model, ipa=self._ipa)

    def with_voices(self, servers: tuple[EngineStatus, ...]) -> tuple[EngineStatus, ...]:
        """Servers and models that speak, in the order in which they are asked."""
        from voicemode.wiring.status import neural_states

        own = neural_states(self._voices, "voice")
        return (*own, *servers) if self.voices_first else (*servers, *own)

    def with_ears(self, servers: tuple[EngineStatus, ...]) -> tuple[EngineStatus, ...]:
        from voicemode.wiring.status import neural_states

        own = neural_states(self._ears, "ear")
        return (*own, *servers) if self.ear_first else (*servers, *own)
