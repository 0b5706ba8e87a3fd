"""Speech servers that fail in every way, in front of a real process: what is heard, and what is told."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.battery.bad_servers import BAD, bad_servers
from tests.battery.wire import events, everything, memory_mb, sounds, wire
from tests.live.host import environment
from tests.support import voice
from tests.support.encoding import WavKind, WavSizes, decode
from tests.support.listening import compare, samples_of
from tests.support.sound_card import RATE, VirtualSoundCard
from tests.support.speech_server import (
    Behaviour,
    Cut,
    Length,
    RequestSeen,
    SpeechServer,
    closed_port,
)
from voicemode.clock import monotonic

pytestmark = pytest.mark.anyio

TEXT = "The build is green again. All tests pass."
KEY = "sk-battery-0123456789abcdef"

TRIED_TWICE = ("500 for ever", "503 for ever")
"""It may have been a hiccup."""

ASKED_EACH_TIME = ("400",)
"""It may have been the text."""


def spoken_requests(server: SpeechServer) -> list[RequestSeen]:
    return [request for request in server.requests if request.path == "/v1/audio/speech"]


@pytest.mark.live
@pytest.mark.spec("BAT-1")
async def test_every_bad_server_is_passed_over_and_not_asked_again_soon(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        refused = stack.enter_context(closed_port())
        bad = bad_servers(stack)
        good = stack.enter_context(SpeechServer())
        urls = [refused, "http://no-such-name.invalid/v1", *(server.base_url for server in bad.values())]
        variables = environment(
            sound_card,
            tmp_path,
            TTS_BASE_URLS=",".join([*urls, good.base_url]),
            FIRST_BYTE_TIMEOUT="0.5",
            TTS_MODELS="tts-1",
        )
        heard = stack.enter_context(sound_card.recording())
        async with wire(variables) as host:
            first = await host.call("speak", message=TEXT, wait="finished")
            asked = {name: len(spoken_requests(server)) for name, server in bad.items()}
            began = monotonic()
            second = await host.call("speak", message="Once more.", wait="finished")
            took = monotonic() - began
    for said, text in ((first, TEXT), (second, "Once more.")):
        assert not said.failed, said.text
        assert said.word("heard") == text
        assert said.word("unheard") == ""
    assert voice.hear(heard.samples().tobytes(), RATE) == voice.words(f"{TEXT} Once more.")
    told = [event.fields["code"] for event in events(tmp_path) if event.name == "endpoint_failed"]
    expected = ["unreachable", "unreachable", *(code for _, code in BAD.values())]
    assert told[: len(expected)] == expected
    assert {name: asked[name] for name in TRIED_TWICE} == dict.fromkeys(TRIED_TWICE, 2)
    assert {name: len(spoken_requests(bad[name])) for name in BAD if name not in ASKED_EACH_TIME} == {
        name: asked[name] for name in BAD if name not in ASKED_EACH_TIME
    }
    assert took < 3.0


BREAKING = {
    "cut": Behaviour(cut_after_bytes=30_001),
    "reset": Behaviour(cut_after_bytes=30_000, cut=Cut.RESET),
    "short Content-Length": Behaviour(length=Length.STATED, cut_after_bytes=30_000),
    "no last chunk": Behaviour(last_chunk=False),
    "silent for ever": Behaviour(stall_after_bytes=30_000),
}
CLAUSES = "One two three four. Done."
LONGEST_CLAUSE = 5
"""Words, with the one that is cut through."""


@pytest.mark.live
@pytest.mark.spec("BAT-2")
async def test_after_a_broken_stream_no_word_is_missing_and_at_most_one_clause_is_heard_twice(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url, GAP_TIMEOUT="0.5")
        async with wire(variables) as host:
            for name, behaviour in BREAKING.items():
                server.then(behaviour)
                with sound_card.recording() as heard:
                    said = await host.call("speak", limit=10.0, message=CLAUSES, wait="finished")
                    words = voice.hear(heard.samples().tobytes(), RATE)
                assert said.word("state") == "finished", (name, said)
                assert said.word("heard") == CLAUSES, name
                assert said.word("unheard") == "", name
                assert _with_one_clause_again(words, voice.words(CLAUSES), LONGEST_CLAUSE), (name, words)


def _with_one_clause_again(words: list[str], text: list[str], most: int) -> bool:
    """Whether `words` are `text`, or become it when at most `most` in a row are left out."""
    more = len(words) - len(text)
    left_out = [words[:at] + words[at + more :] for at in range(len(text) + 1)]
    return 0 <= more <= most and text in left_out


@pytest.mark.spec("BAT-3")
async def test_an_endless_stream_is_cut_at_a_cap_in_flat_memory(tmp_path: Path) -> None:
    with SpeechServer(Behaviour(endless=True, chunk_bytes=65_536)) as server:
        variables = environment(None, tmp_path, TTS_BASE_URLS=server.base_url)
        async with wire(variables) as host:
            await host.call("speak", message="One.", wait="finished")
            before = await asyncio.to_thread(memory_mb, host.process)
            said = await host.call("speak", message="One two three.", wait="finished")
            grown = await asyncio.to_thread(memory_mb, host.process) - before
    assert "several times what the text can need" in said.text + said.word("note")
    assert grown < 10.0
    kept = await asyncio.to_thread(sounds, tmp_path)
    assert len(kept) == 2
    assert max(each.seconds for each in kept) < 60.0


SHAPES = {
    "44.1 kHz": Behaviour(sound_rate=44_100),
    "stereo, size 0": Behaviour(sound_channels=2, wav_sizes=WavSizes.ZERO),
    "8 bit": Behaviour(wav_kind=WavKind.U8, sound_rate=16_000),
    "24 bit": Behaviour(wav_kind=WavKind.S24, sound_rate=48_000, sound_channels=2),
    "float, size unknown": Behaviour(wav_kind=WavKind.F32, wav_sizes=WavSizes.STREAMING),
    "called mp3": Behaviour(content_type="audio/mpeg"),
    "called text": Behaviour(content_type="text/plain; charset=utf-8"),
}


@pytest.mark.spec("BAT-4")
async def test_sound_of_any_shape_under_any_name_has_the_right_pitch_length_and_level(tmp_path: Path) -> None:
    text = "One two three."
    source = voice.speak(text)
    with SpeechServer() as server:
        variables = environment(None, tmp_path, TTS_BASE_URLS=server.base_url, TTS_AUDIO_FORMAT="wav")
        async with wire(variables) as host:
            for name, behaviour in SHAPES.items():
                server.behave(behaviour)
                said = await host.call("speak", message=text, wait="finished")
                kept = decode(await asyncio.to_thread(Path(said.word("recording")).read_bytes))
                assert voice.hear(kept.data, kept.format.rate) == voice.words(text), name
                found = compare(samples_of(kept.data), kept.format.rate, samples_of(source), 24_000)
                # What makes stereo of mono gives each side half the power.
                level = 0.5**0.5 if behaviour.sound_channels == 2 else 1.0
                assert found.gain == pytest.approx(level, abs=0.05), name
                assert kept.seconds == pytest.approx(len(source) / 48_000, abs=0.02), name


@pytest.mark.spec("BAT-5")
async def test_a_key_never_leaves_its_host(tmp_path: Path) -> None:
    with closed_port() as nobody, SpeechServer() as elsewhere, SpeechServer(key=KEY) as server:
        variables = environment(
            None,
            tmp_path,
            KOKORO_PORT=nobody.rpartition(":")[2].removesuffix("/v1"),
            TTS_MODELS="tts-1",
            DEBUG="trace",
        ) | {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url}
        async with wire(variables) as host:
            for status in (301, 302, 307, 308):
                server.then(Behaviour(status=status, location=f"{elsewhere.base_url}/audio/speech"))
                said = await host.call("speak", message="One.", wait="finished")
                assert not said.failed, said.text
            status_now = await host.call("voice_status", check=True)
        assert spoken_requests(server)
        assert not [request for request in elsewhere.requests if KEY in request.header("authorization")]
        assert not elsewhere.requests
    assert status_now.fields["speech"]
    assert KEY not in everything(host, tmp_path)


@pytest.mark.spec("BAT-6")
async def test_a_short_retry_after_and_one_bad_moment_are_waited_for(tmp_path: Path) -> None:
    with SpeechServer() as server:
        variables = environment(None, tmp_path, TTS_BASE_URLS=server.base_url)
        async with wire(variables) as host:
            for behaviour in (Behaviour(status=429, retry_after="0.3"), Behaviour(status=503)):
                server.then(behaviour)
                said = await host.call("speak", message="One two.", wait="finished")
                sound = decode(await asyncio.to_thread(Path(said.word("recording")).read_bytes))
                assert voice.hear(sound.data, sound.format.rate) == ["one", "two"]
    assert [event for event in events(tmp_path) if event.name == "endpoint_failed"] == []
