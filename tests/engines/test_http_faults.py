"""HTTP engines when the other side misbehaves: a typed error in time, nothing secret in it, no connection left."""

from __future__ import annotations

import asyncio
import math
import socket
import sys
import traceback
from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.http import (
    HELLO,
    IMPATIENT,
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
from tests.support.speech_server import Accept, Behaviour, Content, Cut, Length, SpeechServer
from tests.support.voice import speak
from voicemode.engines.http_endpoint import Endpoint, Limits
from voicemode.engines.http_errors import retry_after
from voicemode.engines.openai_http import OpenAiSpeech
from voicemode.errors import (
    BadContent,
    ConfigurationError,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    EngineError,
    StreamBroken,
)
from voicemode.speech import AudioFormat

pytestmark = pytest.mark.anyio

FAULTS: dict[str, tuple[Behaviour, type[EngineError]]] = {
    "400": (Behaviour(status=400), EndpointRefused),
    "401": (Behaviour(status=401), EndpointRefused),
    "403": (Behaviour(status=403), EndpointRefused),
    "404": (Behaviour(status=404), EndpointRefused),
    "429 for long": (Behaviour(status=429, retry_after="60"), EndpointRefused),
    "429 until a date": (Behaviour(status=429, retry_after="Fri, 01 Jan 2100 00:00:00 GMT"), EndpointRefused),
    "500": (Behaviour(status=500), EndpointRefused),
    "redirect elsewhere": (
        Behaviour(status=307, location="http://127.0.0.1:9/v1/audio/speech"),
        EndpointRefused,
    ),
    "redirect in a circle": (Behaviour(status=307, location="self"), EndpointRefused),
    "redirect to nonsense": (Behaviour(status=302, location="http://[::1"), EndpointRefused),
    "html": (Behaviour(content=Content.HTML), BadContent),
    "json": (Behaviour(content=Content.JSON), BadContent),
    "nothing": (Behaviour(content=Content.EMPTY), BadContent),
    "bad gzip": (Behaviour(bad_gzip=True), BadContent),
    "huge headers": (Behaviour(huge_headers_bytes=300_000), BadContent),
    "not http": (Behaviour(accept=Accept.JUNK), BadContent),
    "closed at once": (Behaviour(accept=Accept.CLOSE), EndpointUnreachable),
    "reset at once": (Behaviour(accept=Accept.RESET), EndpointUnreachable),
    "never answers": (Behaviour(accept=Accept.NEVER), EndpointTimeout),
    "headers and no more": (Behaviour(headers_at_once=True, time_to_first_byte_s=60.0), EndpointTimeout),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_before_sound_is_a_typed_error_and_the_next_call_works(name: str) -> None:
    behaviour, kind = FAULTS[name]
    with SpeechServer(behaviour) as server:
        async with speech(server, key=KEY, limits=IMPATIENT) as engine:
            with pytest.raises(kind) as caught:
                await said(engine)
            assert engine.name in caught.value.message
            assert caught.value.engine == engine.name
            assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
            server.behave(Behaviour())
            assert await said(engine) == speak(TEXT)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ("404", "redirect to nonsense")])
async def test_the_same_faults_in_transcription_are_typed_errors_too(name: str) -> None:
    behaviour, kind = FAULTS[name]
    limits = replace(IMPATIENT, whole_s=IMPATIENT.first_byte_s)
    with SpeechServer(behaviour) as server:
        async with transcription(server, limits=limits) as ear:
            with pytest.raises(kind) as caught:
                await ear.transcribe(RECORDING)
            assert KEY not in "".join(traceback.format_exception(caught.value))
            server.behave(Behaviour(transcript="yes"))
            assert (await ear.transcribe(RECORDING)).text == "yes"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_is_not_asked_again_and_tells_what_the_server_said(status: int) -> None:
    with SpeechServer(Behaviour(status=status, body='{"error": {"message": "no credit\\n left"}}')) as server:
        async with speech(server) as engine:
            with pytest.raises(EndpointRefused, match="no credit left") as caught:
                await said(engine)
        assert caught.value.status == status
        assert not caught.value.retryable
        assert len(asked(server)) == 1


