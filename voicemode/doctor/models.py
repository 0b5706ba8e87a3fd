"""The models that run in this process: which are here, and which would be used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import util
from pathlib import Path

from voicemode.configuration.config import Config
from voicemode.doctor.finding import Finding, State
from voicemode.ears.canceller import canceller_installed
from voicemode.ears.choice import chosen
from voicemode.machine.settings_files import Folders
from voicemode.models.store import Installed, Store, measured
from voicemode.wiring.status import EngineStatus, embedded_ear, embedded_voice

Look = Callable[[Config, Folders], list[Finding]]
"""Blocking; loads nothing."""


def _embedded(config: Config, places: Folders) -> list[Finding]:
    return [
        _engine("embedded voice", "espeak-ng, clear and robotic", embedded_voice()),
        _engine("embedded ear", "pocketsphinx, English, short answers", embedded_ear()),
    ]


def _neural(config: Config, places: Folders) -> list[Finding]:
    """What `voicemode models` has installed, and what is named and is not there."""
    store = Store(places.models)
    there = store.installed()
    findings = [_installed(model) for model in there]
    ids = {model.id for model in there}
    for variable, name in (
        ("VOICEMODE_NEURAL_VOICE", config.neural.voice),
        ("VOICEMODE_NEURAL_EAR", config.neural.ear),
    ):
        if name and name.lower() != "none" and name not in ids and not Path(name).expanduser().is_dir():
            known = any(model.id == name for model in store.catalogue)
            findings.append(
                Finding(
                    state=State.WARN,
                    what="neural model",
                    found=f"{variable} is {name!r}, which is not installed",
                    mend=f"`voicemode models install {name}`"
                    if known
                    else "`voicemode models` lists what there is.",
                )
            )
    if there and util.find_spec("sherpa_onnx") is None:
        findings.append(
            Finding(
                state=State.WARN,
                what="neural models",
                found="sherpa-onnx, which runs them, is missing",
                mend="`pip install 'voicemode[neural]'`, or `uvx --from 'voicemode[neural]' voicemode`.",
            )
        )
    if not findings:
        findings.append(
            Finding(
                state=State.NOTE,
                what="neural models",
                found="none is installed",
                mend="`voicemode models` lists voices and ears that work without a server.",
            )
        )
    return findings


def _installed(model: Installed) -> Finding:
    speed = measured(model)
    fast = "not measured here yet"
    figures = {"bytes": float(model.bytes)}
    if speed is not None:
        fast = f"first {'sound' if model.speaks else 'words'} after {speed.first_seconds:.2f} s, "
        fast += f"{speed.factor:.2f} × real time"
        figures |= {"first_s": speed.first_seconds, "real_time_factor": speed.factor}
    slow = speed is not None and speed.factor >= 1
    return Finding(
        state=State.WARN if slow else State.OK,
        what=f"neural {'voice' if model.speaks else 'ear'}",
        found=f"{model.id}, {model.bytes / 1e6:.0f} MB, {fast}",
        mend="It is slower than it is heard on this machine: `voicemode models` lists smaller ones."
        if slow
        else "",
        figures=figures,
    )


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


LOOKS: tuple[Look, ...] = (_embedded, _neural, _detector, _canceller)
"""Whoever brings a kind of model adds what looks for it."""


def examine_models(config: Config, places: Folders) -> list[Finding]:
    return [finding for look in LOOKS for finding in look(config, places)]


def _engine(what: str, model: str, engine: EngineStatus) -> Finding:
    if engine.state == "ready":
        return Finding(state=State.OK, what=what, found=model)
    return Finding(state=State.WARN, what=what, found=engine.state, mend=engine.detail)
