"""The configuration: files that were read, values that were not taken, settings without effect beside the others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from voicemode.configuration.config import Config
from voicemode.configuration.kinds import is_loopback
from voicemode.configuration.settings import SET, Origin
from voicemode.configuration.variables import OPENAI
from voicemode.doctor.finding import Finding, State
from voicemode.ears.choice import chosen
from voicemode.machine.settings_files import Folders

Rule = tuple[tuple[str, ...], Callable[[Config], bool], str]
"""Variables, when they have no effect, and why."""


PERSONAL = frozenset({"VOICEMODE_STT_PROMPT"})
"""Names and words of the user's own, which do not belong where a report is pasted."""

MEND_LINE = "Write NAME=value there, or begin the line with #."


def examine_configuration(config: Config, places: Folders, *, project: Path | None) -> list[Finding]:
    """`project` is the project's file, where there is one. Blocking: looks at files."""
    return [
        _file(config, Origin.USER, places.user_file, "your file"),
        *([] if project is None else [_file(config, Origin.PROJECT, project, "project file")]),
        _settings(config),
        *(
            Finding(
                state=State.WARN,
                what="setting",
                found=problem.says,
                mend=f"Set or unset it there ({problem.source})." if problem.variable else MEND_LINE,
            )
            for problem in config.problems
        ),
        *(
            Finding(
                state=State.WARN,
                what="setting",
                found=f"{name} has no effect: {why}",
                mend=f"Unset it, or change that ({origin}).",
            )
            for name, origin, why in useless(config)
        ),
        _data(places.data),
    ]


def useless(config: Config) -> list[tuple[str, Origin, str]]:
    """(variable, where it is set, why it does nothing) of what somebody has set in vain."""
    origins = {row.name: row.source for row in config.rows if row.source is not Origin.DEFAULT}
    return [
        (name, origins[name], why)
        for names, idle, why in RULES
        for name in names
        if name in origins and idle(config)
    ]


def _file(config: Config, origin: Origin, path: Path, what: str) -> Finding:
    count = sum(row.source is origin for row in config.rows)
    if not path.exists():
        return Finding(
            state=State.NOTE, what=what, found=f"{path} is not there; it would hold NAME=value lines"
        )
    return Finding(
        state=State.OK, what=what, found=f"{path}, {count} {'setting' if count == 1 else 'settings'}"
    )


def _settings(config: Config) -> Finding:
    """Everything that is not as it comes; a secret is only said to be set."""
    shown = [
        f"{row.name}={SET if row.name in PERSONAL else row.value} ({row.source})"
        for row in config.rows
        if row.source is not Origin.DEFAULT
    ]
    return Finding(state=State.OK, what="settings", found=", ".join(shown) or "everything is as it comes")


def _data(folder: Path) -> Finding:
    """The folder for what is kept, or the nearest one above it, which is where it would be made."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding(state=State.OK, what="data", found=str(folder))
    return Finding(
        state=State.WARN,
        what="data",
        found=f"{folder} cannot be written: no recording, no event log and no line of who speaks next",
        mend=f"Make {there} writable for you, or set VOICEMODE_BASE_DIR to another folder.",
    )


def _named(config: Config) -> bool:
    return bool(config.speech.base_urls) and bool(config.listening.base_urls)


def _key_is_seen(config: Config) -> bool:
    return any(each.api_key for each in (*config.speech_endpoints(), *config.transcription_endpoints()))


def _asks(config: Config, url: str) -> bool:
    return any(each.url == url for each in (*config.speech_endpoints(), *config.transcription_endpoints()))


def _realtime(config: Config) -> bool:
    return any(each.url.startswith(OPENAI) and each.api_key for each in config.speech_endpoints())


RULES: tuple[Rule, ...] = (
    (
        ("VOICEMODE_KOKORO_PORT",),
        lambda config: bool(config.speech.base_urls),
        "VOICEMODE_TTS_BASE_URLS names the speech servers",
    ),
    (
        ("VOICEMODE_WHISPER_PORT",),
        lambda config: bool(config.listening.base_urls),
        "VOICEMODE_STT_BASE_URLS names the transcription servers",
    ),
    (
        ("VOICEMODE_PREFER_LOCAL",),
        _named,
        "VOICEMODE_TTS_BASE_URLS and VOICEMODE_STT_BASE_URLS give the order",
    ),
    (
        ("VOICEMODE_PREFER_LOCAL",),
        lambda config: (
            not _named(config) and not config.endpoints.api_key and config.endpoints.base_url == OPENAI
        ),
        "there is no other service to ask (OPENAI_API_KEY is not set)",
    ),
    (
        ("OPENAI_API_KEY",),
        lambda config: bool(config.endpoints.api_key) and not _key_is_seen(config),
        "none of the named servers may see it: it goes to OPENAI_BASE_URL, and over https to servers that you named",
    ),
    (
        ("OPENAI_BASE_URL",),
        lambda config: (
            not is_loopback(config.endpoints.base_url) and not _asks(config, config.endpoints.base_url)
        ),
        "VOICEMODE_TTS_BASE_URLS and VOICEMODE_STT_BASE_URLS name other servers",
    ),
    (
        ("VOICEMODE_REALTIME_MODEL",),
        lambda config: not _realtime(config) and config.speech.realtime_model.lower() != "none",
        "only OpenAI with a key has a Realtime API, and it is not among the speech servers",
    ),
    (
        ("VOICEMODE_STREAM_BUFFER_MS", "VOICEMODE_STREAM_MAX_BUFFER"),
        lambda config: not config.streaming.enabled,
        "VOICEMODE_STREAMING_ENABLED is false",
    ),
    (
        (
            "VOICEMODE_SILENCE_THRESHOLD_MS",
            "VOICEMODE_SILENCE_MIN_MS",
            "VOICEMODE_SILENCE_MAX_MS",
            "VOICEMODE_MIN_RECORDING_DURATION",
        ),
        lambda config: config.listening.disable_silence_detection,
        "VOICEMODE_DISABLE_SILENCE_DETECTION is true",
    ),
    (
        ("VOICEMODE_VAD_AGGRESSIVENESS",),
        lambda config: chosen(config.listening.vad, config.listening.vad_aggressiveness).neural,
        "the neural detector judges, and it has no such setting (VOICEMODE_VAD=webrtc has)",
    ),
    (
        ("VOICEMODE_CHIME_LEADING_SILENCE", "VOICEMODE_CHIME_TRAILING_SILENCE"),
        lambda config: not config.sound.chimes,
        "VOICEMODE_AUDIO_FEEDBACK is false",
    ),
    (
        ("VOICEMODE_EVENT_LOG_DIR", "VOICEMODE_EVENT_LOG_TEXT"),
        lambda config: not config.log.events,
        "VOICEMODE_EVENT_LOG_ENABLED is false",
    ),
    (
        ("VOICEMODE_SAVE_AUDIO", "VOICEMODE_SAVE_TRANSCRIPTIONS"),
        lambda config: config.files.save_all,
        "VOICEMODE_SAVE_ALL keeps both anyway",
    ),
)
