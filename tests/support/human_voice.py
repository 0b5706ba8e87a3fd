"""A speech server with a person's voice: flite's slt, built of recordings, behind OpenAI's `/v1/audio/speech`.

What a detector of voice takes for a person is said by the assistant itself: the hardest case for an echo.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import numpy as np

from tests.support.listening import FULL_SCALE, resampled
from tests.support.speakers import flite
from voicemode.pcm import SPEECH

LOUDER_DB = 6.0
"""Speech services are louder than a person at a microphone: -20 dBFS."""
END_LIMIT_S = 10.0


def sound(text: str) -> bytes:
    """s16le at 24 kHz."""
    speech = flite(text)
    wave = resampled(speech.samples, speech.rate, SPEECH.rate) * 10 ** (LOUDER_DB / 20)
    return np.clip(np.round(wave), -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes()


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        if asked.get("response_format") != "pcm":
            self._answer(400, b'{"error": {"message": "this voice speaks pcm only"}}', "application/json")
            return
        self._answer(200, sound(str(asked["input"])), "audio/pcm")

    def do_GET(self) -> None:
        self._answer(404, b'{"error": {"message": "nothing here"}}', "application/json")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Tests have a log of their own."""

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:  # who is interrupted asks for no more
            self.close_connection = True


class HumanVoice:
    """A context manager; `base_url` is what an OpenAI client takes."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="human voice", daemon=True)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(END_LIMIT_S)
