"""The configuration: one frozen object, made from the table in `variables`.

The order of sources is the process
environment, the project file, the user file, the default; an empty value counts as not set. A value that cannot
be used never stops anything: it becomes a `Problem` and the default is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from voicemode.configuration.kinds import is_loopback, is_loopback_host
from voicemode.configuration.peer_names import is_peer_name
from voicemode.configuration.settings import Origin, Problem, Reader, Resolved, rows
from voicemode.configuration.variables import (
    OPENAI,
    Debug,
    EndpointSettings,
    FileSettings,
    ListeningSettings,
    LogSettings,
    NeuralSettings,
    ServerSettings,
    SoundSettings,
    SpeechServerSettings,
    SpeechSettings,
    StreamingSettings,
)
from voicemode.text.similar import similar

CLIENT_LIMIT = "VOICEMODE_CLIENT_LIMIT_S"
CLIENT_MARGIN_S = 5.0
"""For an answer on its way to a client that would give up."""


@dataclass(frozen=True, kw_only=True)
class EndpointChoice:
    """One server to ask. `api_key` is set only for a server that may see it; `local` is on this machine."""

    url: str
    models: tuple[str, ...]
    local: bool
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Config:
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    listening: ListeningSettings = field(default_factory=ListeningSettings)
    endpoints: EndpointSettings = field(default_factory=EndpointSettings)
    streaming: StreamingSettings = field(default_factory=StreamingSettings)
    sound: SoundSettings = field(default_factory=SoundSettings)
    files: FileSettings = field(default_factory=FileSettings)
    neural: NeuralSettings = field(default_factory=NeuralSettings)
    log: LogSettings = field(default_factory=LogSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    speech_server: SpeechServerSettings = field(default_factory=SpeechServerSettings)
    own_port: int | None = None
    """Of the speech server that runs with this configuration: it must not ask itself."""
    problems: tuple[Problem, ...] = ()
    rows: tuple[Resolved, ...] = field(default=(), repr=False)
    speech_urls_origin: Origin = Origin.DEFAULT
    listening_urls_origin: Origin = Origin.DEFAULT

    @classmethod
    def from_sources(
        cls,
        environment: Mapping[str, str],
        project_file: Mapping[str, str] | None = None,
        user_file: Mapping[str, str] | None = None,
        *,
        problems: Iterable[Problem] = (),
    ) -> Config:
        """The configuration of these sources. `problems` are those met while the files were read."""
        layers = {
            Origin.ENVIRONMENT: environment,
            Origin.PROJECT: project_file or {},
            Origin.USER: user_file or {},
        }
        if not any(layer.get(CLIENT_LIMIT, "").strip() for layer in layers.values()):
            layers[Origin.ENVIRONMENT] = {**environment, **_told_by_client(environment)}
        reader = Reader(layers)
        reader.problems.extend(problems)
        config = cls(
            speech=reader.read("speaking", SpeechSettings()),
            listening=reader.read("listening", ListeningSettings()),
            endpoints=reader.read("servers", EndpointSettings()),
            streaming=reader.read("streaming", StreamingSettings()),
            sound=reader.read("sound", SoundSettings()),
            files=reader.read("files", FileSettings()),
            neural=reader.read("models", NeuralSettings()),
            log=reader.read("log", LogSettings()),
            server=reader.read("HTTP", ServerSettings()),
            speech_server=reader.read("speech server", SpeechServerSettings()),
            rows=tuple(reader.resolved),
            speech_urls_origin=reader.origins["VOICEMODE_TTS_BASE_URLS"],
            listening_urls_origin=reader.origins["VOICEMODE_STT_BASE_URLS"],
        )
        config = _agreed(config, reader)
        for origin, layer in layers.items():
            _unknown(layer, origin, reader)
        return replace(config, problems=tuple(reader.problems))

    def resolved(self) -> list[Resolved]:
        """Every row as it stands, secrets masked, in the order of the table."""
        return list(self.rows or Config.from_sources({}).rows)

    def secrets(self) -> tuple[str, ...]:
        """The values that no log, recording or message may contain."""
        return tuple(value for value in (self.endpoints.api_key, self.server.token) if value)

    @property
    def keeps_audio(self) -> bool:
        return self.files.save_audio or self.files.save_all or self.log.debug is not Debug.FALSE

    @property
    def keeps_transcripts(self) -> bool:
        return self.files.save_transcriptions or self.files.save_all or self.log.debug is not Debug.FALSE

    def speech_endpoints(self) -> tuple[EndpointChoice, ...]:
        """The servers to ask for speech, in order; what is on this machine may turn out not to be there."""
        settings = self.speech
        urls = settings.base_urls or self._found(self.endpoints.speech_port)
        cloud = settings.models or ("gpt-4o-mini-tts", "tts-1")
        return self._choices(urls, self.speech_urls_origin, settings.models or ("tts-1",), cloud)

    def transcription_endpoints(self) -> tuple[EndpointChoice, ...]:
        settings = self.listening
        urls = settings.base_urls or self._found(self.endpoints.transcription_port)
        own = (settings.model,) if settings.model else ()
        # whisper-1 ends at OpenAI on 2027-02-26; gpt-transcribe is its successor on the same route.
        return self._choices(
            urls, self.listening_urls_origin, own or ("whisper-1",), own or ("gpt-transcribe",)
        )

    def _found(self, port: int) -> tuple[str, ...]:
        local = f"http://127.0.0.1:{port}/v1"
        if not self.endpoints.api_key and self.endpoints.base_url == OPENAI:
            return (local,)
        urls = (local, self.endpoints.base_url)
        return urls if self.endpoints.prefer_local else urls[::-1]

    def _choices(
        self, urls: tuple[str, ...], origin: Origin, others: tuple[str, ...], cloud: tuple[str, ...]
    ) -> tuple[EndpointChoice, ...]:
        return tuple(
            EndpointChoice(
                url=url,
                models=cloud if url.startswith(OPENAI) else others,
                local=is_loopback(url),
                api_key=self.endpoints.api_key if self._may_see_key(url, origin) else None,
            )
            for url in urls
            if not (is_loopback(url) and urlsplit(url).port == self.own_port)
        )

    def _may_see_key(self, url: str, origin: Origin) -> bool:
        """The key goes to its own service, and over https to a server that the user (not a project) has named."""
        if not self.endpoints.api_key or origin is Origin.PROJECT:
            return False
        return url == self.endpoints.base_url or url.startswith("https://")


def _told_by_client(environment: Mapping[str, str]) -> dict[str, str]:
    """Claude Code's MCP_TOOL_TIMEOUT is a hard limit of a call, in ms; its own value, so a strange one is no problem of
    ours."""
    try:
        seconds = int(environment.get("MCP_TOOL_TIMEOUT", "")) / 1000
    except ValueError:
        return {}
    if seconds <= 0:
        return {}
    most = 86_400.0  # Of the variable.
    return {CLIENT_LIMIT: f"{min(max(seconds - CLIENT_MARGIN_S, seconds / 2), most):g}"}


def _agreed(config: Config, reader: Reader) -> Config:
    """Values that are right one by one and wrong together."""
    streaming, server = config.streaming, config.server
    if streaming.buffer_ms > streaming.max_buffer_s * 1000:
        most = int(streaming.max_buffer_s * 1000)
        reader.add(
            "VOICEMODE_STREAM_BUFFER_MS",
            str(streaming.buffer_ms),
            f"at most VOICEMODE_STREAM_MAX_BUFFER ({most} ms)",
            reader.origins["VOICEMODE_STREAM_BUFFER_MS"],
            f"VOICEMODE_STREAM_BUFFER_MS is {streaming.buffer_ms}, more than VOICEMODE_STREAM_MAX_BUFFER holds "
            f"({most} ms). {most} is used.",
        )
        config = replace(config, streaming=replace(streaming, buffer_ms=most))
    if not server.token and not is_loopback_host(server.host):
        reader.add(
            "VOICEMODE_SERVE_HOST",
            server.host,
            "a loopback address, or any with VOICEMODE_HTTP_TOKEN set",
            reader.origins["VOICEMODE_SERVE_HOST"],
            f"VOICEMODE_SERVE_HOST is {server.host!r}, which others can reach, and VOICEMODE_HTTP_TOKEN is not set. "
            "127.0.0.1 is used. Set a token to open the door.",
        )
        config = replace(config, server=replace(server, host=ServerSettings().host))
    speech = config.speech_server
    if not server.token and not is_loopback_host(speech.host):
        reader.add(
            "VOICEMODE_SPEECH_HOST",
            speech.host,
            "a loopback address, or any with VOICEMODE_HTTP_TOKEN set",
            reader.origins["VOICEMODE_SPEECH_HOST"],
            f"VOICEMODE_SPEECH_HOST is {speech.host!r}, which others can reach, and VOICEMODE_HTTP_TOKEN is not set. "
            "127.0.0.1 is used. Set a token to open the door.",
        )
        config = replace(config, speech_server=replace(speech, host=SpeechServerSettings().host))
    return config


PARTS = (
    SpeechSettings(),
    ListeningSettings(),
    EndpointSettings(),
    StreamingSettings(),
    SoundSettings(),
    FileSettings(),
    NeuralSettings(),
    LogSettings(),
    ServerSettings(),
    SpeechServerSettings(),
)


def known_names() -> list[str]:
    """Every variable of the table, aliases included."""
    return [name for part in PARTS for _, row in rows(part) for name in (row.name, *row.aliases)]


def _unknown(layer: Mapping[str, str], origin: Origin, reader: Reader) -> None:
    known = known_names()
    strangers = sorted(name for name in layer if name.startswith("VOICEMODE_") and name not in known)
    if idle := [name for name in strangers if is_peer_name(name)]:
        names = ", ".join(idle)
        reader.add(
            names, "", "", origin, f"These variables of voice-mode have no effect here: {names} ({origin})."
        )
    for name in strangers:
        if name in idle:
            continue
        near = similar(name, known, most=1, cutoff=0.8)
        advice = f"Did you mean {near[0]}?" if near else "`voicemode config` lists those that exist."
        reader.add(
            name, "", near[0] if near else "", origin, f"{name} in the {origin} is not a variable. {advice}"
        )
