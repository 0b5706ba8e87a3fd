"""What is said, by whom and how it sounds: the rows of speech, of its stream and of the devices."""

# ruff: noqa: RUF009  (`setting` makes a dataclass field, as `field` does)

from __future__ import annotations

from dataclasses import dataclass

from voicemode.configuration.kinds import BOOLEAN, TEXT, URLS, WORDS, choice, integer, number
from voicemode.configuration.settings import setting
from voicemode.configuration.voices_alike import ALIKE, VoicesAlike
from voicemode.speech import AudioFormat


@dataclass(frozen=True, kw_only=True)
class SpeechSettings:
    """Speaking. An empty `models` means: what each endpoint is known to have (see `Config.speech_endpoints`)."""

    base_urls: tuple[str, ...] = setting(
        "VOICEMODE_TTS_BASE_URLS",
        URLS,
        (),
        "Speech servers (OpenAI's API), tried in this order. Empty: found by itself.",
    )
    models: tuple[str, ...] = setting(
        "VOICEMODE_TTS_MODELS",
        WORDS,
        (),
        "Speech models, in order of preference. Empty: tts-1 for local servers, gpt-4o-mini-tts then tts-1 for OpenAI.",
    )
    realtime_model: str = setting(
        "VOICEMODE_REALTIME_MODEL",
        TEXT,
        "gpt-realtime-2.1-mini",
        "Model that speaks over OpenAI's Realtime API where its speech models do not; none: not asked.",
    )
    voices: tuple[str, ...] = setting(
        "VOICEMODE_VOICES",
        WORDS,
        ("af_sky", "alloy"),
        "Voices in order of preference; the first one that the engine has is used.",
    )
    mixed_start: VoicesAlike | None = setting(
        "VOICEMODE_MIXED_START",
        ALIKE,
        None,
        "Let the engine that is measured to begin soonest say the first words, if it has the voice: same is one of the "
        "same name, af_sky=sky says that two names are one voice. Empty: off.",
    )
    speed: float = setting("VOICEMODE_TTS_SPEED", number(0.25, 4.0), 1.0, "Speed of speech; 1 is normal.")
    audio_format: AudioFormat = setting(
        "VOICEMODE_TTS_AUDIO_FORMAT", choice(*AudioFormat), AudioFormat.PCM, "Format asked of speech servers."
    )
    read_markdown: bool = setting(
        "VOICEMODE_READ_MARKDOWN",
        BOOLEAN,
        True,
        "Read markdown, names and signs as a person would; false: say the text as it is written.",
    )


@dataclass(frozen=True, kw_only=True)
class StreamingSettings:
    """Playing while the sound arrives."""

    enabled: bool = setting(
        "VOICEMODE_STREAMING_ENABLED",
        BOOLEAN,
        True,
        "Play while the sound arrives; false: fetch it whole, then play.",
    )
    buffer_ms: int = setting(
        "VOICEMODE_STREAM_BUFFER_MS",
        integer(0, 60_000, "ms"),
        150,
        "Sound held before playback starts, where the server is no faster than real time.",
    )
    chunk_size: int = setting(
        "VOICEMODE_STREAM_CHUNK_SIZE",
        integer(64, 1_048_576, "bytes"),
        4096,
        "Largest piece of a stream that is decoded at once; smaller pieces are never waited for.",
    )
    max_buffer_s: float = setting(
        "VOICEMODE_STREAM_MAX_BUFFER",
        number(0.1, 600, "seconds"),
        2.0,
        "Most decoded sound held in memory; the server is made to wait beyond it.",
    )


@dataclass(frozen=True, kw_only=True)
class SoundSettings:
    """Devices and chimes."""

    output_device: str = setting(
        "VOICEMODE_OUTPUT_DEVICE",
        TEXT,
        "",
        "Loudspeaker: part of its name, or its number. Empty: the system's.",
    )
    input_device: str = setting(
        "VOICEMODE_INPUT_DEVICE",
        TEXT,
        "",
        "Microphone: part of its name, or its number. Empty: the system's.",
    )
    chimes: bool = setting(
        "VOICEMODE_AUDIO_FEEDBACK", BOOLEAN, True, "A short chime when the microphone opens and closes."
    )
    chime_leading_s: float = setting(
        "VOICEMODE_CHIME_LEADING_SILENCE",
        number(0, 5, "seconds"),
        0.1,
        "Silence before a chime, for Bluetooth devices that wake up slowly.",
    )
    chime_trailing_s: float = setting(
        "VOICEMODE_CHIME_TRAILING_SILENCE",
        number(0, 5, "seconds"),
        0.2,
        "Silence after a chime, for devices that cut the end.",
    )
    thinking_sound: bool = setting(
        "VOICEMODE_THINKING_SOUND",
        BOOLEAN,
        False,
        "A quiet sound while the assistant works, from your answer until its next call, and under its speech.",
    )
    pan: float = setting(
        "VOICEMODE_PAN",
        number(-1, 1),
        0.0,
        "Where this assistant stands in stereo: -1 is left, 1 is right, 0 leaves the sound as it is.",
    )
