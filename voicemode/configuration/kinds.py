"""Kinds of value that a variable can have: how each is read, what it allows, how it is shown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import PurePath
from typing import Generic, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind(Generic[T]):
    """A type of value: `parse` raises ValueError; `allowed` says in words what it takes."""

    allowed: str
    parse: Callable[[str], T]
    show: Callable[[T], str]
    foreign: Callable[[T], bool] = lambda value: False
    """True for a value that sends words or sound to another machine: a project file may not set it."""


YES = frozenset({"true", "1", "yes", "on"})
NO = frozenset({"false", "0", "no", "off"})


def _boolean(text: str) -> bool:
    word = text.lower()
    if word in YES:
        return True
    if word in NO:
        return False
    raise ValueError(text)


BOOLEAN: Kind[bool] = Kind(
    allowed="true or false", parse=_boolean, show=lambda value: "true" if value else "false"
)

TEXT: Kind[str] = Kind(allowed="any text", parse=str, show=str)


def integer(least: int, most: int, unit: str = "") -> Kind[int]:
    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return Kind(allowed=f"a whole number from {least} to {most} {unit}".rstrip(), parse=parse, show=str)


def number(least: float, most: float, unit: str = "") -> Kind[float]:
    def parse(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or not least <= value <= most:
            raise ValueError(text)
        return value

    return Kind(
        allowed=f"a number from {least:g} to {most:g} {unit}".rstrip(),
        parse=parse,
        show=lambda value: f"{value:.10g}",
    )


def choice(*members: E, also: Mapping[str, E] | None = None) -> Kind[E]:
    """One of `members`; `also` are further words that are understood and not shown."""
    by_name = {str(member): member for member in members}
    understood = {**by_name, **(also or {})}

    def parse(text: str) -> E:
        if text.lower() not in understood:
            raise ValueError(text)
        return understood[text.lower()]

    return Kind(allowed=", ".join(by_name), parse=parse, show=str)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


WORDS: Kind[tuple[str, ...]] = Kind(allowed="names separated by commas", parse=_words, show=",".join)


def _folder(text: str) -> PurePath:
    path = PurePath(text)
    if "\0" in text or not (path.is_absolute() or path.parts[:1] == ("~",)):
        raise ValueError(text)
    return path


FOLDER: Kind[PurePath | None] = Kind(
    allowed="an absolute path, or one that begins with ~/",
    parse=_folder,
    show=lambda path: "" if path is None else str(path),
)


def is_loopback_host(host: str) -> bool:
    """Whether a name or address is this very machine."""
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this very machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,2})?")


def _device(text: str) -> str:
    if _DEVICE.fullmatch(text) is None:
        raise ValueError(text)
    return text


DEVICE: Kind[str] = Kind(allowed="auto, cuda, cuda:N, mps, cpu", parse=_device, show=str)

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}")


def _host(text: str) -> str:
    if _HOST_NAME.fullmatch(text) is None:
        ip_address(text)
    return text


HOST: Kind[str] = Kind(allowed="a host name or an IP address", parse=_host, show=str)


def _url(text: str) -> str:
    # Backslashes, blanks and control characters are read differently by different URL parsers.
    if not text.isascii() or not text.isprintable() or set(text) & set(' \\"<>^`{|}'):
        raise ValueError(text)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(text)
    if parts.query or parts.fragment or parts.port == 0:
        raise ValueError(text)
    return text.rstrip("/")


_URL_WORDS = "http:// or https:// with a host, without user name or query"

URL: Kind[str] = Kind(
    allowed=f"a base URL ({_URL_WORDS})",
    parse=_url,
    show=str,
    foreign=lambda url: bool(url) and not is_loopback(url),
)

URLS: Kind[tuple[str, ...]] = Kind(
    allowed=f"base URLs separated by commas ({_URL_WORDS})",
    parse=lambda text: tuple(_url(word) for word in _words(text)),
    show=",".join,
    foreign=lambda urls: not all(is_loopback(url) for url in urls),
)
