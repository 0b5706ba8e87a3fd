"""What voicemode itself serves: MCP over HTTP, and speech for other programs."""

# ruff: noqa: RUF009  (`setting` makes a dataclass field, as `field` does)

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from voicemode.configuration.kinds import DEVICE, FOLDER, HOST, TEXT, URL, WORDS, integer, number
from voicemode.configuration.settings import setting


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
    chatterbox_device: str = setting(
        "VOICEMODE_CHATTERBOX_DEVICE",
        DEVICE,
        "auto",
        "What Chatterbox computes on. auto: the first there is of cuda, mps, cpu.",
        from_project=False,
    )
    chatterbox_weights: PurePath | None = setting(
        "VOICEMODE_CHATTERBOX_WEIGHTS",
        FOLDER,
        None,
        "Folder with Chatterbox's weights. Empty: from Hugging Face, into its cache.",
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
