"""Words with times as SubRip and WebVTT write them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """`start` and `end` in seconds."""

    start: float
    end: float
    text: str


def srt(lines: Iterable[Line]) -> str:
    return "".join(
        f"{number}\n{_time(line.start, ',')} --> {_time(line.end, ',')}\n{_plain(line.text)}\n\n"
        for number, line in enumerate(lines, 1)
    )


def vtt(lines: Iterable[Line]) -> str:
    cues = (
        f"{_time(line.start, '.')} --> {_time(line.end, '.')}\n{_escaped(_plain(line.text))}\n\n"
        for line in lines
    )
    return "WEBVTT\n\n" + "".join(cues)


def _time(seconds: float, mark: str) -> str:
    milliseconds = max(0, round(seconds * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def _plain(text: str) -> str:
    """A blank line ends a cue, and an arrow begins one."""
    return " ".join(text.split()).replace("-->", "→")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
