"""Everything that can go wrong, as one tree.

    VoiceModeError
    ├── InvalidRequest       the caller's argument is wrong
    │   └── UnknownVoice
    ├── ConfigurationError   a variable has a value that cannot be used
    ├── EngineError          a speech or transcription engine failed
    │   ├── EndpointUnreachable   no connection (refused, name unknown, connect limit)
    │   ├── EndpointTimeout       connected, then nothing within the limit of a phase
    │   ├── EndpointRefused       an HTTP status that says no (`status`)
    │   ├── BadContent            an answer that is not the sound or text it claims to be
    │   ├── StreamBroken          sound began and then broke off
    │   └── EngineUnavailable     not installed or not usable on this machine
    │       └── UnknownLanguage       it works, but not in the language asked for
    ├── DeviceError          loudspeaker or microphone
    │   ├── NoDevice
    │   ├── DeviceLost
    │   └── MicrophoneSilent      opened, but delivers only zeros
    ├── ModelError           a model cannot be fetched, proved, unpacked, placed or removed
    └── Busy                 another conversation holds the floor, or the queue is full

Only doors turn an error into words for a person or a model.
"""

from __future__ import annotations

from collections.abc import Sequence


class VoiceModeError(Exception):
    """A failure that names what failed, and the next step.

    `message` is one sentence that names the thing, the value and what is allowed; `hint` is the next step for
    the reader (may be empty); `retryable` says whether the same call may work a moment later.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class InvalidRequest(VoiceModeError):
    """`about` is the argument that is wrong, by the name that engines and flows have for it ("" for none of them)."""

    code = "invalid_request"
    ABOUT = ""

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False, about: str = "") -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.about = about or self.ABOUT


class UnknownVoice(InvalidRequest):
    code = "unknown_voice"
    ABOUT = "voice"
    LISTED_BY = "`voicemode voices`"
    """What lists the voices, as hints name it; a server names its own route in its place."""


class ConfigurationError(VoiceModeError):
    code = "configuration"


class EngineError(VoiceModeError):
    """`engine` is the name of the engine or endpoint that failed."""

    code = "engine"

    def __init__(self, message: str, *, engine: str, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.engine = engine


class EndpointUnreachable(EngineError):
    code = "unreachable"


class EndpointTimeout(EngineError):
    code = "timeout"


class EndpointRefused(EngineError):
    """`status` is the HTTP status; `retry_after_seconds` is what the server asked for, if it did."""

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        engine: str,
        status: int,
        retry_after_seconds: float | None = None,
        hint: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(message, engine=engine, hint=hint, retryable=retryable)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class BadContent(EngineError):
    code = "bad_content"


class StreamBroken(EngineError):
    code = "stream_broken"


class EngineUnavailable(EngineError):
    code = "engine_unavailable"


class UnknownLanguage(EngineUnavailable):
    """`languages` are those that are known, as codes. It says nothing about other requests."""

    code = "unknown_language"

    def __init__(
        self,
        message: str,
        *,
        engine: str,
        languages: Sequence[str] = (),
        hint: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(message, engine=engine, hint=hint, retryable=retryable)
        self.languages = tuple(languages)


class DeviceError(VoiceModeError):
    code = "device"


class NoDevice(DeviceError):
    code = "no_device"


class DeviceLost(DeviceError):
    code = "device_lost"


class MicrophoneSilent(DeviceError):
    code = "microphone_silent"


class ModelError(VoiceModeError):
    code = "model"


class Busy(VoiceModeError):
    code = "busy"
