"""Where sentences end for the detectors and the turn machine together, in microphone time."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass

import numpy as np
import pytest

from tests.ears.rooms import noise, sound
from tests.support.fakes import FakeEar, FakeMicrophone, Shelf
from tests.support.listening import resampled
from tests.support.speakers import Speech, counting, flite, recorded, recordings
from voicemode.configuration.variables import DetectorChoice
from voicemode.ears.choice import open_vad
from voicemode.events import nowhere
from voicemode.flows.guessing import Guess
from voicemode.flows.judging import Ear, Sound
from voicemode.flows.listening import Hearing, ListeningPorts
from voicemode.pcm import LISTENING, Frame, Framer
from voicemode.speech import Transcript
from voicemode.turn_taking.turn import TurnRules

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        shutil.which("flite") is None, reason="flite is missing (scripts/system_packages.sh installs it)"
    ),
]

SILENCE_S = 0.8
RULES = TurnRules(silence=SILENCE_S, silence_least=SILENCE_S, silence_most=SILENCE_S)
BEFORE_S, AFTER_S = 1.2, 1.5
ROOM_DB = -66.0
NEAR_S, FAR_S = 0.06, 0.13
"""So near most turns end, and all of them. One recording fades out in a breath for 0.2 s."""
SOONEST_S, LATEST_S = 0.14, 0.23
"""After the last voiced moment the words are asked for; frames are of 32 ms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """Seconds behind the last voiced moment."""

    turn: float
    asked: float
    kept: float


def speeches() -> list[Speech]:
    texts = ("Please delete the old branch now.", "No, wait. I would rather see the error first.")
    numbers = [counting(2, first=first) for first in (0, 3, 6)]
    return [*(recorded(number) for number in range(len(recordings()))), *map(flite, texts), *numbers]


async def end_of(speech: Speech, detector: DetectorChoice) -> End:
    voice = resampled(speech.samples, speech.rate, LISTENING.rate)
    waves = [np.zeros(round(BEFORE_S * LISTENING.rate)), voice, np.zeros(round(AFTER_S * LISTENING.rate))]
    whole = np.concatenate(waves)
    heard = sound(whole + noise(len(whole), ROOM_DB))
    now, asked = 0.0, 0.0

    async def ask(audio: Frame) -> Transcript:
        nonlocal asked
        asked = now
        return Transcript(text="", engine="fake ear")

    vad = open_vad(detector, 2)
    ports = ListeningPorts(
        open_source=FakeMicrophone([]),
        open_vad=lambda: vad,
        engine=FakeEar(),
        begin_recording=Shelf(),
        emit=nowhere,
        rules=RULES,
    )
    ear = Ear(vad, None)
    async with Guess(ask) as guess:
        hearing = Hearing(
            ports,
            LISTENING,
            turn="t1",
            rules=RULES,
            guess=guess,
            overhang=vad.overhang_seconds,
            lead_seconds=now,
        )
        for frame in Framer(LISTENING, vad.frame_samples).feed(heard):
            judged = ear.judge(Sound(frame=frame, began=now))
            now += frame.seconds
            if hearing.feed(judged) is not None:
                break
            await asyncio.sleep(0)
    taken = hearing.captured()
    assert taken.audio is not None
    ends = BEFORE_S + speech.ends_s
    began = round(heard.find(taken.audio.data[: 2 * 160]) / 2) / LISTENING.rate
    return End(turn=now - ends - SILENCE_S, asked=asked - ends, kept=began + taken.audio.seconds - ends)


@pytest.mark.parametrize(("detector", "most"), [(DetectorChoice.NEURAL, 0.8), (DetectorChoice.WEBRTC, 0.5)])
@pytest.mark.spec("LSN-15", "LSN-16", "LSN-20", "LSN-43")
async def test_turns_of_people_end_where_their_voice_did_and_words_are_asked_for_a_fifth_of_a_second_after_it(
    detector: DetectorChoice, most: float
) -> None:
    ends = [await end_of(speech, detector) for speech in speeches()]
    assert max(abs(end.turn) for end in ends) <= FAR_S, ends
    assert sum(abs(end.turn) <= NEAR_S for end in ends) >= 0.8 * len(ends), ends
    assert sum(SOONEST_S <= end.asked <= LATEST_S for end in ends) >= most * len(ends), ends
    assert min(end.kept for end in ends) >= 0.0, ends
