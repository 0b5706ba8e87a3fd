"""Where an endpoint is, how long it may take, and what of it may be shown."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from voicemode.errors import ConfigurationError
from voicemode.text.redaction import Redactor

EXCERPT = 120
"""Characters of somebody else's text that an error quotes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Seconds per phase of one request, and how much sound is too much.

    `connect_s` is for the connection (and again for TLS), so that a dead first endpoint costs less than 1.5 s;
    `first_byte_s` from the call to the first bytes of sound, retries included; `gap_s` between two chunks;
    `whole_s` all the waiting for one answer, over the length of its sound (time the caller spends between chunks
    does not count); `list_s` for
    looking up voices. `excess`: how many times the sound that the text could need ends a stream.
    """

    connect_s: float = 1.2
    first_byte_s: float = 10.0
    gap_s: float = 5.0
    whole_s: float = 120.0
    list_s: float = 1.0
    excess: float = 8.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One OpenAI-compatible base URL (such as `http://127.0.0.1:8880/v1`) and the key for it.

    `models` and `voices` are in order of preference; empty means the usual ones. Neither the key nor credentials
    inside the URL appear in `repr` or in any error.
    """

    base_url: str = field(repr=False)
    api_key: str = field(default="", repr=False)
    models: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.base_url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigurationError(
                f"The base URL {self.redact(self.base_url)!r} is not an http:// or https:// address.",
                hint="Give something like http://127.0.0.1:8880/v1.",
            )
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ConfigurationError(
                f"The API key for {self.name} holds a character that no key has (a line break, perhaps).",
                hint="Copy the key again, without quotes or line breaks.",
            )

    def __repr__(self) -> str:
        return f"Endpoint(name={self.name!r}, models={self.models!r}, voices={self.voices!r})"

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.base_url)

    @property
    def name(self) -> str:
        """host:port; the port is left out where it is the scheme's own."""
        host = self._parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return host if self._parts.port is None else f"{host}:{self._parts.port}"

    @property
    def secure(self) -> bool:
        return self._parts.scheme == "https"

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine, by its name or its number."""
        host = (self._parts.hostname or "").rstrip(".")
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def is_openai(self) -> bool:
        return self._parts.hostname == "api.openai.com"

    def url(self, path: str) -> str:
        """The address of a route such as `/audio/speech`."""
        return self.base_url.rstrip("/") + path

    def redact(self, text: str) -> str:
        """`text` without this endpoint's key or anything else that looks like a secret.

        A key that is cut off by the end of `text` goes too.
        """
        return Redactor((self.api_key,)).redact_cut(text)

    def excerpt(self, text: str) -> str:
        """At most `EXCERPT` printable characters of what a server said, on one line, without secrets."""
        line = " ".join(self.redact(text).split())
        line = "".join(letter for letter in line if letter.isprintable())
        return line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…"
