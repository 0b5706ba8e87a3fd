"""What an engine sends is on disk as it came, under the ending of what it is."""

from __future__ import annotations

import json
import random
import threading
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support import voice
from tests.support.encoding import WavSizes, encode, wav
from voicemode.events import FloorTaken, TurnFinished, TurnStarted
from voicemode.pcm import SPEECH, Frame
from voicemode.recording.recordings import Recordings
from voicemode.recording.taps import KeptStreams
from voicemode.recording.turns import KeptTurns
from voicemode.speech import AudioFormat, EncodedAudio, SpeechRequest, Voice

pytestmark = pytest.mark.anyio

LIMIT_S = 10.0
SAID = Frame(data=voice.speak("one two three"), format=SPEECH)


class Sender:
    """A `TtsEngine` that sends these bytes in pieces of any size."""

    name = "sender"

    def __init__(self, data: bytes, labelled: AudioFormat) -> None:
        self._labelled = labelled
        chance = random.Random(len(data))
        cuts = sorted(chance.randrange(len(data)) for _ in range(40))
        self._pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[EncodedAudio]:
        yield EncodedAudio(chunks=self._chunks(), format=self._labelled, engine=self.name, voice="v")

    async def voices(self) -> list[Voice]:
        return []

    async def close(self) -> None:
        return

    async def _chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def kept(
    folder: Path, data: bytes, labelled: AudioFormat, *, most: int = 1_000, disk_waits: bool = False
) -> tuple[Path, dict[str, object]]:
    """The file of the stream, and what the turn's JSON says of it; who listens leaves after `most` pieces. Where
    `disk_waits`, nothing is written before the last of them has come."""
    has_come = threading.Event()
    with Recordings(folder, on_warning=lambda what: None) as recordings:
        if disk_waits:
            recordings.submit(partial(_wait, has_come))
        turns = KeptTurns(recordings)
        turns.watch(TurnStarted(at=1.0, turn="t", kind="speak", text="one two three"))
        turns.watch(FloorTaken(at=1.0, turn="t", waited=0.0))
        engine = KeptStreams(Sender(data, labelled), turns)
        async with engine.synthesize(SpeechRequest(text="one two three", turn="t", piece=3)) as audio:
            came: Sequence[bytes] = []
            async for chunk in audio.chunks:
                came = [*came, chunk]
                if len(came) == most:
                    break
        has_come.set()
        turns.watch(TurnFinished(at=2.0, turn="t", outcome="finished", heard="", unheard=""))
        assert recordings.flush(LIMIT_S)
    assert data.startswith(b"".join(came))
    return the_stream(folder)


def _wait(for_this: threading.Event) -> None:
    for_this.wait(LIMIT_S)


def the_stream(folder: Path) -> tuple[Path, dict[str, object]]:
    (told,) = folder.rglob("*_turn.json")
    (file,) = json.loads(told.read_text())["files"]
    assert file["kind"] == "stream-3"
    return told.with_name(file["name"]), file


def streams_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*stream*")]


@pytest.mark.parametrize("labelled_right", [True, False])
@pytest.mark.parametrize(
    "sent", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC, AudioFormat.FLAC, AudioFormat.WAV]
)
@pytest.mark.spec("REC-12")
async def test_a_stream_is_kept_byte_for_byte_under_its_ending_whatever_its_label_says(
    tmp_path: Path, sent: AudioFormat, labelled_right: bool
) -> None:
    data = encode(SAID, sent)
    path, told = await kept(tmp_path, data, sent if labelled_right else AudioFormat.PCM)
    assert path.name.split("_", 2)[2] == f"stream-3.{sent}"
    assert path.read_bytes() == data
    assert told["complete"]


@pytest.mark.spec("REC-12")
async def test_a_wav_whose_header_does_not_know_its_length_is_kept_as_it_came(tmp_path: Path) -> None:
    data = wav(SAID, sizes=WavSizes.STREAMING)
    path, _ = await kept(tmp_path, data, AudioFormat.WAV)
    assert path.suffix == ".wav"
    assert path.read_bytes() == data


@pytest.mark.spec("REC-12")
async def test_raw_sound_becomes_a_wav_that_any_player_takes(tmp_path: Path) -> None:
    path, told = await kept(tmp_path, SAID.data, AudioFormat.PCM)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (SPEECH.rate, 1)
        assert file.readframes(file.getnframes()) == SAID.data
    assert told["seconds"] == pytest.approx(SAID.seconds, abs=0.001)


@pytest.mark.spec("REC-12")
async def test_a_stream_that_nobody_listened_to_to_its_end_is_kept_as_far_as_it_came(tmp_path: Path) -> None:
    data = encode(SAID, AudioFormat.MP3)
    path, told = await kept(tmp_path, data, AudioFormat.MP3, most=20)
    assert path.suffix == ".mp3"
    assert 0 < len(path.read_bytes()) < len(data)
    assert data.startswith(path.read_bytes())
    assert not told["complete"]


@pytest.mark.spec("REC-7", "REC-12")
async def test_a_stream_that_has_come_when_the_disk_is_found_full_is_one_file_that_ends_early(
    tmp_path: Path,
) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_001, before[1]))
    try:
        path, told = await kept(tmp_path, SAID.data, AudioFormat.PCM, disk_waits=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not told["complete"]
    with wave.open(str(path)) as file:
        assert SAID.data.startswith(file.readframes(file.getnframes()))
    assert streams_in(tmp_path) == [path.name]
