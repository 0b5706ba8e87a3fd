"""The Realtime voice reads what it is given, stops when told, keeps its sockets, and says what went wrong."""

from __future__ import annotations

import asyncio
import base64
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.engines.http import KEY, TEXT, WAIT_S, overheard, said
from tests.support import contract
from tests.support.realtime_server import Conduct, RealtimeServer
from tests.support.speech_server import closed_port
from tests.support.voice import hear_text, speak
from voicemode.engines.http_endpoint import Endpoint, Limits
from voicemode.engines.realtime import RealtimeSpeech
from voicemode.errors import (
    BadContent,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    EngineError,
    StreamBroken,
)
from voicemode.pcm import SPEECH
from voicemode.speech import AudioFormat, SpeechRequest

pytestmark = pytest.mark.anyio

HELLO = SpeechRequest(text=TEXT)
LONG = " ".join([TEXT] * 20)
IMPATIENT = Limits(first_byte_s=0.6, gap_s=0.4)


@asynccontextmanager
async def realtime(
    server: RealtimeServer,
    *,
    key: str = "",
    voices: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
    limits: Limits | None = None,
) -> AsyncIterator[RealtimeSpeech]:
    endpoint = Endpoint(
        base_url=server.base_url, api_key=key, voices=voices, models=models, limits=limits or Limits()
    )
    engine = RealtimeSpeech(endpoint)
    try:
        yield engine
    finally:
        await engine.close()


# The promises of every engine.


async def test_it_streams_and_keeps_texts_apart() -> None:
    async with RealtimeServer() as server, realtime(server) as engine:
        audio, sound = await contract.assert_streams(engine, HELLO)
        assert sound == speak(TEXT)
        assert (audio.format, audio.pcm, audio.voice) == (AudioFormat.PCM, SPEECH, "marin")
        await contract.assert_each_gets_its_own(engine, [TEXT, "something else", LONG])


async def test_it_refuses_nonsense() -> None:
    async with RealtimeServer() as server, realtime(server) as engine:
        await contract.assert_refuses_nonsense(engine)


async def test_it_stops_at_the_service_when_it_is_not_wanted_any_more() -> None:
    async with RealtimeServer(Conduct(pace=8.0)) as server, realtime(server) as engine:
        await contract.assert_leaving_stops_it(engine, LONG, lambda: server.at_work)
        await contract.assert_cancel_stops_speech(engine, LONG, lambda: server.at_work)
        assert sum(text.cancelled for text in server.asked) == 3
        assert len(server.sockets) == 1, "a cancelled text leaves the socket usable"


# What is asked.


async def test_the_model_is_told_to_read_outside_of_any_conversation() -> None:
    request = SpeechRequest(text="What is two and two?", instructions="whisper", speed=2.0)
    async with RealtimeServer() as server, realtime(server, voices=("cedar",)) as engine:
        assert hear_text(await said(engine, request), SPEECH.rate) == "what is two and two"
        (asked,) = server.asked
        assert asked.text == request.text
        assert asked.conversation == "none"
        assert "word for word" in asked.instructions
        assert "whisper" in asked.instructions
        assert (asked.voice, asked.speed, asked.model) == ("cedar", 1.5, "gpt-realtime-2.1-mini")
        (update,) = server.sockets[0].updates
        assert update["audio"] == {
            "input": {"turn_detection": None},
            "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "cedar", "speed": 1.5},
        }


async def test_a_model_that_does_not_reason_is_asked_without() -> None:
    async with RealtimeServer(refuses_reasoning=True) as server, realtime(server) as engine:
        assert await said(engine, HELLO)
        assert ["reasoning" in update for update in server.sockets[0].updates] == [True, False]


async def test_the_first_preferred_voice_that_the_service_has_is_used() -> None:
    async with (
        RealtimeServer() as server,
        realtime(server, voices=("af_sky", "coral", "alloy")) as engine,
        engine.synthesize(HELLO) as audio,
    ):
        assert audio.voice == "coral"


async def test_voices_are_known_for_openai_alone() -> None:
    for url, known in (("https://api.openai.com/v1", True), ("http://127.0.0.1:9/v1", False)):
        voices = await RealtimeSpeech(Endpoint(base_url=url)).voices()
        assert ("marin" in [voice.id for voice in voices]) is known


# Sockets.


async def test_a_socket_is_kept_for_the_next_text_and_others_have_their_own_voice() -> None:
    async with RealtimeServer() as server, realtime(server) as engine:
        for voice in ("marin", "cedar", "marin", "marin"):
            await said(engine, SpeechRequest(text=TEXT, voice=voice))
        assert [text.socket for text in server.asked] == [1, 2, 1, 1]


