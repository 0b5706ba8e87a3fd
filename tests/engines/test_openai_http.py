"""Speech and transcription over HTTP when all goes well, and what exactly is asked."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
from dataclasses import replace

import pytest

from tests.engines.http import (
    HELLO,
    KEY,
    RECORDING,
    TEXT,
    WAIT_S,
    asked,
    overheard,
    said,
    seen,
    speech,
    transcription,
)
from tests.support.encoding import encode
from tests.support.speech_server import Accept, Behaviour, Length, Route, SpeechServer
from tests.support.voice import speak
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.http_probe import Health, Purpose, probe
from voicemode.engines.openai_http import OpenAiSpeech
from voicemode.errors import (
    ConfigurationError,
    EndpointRefused,
    EngineUnavailable,
    InvalidRequest,
    UnknownVoice,
)
from voicemode.pcm import LISTENING, SPEECH, Frame
from voicemode.speech import AudioFormat, SpeechRequest, TranscriptionRequest, Voice

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("fmt", list(AudioFormat))
async def test_sound_comes_through_byte_for_byte_in_every_format(fmt: AudioFormat) -> None:
    with SpeechServer() as server:
        async with speech(server) as engine, asyncio.timeout(WAIT_S):
            async with engine.synthesize(replace(HELLO, format=fmt)) as audio:
                data = b"".join([chunk async for chunk in audio.chunks])
            [request] = await seen(server, lambda log: log[-1].over)
    assert audio.format is fmt
    assert (audio.engine, audio.voice, audio.pcm) == (engine.name, "alloy", SPEECH)
    assert len(data) == request.bytes_sent > 1_000
    if fmt is AudioFormat.PCM:
        assert data == speak(TEXT)


@pytest.mark.spec("PLY-32")
@pytest.mark.parametrize("length", list(Length))
async def test_a_body_that_only_the_closing_ends_is_marked(length: Length) -> None:
    with SpeechServer(Behaviour(length=length)) as server:
        async with speech(server) as engine, engine.synthesize(HELLO) as audio:
            assert audio.unsealed == (length is Length.CLOSE)


@pytest.mark.spec("SRV-51")
async def test_a_server_that_knows_when_words_were_said_is_asked_for_it() -> None:
    audio = Frame(data=speak(TEXT, LISTENING.rate), format=LISTENING)
    timed = TranscriptionRequest(audio=audio, timed=True)
    with SpeechServer() as server:
        async with transcription(server) as ear, asyncio.timeout(WAIT_S):
            found = await ear.transcribe(timed)
            assert (await ear.transcribe(replace(timed, timed=False))).words is None
            assert found.words is not None
            assert " ".join(word.text for word in found.words) == found.text
            assert all(0 <= word.start < word.end <= audio.seconds for word in found.words)
            server.then(Behaviour(status=400), route=Route.TRANSCRIPTIONS)
            assert (await ear.transcribe(timed)).words is None
            for wrong in ([{"word": "a"}], [{"word": "a", "start": 0, "end": "1"}], ["a"], {"word": "a"}):
                body = json.dumps({"text": "a", "words": wrong})
                server.then(Behaviour(body=body), route=Route.TRANSCRIPTIONS)
                answer = await ear.transcribe(timed)
                assert (answer.text, answer.words) == ("a", None)


async def test_what_was_asked_reaches_the_server_as_the_openai_package_would_say_it() -> None:
    openai = pytest.importorskip("openai")
    request = SpeechRequest(
        text="naïve \u202etest", voice="nova", speed=1.25, instructions="softly", format=AudioFormat.WAV
    )
    listening = replace(RECORDING, language="en-GB", prompt="Käse, sockets")
    with SpeechServer(key=KEY) as server:
        async with speech(server, key=KEY) as engine, transcription(server) as ear:
            await said(engine, request)
            await ear.transcribe(listening)
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key=KEY, max_retries=0) as client:
            await client.audio.speech.create(
                model="gpt-4o-mini-tts",
                input=request.text,
                voice="nova",
                speed=1.25,
                instructions="softly",
                response_format="wav",
            )
            wav = encode(RECORDING.audio, AudioFormat.WAV)
            await client.audio.transcriptions.create(
                model="gpt-transcribe",
                file=("speech.wav", wav),
                language="en",
                prompt="Käse, sockets",
                response_format="json",
            )
        ours, theirs = asked(server)
        our_ear, their_ear = asked(server, "/v1/audio/transcriptions")
    for one, other in ((ours, theirs), (our_ear, their_ear)):
        assert (one.status, one.header("authorization")) == (200, f"Bearer {KEY}")
        same = (
            "text",
            "voice",
            "model",
            "format",
            "speed",
            "instructions",
            "language",
            "prompt",
            "recording",
        )
        assert {name: getattr(one, name) for name in same} == {name: getattr(other, name) for name in same}
    assert our_ear.recording == RECORDING.audio


async def test_instructions_and_speed_are_only_sent_when_they_say_something() -> None:
    with SpeechServer() as server:
        async with speech(server) as engine:
            await said(engine)
            request = asked(server)[0]
    assert (request.text, request.voice, request.format) == (TEXT, "alloy", "pcm")
    assert int(request.header("content-length")) == len(
        f'{{"model": "gpt-4o-mini-tts", "input": "{TEXT}", "voice": "alloy", "response_format": "pcm"}}'
    )


async def test_chunks_are_there_before_the_answer_has_ended_and_leaving_hangs_up() -> None:
    with SpeechServer(Behaviour(stall_after_bytes=8_192)) as server:
        async with speech(server) as engine, asyncio.timeout(WAIT_S):
            async with engine.synthesize(HELLO) as audio:
                first = await anext(audio.chunks)
                assert not asked(server)[0].over
            [request] = await seen(server, lambda log: log[0].over)
    assert first == speak(TEXT)[: len(first)]
    assert request.aborted_at is not None


async def test_cancelling_hangs_up_while_the_first_byte_is_awaited_and_in_mid_sound() -> None:
    with SpeechServer() as server:
        server.then(Behaviour(time_to_first_byte_s=60.0), Behaviour(stall_after_bytes=8_192))
        async with speech(server) as engine:
            for count in (1, 2):
                task = asyncio.create_task(said(engine))
                await seen(server, lambda log, count=count: len(log) == count)  # type: ignore[misc]
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                log = await seen(server, lambda log: log[-1].over)
                assert log[-1].aborted_at is not None
            assert len(await said(engine)) == len(speak(TEXT))


async def test_one_connection_serves_request_after_request() -> None:
    with SpeechServer() as server:
        async with speech(server) as engine:
            for _ in range(3):
                await said(engine)
        assert {request.connection for request in server.requests} == {1}


async def test_two_requests_at_once_do_not_wait_for_each_other() -> None:
    with SpeechServer(Behaviour(stall_after_bytes=8_192)) as server:
        async with (
            speech(server) as engine,
            asyncio.timeout(WAIT_S),
            engine.synthesize(HELLO) as one,
            engine.synthesize(HELLO) as other,
        ):
            assert await anext(one.chunks) == await anext(other.chunks)
        assert {request.connection for request in server.requests} == {1, 2}


async def test_a_kept_connection_that_the_server_drops_is_replaced_without_a_word() -> None:
    with SpeechServer() as server:
        async with speech(server) as engine:
            await said(engine)
            server.then(Behaviour(accept=Accept.CLOSE))
            hello, told = overheard()
            assert await said(engine, hello) == speak(TEXT)
        assert told == [("unreachable", 0.0)]
        assert [request.connection for request in server.requests] == [1, 1, 2]


async def test_raw_sound_is_read_as_its_label_says() -> None:
    with SpeechServer(Behaviour(content_type="audio/pcm;rate=16000;channels=2")) as server:
        async with speech(server) as engine, engine.synthesize(HELLO) as audio:
            assert (audio.pcm.rate, audio.pcm.channels) == (16_000, 2)


async def test_content_decides_what_a_wrong_label_denies() -> None:
    with SpeechServer(Behaviour(content_type="audio/mpeg")) as server:
        async with (
            speech(server) as engine,
            engine.synthesize(replace(HELLO, format=AudioFormat.FLAC)) as audio,
        ):
            assert audio.format is AudioFormat.FLAC


async def test_a_model_that_the_server_does_not_know_gives_way_to_the_next_one_for_good() -> None:
    with SpeechServer(models=("kokoro",)) as server:
        engine = OpenAiSpeech(
            Endpoint(base_url=server.base_url, models=("tts-9", "kokoro"), voices=("alloy",))
        )
        hello, told = overheard()
        await said(engine, hello)
        await said(engine, hello)
        await engine.close()
        assert told == [("refused", 0.0)]
        assert [request.model for request in asked(server)] == ["tts-9", "kokoro", "kokoro"]


async def test_an_unknown_voice_is_refused_with_near_choices_and_nothing_is_said() -> None:
    with SpeechServer() as server:
        async with speech(server) as engine:
            with pytest.raises(UnknownVoice) as caught:
                await said(engine, replace(HELLO, voice="nowa"))
            assert "nowa" in caught.value.message
            assert "nova" in caught.value.hint
            assert asked(server) == []
            await said(engine, replace(HELLO, voice="nova"))
        assert len(asked(server, "/v1/audio/voices")) == 1


async def test_a_server_without_a_list_of_voices_judges_for_itself() -> None:
    with SpeechServer() as server:
        server.behave(Behaviour(status=404), Route.LISTS)
        async with speech(server) as engine:
            assert await engine.voices() == []
            with pytest.raises(UnknownVoice, match="nowa"):
                await said(engine, replace(HELLO, voice="nowa"))
        assert [request.voice for request in asked(server)] == ["nowa"]


async def test_the_first_preferred_voice_that_the_endpoint_has_is_used() -> None:
    with SpeechServer() as server:
        async with speech(server, voices=("nobody", "coral", "ash")) as engine:
            await said(engine)
        assert asked(server)[0].voice == "coral"


@pytest.mark.parametrize(
    ("language", "chosen"),
    [(None, "us"), ("en-GB", "gb"), ("en_AU", "us"), ("de", "swiss"), ("fi", "africa")],
)
async def test_where_no_preferred_voice_is_offered_one_speaks_the_language_of_the_text(
    language: str | None, chosen: str
) -> None:
    tags = {"africa": "af", "islands": "en-029", "gb": "en-GB", "us": "en-us", "swiss": "de-CH", "odd": ""}
    body = json.dumps({"voices": [{"id": voice, "language": tag} for voice, tag in tags.items()]})
    with SpeechServer(voices=tuple(tags)) as server:
        server.behave(Behaviour(body=body), Route.LISTS)
        async with speech(server, voices=("af_sky", "alloy")) as engine:
            await said(engine, replace(HELLO, language=language))
        assert asked(server)[0].voice == chosen


async def test_voices_may_be_listed_as_names_or_as_objects() -> None:
    body = '{"voices": ["ann", {"id": "bob", "name": "Bob", "language": "en-GB"}, {"name": "cy"}, 7, {}]}'
    with SpeechServer() as server:
        server.behave(Behaviour(body=body), Route.LISTS)
        async with speech(server) as engine:
            assert await engine.voices() == [
                Voice(id="ann", engine=engine.name),
                Voice(id="bob", engine=engine.name, name="Bob", language="en-GB"),
                Voice(id="cy", engine=engine.name, name="cy"),
            ]


async def test_the_openai_service_offers_its_own_voices_without_being_asked() -> None:
    engine = OpenAiSpeech(Endpoint(base_url="https://api.openai.com/v1"))
    voices = {voice.id for voice in await engine.voices()}
    assert len(voices) == 13
    assert {"alloy", "marin", "cedar"} <= voices


@pytest.mark.parametrize("speed", [math.nan, math.inf, -1.0, 0.0, 4.5])
async def test_a_speed_that_no_server_takes_is_refused_before_anything_is_sent(speed: float) -> None:
    with SpeechServer() as server:
        async with speech(server) as engine:
            with pytest.raises(InvalidRequest, match=r"0\.25 and 4"):
                await said(engine, replace(HELLO, speed=speed))
        assert server.requests == []


async def test_what_was_said_comes_back_as_text() -> None:
    spoken = speak("open the second file")
    with SpeechServer() as server:
        async with transcription(server) as ear:
            transcript = await ear.transcribe(TranscriptionRequest(audio=Frame(data=spoken, format=SPEECH)))
    assert transcript.text.lower().startswith("open the second file")
    assert (transcript.engine, transcript.model) == (ear.name, "gpt-transcribe")


async def test_a_recording_too_short_for_a_word_is_not_sent() -> None:
    with SpeechServer() as server:
        async with transcription(server) as ear:
            for samples in (0, 1_599):
                audio = Frame(data=LISTENING.silence(samples), format=LISTENING)
                assert (await ear.transcribe(TranscriptionRequest(audio=audio))).text == ""
        assert server.requests == []


async def test_a_text_without_a_word_is_refused_before_anything_is_sent() -> None:
    with SpeechServer() as server:
        async with speech(server) as engine:
            for text in ("", " \n\t", "\x00\x1b"):
                with pytest.raises(InvalidRequest, match="nothing to say"):
                    await said(engine, replace(HELLO, text=text))
        assert server.requests == []


async def test_a_proxy_from_the_environment_is_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "socks9://nonsense")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with SpeechServer() as server:
        async with speech(server) as engine:
            assert await said(engine) == speak(TEXT)
    far = OpenAiSpeech(Endpoint(base_url="http://speech.example/v1", voices=("alloy",)))
    with pytest.raises(EngineUnavailable, match="proxy"):
        await said(far)


async def test_a_proxy_from_the_environment_is_asked_for_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with SpeechServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        monkeypatch.setenv("http_proxy", proxy.origin)
        engine = OpenAiSpeech(Endpoint(base_url="http://speech.example/v1", voices=("alloy",)))
        with pytest.raises(EndpointRefused):
            await said(engine)
        await engine.close()
        assert [request.header("host") for request in proxy.requests] == ["speech.example"]


async def test_a_redirect_within_the_same_host_is_followed_with_the_whole_request() -> None:
    with SpeechServer(key=KEY) as server:
        server.then(Behaviour(status=308, location="self"))
        async with speech(server, key=KEY) as engine:
            assert await said(engine) == speak(TEXT)
        assert [request.text for request in asked(server)][1:] == [TEXT]


async def test_sound_that_a_server_compresses_unasked_is_unpacked() -> None:
    packed = gzip.compress(speak(TEXT))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    accepted: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(head + packed)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        engine = OpenAiSpeech(Endpoint(base_url=f"http://127.0.0.1:{port}/v1", voices=("alloy",)))
        assert await said(engine) == speak(TEXT)
        await engine.close()
    assert b"accept-encoding: identity" in accepted[0]


async def test_a_probe_tells_the_four_states_apart() -> None:
    with SpeechServer(key=KEY) as server:
        good = await probe(Endpoint(base_url=server.base_url, api_key=KEY))
        refused = await probe(Endpoint(base_url=server.base_url, api_key="other-key"))
        server.behave(Behaviour(status=404), Route.LISTS)
        unlisted = await probe(Endpoint(base_url=server.base_url, api_key=KEY), purpose=Purpose.TRANSCRIPTION)
        elsewhere = await probe(Endpoint(base_url=f"{server.origin}/v2", api_key=KEY))
    gone = await probe(Endpoint(base_url=server.base_url, api_key=KEY))
    assert [state.health for state in (good, refused, unlisted, elsewhere, gone)] == [
        Health.REACHABLE,
        Health.KEY_REFUSED,
        Health.REACHABLE,
        Health.NOT_SPEECH,
        Health.UNREACHABLE,
    ]
    assert good.latency is not None
    assert good.latency > 0
    assert (good.reason, gone.latency) == ("", None)
    assert "nothing listens there" in gone.reason


@pytest.mark.parametrize(
    "url", ["", "localhost:8880", "ftp://host/v1", "http://", "http://[::1", "http://h:99999/"]
)
def test_a_base_url_that_is_no_web_address_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        Endpoint(base_url=url)


def test_the_name_of_an_endpoint_is_its_host_and_port() -> None:
    names = {
        url: Endpoint(base_url=url).name
        for url in ("https://api.x.org/v1", "http://[::1]:80/v1", "http://A:8880")
    }
    assert list(names.values()) == ["api.x.org", "[::1]:80", "a:8880"]
    assert Endpoint(base_url="http://[::1]:80/v1").loopback
    assert not Endpoint(base_url="http://10.0.0.1/v1").loopback
