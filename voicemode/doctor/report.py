"""What was found as Markdown to be pasted where others read it: nothing in it says who you are or what your machines
are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from voicemode.doctor.finding import Finding
from voicemode.text.redaction import Redactor

SHORTEST_NAME = 3
"""Characters; a shorter name is part of many words."""
COMMON = frozenset(
    {"root", "user", "admin", "administrator", "ubuntu", "localhost", "linux", "home", "runner"}
)
"""Names that say nothing about anybody, and would be found in ordinary sentences."""

_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_HARDWARE = re.compile(r"\b(?:[0-9A-Fa-f]{2}[:_-]){5}[0-9A-Fa-f]{2}\b")
_ADDRESS = re.compile(r"\b(?!127\.)(?!0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}\b(?!\.)")
_OWNER = re.compile(r"\b(?!OpenAI\b)\w+(?=['’]s [A-Z\d])")
"""`Anna's AirPods`, but not `OpenAI's Realtime API`."""
_HOME = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\Users\\)[^\s/\\'\"`,;:()]+")
"""The homes of others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Who must not be known by the report. `servers` are the hosts of speech servers that are nobody else's."""

    home: str = ""
    user: str = ""
    machine: str = ""
    project: str = ""
    servers: Sequence[str] = ()
    secrets: Sequence[str] = ()


def person(
    environment: Mapping[str, str],
    *,
    machine: str,
    project: str,
    servers: Iterable[str],
    secrets: Sequence[str],
) -> Person:
    home = environment.get("HOME") or environment.get("USERPROFILE") or ""
    names = (environment.get(each, "") for each in ("USER", "LOGNAME", "USERNAME"))
    return Person(
        home=home,
        user=next((name for name in names if name), PurePath(home).name),
        machine=machine,
        project=project,
        servers=tuple(dict.fromkeys(servers)),
        secrets=tuple(secrets),
    )


class Mask:
    """`mask(text)`: the text without secrets and without names."""

    def __init__(self, who: Person) -> None:
        self._redactor = Redactor(who.secrets)
        self._swaps: list[tuple[re.Pattern[str], str]] = []
        for folder, stands in ((who.project, "<project>"), (who.home, "~")):
            folder = folder.rstrip("/\\")
            if len(folder) > 1 and (stands == "~" or folder != who.home.rstrip("/\\")):
                self._swap(re.escape(folder) + r"(?![\w.-])", stands)
        for number, host in enumerate(who.servers, start=1):
            self._swap(_word(host), f"<server-{number}>")
        for name in (who.machine, who.machine.partition(".")[0]):
            self._name(name, "<machine>")
        self._swaps.append((_MAIL, "<mail>"))
        self._swaps += [(_HARDWARE, "<address>"), (_ADDRESS, "<address>"), (_OWNER, "<user>")]
        self._swaps.append((_HOME, "<home>"))
        self._name(who.user, "<user>")

    def mask(self, text: str) -> str:
        text = self._redactor.redact(text)
        for pattern, stands in self._swaps:
            text = pattern.sub(stands, text)
        return text

    def _name(self, name: str, stands: str) -> None:
        if len(name) >= SHORTEST_NAME and name.lower() not in COMMON:
            self._swap(_word(name), stands)

    def _swap(self, pattern: str, stands: str) -> None:
        self._swaps.append((re.compile(pattern, re.IGNORECASE), stands))


def markdown(findings: Iterable[Finding], who: Person) -> str:
    """One list, a heading for each section."""
    mask = Mask(who).mask
    lines = ["## voicemode doctor"]
    section = None
    for finding in findings:
        if finding.section is not section:
            section = finding.section
            lines += ["", f"**{section}**", ""]
        lines.append(f"- {finding.state.upper()} {_flat(mask(f'{finding.what}: {finding.found}'))}")
        if finding.mend:
            lines.append(f"  - {_flat(mask(finding.mend))}")
    return "\n".join(lines)


def _word(name: str) -> str:
    return rf"(?<![\w-]){re.escape(name)}(?![\w-])"


def _flat(text: str) -> str:
    """On one line, and nothing in it is a tag for Markdown."""
    return " ".join(text.split()).replace("<", "&lt;")
