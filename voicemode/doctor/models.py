"""The models that run in this process: which are here, and which would be used."""

from __future__ import annotations

from collections.abc import Callable

from voicemode.config import Config
from voicemode.doctor.finding import Finding, State
from voicemode.ears.canceller import canceller_installed
from voicemode.ears.choice import chosen
from voicemode.settings_files import Folders
from voicemode.status import EngineStatus, embedded_ear, embedded_voice

Look = Callable[[Config, Folders], list[Finding]]
"""Blocking; loads nothing."""


def _embedded(config: Config, places: Folders) -> list[Finding]:
    return [
        _engine("embedded voice", "espeak-ng, clear and robotic", embedded_voice()),
        _engine("embedded ear", "pocketsphinx, English, short answers", embedded_ear()),
    ]


def _detector(config: Config, places: Folders) -> list[Finding]:
    detector = chosen(config.listening.vad, config.listening.vad_aggressiveness)
    return [Finding(state=State.OK, what="voice detector", found=f"{detector.name}: {detector.reason}")]


def _canceller(config: Config, places: Folders) -> list[Finding]:
    if canceller_installed():
        return [Finding(state=State.OK, what="echo canceller", found="WebRTC's, in livekit")]
    return [
        Finding(
            state=State.WARN,
            what="echo canceller",
            found="missing: beside a loudspeaker nobody can talk over a message",
            mend="Install livekit beside voicemode, or use headphones.",
        )
    ]


LOOKS: tuple[Look, ...] = (_embedded, _detector, _canceller)
"""Whoever brings a kind of model adds what looks for it."""


def examine_models(config: Config, places: Folders) -> list[Finding]:
    return [finding for look in LOOKS for finding in look(config, places)]


def _engine(what: str, model: str, engine: EngineStatus) -> Finding:
    if engine.state == "ready":
        return Finding(state=State.OK, what=what, found=model)
    return Finding(state=State.WARN, what=what, found=engine.state, mend=engine.detail)