@pytest.mark.parametrize(
    "busy", [Behaviour(status=429, retry_after="0.05"), Behaviour(status=503), Behaviour(status=500)]
)
async def test_a_server_that_is_busy_for_a_moment_is_asked_once_more(busy: Behaviour) -> None:
    with SpeechServer() as server:
        async with speech(server) as engine:
            server.then(busy)
            request, told = overheard()
            assert await said(engine, request) == speak(TEXT)
            assert [code for code, after in told if after is not None] == ["refused"]
            server.then(busy, busy, busy)
            with pytest.raises(EndpointRefused) as caught:
                await said(engine)
        assert caught.value.retryable
        assert len(asked(server)) == 4


async def test_a_long_retry_after_is_reported_and_not_waited_for() -> None:
    with SpeechServer(Behaviour(status=429, retry_after="7")) as server:
        async with speech(server) as engine:
            with pytest.raises(EndpointRefused) as caught:
                await said(engine)
        assert caught.value.retry_after_seconds == 7.0
        assert len(asked(server)) == 1


MOMENT, LATER = "Fri, 01 Jan 2100 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:02 GMT"


@pytest.mark.spec("BAT-6")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": LATER, "date": MOMENT}, 2.0),
        ({"retry-after": MOMENT, "date": LATER}, 0.0),
        ({"retry-after": LATER}, math.inf),
        ({"retry-after": "soon", "date": MOMENT}, math.inf),
        ({"retry-after": "nan"}, math.inf),
    ],
)
def test_how_long_to_wait_is_read_in_each_way_it_is_told(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == seconds


CUTS = {
    "closed": Behaviour(cut_after_bytes=5_001),
    "reset": Behaviour(cut_after_bytes=5_001, cut=Cut.RESET),
    "stated length not reached": Behaviour(cut_after_bytes=5_001, length=Length.STATED),
    "more promised than came": Behaviour(length=Length.STATED, length_error=100),
    "last chunk missing": Behaviour(last_chunk=False),
    "silent for ever": Behaviour(stall_after_bytes=5_001),
}


async def gather(engine: OpenAiSpeech, got: bytearray) -> None:
    async with engine.synthesize(HELLO) as audio:
        async for chunk in audio.chunks:
            got += chunk


@pytest.mark.parametrize("name", CUTS)
async def test_a_break_in_mid_sound_gives_all_that_came_and_then_says_how_much(name: str) -> None:
    got = bytearray()
    with SpeechServer(CUTS[name]) as server:
        async with speech(server, limits=IMPATIENT) as engine, asyncio.timeout(WAIT_S):
            with pytest.raises(StreamBroken) as caught:
                await gather(engine, got)
            sent = asked(server)[0].bytes_sent
    assert speak(TEXT).startswith(bytes(got))
    assert f"after {len(got)} bytes" in caught.value.message
    # A reset may overtake bytes on their way; nothing else may lose any.
    assert len(got) == sent or name == "reset"


async def test_a_body_that_goes_on_after_its_stated_length_ends_there() -> None:
    with SpeechServer(Behaviour(length=Length.STATED, length_error=-1_000)) as server:
        async with speech(server) as engine:
            assert await said(engine) == speak(TEXT)[:-1_000]
            server.behave(Behaviour())
            assert await said(engine) == speak(TEXT)


async def test_a_voice_that_runs_away_is_cut_off() -> None:
    got = bytearray()
    with SpeechServer(Behaviour(endless=True)) as server:
        async with speech(server) as engine, asyncio.timeout(WAIT_S):
            with pytest.raises(StreamBroken, match="several times what the text can need"):
                await gather(engine, got)
            [request] = await seen(server, lambda log: log[0].over)
    assert request.aborted_at is not None
    assert len(speak(TEXT)) < len(got) < 30 * len(speak(TEXT))


async def test_a_stream_of_bytes_that_never_ends_in_time_is_broken_off_by_the_whole_limit() -> None:
    dripping = Behaviour(pace=0.5, chunk_bytes=480)
    limits = Limits(whole_s=-3.9)  # The sound's own length of 4.1 s is added.
    with SpeechServer(dripping) as server:
        async with speech(server, limits=limits) as engine:
            with pytest.raises(StreamBroken, match="not done within"):
                await said(engine)


async def test_the_key_stays_with_its_host() -> None:
    with SpeechServer() as elsewhere, SpeechServer() as server:
        server.behave(Behaviour(status=307, location=f"{elsewhere.base_url}/audio/speech"))
        async with speech(server, key=KEY) as engine:
            with pytest.raises(EndpointRefused, match="not followed"):
                await said(engine)
        assert elsewhere.requests == []
        assert len(server.requests) == 1


@pytest.mark.parametrize("where", ["refusal", "sound"])
async def test_a_key_that_the_server_repeats_is_not_passed_on(where: str) -> None:
    body = f'{{"error": {{"message": "Incorrect key {KEY}, not sk-proj-abcdef12345"}}}}'
    with SpeechServer(Behaviour(body=body, status=401 if where == "refusal" else 200)) as server:
        async with speech(server, key=KEY) as engine:
            with pytest.raises(EngineError, match="Incorrect key") as caught:
                await said(engine)
    assert KEY not in str(caught.value)
    assert "abcdef" not in str(caught.value)


async def test_nothing_listening_is_told_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        engine = OpenAiSpeech(Endpoint(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1"))
        with pytest.raises(EndpointUnreachable, match="nothing listens there") as caught:
            await said(engine)
        await engine.close()
    assert "Start the server on 127.0.0.1:" in caught.value.hint


async def test_https_asked_of_a_server_that_speaks_http_is_unreachable_with_the_way_out() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        engine = OpenAiSpeech(Endpoint(base_url=f"https://127.0.0.1:{port}/v1", voices=("alloy",)))
        with pytest.raises(EndpointUnreachable, match="speaks https"):
            await said(engine)
        await engine.close()


@pytest.mark.skipif(
    sys.platform != "linux", reason="fills a listening queue, which only Linux keeps silent about"
)
async def test_a_host_that_does_not_take_connections_costs_the_connect_limit() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        endpoint = Endpoint(
            base_url=f"http://127.0.0.1:{full.getsockname()[1]}/v1", limits=Limits(connect_s=0.2)
        )
        engine = OpenAiSpeech(endpoint)
        with pytest.raises(EndpointUnreachable, match=r"within 0\.2 s"):
            await said(engine)
        await engine.close()


async def test_a_page_in_place_of_a_transcript_is_told_apart_from_silence() -> None:
    with SpeechServer(Behaviour(body='{"text": ""}')) as server:
        async with transcription(server) as ear:
            assert (await ear.transcribe(RECORDING)).text == ""
            for body in ('{"error": "model is loading"}', "hello", "[1]", '{"text": null}', "[" * 100_000):
                server.behave(Behaviour(body=body))
                with pytest.raises(BadContent, match="without a transcript"):
                    await ear.transcribe(RECORDING)


async def test_a_transcript_without_end_is_refused() -> None:
    with SpeechServer(Behaviour(body='{"text": "' + "a" * (1 << 20) + '"}')) as server:
        async with transcription(server) as ear:
            with pytest.raises(BadContent, match="1048576 bytes"):
                await ear.transcribe(RECORDING)


async def test_compressed_sound_without_marks_is_left_to_the_decoder() -> None:
    with SpeechServer(Behaviour(content=Content.NOISE)) as server:
        async with speech(server) as engine:
            sound = await said(engine, replace(HELLO, format=AudioFormat.MP3))
        assert len(sound) == asked(server)[0].bytes_sent


def test_an_endpoint_shows_neither_its_key_nor_a_password_in_its_address() -> None:
    endpoint = Endpoint(base_url="http://ann:hunter22@host:80/v1", api_key=KEY)
    assert repr(endpoint) == "Endpoint(name='host:80', models=(), voices=())"
    with pytest.raises(ConfigurationError) as caught:
        Endpoint(base_url="ftp://ann:hunter22@host/v1", api_key=KEY)
    assert "hunter22" not in str(caught.value)


def test_a_key_with_a_line_break_is_named_without_being_shown() -> None:
    with pytest.raises(ConfigurationError, match="line break") as caught:
        Endpoint(base_url="http://host/v1", api_key=f"{KEY}\n")
    assert KEY not in str(caught.value)


@given(before=st.text(), after=st.text(), cut=st.integers(min_value=0, max_value=200))
def test_no_excerpt_shows_the_key_wherever_the_text_is_cut(before: str, after: str, cut: int) -> None:
    shown = Endpoint(base_url="http://host/v1", api_key=KEY).excerpt((before + KEY + after)[:cut])
    assert KEY not in shown
    assert not shown.endswith(KEY[:6])
    assert len(shown) <= 120
    assert all(letter.isprintable() for letter in shown)
