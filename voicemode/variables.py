"""The table of variables: every field is a row with its variable, type, default and help line.

A row needs no more than its line here to be read, checked, shown and documented; what it changes is up to the
flow that is handed its part.
"""

# ruff: noqa: RUF009  (`setting` makes a dataclass field, as `field` does)

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from voicemode.kinds import BOOLEAN, FOLDER, HOST, NO, TEXT, URL, URLS, WORDS, YES, choice, integer, number
from voicemode.settings import setting
from voicemode.speech import AudioFormat

OPENAI = "https://api.openai.com/v1"


class Debug(StrEnum):
    """How much goes to stderr. Anything but off also keeps recordings and transcripts."""

    FALSE = "false"
    TRUE = "true"
    TRACE = "trace"


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
        "Room on disk for the sound of phrases that servers have said more than once; 0 keeps none.",
        from_project=False,
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


@dataclass(frozen=True, kw_only=True)
class SpeechServerSettings:
    """`voicemode serve`, the speech server. A project file has no say here."""

    host: str = setting(
        "VOICEMODE_SPEECH_HOST",
        HOST,
        "127.0.0.1",
        "Address of the speech server. Beyond loopback VOICEMODE_HTTP_TOKEN is required.",
        from_project=False,
    )
    port: int = setting(
        "VOICEMODE_SPEECH_PORT",
        integer(0, 65_535),
        8880,
        "Port of the speech server; at 8880 every voicemode on this machine finds it by itself.",
        from_project=False,
    )
    engines: tuple[str, ...] = setting(
        "VOICEMODE_SPEECH_ENGINES",
        WORDS,
        (),
        "Engines of the speech server, in order (see its /v1/models). Empty: all that voicemode would use.",
        from_project=False,
    )
    origins: tuple[str, ...] = setting(
        "VOICEMODE_SPEECH_ORIGINS",
        WORDS,
        (),
        "Web pages elsewhere that may call the speech server, as https://app.example. Empty: its own page only.",
        from_project=False,
    )
    voices_url: str = setting(
        "VOICEMODE_SPEECH_VOICES_URL",
        URL,
        "",
        "Where recordings of voices are fetched that are not in the folder of voices, as NAME.wav under this address.",
        from_project=False,
    )
    streams: int = setting(
        "VOICEMODE_SPEECH_STREAMS",
        integer(1, 4_096),
        256,
        "Most voices the speech server speaks with at once; fewer where its engine is seen to fall behind.",
        from_project=False,
    )
    drain_s: float = setting(
        "VOICEMODE_SPEECH_DRAIN",
        number(0, 600, "seconds"),
        30.0,
        "What is being said when the speech server is told to end may go on for so long.",
        from_project=False,
    )


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The doors to clients."""

    client_limit_s: float = setting(
        "VOICEMODE_CLIENT_LIMIT_S",
        number(0, 86_400, "seconds"),
        55.0,
        "A call that lasts longer is answered as pending and goes on, before the client gives up; 0: never. "
        "Not set: 5 s less than MCP_TOOL_TIMEOUT (ms), where the client passes that on.",
    )
    host: str = setting(
        "VOICEMODE_SERVE_HOST",
        HOST,
        "127.0.0.1",
        "Address of the HTTP server. Beyond loopback a token is required.",
        from_project=False,
    )
    port: int = setting(
        "VOICEMODE_SERVE_PORT", integer(0, 65_535), 8765, "Port of the HTTP server.", from_project=False
    )
    token: str = setting(
        "VOICEMODE_HTTP_TOKEN",
        TEXT,
        "",
        "Token that HTTP clients must send.",
        secret=True,
        aliases=("VOICEMODE_SERVE_TOKEN",),
    )
