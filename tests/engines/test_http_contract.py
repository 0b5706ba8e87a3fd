"""The promises that every engine makes, held by the HTTP engines."""

from __future__ import annotations

import pytest

from tests.engines.http import TEXT, speech, transcription
from tests.support import contract
from tests.support.speech_server import Behaviour, SpeechServer
from tests.support.voice import speak
from voicemode.pcm import SPEECH, Frame
from voicemode.speech import SpeechRequest

pytestmark = pytest.mark.anyio

LONG = " ".join([TEXT] * 20)


def at_work(server: SpeechServer) -> int:
    return sum(not request.over for request in server.requests)


async def test_an_http_voice_streams_and_keeps_speakers_apart() -> None:
    with SpeechServer() as server:
        async with speech(server) as engine:
            _, sound = await contract.assert_streams(engine, SpeechRequest(text=TEXT))
            assert sound == speak(TEXT)
            await contract.assert_each_gets_its_own(engine, [TEXT, "something else", LONG])


async def test_an_http_voice_refuses_nonsense() -> None:
    with SpeechServer() as server:
        async with speech(server) as engine:
            await contract.assert_refuses_nonsense(engine)


async def test_an_http_voice_stops_at_the_server_when_it_is_not_wanted_any_more() -> None:
    with SpeechServer(Behaviour(pace=8.0)) as server:
        async with speech(server) as engine:
            await contract.assert_leaving_stops_it(engine, LONG, lambda: at_work(server))
            await contract.assert_cancel_stops_speech(engine, LONG, lambda: at_work(server))


async def test_an_http_ear_hears_stays_silent_and_stops() -> None:
    audio = Frame(data=speak(TEXT), format=SPEECH)
    with SpeechServer() as server:
        async with transcription(server) as ear:
            await contract.assert_hears(ear, audio, TEXT)
            await contract.assert_silence_is_no_words(ear)
            server.behave(Behaviour(time_to_first_byte_s=60.0))
            await contract.assert_cancel_stops_hearing(ear, audio, lambda: at_work(server))