async def test_no_more_than_three_sockets_stay_open() -> None:
    async with RealtimeServer() as server, realtime(server) as engine:
        for voice in ("marin", "cedar", "alloy", "coral"):
            await said(engine, SpeechRequest(text=TEXT, voice=voice))
        await contract.comes_true(lambda: server.open_sockets == 3)
        await said(engine, SpeechRequest(text=TEXT, voice="marin"))
        assert [text.socket for text in server.asked] == [1, 2, 3, 4, 5]


async def test_texts_at_the_same_time_share_a_socket_while_it_opens() -> None:
    async with RealtimeServer() as server, realtime(server) as engine:
        sounds = await asyncio.gather(
            *(said(engine, SpeechRequest(text=text)) for text in (TEXT, "two", "three"))
        )
        assert [hear_text(sound, SPEECH.rate) for sound in sounds] == [TEXT, "two", "three"]
        assert len(server.sockets) == 1


async def test_a_service_that_does_one_at_a_time_gets_one_at_a_time() -> None:
    async with RealtimeServer(Conduct(pace=20.0), one_at_a_time=True) as server, realtime(server) as engine:
        await said(engine, SpeechRequest(text="one"))
        sounds = await asyncio.gather(
            *(said(engine, SpeechRequest(text=text)) for text in (TEXT, "two", "three"))
        )
        assert [hear_text(sound, SPEECH.rate) for sound in sounds] == [TEXT, "two", "three"]
        assert len(server.sockets) == 1


async def test_a_service_that_forgets_metadata_is_followed_by_order() -> None:
    async with RealtimeServer(Conduct(metadata_back=False)) as server, realtime(server) as engine:
        sounds = await asyncio.gather(
            *(said(engine, SpeechRequest(text=text)) for text in (TEXT, "two", "three"))
        )
        assert [hear_text(sound, SPEECH.rate) for sound in sounds] == [TEXT, "two", "three"]


@pytest.mark.parametrize("how", ["closed", "expired", "dead"])
async def test_a_kept_socket_that_ended_meanwhile_is_opened_again_unheard(how: str) -> None:
    async with RealtimeServer() as server, realtime(server) as engine:
        await said(engine, HELLO)
        if how == "closed":
            await server.hang_up()
        elif how == "expired":
            await server.expire()
        else:
            server.then(Conduct(ignored=True))
        request, told = overheard(HELLO)
        assert await said(engine, request) == speak(TEXT)
        assert told == [("unreachable", 0.0)] * (how == "dead")
        assert server.asked[-1].socket == 2
        await contract.comes_true(lambda: server.open_sockets == 1)


async def test_a_session_near_its_longest_time_is_replaced_and_what_it_reads_is_read_to_the_end() -> None:
    time = 1000.0
    async with RealtimeServer(Conduct(pace=5.0)) as server:
        engine = RealtimeSpeech(Endpoint(base_url=server.base_url), now=lambda: time)
        async with asyncio.timeout(WAIT_S), engine.synthesize(HELLO) as audio:
            time += 56 * 60.0
            server.behave(Conduct())
            assert await said(engine, HELLO) == speak(TEXT)
            assert b"".join([chunk async for chunk in audio.chunks]) == speak(TEXT)
        assert [text.socket for text in server.asked] == [1, 2]
        await contract.comes_true(lambda: server.open_sockets == 1)
        await engine.close()


async def test_closing_the_engine_closes_its_sockets_at_once() -> None:
    async with RealtimeServer(Conduct(pace=1.0)) as server, realtime(server) as engine:
        async with engine.synthesize(SpeechRequest(text=LONG)) as audio:
            await engine.close()
            with pytest.raises(StreamBroken):
                async for _ in audio.chunks:
                    pass
        await contract.comes_true(lambda: server.open_sockets == 0)


async def test_warming_up_opens_no_connection() -> None:
    async with RealtimeServer() as server, realtime(server) as engine:
        await engine.warm()
        assert server.sockets == []


# Words.


async def reworded(conduct: Conduct) -> tuple[str, str | None]:
    """What was heard of `HELLO`, and how it is said to depart from it."""
    async with (
        RealtimeServer(conduct) as server,
        realtime(server) as engine,
        engine.synthesize(HELLO) as audio,
    ):
        sound = b"".join([chunk async for chunk in audio.chunks])
        return hear_text(sound, SPEECH.rate), audio.reworded()


async def test_a_text_read_as_it_stands_is_not_reported() -> None:
    _, how = await reworded(Conduct(said="The harbour is QUIET, tonight!"))
    assert how is None


async def test_a_reworded_text_is_heard_and_reported() -> None:
    heard, how = await reworded(Conduct(said="the harbour is very quiet"))
    assert heard == "the harbour is very quiet"
    assert how == "added “very”; left out “tonight”"


