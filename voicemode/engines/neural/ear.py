"""A neural ear on the processor: installed models that understand, with the words to expect as key terms.

The models are streaming ones. At the first short silence of a turn what was said so far is asked for; when the voice
goes on and the whole is asked for, only what has come since is decoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from voicemode.engines.embedded.ear import listening
from voicemode.engines.neural.worker import IDLE_SECONDS, Worker
from voicemode.errors import EngineError, InvalidRequest, UnknownLanguage
from voicemode.models.store import Installed
from voicemode.pcm import LISTENING
from voicemode.speech import TimedWord, Transcript, TranscriptionRequest
from voicemode.text.pieces import clean_transcript

SHORTEST_SECONDS = 0.05
"""A recording below it holds no word."""
LONGEST_SECONDS = 1_200.0
MOST_TERMS = 100
WORDS_IN_TERM = 4
"""A longer phrase is prose about what will be said: of that its longer words are taken."""
LETTERS_IN_WORD = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class _Begun:
    """What a model has decoded last, under which number, with which key terms."""

    number: int
    sound: bytes
    terms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Heard:
    text: str
    confidence: float | None
    words: tuple[TimedWord, ...] | None


class NeuralEar:
    """An `SttEngine` over `models`, the first of which that knows the language is asked."""

    def __init__(
        self, models: Sequence[Installed], *, threads: int = 0, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.models = tuple(models)
        self._workers = {
            each.id: Worker(self.name, each, threads=threads, idle_seconds=idle_seconds) for each in models
        }
        self._begun: dict[str, _Begun] = {}
        self._asked = 0

    @property
    def name(self) -> str:
        return "neural ear"

    @property
    def pids(self) -> frozenset[int]:
        return frozenset(pid for worker in self._workers.values() for pid in worker.pids)

    @property
    def busy(self) -> bool:
        return any(worker.busy for worker in self._workers.values())

    async def warm(self) -> None:
        """Loads the first model. Raises `EngineUnavailable`."""
        await self._workers[self.models[0].id].load()

    async def close(self) -> None:
        for worker in self._workers.values():
            await worker.close()

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        model = self._model(request.language)
        sound = await listening(request.audio)
        seconds = len(sound) / 2 / LISTENING.rate
        if seconds > LONGEST_SECONDS:
            raise InvalidRequest(
                f"The recording has {seconds:.0f} s; {LONGEST_SECONDS:g} s is the most there may be.",
                hint="Send it in parts.",
            )
        if seconds < SHORTEST_SECONDS or not any(sound):
            return self._transcript(model, _Heard(text="", confidence=None, words=()))
        terms = key_terms(request.prompt or "")
        if request.timed:  # What goes on has the silence after its beginning in between.
            return self._transcript(model, await self._ask(model, sound, terms))
        return self._transcript(model, await self._understand(model, sound, terms))

    async def _understand(self, model: Installed, sound: bytes, terms: tuple[str, ...]) -> _Heard:
        """Only what is new, where the model has decoded the beginning last; from the start where it has not."""
        before = self._begun.pop(model.id, None)
        if before is not None and before.terms == terms and sound.startswith(before.sound):
            with suppress(EngineError):
                return await self._ask(model, sound, terms, before)
        return await self._ask(model, sound, terms)

    async def _ask(
        self, model: Installed, sound: bytes, terms: tuple[str, ...], before: _Begun | None = None
    ) -> _Heard:
        self._asked += 1
        number = self._asked
        after, rest = (before.number, sound[len(before.sound) :]) if before else (0, sound)
        head = json.dumps({"as": number, "after": after, "terms": terms, "tail": model.tail_seconds})
        async with self._workers[model.id].asked(b"T", head.encode() + b"\0" + rest) as (_, answer):
            told = json.loads(answer.payload)
        self._begun[model.id] = _Begun(number=number, sound=sound, terms=terms)
        words = None
        if told["words"] is not None:
            words = tuple(TimedWord(text=word, start=at, end=until) for word, at, until in told["words"])
        return _Heard(text=str(told["text"]), confidence=told["confidence"], words=words)

    def _transcript(self, model: Installed, heard: _Heard) -> Transcript:
        text = clean_transcript(heard.text)
        spelt = str.lower if _is_shouted(text) else str
        return Transcript(
            text=spelt(text),
            engine=self.name,
            model=model.id,
            language=model.languages[0] if model.languages else "",
            confidence=heard.confidence if text else None,
            words=heard.words and tuple(replace(word, text=spelt(word.text)) for word in heard.words),
        )

    def _model(self, language: str | None) -> Installed:
        wanted = (language or "").lower().replace("_", "-").split("-")[0]
        for model in self.models:
            if not wanted or not model.languages or wanted in model.languages:
                return model
        known = tuple(dict.fromkeys(each for model in self.models for each in model.languages))
        raise UnknownLanguage(
            f"The installed ears understand {', '.join(known)}, not {language!r}.",
            engine=self.name,
            languages=known,
            hint="`voicemode models` lists what else can be had.",
        )


def key_terms(prompt: str) -> tuple[str, ...]:
    """The words to expect: what stands between commas and at line ends; of longer prose its longer words."""
    found: dict[str, None] = {}
    for phrase in re.split(r"[,;:.!?\n]+", prompt):
        words = phrase.split()
        if len(words) <= WORDS_IN_TERM:
            found[" ".join(words)] = None
        else:
            found |= dict.fromkeys(word for word in words if len(word) >= LETTERS_IN_WORD)
    found.pop("", None)
    return tuple(found)[:MOST_TERMS]


def _is_shouted(text: str) -> bool:
    """Ears without lower case write everything in capitals, which nobody has shouted."""
    return text.isupper() and len(text) > 1
