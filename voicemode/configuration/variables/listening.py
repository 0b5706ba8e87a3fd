"""How the user is listened to and understood."""

# ruff: noqa: RUF009  (`setting` makes a dataclass field, as `field` does)

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voicemode.configuration.kinds import BOOLEAN, NO, TEXT, URLS, YES, choice, integer, number
from voicemode.configuration.settings import setting
from voicemode.speech import AudioFormat


class DetectorChoice(StrEnum):
    """Who tells voice from noise. `auto`: the neural detector, behind WebRTC's as its gate, where it is installed, else
    WebRTC's alone; `neural`: the neural detector looks at every frame."""

    AUTO = "auto"
    NEURAL = "neural"
    WEBRTC = "webrtc"


class BargeIn(StrEnum):
    """Whether the user may talk over a message."""

    AUTO = "auto"
    TRUE = "true"
    FALSE = "false"


@dataclass(frozen=True, kw_only=True)
class ListeningSettings:
    """Listening and transcription."""

    base_urls: tuple[str, ...] = setting(
        "VOICEMODE_STT_BASE_URLS",
        URLS,
        (),
        "Transcription servers (OpenAI's API), tried in this order. Empty: found by itself.",
    )
    model: str = setting(
        "VOICEMODE_STT_MODEL",
        TEXT,
        "",
        "Transcription model. Empty: whisper-1 for local servers, gpt-transcribe for OpenAI.",
    )
    audio_format: AudioFormat = setting(
        "VOICEMODE_STT_AUDIO_FORMAT",
        choice(AudioFormat.WAV),
        AudioFormat.WAV,
        "Format in which a recording is sent to be transcribed; wav loses nothing.",
    )
    language: str = setting(
        "VOICEMODE_STT_LANGUAGE",
        TEXT,
        "auto",
        "Language you speak, as a code like en or de; auto: the recogniser finds out.",
        aliases=("VOICEMODE_WHISPER_LANGUAGE",),
    )
    prompt: str = setting("VOICEMODE_STT_PROMPT", TEXT, "", "Names and words the recogniser should expect.")
    maximum_s: float = setting(
        "VOICEMODE_DEFAULT_LISTEN_DURATION",
        number(1, 600, "seconds"),
        120.0,
        "Longest time the microphone stays open when a call does not say.",
    )
    minimum_s: float = setting(
        "VOICEMODE_MIN_RECORDING_DURATION",
        number(0, 60, "seconds"),
        0.5,
        "Silence does not end a turn before this much has been recorded.",
    )
    no_speech_s: float = setting(
        "VOICEMODE_NO_SPEECH_TIMEOUT",
        number(1, 600, "seconds"),
        10.0,
        "A turn in which nobody begins to speak ends after this time.",
    )
    silence_ms: int = setting(
        "VOICEMODE_SILENCE_THRESHOLD_MS",
        integer(100, 10_000, "ms"),
        1000,
        "Silence after speech that ends your turn, as a start: it adapts to your pauses and to what you say.",
    )
    silence_min_ms: int = setting(
        "VOICEMODE_SILENCE_MIN_MS",
        integer(100, 10_000, "ms"),
        600,
        "Shortest silence that it may become, after a finished sentence; more than the threshold counts as that.",
    )
    silence_max_ms: int = setting(
        "VOICEMODE_SILENCE_MAX_MS",
        integer(100, 30_000, "ms"),
        3000,
        "Longest silence that it may become, in mid-thought; less than the threshold counts as that.",
    )
    speculative: bool = setting(
        "VOICEMODE_SPECULATIVE",
        BOOLEAN,
        True,
        "Transcribe at the first short silence, so that the text is there when your turn ends; "
        "costs a request for each pause.",
    )
    barge_in: BargeIn = setting(
        "VOICEMODE_BARGE_IN",
        choice(*BargeIn, also={**dict.fromkeys(NO, BargeIn.FALSE), **dict.fromkeys(YES, BargeIn.TRUE)}),
        BargeIn.AUTO,
        "Talk over the assistant to interrupt it. auto: with headphones, and where doctor --sound found a faint echo.",
    )
    vad: DetectorChoice = setting(
        "VOICEMODE_VAD",
        choice(*DetectorChoice),
        DetectorChoice.AUTO,
        "Voice detector: webrtc is small, neural also tells a voice from music and a fan; auto is both, as installed.",
    )
    vad_aggressiveness: int = setting(
        "VOICEMODE_VAD_AGGRESSIVENESS",
        integer(0, 3),
        2,
        "How sure WebRTC's voice detector must be that it hears a voice: 0 is easily convinced, 3 is strict.",
    )
    disable_silence_detection: bool = setting(
        "VOICEMODE_DISABLE_SILENCE_DETECTION",
        BOOLEAN,
        False,
        "Record for the whole time instead of ending the turn at a silence (for noisy rooms).",
    )
