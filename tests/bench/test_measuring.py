"""Engines are measured through the flows that speak and listen, against a real server on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from tests.support.fakes import FakeEar, FakeVoice, Shelf
from tests.support.speech_server import Behaviour, Route, SpeechServer, closed_port
from voicemode.bench.results import Figure, Kind, Row
from voicemode.bench.texts import WARMING
from voicemode.codecs import open_decoder
from voicemode.configuration.variables import DetectorChoice
from voicemode.devices.nobody import HeardOnce, open_nobody
from voicemode.ears.choice import open_vad
from voicemode.engines.first import FirstTranscription
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.openai_http import OpenAiSpeech, OpenAiTranscription
from voicemode.errors import NoDevice, VoiceModeError
from voicemode.events import nowhere
from voicemode.flows.listening import ListeningPorts
from voicemode.flows.speaking import SpeakingPorts
from voicemode.measuring.bench_ports import quietly
from voicemode.measuring.benching import Bench, BenchPorts, Listener, Plan, Speaker, Step, asked
from voicemode.pcm import SPEECH, PcmFormat
from voicemode.playout.links import Links
from voicemode.ports import Lost, OpenSink, Pull, Sink
from voicemode.speech import AudioFormat, SpeechRequest
from voicemode.turn_taking.turn import TurnRules

pytestmark = pytest.mark.anyio

TEXT = "One two three."
ALL = (Kind.SPEECH, Kind.TRANSCRIPTION, Kind.TURN)
LIMIT_SECONDS = 30.0


def speaker(base_url: str, *, costs: bool = False) -> Speaker:
    return Speaker(engine=OpenAiSpeech(Endpoint(base_url=base_url)), formats=tuple(AudioFormat), costs=costs)


def listener(base_url: str) -> Listener:
    return Listener(engine=OpenAiTranscription(Endpoint(base_url=base_url)))


def set_up(
    *speakers: Speaker, listeners: tuple[Listener, ...] = (), sink: OpenSink = open_nobody
) -> BenchPorts:
    shelf = Shelf()
    return BenchPorts(
        speakers=speakers,
        listeners=listeners,
        mouth=SpeakingPorts(
            engine=FakeVoice(),
            open_decoder=open_decoder,
            open_sink=sink,
            begin_recording=shelf,
            emit=nowhere,
            links=Links(fill_seconds=0.15, limit_seconds=2.0),
        ),
        ear=ListeningPorts(
            open_source=HeardOnce,  # type: ignore[arg-type]  # Never opened: each turn has one of its own.
            open_vad=partial(open_vad, DetectorChoice.WEBRTC, 2),
            engine=FakeEar(),
            begin_recording=shelf,
            emit=nowhere,
            rules=TurnRules(silence=0.5, no_speech=2.0, maximum=10.0),
        ),
        sink=sink,
        microphone=HeardOnce,
        first_of=FirstTranscription,
        buffer_seconds=0.15,
    )


def plan(*formats: AudioFormat, runs: int = 1, kinds: tuple[Kind, ...] = (Kind.SPEECH,)) -> Plan:
    return Plan(
        runs=runs,
        texts=(TEXT,),
        formats=formats or (AudioFormat.PCM,),
        kinds=kinds,
        request=SpeechRequest(text=""),
        dictated=TEXT,
    )


async def measured(
    ports: BenchPorts, chosen: Plan, watch: Callable[[Step], None] = lambda step: None
) -> list[Row]:
    bench = Bench(ports, chosen, watch)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await bench.run()
    finally:
        for speaking in ports.speakers:
            await speaking.engine.close()
        for listening in ports.listeners:
            await listening.engine.close()
    return bench.rows


@pytest.mark.spec("BEN-1", "BEN-2")
async def test_every_format_of_a_server_has_a_row_and_no_figure_is_better_than_the_server() -> None:
    with SpeechServer(Behaviour(time_to_first_byte_s=0.1)) as server:
        rows = await measured(set_up(speaker(server.base_url)), plan(*AudioFormat, runs=2))
    assert [row.subject.format for row in rows] == [each.value for each in AudioFormat]
    for row in rows:
        assert row.failure == ""
        assert set(row.values) == {
            Figure.FIRST_BYTE,
            Figure.FIRST_SOUND,
            Figure.AUDIBLE,
            Figure.FACTOR,
            Figure.STALL,
            Figure.UNDERRUNS,
        }
        assert all(len(values) == 2 for values in row.values.values())
        for byte, decoded, audible in zip(
            row.values[Figure.FIRST_BYTE],
            row.values[Figure.FIRST_SOUND],
            row.values[Figure.AUDIBLE],
            strict=True,
        ):
            assert 0.1 <= byte <= decoded < audible


@pytest.mark.spec("BEN-2")
async def test_a_server_slower_than_its_sound_has_a_factor_above_one_and_underruns() -> None:
    with SpeechServer(Behaviour(pace=0.5, chunk_bytes=2048)) as server:
        (row,) = await measured(set_up(speaker(server.base_url)), plan())
    assert row.values[Figure.FACTOR][0] > 1.2
    assert row.values[Figure.UNDERRUNS][0] >= 1


@pytest.mark.spec("BEN-2")
async def test_the_longest_stall_is_the_servers() -> None:
    with SpeechServer(Behaviour(stall_after_bytes=8192, stall_s=0.3)) as server:
        (row,) = await measured(set_up(speaker(server.base_url)), plan())
    assert row.values[Figure.STALL][0] >= 0.25


@pytest.mark.spec("BEN-1", "BEN-5")
async def test_what_is_asked_is_what_was_announced_and_the_first_of_each_is_not_counted() -> None:
    steps: list[Step] = []
    with SpeechServer() as server:
        ports = set_up(speaker(server.base_url), listeners=(listener(server.base_url),))
        chosen = plan(AudioFormat.PCM, AudioFormat.MP3, runs=2, kinds=ALL)
        announced = asked(ports, chosen)[ports.names[0]]
        rows = await measured(ports, chosen, steps.append)
        texts = [seen.text for seen in server.requests if seen.path.endswith("/audio/speech")]
        uploads = [seen for seen in server.requests if seen.path.endswith("/audio/transcriptions")]
    assert texts == [WARMING, *[TEXT] * 5]
    assert announced.characters == sum(map(len, texts))
    assert 2 + 1 + 2 <= len(uploads) <= announced.recordings
    assert {step.number for step in steps} == {0, 1, 2}
    transcription, turn = rows[-2:]
    assert transcription.values[Figure.WORD_ERRORS] == [0, 0]
    assert len(turn.values[Figure.TURN]) == 2


@pytest.mark.spec("BEN-4")
async def test_a_turn_is_timed_from_the_last_word_through_the_configured_silence() -> None:
    with SpeechServer() as server:
        server.behave(Behaviour(transcript="One too three."), Route.TRANSCRIPTIONS)
        ports = set_up(speaker(server.base_url), listeners=(listener(server.base_url),))
        transcription, turn = await measured(ports, plan(kinds=(Kind.TRANSCRIPTION, Kind.TURN)))
    assert transcription.values[Figure.WORD_ERRORS] == [pytest.approx(1 / 3)]
    assert turn.values[Figure.SILENCE][0] >= 0.3  # 0.5 s, of which a finished sentence needs 0.6.
    assert turn.values[Figure.TURN][0] >= turn.values[Figure.SILENCE][0]
    assert any(server.base_url.split("/")[2] in note for note in turn.notes)


@pytest.mark.spec("BEN-1")
async def test_an_engine_that_fails_is_told_and_left_alone_and_the_others_go_on() -> None:
    with (
        SpeechServer() as good,
        SpeechServer(Behaviour(status=400, body="no")) as refusing,
        closed_port() as nobody,
    ):
        ports = set_up(speaker(nobody), speaker(refusing.base_url), speaker(good.base_url))
        rows = await measured(ports, plan(AudioFormat.PCM, AudioFormat.MP3, runs=3))
        assert len([seen for seen in refusing.requests if seen.path.endswith("/audio/speech")]) == 1
    assert "nothing listens there" in rows[0].failure
    assert "HTTP 400" in rows[1].failure
    assert [row.failure for row in rows[2:]] == ["", ""]


@pytest.mark.spec("BEN-1")
async def test_a_format_that_fails_leaves_the_others_alone() -> None:
    with SpeechServer() as server:
        server.then(Behaviour(), Behaviour(), Behaviour(status=400))
        broken, whole = await measured(
            set_up(speaker(server.base_url)), plan(AudioFormat.PCM, AudioFormat.WAV, runs=2)
        )
    assert broken.failure
    assert len(broken.values[Figure.AUDIBLE]) == 1
    assert len(whole.values[Figure.AUDIBLE]) == 2


@pytest.mark.spec("BEN-1")
async def test_a_stream_that_broke_off_and_went_on_is_told() -> None:
    with SpeechServer() as server:
        server.then(Behaviour(), Behaviour(cut_after_bytes=10_000))
        (row,) = await measured(set_up(speaker(server.base_url)), plan())
    assert row.values[Figure.AUDIBLE]
    assert row.notes == ["its stream broke off and was asked for again"]


@pytest.mark.spec("BEN-1")
async def test_what_has_one_format_has_one_row() -> None:
    with SpeechServer() as server:
        only = replace(speaker(server.base_url), formats=(AudioFormat.PCM,))
        (row,) = await measured(set_up(only), plan(AudioFormat.MP3))
    assert row.subject.format == ""
    assert row.values


@pytest.mark.spec("BEN-1")
async def test_without_any_voice_the_recognisers_are_given_nothing_and_it_says_so() -> None:
    with closed_port() as nobody:
        ports = set_up(speaker(nobody), listeners=(listener(nobody),))
        (row,) = await measured(ports, plan(kinds=(Kind.TRANSCRIPTION,)))
    assert "no engine speaks" in row.failure


@pytest.mark.spec("BEN-8")
async def test_cancelled_it_keeps_what_was_measured_and_drops_its_connection() -> None:
    second = asyncio.Event()
    with SpeechServer(Behaviour(time_to_first_byte_s=60)) as server:
        server.then(Behaviour(), Behaviour())
        ports = set_up(speaker(server.base_url))
        bench = Bench(ports, plan(runs=3), lambda step: second.set() if step.number == 2 else None)
        running = asyncio.create_task(bench.run())
        async with asyncio.timeout(LIMIT_SECONDS):
            await second.wait()
        running.cancel()
        await asyncio.wait([running], timeout=LIMIT_SECONDS)
        assert running.cancelled()
        await ports.speakers[0].engine.close()
    assert [len(row.values[Figure.AUDIBLE]) for row in bench.rows] == [1]


@pytest.mark.spec("BEN-1")
async def test_without_a_loudspeaker_it_is_told_for_each_row() -> None:
    @asynccontextmanager
    async def none(format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        raise NoDevice("There is no loudspeaker.")
        yield

    with SpeechServer() as server:
        (row,) = await measured(set_up(speaker(server.base_url), sink=none), plan())
    assert "There is no loudspeaker." in row.failure


@pytest.mark.spec("BEN-1")
async def test_what_is_played_is_played_quietly() -> None:
    taken: list[bytes] = []

    @asynccontextmanager
    async def recording(format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        taken.append(pull(3))
        async with open_nobody(format, lambda samples: bytes(2 * samples), lost) as sink:
            yield sink

    def never(error: VoiceModeError) -> None:
        raise AssertionError(error)

    loud = (10_000).to_bytes(2, "little", signed=True)
    async with quietly(recording)(SPEECH, lambda samples: loud * samples, never):
        pass
    assert int.from_bytes(taken[0][:2], "little", signed=True) == pytest.approx(1_000, abs=1)
