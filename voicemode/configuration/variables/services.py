"""Whom voicemode asks: servers elsewhere, and models on this machine."""

# ruff: noqa: RUF009  (`setting` makes a dataclass field, as `field` does)

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from voicemode.configuration.kinds import BOOLEAN, FOLDER, TEXT, URL, integer, number
from voicemode.configuration.settings import setting

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """Which servers are found by themselves, the key, and how long each phase of a request may take."""

    api_key: str = setting("OPENAI_API_KEY", TEXT, "", "Key for OpenAI or a compatible service.", secret=True)
    base_url: str = setting(
        "OPENAI_BASE_URL", URL, OPENAI, "Where the service of OPENAI_API_KEY is.", from_project=False
    )
    prefer_local: bool = setting(
        "VOICEMODE_PREFER_LOCAL", BOOLEAN, True, "Ask a server on this machine before the cloud service."
    )
    speech_port: int = setting(
        "VOICEMODE_KOKORO_PORT", integer(1, 65_535), 8880, "Port where a local speech server is looked for."
    )
    transcription_port: int = setting(
        "VOICEMODE_WHISPER_PORT",
        integer(1, 65_535),
        2022,
        "Port where a local transcription server is looked for.",
    )
    connect_s: float = setting(
        "VOICEMODE_CONNECT_TIMEOUT",
        number(0.05, 60, "seconds"),
        1.5,
        "Limit for connecting to a server; then the next one is asked.",
    )
    first_byte_s: float = setting(
        "VOICEMODE_FIRST_BYTE_TIMEOUT",
        number(0.1, 300, "seconds"),
        10.0,
        "Limit from the request to the first byte of the answer.",
    )
    gap_s: float = setting(
        "VOICEMODE_GAP_TIMEOUT", number(0.1, 300, "seconds"), 5.0, "Longest pause inside an answer."
    )
    whole_s: float = setting(
        "VOICEMODE_REQUEST_TIMEOUT", number(1, 3600, "seconds"), 120.0, "Limit for a whole request."
    )


@dataclass(frozen=True, kw_only=True)
class NeuralSettings:
    """Models on this machine. A project file has no say: a model is code that somebody brings along."""

    voice: str = setting(
        "VOICEMODE_NEURAL_VOICE",
        TEXT,
        "",
        "Model that speaks here, before a server that nobody named: a name of `voicemode models`, or a folder. "
        "Empty: what is installed, after servers; none: not used.",
        from_project=False,
    )
    ear: str = setting(
        "VOICEMODE_NEURAL_EAR",
        TEXT,
        "",
        "Model that listens here, before a server that nobody named: a name of `voicemode models`, or a folder. "
        "Empty: what is installed, after servers; none: not used.",
        from_project=False,
    )
    threads: int = setting(
        "VOICEMODE_NEURAL_THREADS",
        integer(0, 64),
        0,
        "Threads that a model works with; 0: as measured on this machine.",
        from_project=False,
    )
    idle_s: float = setting(
        "VOICEMODE_NEURAL_IDLE_S",
        number(0, 86_400, "seconds"),
        600.0,
        "A model that nobody has asked for this long is unloaded; 0: never.",
        from_project=False,
    )
    models_dir: PurePath | None = setting(
        "VOICEMODE_MODELS_DIR",
        FOLDER,
        None,
        "Folder of the installed models. Empty: models/ in the base folder.",
        from_project=False,
    )
    mirror: str = setting(
        "VOICEMODE_MODELS_MIRROR",
        URL,
        "",
        "Where models are fetched instead of their release pages: the same archives under tts-models/ and asr-models/.",
        from_project=False,
    )
