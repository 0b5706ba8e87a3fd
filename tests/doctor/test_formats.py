"""Formats and transcription measured at a real local server, good, bad and odd."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.behaviour import Accept, Behaviour, Content, Route
from tests.support.fakes import FakeEar
from tests.support.speech_server import SpeechServer
from voicemode.codecs import open_decoder
from voicemode.configuration.config import Config
from voicemode.doctor.finding import Finding, State
from voicemode.doctor.formats import SENTENCE, examine_formats, examine_transcription
from voicemode.doctor.measuring import Measure, examine_servers, spoken
from voicemode.engines.http_endpoint import Endpoint, Limits
from voicemode.engines.openai_http import OpenAiSpeech, OpenAiTranscription
from voicemode.pcm import Frame, PcmFormat
from voicemode.speech import AudioFormat
from voicemode.wiring.status import Engines, EngineStatus

pytestmark = [pytest.mark.anyio, pytest.mark.spec("DOC-10")]

LIMIT_SECONDS = 30.0
LIMITS = Limits(first_byte_s=1.0, gap_s=1.0)


async def formats(
    server: SpeechServer, used: AudioFormat = AudioFormat.PCM, **endpoint: str
) -> dict[str, Finding]:
    engine = OpenAiSpeech(Endpoint(base_url=server.base_url, limits=LIMITS, **endpoint))  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            found = await examine_formats(engine, used, open_decoder)
    finally:
        await engine.close()
    return {each.what.removeprefix(f"speech: {engine.name}").strip(): each for each in found}


async def test_every_format_is_measured_with_model_and_voice() -> None:
    with SpeechServer() as server:
        told = await formats(server)
        asked = [seen for seen in server.requests if seen.path.endswith("/audio/speech")]
    assert list(told) == ["", *AudioFormat]
    assert "model gpt-4o-mini-tts, voice alloy" in told[""].found
    for each in AudioFormat:
        assert told[each].state is State.OK
        figures = told[each].figures
        assert 0 < figures["first_byte_ms"] <= figures["first_sound_ms"]
        assert 0 < figures["real_time_factor"] < 1
    assert [seen.text for seen in asked] == [SENTENCE] * 6


async def test_the_first_byte_counts_from_the_request() -> None:
    with SpeechServer(Behaviour(time_to_first_byte_s=0.3)) as server:
        told = await formats(server)
    assert told["pcm"].figures["first_byte_ms"] >= 300


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Behaviour(status=400), ("not usable", "400")),
        (Behaviour(content=Content.HTML), ("not usable", "HTML")),
        (Behaviour(content=Content.EMPTY), ("not usable",)),
        (Behaviour(content=Content.NOISE, sent_as="mp3"), ("not usable",)),
    ],
)
async def test_a_format_that_does_not_come_is_told_with_the_reason_and_the_others(
    wrong: Behaviour, words: tuple[str, ...]
) -> None:
    with SpeechServer() as server:
        server.then(Behaviour(), Behaviour(), wrong)
        told = await formats(server, AudioFormat.MP3)
    assert told["mp3"].state is State.WARN
    assert [word for word in words if word not in told["mp3"].found] == []
    assert "pcm, wav, opus, aac, flac" in told["mp3"].mend
    assert told["pcm"].state is State.OK


async def test_a_format_that_nobody_asks_for_is_no_fault_of_the_server() -> None:
    with SpeechServer() as server:
        server.then(Behaviour(), Behaviour(), Behaviour(status=400))
        told = await formats(server, AudioFormat.PCM)
    assert told["mp3"].state is State.NOTE
    assert not told["mp3"].mend


async def test_what_comes_as_something_else_says_so() -> None:
    with SpeechServer(Behaviour(sent_as="wav")) as server:
        told = await formats(server)
    assert told["mp3"].found.startswith("comes as wav; ")


async def test_a_server_slower_than_its_sound_is_told_for_the_format_that_is_used() -> None:
    with SpeechServer() as server:
        server.then(Behaviour(pace=0.8))
        told = await formats(server)
    assert told["pcm"].state is State.WARN
    assert "will pause" in told["pcm"].found
    assert told["wav"].state is State.OK


@pytest.mark.parametrize("accept", [Accept.NEVER, Accept.CLOSE])
async def test_a_server_that_does_not_answer_is_asked_once(accept: Accept) -> None:
    with SpeechServer(Behaviour(accept=accept)) as server:
        told = await formats(server)
        asked = [seen for seen in server.requests if seen.path.endswith("/audio/speech")]
    assert list(told) == [""]
    assert told[""].state is State.WARN
    assert told[""].mend
    assert len({seen.format for seen in asked if seen.format}) <= 1


async def test_a_key_that_is_refused_is_asked_once_and_not_shown() -> None:
    key = "sk-nobody-may-see-this-key"
    with SpeechServer(key="another") as server:
        told = await formats(server, api_key=key)
        asked = [seen for seen in server.requests if seen.path.endswith("/audio/speech")]
    assert list(told) == [""]
    assert len(asked) == 1
    assert key not in str(told)


# Transcription.

RECORDING = Frame(data=b"\1\0" * 16_000, format=PcmFormat(rate=16_000))


async def listened(server: SpeechServer) -> Finding:
    engine = OpenAiTranscription(Endpoint(base_url=server.base_url, limits=LIMITS))
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await examine_transcription(engine, RECORDING)
    finally:
        await engine.close()


async def test_what_was_understood_is_told_with_the_time_it_took() -> None:
    with SpeechServer(Behaviour(transcript="One, two,\n three.\x1b[31m")) as server:
        finding = await listened(server)
    assert finding.state is State.OK
    assert "understood 'One, two, three. [31m'" in finding.found
    assert finding.figures["answer_ms"] > 0
    assert finding.figures["sound_s"] == 1.0


async def test_who_understands_nothing_is_to_be_tried_by_a_person() -> None:
    with SpeechServer(Behaviour(transcript="")) as server:
        finding = await listened(server)
    assert finding.state is State.NOTE
    assert "voicemode listen" in finding.mend


@pytest.mark.parametrize(
    "wrong", [Behaviour(status=500), Behaviour(content=Content.HTML), Behaviour(accept=Accept.CLOSE)]
)
async def test_a_server_that_does_not_transcribe_is_told_with_the_reason(wrong: Behaviour) -> None:
    with SpeechServer() as server:
        server.behave(wrong, Route.TRANSCRIPTIONS)
        finding = await listened(server)
    assert finding.state is State.WARN
    assert "does not transcribe" in finding.found
    assert finding.mend


async def test_a_long_answer_is_cut() -> None:
    finding = await examine_transcription(FakeEar("word " * 100), RECORDING)
    assert len(finding.found) < 200


async def test_the_embedded_voice_says_what_a_recogniser_is_given() -> None:
    frame = await spoken("one two three")
    assert 0.5 < frame.seconds < 5.0
    assert any(frame.data)


# Which servers, by whose leave.


def ready(*servers: SpeechServer, state: str = "ready") -> Engines:
    states = tuple(
        EngineStatus(name=f"127.0.0.1:{server.port}", kind="server", state=state) for server in servers
    )
    return Engines(speech=states, transcription=states)


@pytest.mark.parametrize(
    ("measure", "state", "asked"),
    [
        (Measure.LOCAL, "ready", True),
        (Measure.ALL, "ready", True),
        (Measure.NONE, "ready", False),
        (Measure.LOCAL, "unreachable", False),
    ],
)
@pytest.mark.spec("DOC-2")
async def test_only_what_answered_is_measured_and_only_by_leave(
    measure: Measure, state: str, asked: bool
) -> None:
    with SpeechServer(Behaviour(transcript="one two three")) as server:
        variables = {
            "VOICEMODE_TTS_BASE_URLS": server.base_url,
            "VOICEMODE_STT_BASE_URLS": server.base_url,
        }
        found = await examine_servers(Config.from_sources(variables), ready(server, state=state), measure)
        assert bool(server.requests) is asked
    assert bool(found) is asked


@pytest.mark.spec("DOC-2")
async def test_what_may_cost_money_is_left_alone() -> None:
    config = Config.from_sources({"OPENAI_API_KEY": "sk-nobody-may-see-this-key"})
    states = (EngineStatus(name="api.openai.com", kind="server", state="ready"),)
    found = await examine_servers(config, Engines(speech=states, transcription=states), Measure.LOCAL)
    assert [each.state for each in found] == [State.NOTE, State.NOTE]
    assert all("--endpoints" in each.mend for each in found)


async def test_a_server_that_is_left_out_for_its_key_is_told_without_it() -> None:
    key = "sk-a-key\twith-a-tab-inside"
    found = await examine_servers(
        Config.from_sources({"OPENAI_API_KEY": key}), Engines(speech=(), transcription=()), Measure.LOCAL
    )
    assert found[0].state is State.WARN
    assert "Copy the key again" in found[0].mend
    assert key not in str(found)
