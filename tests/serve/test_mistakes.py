"""Mistakes of the server's own: they are found in its log by the id that the client was told, and tell no words."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from tests.serve.house import LIMIT_SECONDS, House, WordEar, WordVoice, house
from voicemode.events import Event, RequestFailed, SpeechServed, TranscriptServed
from voicemode.pcm import SPEECH, Frame
from voicemode.sound.wav import wav_bytes
from voicemode.speech import EncodedAudio, SpeechRequest, Transcript, TranscriptionRequest
from voicemode.speech_server.composing import tell_log
from voicemode.speech_server.failures import failure, tell_of_tasks
from voicemode.speech_server.request_lines import REQUESTS, BareRequests

pytestmark = pytest.mark.anyio

WORDS = "purple elephant"
ASK = {"input": f"The {WORDS} dances.", "text": f"The {WORDS} dances.", "response_format": "pcm"}


class Mistaken(WordVoice):
    """Fails as no engine may, at once or after some sound, with its text in its message."""

    def __init__(self, *, late: bool) -> None:
        super().__init__()
        self._late = late

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        if not self._late:
            raise ValueError(f"cannot say {request.text}")
        async with super().synthesize(request) as audio:
            yield replace(audio, chunks=self._wrong(request.text, audio.chunks))

    async def _wrong(self, text: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield await anext(chunks)
        raise ValueError(f"cannot say {text}")


class MistakenEar(WordEar):
    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        raise ValueError(f"cannot hear {WORDS}")


def failed(server: House) -> RequestFailed:
    """The one failure that was told, which holds no word."""
    (event,) = server.of(RequestFailed)
    assert isinstance(event, RequestFailed)
    assert "elephant" not in json.dumps(asdict(event))
    assert event.error == "ValueError"
    assert "test_mistakes.py" in event.frames
    assert event.place.startswith("voicemode/")
    return event


def served(server: House) -> str:
    """The id of the one request that was answered."""
    (event,) = (each for each in server.events if isinstance(each, SpeechServed | TranscriptServed))
    assert event.outcome == "failed"
    return event.turn


@pytest.mark.spec("SRV-54")
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/synthesize", "/v1/audio/transcriptions"])
async def test_a_mistake_before_the_answer_is_500_with_the_id_that_the_log_has(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    sound = wav_bytes(Frame(data=SPEECH.silence(1_200) + b"\x00\x30\x00\xd0" * 24_000, format=SPEECH))
    async with (
        house(Mistaken(late=False), ear=MistakenEar()) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        if path.endswith("transcriptions"):
            answer = await http.post(path, files={"file": ("a.wav", sound)})
        else:
            answer = await http.post(path, json=ASK)
        assert answer.status_code == 500
        event = failed(server)
        error = answer.json()["error"]
        assert (error["type"], error["code"], error["param"]) == ("server_error", "internal_error", None)
        assert event.turn == answer.headers["x-request-id"] == error["request_id"] == served(server)
        assert event.turn in error["message"]
        assert event.route == path
        figures = (await http.get("/metrics")).text
    assert f'voicemode_failed_requests_total{{route="{path}"}} 1.0' in figures
    assert "elephant" not in answer.text + caplog.text


@pytest.mark.spec("SRV-54")
async def test_a_mistake_after_the_first_sound_ends_the_answer_before_its_end() -> None:
    async with (
        house(Mistaken(late=True)) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post("/v1/audio/speech", json=ASK)
        assert failed(server).turn == served(server)


@pytest.mark.spec("SRV-54")
async def test_a_mistake_in_a_stream_of_events_is_its_last_event() -> None:
    async with (
        house(Mistaken(late=True)) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        answer = await http.post("/v1/audio/speech", json={**ASK, "stream_format": "sse"})
        told = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
        assert [each["type"] for each in told[:-1]] == ["speech.audio.delta"] * len(told[:-1])
        assert told[-1]["type"] == "error"
        event = failed(server)
        assert event.turn == told[-1]["error"]["request_id"] == answer.headers["x-request-id"]


@pytest.mark.spec("SRV-54")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("path", ["/ws/synthesize", "/ws/synthesize-stream"])
async def test_a_mistake_on_a_websocket_is_told_there_and_closes_it(path: str, late: bool) -> None:
    async with house(Mistaken(late=late)) as server, connect(f"{server.socket_url}{path}") as socket:
        if path == "/ws/synthesize":
            await socket.send(json.dumps(ASK))
        else:
            for message in ({"type": "init"}, {"type": "text", "text": ASK["text"]}, {"type": "end"}):
                await socket.send(json.dumps(message))
        told: list[dict[str, Any]] = []
        async with asyncio.timeout(LIMIT_SECONDS):
            with suppress(ConnectionClosedError):
                async for said in socket:
                    told.append(json.loads(said))
        assert socket.close_code == 1011
        assert told[0]["type"] == "ready"
        assert (told[-1]["type"], told[-1]["error"]["code"]) == ("error", "internal_error")
        event = failed(server)
        assert event.turn == told[0]["request_id"] == told[-1]["request_id"] == served(server)
        assert event.route == path


@pytest.mark.spec("SRV-54")
async def test_every_answer_has_the_id_of_its_line_in_the_log() -> None:
    async with house() as server, httpx2.AsyncClient(base_url=server.url) as http:
        said = await http.post("/synthesize", json={"text": "Alpha."})
        wrong = await http.post("/synthesize", json={"text": ""})
        (event,) = server.of(SpeechServed)
        assert said.headers["x-request-id"] == event.turn
        assert wrong.headers["x-request-id"] not in ("", event.turn)


@pytest.mark.spec("SRV-54")
async def test_a_page_elsewhere_may_read_of_a_mistake() -> None:
    origin = "http://page.example"
    async with (
        house(Mistaken(late=False), origins=(origin,)) as server,
        httpx2.AsyncClient(base_url=server.url, headers={"origin": origin}) as http,
    ):
        answer = await http.post("/v1/audio/speech", json=ASK)
    assert answer.status_code == 500
    assert answer.headers["access-control-allow-origin"] == origin
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.spec("SRV-54")
def test_the_line_in_the_log_has_the_id_and_the_place(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=REQUESTS):
        tell_log(failure(_error(), turn="7f", route="/synthesize"))
    line = json.loads(caplog.messages[0])
    assert (line["event"], line["request_id"], line["route"]) == ("request_failed", "7f", "/synthesize")
    assert line["error"] == "KeyError"
    assert line["frames"].endswith("_error")


@pytest.mark.spec("SRV-54")
@pytest.mark.spec("SRV-38")
def test_what_fails_beside_every_request_is_told_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []

    async def fail() -> None:
        raise ValueError(WORDS)

    async def serve() -> None:
        tell_of_tasks(told.append)
        task = asyncio.create_task(fail())
        await asyncio.wait({task})
        del task
        gc.collect()
        asyncio.get_running_loop().call_exception_handler({"message": "Something is odd."})

    asyncio.run(serve())
    (event,) = told
    assert isinstance(event, RequestFailed)
    assert (event.error, event.turn, event.route) == ("ValueError", "", "")
    assert "fail" in event.frames
    assert "elephant" not in caplog.text
    assert "Something is odd." in caplog.text


@pytest.mark.spec("SRV-54")
def test_an_error_of_the_system_is_told_by_its_name() -> None:
    assert failure(OSError(errno.EMFILE, "too many", WORDS)).error == "OSError EMFILE"


@pytest.mark.spec("SRV-38")
def test_an_exception_among_other_messages_is_told_by_kind_and_place() -> None:
    record = logging.LogRecord("voicemode.x", logging.ERROR, __file__, 1, "A job of %s failed", ("y",), None)
    try:
        raise _error()
    except KeyError:
        record.exc_info = sys.exc_info()
    shown = BareRequests(logging.Formatter("%(name)s: %(message)s")).format(record)
    assert shown.startswith("voicemode.x: A job of y failed: KeyError at ")
    assert "elephant" not in shown
    assert record.exc_info is not None  # Other handlers have it still.


def _error() -> KeyError:
    try:
        raise KeyError(WORDS)
    except KeyError as error:
        return error