async def test_an_answer_is_not_heard_and_the_text_is_asked_for_again() -> None:
    question = SpeechRequest(text="What is the capital of France?")
    async with RealtimeServer() as server, realtime(server) as engine:
        server.then(Conduct(said="Sure, it's Paris.", pace=1.0))
        assert hear_text(await said(engine, question), SPEECH.rate) == "what is the capital of france"
        assert [text.cancelled for text in server.asked] == [True, False]


async def test_a_model_that_goes_on_answering_is_left_to_the_next_engine() -> None:
    question = SpeechRequest(text="What is the capital of France?")
    async with RealtimeServer(Conduct(said="Sure, it's Paris.")) as server, realtime(server) as engine:
        with pytest.raises(BadContent, match="answered the text instead of reading it"):
            await said(engine, question)


# Failures.


async def refusal(server: RealtimeServer, *, key: str = "", models: tuple[str, ...] = ()) -> EndpointRefused:
    async with realtime(server, key=key, models=models) as engine:
        with pytest.raises(EndpointRefused) as caught:
            await said(engine, HELLO)
    return caught.value


@pytest.mark.parametrize("key_event", [False, True])
async def test_a_refused_key_is_named_and_not_shown(
    key_event: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with RealtimeServer(key="another", key_event=key_event) as server:
        error = await refusal(server, key=KEY)
    assert error.status == 401
    assert "API key" in error.hint
    assert not error.retryable
    assert KEY not in f"{error} {error!r} {error.__cause__} {caplog.text}"


async def test_the_right_key_is_sent() -> None:
    async with RealtimeServer(key=KEY) as server, realtime(server, key=KEY) as engine:
        assert await said(engine, HELLO)
        assert server.headers[0].startswith("voicemode/")


async def test_an_unknown_model_is_named() -> None:
    async with RealtimeServer() as server:
        error = await refusal(server, models=("gpt-telepathy",))
    assert error.status == 404
    assert "gpt-telepathy" in str(error)
    assert "VOICEMODE_REALTIME_MODEL" in error.hint


@pytest.mark.parametrize("names_events", [True, False])
@pytest.mark.parametrize("when", [None, 0.0])
@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [("rate_limit_exceeded", 429, True), ("insufficient_quota", 429, False), ("server_error", 500, True)],
)
async def test_a_refused_text_says_why(
    code: str, status: int, retryable: bool, when: float | None, names_events: bool
) -> None:
    async with RealtimeServer(Conduct(error=code, ends_after_s=when), names_events=names_events) as server:
        error = await refusal(server)
        assert (error.status, error.retryable) == (status, retryable)
        assert code in error.message


async def test_after_a_refused_text_the_socket_speaks_on() -> None:
    async with RealtimeServer() as server, realtime(server) as engine:
        server.then(Conduct(error="rate_limit_exceeded"))
        with pytest.raises(EndpointRefused):
            await said(engine, HELLO)
        assert await said(engine, HELLO) == speak(TEXT)
        assert len(server.sockets) == 1


@pytest.mark.parametrize(
    ("conduct", "retryable"),
    [
        (Conduct(cut_after_s=0.5), True),
        (Conduct(stall_after_s=0.5), True),
        (Conduct(ends_after_s=0.5, error="server_error"), True),
        (Conduct(ends_after_s=0.5, status="incomplete", reason="max_output_tokens"), True),
        (Conduct(ends_after_s=0.5, status="incomplete", reason="content_filter"), False),
    ],
    ids=["cut", "stalled", "failed", "too long", "filtered"],
)
async def test_sound_that_breaks_off_is_given_up_to_there(conduct: Conduct, retryable: bool) -> None:
    async with RealtimeServer() as server, realtime(server, limits=IMPATIENT) as engine:
        server.then(conduct)
        got = bytearray()

        async def listen() -> None:
            async with asyncio.timeout(WAIT_S), engine.synthesize(HELLO) as audio:
                async for chunk in audio.chunks:
                    got.extend(chunk)

        with pytest.raises(StreamBroken) as caught:
            await listen()
        assert bytes(got) == speak(TEXT)[: len(got)]
        assert len(got) == SPEECH.samples(0.5) * SPEECH.bytes_per_sample
        assert caught.value.retryable is retryable
        assert await said(engine, HELLO) == speak(TEXT)


async def test_one_text_that_fails_does_not_harm_another_on_the_same_socket() -> None:
    async with RealtimeServer(Conduct(pace=20.0)) as server, realtime(server) as engine:
        await said(engine, SpeechRequest(text="first"))
        server.then(Conduct(pace=20.0), Conduct(error="server_error", ends_after_s=0.2, pace=20.0))
        good, bad = await asyncio.gather(
            said(engine, HELLO), said(engine, SpeechRequest(text=LONG)), return_exceptions=True
        )
        assert good == speak(TEXT)
        assert isinstance(bad, StreamBroken)


