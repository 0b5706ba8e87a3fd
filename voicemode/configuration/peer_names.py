"""Names of variables that users of voice-mode may still have set, and that do nothing here.

They are told apart from typing errors, so that a kept configuration gives one line and not a page of guesses.
"""

from __future__ import annotations

_FAMILIES = (
    "AUTO_",
    "CARTESIA_",
    "CAST_",
    "CONCH_",
    "CONTROL_",
    "DJ_",
    "FOCUS_",
    "HEARD_",
    "IMPRESSIONS_",
    "KOKORO_",
    "LISTEN_",
    "MLX_AUDIO_",
    "MOUTH_",
    "PRONOUNCE",
    "PRONUNCIATION_",
    "REPEAT_",
    "SERVE_",
    "SERVICE_",
    "SOUNDFONTS_",
    "STT_RETRY_",
    "SURVEY_",
    "THINK_",
    "THINKING_",
    "TOOLS_",
    "TTS_MODELS_",
    "WAIT_",
    "WHISPER_",
)

_NAMES = frozenset(
    {
        "AAC_BITRATE",
        "AGENT",
        "ALWAYS_TRY_LOCAL",
        "AUDIO_FORMAT",
        "COMPLETE",
        "CREDENTIAL_STORE",
        "ENV_FILE",
        "EVENT_LOG_ROTATION",
        "EXPOSE_LOCAL_VOICES_REMOTE",
        "HISTORY_BUFFER_SIZE",
        "INITIAL_SILENCE_GRACE_PERIOD",
        "MCP_TOKEN",
        "MCP_URL",
        "METRICS_LEVEL",
        "MODELS_DIR",
        "MP3_BITRATE",
        "OPUS_BITRATE",
        "PROGRESS_STYLE",
        "REMOTE_VOICES_DIR",
        "SESSION_ID",
        "SILERO_MODEL",
        "SKIP_TTS",
        "STT_COMPRESS",
        "STT_MODELS",
        "STT_SAVE_FORMAT",
        "TIME_IN_RESPONSE",
        "TTS_TRAILING_SILENCE",
        "VAD_DEBUG",
        "VOICES_DIR",
    }
)


def is_peer_name(variable: str) -> bool:
    """Whether `variable` (VOICEMODE_…) is one of voice-mode's; ask only for names that the table does not have."""
    name = variable.removeprefix("VOICEMODE_")
    return name in _NAMES or name.startswith(_FAMILIES)
