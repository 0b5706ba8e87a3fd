"""A loudspeaker of a real audio stack that takes 48 kHz only, as the listener hears it.

ALSA's a52 plugin is one: it refuses every rate but its own, encodes what it is given as AC-3 and sends that on, as an
HDMI or S/PDIF output does. What it sent is recorded bit for bit and decoded again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from tests.devices.child import CHIRP_SECONDS
from tests.devices.children import Told, child, number
from tests.support.listening import Samples, audible_spans, chirp, compare
from tests.support.sound_card import RATE, VirtualSoundCard
from voicemode.pcm import SPEECH

pytestmark = pytest.mark.live

ATTEMPTS = 4
BURST = b"\x72\xf8\x1f\x4e"
"""How each AC-3 frame begins on the wire (IEC 61937)."""

DEVICE = """
pcm.picky { type a52 slavepcm "pulse" rate 48000 channels 2 bitrate 640 }
"""


@pytest.fixture
def picky(sound_card: VirtualSoundCard) -> Iterator[VirtualSoundCard]:
    if not any(Path("/usr").glob("lib*/**/alsa-lib/libasound_module_pcm_a52.so")):
        pytest.skip("ALSA's a52 plugin is missing")
    asoundrc = sound_card.folder / "asoundrc"
    before = asoundrc.read_text()
    asoundrc.write_text(before + DEVICE)
    yield sound_card
    asoundrc.write_text(before)


def decoded(left: Samples, right: Samples) -> list[Samples]:
    """The channels in what was sent."""
    sent = np.column_stack([left, right]).astype("<i2").tobytes()
    with av.open(io.BytesIO(sent[max(sent.find(BURST), 0) :]), "r", format="spdif") as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return [np.round(channel * 32_767).astype("<i2") for channel in np.concatenate(frames, axis=1)]


def play_undisturbed(card: VirtualSoundCard) -> tuple[Told, list[Samples]]:
    """What was played and heard; again where the machine gave the player no time."""
    for _ in range(ATTEMPTS):
        with child(card.environment, "play_patiently", "portaudio", "picky") as playing:
            playing.told("learned")
            with card.recording(channels=2) as recording:
                playing.go_on()
                played = playing.told("played")
                playing.told("closed")
                recording.wait_for_silence(0.2, 5.0)
                heard = decoded(recording.samples(0), recording.samples(1))
        if played["underflows"] == 0:
            break
    return played, heard


@pytest.mark.alone
@pytest.mark.spec("PLY-19")
def test_a_loudspeaker_that_takes_48_khz_only_plays_every_sample_on_both_sides(
    picky: VirtualSoundCard,
) -> None:
    played, channels = play_undisturbed(picky)
    assert played["lost"] == []
    assert len(channels) == 2
    sent = chirp(SPEECH.rate, CHIRP_SECONDS)
    for heard in channels:
        found = compare(heard, RATE, sent, SPEECH.rate)
        spans = audible_spans(heard, RATE)
        assert len(spans) == 1, played
        assert found.complete == 1.0
        assert found.correlation > 0.999
        assert spans[0].samples / RATE == pytest.approx(CHIRP_SECONDS, abs=0.002)


@pytest.mark.alone
@pytest.mark.spec("PLY-19")
def test_abort_stops_pulling_at_once_there_too(picky: VirtualSoundCard) -> None:
    with picky.recording(channels=2) as recording:
        with child(picky.environment, "abort", "portaudio", "picky") as playing:
            aborted = playing.told("aborted")
            playing.told("closed")
        end = audible_spans(recording.samples(), RATE)[-1].end
        silent_at = recording.time_of(end)
    assert silent_at - number(aborted, "aborted_at") < 0.1
    assert number(aborted, "pulled_after") <= SPEECH.samples(0.120)
    assert aborted["lost"] == []
