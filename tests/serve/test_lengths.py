"""A text lasts as long in every format, its pauses included."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest
from websockets.asyncio.client import connect

from tests.codecs.test_relay import counted_granules, granules_of
from tests.serve.house import LIMIT_SECONDS, House, WordVoice, house
from tests.support.encoding import decode, encode
from tests.support.voice import speak
from voicemode.pcm import SPEECH, Frame
from voicemode.sound.joins import BLOCK_SECONDS
from voicemode.speech import AudioFormat, SpeechRequest

pytestmark = pytest.mark.anyio


class Terse(WordVoice):
    """Leaves no quiet at the end of what it says."""

    def _sound(self, request: SpeechRequest) -> bytes:
        said = speak(request.text, SPEECH.rate).rstrip(b"\0")
        said += bytes(len(said) % 2)
        return (
            said if self._format is AudioFormat.PCM else encode(Frame(data=said, format=SPEECH), self._format)
        )


TEXTS = {
    "one sentence": "First sentence.",
    "two sentences": "First sentence. Second sentence.",
    "paragraphs": "First sentence. Second sentence.\n\nThird one, with a clause.\n\nA fourth one. And a last one.",
}
WITHIN = {
    AudioFormat.WAV: 0.0,
    AudioFormat.FLAC: 0.0,
    AudioFormat.OPUS: 0.003,
    AudioFormat.MP3: 0.08,
    AudioFormat.AAC: 0.1,
}
"""Seconds: the shortest packet of opus is 2.5 ms; mp3 and aac begin with the delay of their encoder and end with a
whole frame."""


@pytest.mark.parametrize("sent", [AudioFormat.PCM, AudioFormat.OPUS])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.spec("SPT-62")
async def test_every_format_lasts_as_long_as_pcm(text: str, sent: AudioFormat) -> None:
    """On all routes, whether the engine's sound is encoded here or its Opus handed on."""
    async with house(Terse(format=sent)) as server:
        for ask in (_speech, _synthesize, _socket):
            pcm = len(await ask(server, text, AudioFormat.PCM)) / SPEECH.rate / 2
            for to, within in WITHIN.items():
                data = await ask(server, text, to)
                sound = await asyncio.to_thread(decode, data)
                if to is sent is AudioFormat.OPUS:
                    # The quiet at each end was measured in other samples.
                    within += 3 * BLOCK_SECONDS
                assert sound.seconds == pytest.approx(pcm, abs=within + 1e-6), (ask.__name__, to)
                if to is AudioFormat.OPUS:
                    assert granules_of(data) == counted_granules(data)


@pytest.mark.parametrize("sent", [AudioFormat.PCM, AudioFormat.OPUS])
@pytest.mark.spec("SPT-62")
async def test_a_voice_that_leaves_pauses_itself_gets_no_second_one(sent: AudioFormat) -> None:
    """What cannot be cut is all that opus has more."""
    async with house(WordVoice(format=sent)) as server:
        pcm = len(await _speech(server, TEXTS["paragraphs"], AudioFormat.PCM)) / SPEECH.rate / 2
        opus = decode(await _speech(server, TEXTS["paragraphs"], AudioFormat.OPUS)).seconds
    assert pcm - 0.003 - 3 * BLOCK_SECONDS <= opus <= pcm + 3 * (0.0265 + BLOCK_SECONDS)


@pytest.mark.spec("SPT-62")
async def test_the_pause_is_told_in_the_seconds_of_the_reply() -> None:
    async with (
        house(Terse()) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=LIMIT_SECONDS) as http,
    ):
        answers = [
            await http.post("/synthesize", json={"text": TEXTS["paragraphs"], "format": to})
            for to in ("wav", "opus")
        ]
    wav, opus = (float(answer.headers["x-audio-seconds"]) for answer in answers)
    assert opus == pytest.approx(wav, abs=0.04)


async def _speech(server: House, text: str, to: AudioFormat) -> bytes:
    asked = {"model": "words", "voice": "ann", "input": text, "response_format": to}
    return await _posted(server, "/v1/audio/speech", asked)


async def _synthesize(server: House, text: str, to: AudioFormat) -> bytes:
    return await _posted(server, "/synthesize", {"text": text, "voice_id": "ann", "format": to})


async def _posted(server: House, path: str, asked: dict[str, str]) -> bytes:
    async with httpx2.AsyncClient(base_url=server.url, timeout=LIMIT_SECONDS) as http:
        answer = await http.post(path, json=asked)
    assert answer.status_code == 200, answer.text
    return answer.content


async def _socket(server: House, text: str, to: AudioFormat) -> bytes:
    sound = b""
    async with asyncio.timeout(LIMIT_SECONDS), connect(f"{server.socket_url}/ws/synthesize") as connected:
        await connected.send(json.dumps({"text": text, "voice_id": "ann", "format": to, "binary": True}))
        async for message in connected:
            if isinstance(message, bytes):
                sound += message
            elif json.loads(message)["type"] in ("complete", "error"):
                assert json.loads(message)["type"] == "complete", message
                break
    return sound
