"""Where the servers play: a speech server in a process of its own and a virtual sound card that is recorded."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, JsonValue, TypeAdapter

from scripts.measuring.contenders import ROOT, Contender, environment
from scripts.measuring.host import Host
from tests.support.listening import Samples, samples_of
from tests.support.sound_card import Recording, VirtualSoundCard

_START_LIMIT_SECONDS = 30.0


class Uploaded(BaseModel):
    """Sound that was sent to be transcribed, s16le."""

    rate: int
    channels: int
    base64: str

    def samples(self) -> Samples:
        return samples_of(base64.b64decode(self.base64), self.channels)


class Seen(BaseModel):
    """A request that the speech server got. Times are monotonic seconds, the same clock as everyone's here;
    `aborted_at` is when the client dropped it."""

    path: str = ""
    text: str = ""
    format: str = ""
    received_at: float
    first_byte_sent_at: float | None = None
    aborted_at: float | None = None
    bytes_sent: int = 0
    recording: Uploaded | None = None


_REQUESTS = TypeAdapter(list[Seen])


class SpeechService:
    """Steered over HTTP; its process is not ours, so that it costs the measured ones no interpreter lock."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.base_url = f"{origin}/v1"

    def behave(self, *, route: str = "speech", **knobs: JsonValue) -> None:
        body = json.dumps({"route": route, "default": knobs}).encode()
        self._http("PUT", "/_behaviour", body)

    def forget(self) -> None:
        self._http("DELETE", "/_requests")

    def speech_requests(self) -> list[Seen]:
        return self._asked("/audio/speech")

    def transcription_requests(self) -> list[Seen]:
        return self._asked("/audio/transcriptions")

    def _asked(self, path: str) -> list[Seen]:
        seen = _REQUESTS.validate_json(self._http("GET", "/_requests"))
        return [request for request in seen if request.path.endswith(path)]

    def _http(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.origin + path, data=body, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            data: bytes = answer.read()
        return data


@contextmanager
def speech_service() -> Iterator[SpeechService]:
    command = [sys.executable, "-m", "tests.support.speech_server"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        late = threading.Timer(_START_LIMIT_SECONDS, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            late.cancel()
            if not line:
                raise RuntimeError("the speech server did not start")
            yield SpeechService(str(json.loads(line)["origin"]))
        finally:
            late.cancel()
            process.kill()


@dataclass(frozen=True, kw_only=True)
class Stage:
    service: SpeechService
    card: VirtualSoundCard
    recording: Recording
    folder: Path

    def environment(self, contender: Contender, audio_format: str) -> dict[str, str]:
        home = self.folder / contender.name.replace(" ", "-")
        home.mkdir(exist_ok=True)
        return environment(
            {**self.card.environment, "HOME": str(home)},
            home,
            base_url=self.service.base_url,
            audio_format=audio_format,
        )

    @contextmanager
    def hosts(
        self, contenders: list[Contender], audio_format: str, settings: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Host]]:
        """All of them running at once and past their handshake, so that what is measured can be interleaved.
        `settings` are variables on top of those that all get."""
        with ExitStack() as stack:
            hosts: dict[str, Host] = {}
            for contender in contenders:
                log = self.folder / f"{contender.name.replace(' ', '-')}.log"
                variables = {**self.environment(contender, audio_format), **(settings or {})}
                host = Host(contender.command, variables, log)
                hosts[contender.name] = stack.enter_context(host)
                host.shake_hands()
            yield hosts


@contextmanager
def stage() -> Iterator[Stage]:
    with (
        tempfile.TemporaryDirectory(prefix="voicemode-bench-") as folder,
        speech_service() as service,
        VirtualSoundCard() as card,
        card.recording() as recording,
    ):
        yield Stage(service=service, card=card, recording=recording, folder=Path(folder))
