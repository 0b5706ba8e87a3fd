"""What a model is: its family, its archive and its files, and who speaks in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

RELEASES = "https://github.com/k2-fsa/sherpa-onnx/releases/download"


class Family(StrEnum):
    """How a model is loaded, and what it is asked with."""

    PIPER = "piper"
    KOKORO = "kokoro"
    KITTEN = "kitten"
    ZIPFORMER = "zipformer"


ROLES = {
    Family.PIPER: ("model", "tokens"),
    Family.KOKORO: ("model", "voices", "tokens"),
    Family.KITTEN: ("model", "voices", "tokens"),
    Family.ZIPFORMER: ("encoder", "decoder", "joiner", "tokens"),
}
"""The files that each family cannot do without."""

TAIL_SECONDS = 2.0
"""Silence after a recording that brings out the last word, for an ear of which nothing else is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaker:
    """One voice of a model. `number` is the model's; `espeak` is what reads its text."""

    id: str
    number: int = 0
    language: str = "en-US"
    espeak: str = "en-us"


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """One archive. `path` is below the release page or a mirror of it; `bytes` is the exact size; `sha256` is empty
    where nobody has published one. `files` are names in the archive's own folder, by role. `consent` is what must be
    agreed to before it is fetched, empty where the licence asks for nothing that a user could break by speaking."""

    id: str
    family: Family
    path: str
    bytes: int
    sha256: str
    files: Mapping[str, str]
    licence: str
    languages: tuple[str, ...]
    speakers: tuple[Speaker, ...] = ()
    about: str = ""
    consent: str = ""
    tail_seconds: float = TAIL_SECONDS

    @property
    def speaks(self) -> bool:
        return self.family is not Family.ZIPFORMER

    @property
    def archive(self) -> str:
        return self.path.rpartition("/")[2]

    def url(self, mirror: str = "") -> str:
        """Where it is fetched; a mirror has the same two levels below it as the release pages."""
        return f"{mirror.rstrip('/') or RELEASES}/{self.path}"
