"""A real browser without a screen, steered over its DevTools protocol: pages, keys, screenshots, and whatever it asks
of a network or complains about."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from voicemode.clock import monotonic

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
LIMIT_S = 20.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--mute-audio",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
KEYS = {
    "Enter": 13,
    "Escape": 27,
    " ": 32,
    "PageDown": 34,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Tab": 9,
}


def find_browser() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Seen:
    """What the page has done since it was opened."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Of the console, of scripts that failed, of what the page's own policy forbade."""

    def beyond_loopback(self) -> list[str]:
        hosts = ("127.0.0.1", "localhost")
        here = ("data", "blob", "file", "about", "chrome")
        return [
            url
            for url in self.requests
            if (at := urlsplit(url)).scheme not in here and at.hostname not in hosts
        ]


class Browser:
    """One process with one page. Everything blocks, each wait at most `LIMIT_S`."""

    def __init__(self, executable: str) -> None:
        self._executable = executable
        self._folder = tempfile.TemporaryDirectory(prefix="voicemode-browser-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: ClientConnection | None = None
        self._number = 0
        self._session = ""
        self.seen = Seen()

    def __enter__(self) -> Self:
        profile = Path(self._folder.name)
        self._process = subprocess.Popen(
            [self._executable, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            told = self._until(lambda: _lines(profile / "DevToolsActivePort"), "the browser's port")
            self._wire = connect(f"ws://127.0.0.1:{told[0]}{told[1]}", max_size=None, open_timeout=LIMIT_S)
            target = self._ask("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self._ask(f"{domain}.enable")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._wire is not None:
            with suppress(Exception):
                self._ask("Browser.close")
            self._wire.close()
        if self._process is not None:
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5.0)
        self._folder.cleanup()

    # --- what a person does ---

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """A fresh look: what was seen before is forgotten."""
        self._ask("Page.navigate", url="about:blank")
        self.seen = Seen()
        self.look(width=width, height=height, dark=dark)
        self._ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str) -> None:
        code = KEYS.get(key, 0)
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        more: dict[str, object] = {"key": key, "windowsVirtualKeyCode": code or ord(key.upper())}
        self._ask("Input.dispatchKeyEvent", type="keyDown", text=text, **more)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **more)

    def type(self, text: str) -> None:
        self._ask("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        place = self.run(
            f"(() => {{ const at = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [at.x + at.width / 2, at.y + at.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._ask(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    def run(self, script: str) -> Any:
        """The value of an expression in the page, waited for if it is a promise."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(
                f"{script}: {answer['exceptionDetails'].get('exception', {}).get('description')}"
            )
        return answer["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Until the expression is true."""
        return self._until(lambda: self.run(condition), condition)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    # --- the wire ---

    def _until(self, found: Any, what: str) -> Any:
        ends = monotonic() + LIMIT_S
        while monotonic() < ends:
            if value := found():
                return value
            with suppress(TimeoutError):
                self._hear(self._wire.recv(timeout=0.02)) if self._wire is not None else _pause()
        raise AssertionError(f"not within {LIMIT_S:.0f} s: {what}; complaints: {self.seen.complaints}")

    def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        assert self._wire is not None
        self._number += 1
        number = self._number
        asked: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        self._wire.send(json.dumps(asked))
        while True:
            told = self._hear(self._wire.recv(timeout=LIMIT_S))
            if told.get("id") == number:
                if "error" in told:
                    raise AssertionError(f"{method}: {told['error']}")
                return dict(told.get("result", {}))

    def _hear(self, message: str | bytes) -> Mapping[str, Any]:
        told: Mapping[str, Any] = json.loads(message)
        about = told.get("params", {})
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.seen.requests.append(about["request"]["url"])
            case "Log.entryAdded" if about["entry"]["level"] in ("error", "warning"):
                self.seen.complaints.append(about["entry"]["text"])
            case "Runtime.consoleAPICalled" if about["type"] in ("error", "warning", "assert"):
                self.seen.complaints.append(str([each.get("value") for each in about["args"]]))
            case "Runtime.exceptionThrown":
                self.seen.complaints.append(str(about["exceptionDetails"]))
        return told


def _lines(path: Path) -> list[str]:
    """Of a file that has two of them, else none."""
    with suppress(OSError):
        lines = path.read_text().splitlines()
        return lines if len(lines) == 2 else []
    return []


def _pause() -> None:
    import threading

    threading.Event().wait(0.02)
