"""What is left on disk of another process's answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.encoding import decode
from voicemode.pcm import LISTENING, Frame
from voicemode.recording.answers import left_answer
from voicemode.recording.wav_file import PART, WavFile, wav_header
from voicemode.speech import Outcome

SAID = bytes(range(256)) * 40


@pytest.mark.spec("TOOL-22")
def test_what_a_process_was_killed_over_is_left_and_what_a_living_one_still_writes_is_not(
    tmp_path: Path,
) -> None:
    month = tmp_path / "2026" / "11"
    month.mkdir(parents=True)
    killed = month / f"20261121-120000-000_0b0b0b0b_stt{PART}"
    killed.write_bytes(wav_header(LISTENING, 4_000) + SAID + b"\x01")
    living = WavFile(month / "20261121-120000-000_0a0a0a0a_stt", LISTENING)
    living.write(SAID)
    assert left_answer(tmp_path, "0a0a0a0a") is None
    found = left_answer(tmp_path, "0b0b0b0b")
    assert found is not None
    assert (found.outcome, found.text) == (Outcome.NOT_TRANSCRIBED, "")
    assert found.sound == month / "20261121-120000-000_0b0b0b0b_stt.wav"
    assert decode(found.sound.read_bytes(), None) == Frame(data=SAID, format=LISTENING)
    assert decode(living.finish().read_bytes(), None) == Frame(data=SAID, format=LISTENING)