async def test_a_voice_that_runs_away_is_stopped() -> None:
    short = Limits(excess=2.0)
    async with RealtimeServer(Conduct(endless=True)) as server, realtime(server, limits=short) as engine:
        with pytest.raises(StreamBroken, match="several times") as caught:
            await said(engine, HELLO)
        assert not caught.value.retryable
        await contract.comes_true(lambda: server.at_work == 0)


async def test_a_service_that_is_too_slow_is_given_up_and_its_socket_too() -> None:
    slow = Conduct(time_to_first_byte_s=60.0)
    async with RealtimeServer(slow) as server, realtime(server, limits=IMPATIENT) as engine:
        with pytest.raises(EndpointTimeout, match="did not send any sound within"):
            await said(engine, HELLO)
        await contract.comes_true(lambda: server.open_sockets == 0)
        server.behave(Conduct())
        assert await said(engine, HELLO)


@pytest.mark.parametrize(
    ("conduct", "error"),
    [
        (Conduct(junk=True), BadContent),
        (Conduct(said=""), None),
        (Conduct(ends_after_s=0.0, status="completed"), BadContent),
        (Conduct(ends_after_s=0.0, status="incomplete", reason="content_filter"), BadContent),
        (Conduct(cut_after_s=0.0), EndpointUnreachable),
    ],
    ids=["junk", "silence", "no sound", "filtered", "cut"],
)
async def test_what_is_no_sound_is_an_error_before_anything_is_heard(
    conduct: Conduct, error: type[EngineError] | None
) -> None:
    async with RealtimeServer() as server, realtime(server) as engine:
        server.behave(conduct)
        if error is None:
            assert await said(engine, HELLO)
            return
        with pytest.raises(error) as caught:
            await said(engine, HELLO)
        assert caught.value.hint
        assert caught.value.engine == engine.name
        server.behave(Conduct())
        assert await said(engine, HELLO) == speak(TEXT)


async def test_nobody_there_is_unreachable() -> None:
    with closed_port() as url:
        engine = RealtimeSpeech(Endpoint(base_url=url))
        with pytest.raises(EndpointUnreachable, match="nothing listens there") as caught:
            await said(engine, HELLO)
        await engine.close()
    assert caught.value.hint


async def test_a_server_without_the_route_says_so() -> None:
    async with RealtimeServer() as server:
        engine = RealtimeSpeech(Endpoint(base_url=server.base_url.replace("/v1", "/v2")))
        with pytest.raises(EndpointRefused) as caught:
            await said(engine, HELLO)
        await engine.close()
    assert caught.value.status == 404


@asynccontextmanager
async def something_else(answer: bytes | None) -> AsyncIterator[str]:
    """The base URL of a server that is no WebSocket: it answers with `answer`, or never."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        over.set()


@pytest.mark.parametrize(
    ("answer", "error"),
    [(b"SSH-2.0-OpenSSH\r\n", BadContent), (b"", BadContent), (None, EndpointUnreachable)],
    ids=["another protocol", "closed at once", "silent"],
)
async def test_something_else_that_listens_there_is_told_apart(
    answer: bytes | None, error: type[EngineError]
) -> None:
    async with something_else(answer) as url:
        engine = RealtimeSpeech(Endpoint(base_url=url, limits=Limits(connect_s=0.1)))
        with pytest.raises(error) as caught:
            await said(engine, HELLO)
        await engine.close()
    assert caught.value.hint


# The support itself.


async def test_the_server_is_understood_by_the_openai_client() -> None:
    """The unmodified client reads the service's events by their types."""
    openai = pytest.importorskip("openai")
    kinds: list[str] = []
    sound = bytearray()
    async with RealtimeServer() as server:
        client = openai.AsyncOpenAI(api_key="none", base_url=server.base_url, max_retries=0)
        async with (
            asyncio.timeout(WAIT_S),
            client,
            client.realtime.connect(model="gpt-realtime") as connection,
        ):
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}
            await connection.response.create(response={"conversation": "none", "input": [item]})
            async for event in connection:
                kinds.append(event.type)
                assert type(event).__name__ != "dict"
                if event.type == "response.output_audio.delta":
                    sound += base64.b64decode(event.delta)
                if event.type == "response.done":
                    assert event.response.status == "completed"
                    break
    assert list(dict.fromkeys(kinds)) == [
        "session.created",
        "response.created",
        "rate_limits.updated",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.done",
    ]
    assert bytes(sound) == speak(TEXT)


def test_the_engine_loads_the_openai_package_only_when_it_speaks() -> None:
    program = "import sys, voicemode.engines.realtime; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
