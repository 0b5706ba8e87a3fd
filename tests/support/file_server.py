"""A server of large files for tests: real HTTP with ranges, that can cut off, redirect, drip, lie and refuse."""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How one request is answered. `cut_after` bytes of the body the connection is reset; `stall_after` bytes it sends
    nothing more; `to` redirects there."""

    cut_after: int | None = None
    stall_after: int | None = None
    knows_ranges: bool = True
    to: str = ""
    status: int = 200
    lead: bytes = b""
    """Comes instead of the first bytes."""
    says_length: bool = True


@dataclass
class FileServer:
    """`files` by path; `manners` are used up one a request, then everything is as it should be."""

    files: Mapping[str, bytes]
    manners: deque[Manner] = field(default_factory=deque)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range header) of every request."""

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait_over(self) -> None:
        self._over.wait(30.0)


def _handler(files: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            files.asked.append((self.path, wanted))
            manner = files.manners.popleft() if files.manners else Manner()
            self.close_connection = True
            if manner.to:
                self._head(302, {"Location": manner.to, "Content-Length": "0"})
                return
            data = files.files.get(self.path)
            if data is None or manner.status != 200:
                self._head(404 if data is None else manner.status, {"Content-Length": "0"})
                return
            self._send(data, wanted if manner.knows_ranges else "", manner)

        def _send(self, data: bytes, wanted: str, manner: Manner) -> None:
            start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
            if start >= len(data) and wanted:
                self._head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
                return
            body = manner.lead + data[start + len(manner.lead) :]
            headers = {"Content-Length": str(len(body))} if manner.says_length else {}
            if wanted:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._head(206 if wanted else 200, headers)
            if manner.stall_after is not None:
                self.wfile.write(body[: manner.stall_after])
                files.wait_over()
            elif manner.cut_after is not None:
                self.wfile.write(body[: manner.cut_after])
                self.wfile.flush()
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.wfile.write(body)

        def _head(self, status: int, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silent."""

    return Handler
