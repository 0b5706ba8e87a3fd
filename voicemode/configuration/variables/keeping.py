"""What is kept on disk and told on stderr."""

# ruff: noqa: RUF009  (`setting` makes a dataclass field, as `field` does)

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from voicemode.configuration.kinds import BOOLEAN, FOLDER, NO, YES, choice, number
from voicemode.configuration.settings import setting


class Debug(StrEnum):
    """How much goes to stderr. Anything but off also keeps recordings and transcripts."""

    FALSE = "false"
    TRUE = "true"
    TRACE = "trace"


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """What is kept on disk. A project file has no say here."""

    base_dir: PurePath | None = setting(
        "VOICEMODE_BASE_DIR",
        FOLDER,
        None,
        "Folder for everything voicemode keeps. Empty: the platform's data folder.",
        from_project=False,
    )
    save_audio: bool = setting(
        "VOICEMODE_SAVE_AUDIO",
        BOOLEAN,
        False,
        "Keep every sound of each turn: what was said, the loudspeaker, the microphone, the servers' streams.",
        from_project=False,
    )
    save_transcriptions: bool = setting(
        "VOICEMODE_SAVE_TRANSCRIPTIONS",
        BOOLEAN,
        False,
        "Keep what was said as text beside the recordings.",
        from_project=False,
    )
    save_all: bool = setting(
        "VOICEMODE_SAVE_ALL", BOOLEAN, False, "Keep recordings and transcripts.", from_project=False
    )
    recordings_days: float = setting(
        "VOICEMODE_RECORDINGS_MAX_DAYS",
        number(0, 36_500, "days"),
        30.0,
        "Recordings older than this are deleted at start.",
        from_project=False,
    )
    recordings_mb: float = setting(
        "VOICEMODE_RECORDINGS_MAX_MB",
        number(0, 100_000, "MB"),
        500.0,
        "The oldest recordings beyond this size are deleted at start.",
        from_project=False,
    )
    phrases_mb: float = setting(
        "VOICEMODE_PHRASE_CACHE_MB",
        number(0, 10_000, "MB"),
        50.0,
        "Room on disk for the sound of phrases that servers have said more than once to one process; 0 keeps none.",
        from_project=False,
    )


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """The event log and stderr."""

    events: bool = setting(
        "VOICEMODE_EVENT_LOG_ENABLED",
        BOOLEAN,
        True,
        "Keep a log of events, a file a day.",
        from_project=False,
    )
    events_dir: PurePath | None = setting(
        "VOICEMODE_EVENT_LOG_DIR",
        FOLDER,
        None,
        "Folder of the event log. Empty: events/ in the base folder.",
        from_project=False,
    )
    events_text: bool = setting(
        "VOICEMODE_EVENT_LOG_TEXT",
        BOOLEAN,
        True,
        "Keep the words themselves in the event log; false: only how many characters.",
        from_project=False,
    )
    events_days: float = setting(
        "VOICEMODE_EVENT_LOG_MAX_DAYS",
        number(0, 36_500, "days"),
        30.0,
        "Event logs older than this are deleted at start.",
        from_project=False,
    )
    events_mb: float = setting(
        "VOICEMODE_EVENT_LOG_MAX_MB",
        number(0, 100_000, "MB"),
        100.0,
        "The oldest event logs beyond this size are deleted at start.",
        from_project=False,
    )
    debug: Debug = setting(
        "VOICEMODE_DEBUG",
        choice(*Debug, also={**dict.fromkeys(NO, Debug.FALSE), **dict.fromkeys(YES, Debug.TRUE)}),
        Debug.FALSE,
        "Tell more on stderr, and keep recordings and transcripts.",
        from_project=False,
    )
