"""Phrases on disk: each a file of its own that is whole or is not played, only for its owner's eyes, within a bound.

    32 bytes   SHA-256 of all that follows
    1 line     JSON: who speaks, in which format, made when
    the rest   the sound as it came

The file's name is a hash of what was asked, salted with 32 random bytes that lie beside it: names tell nothing of the
words, not even to somebody who tries likely ones without the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from voicemode import clock
from voicemode.machine.private_files import Kept, make_folder, open_file, prune
from voicemode.pcm import PcmFormat
from voicemode.speech import AudioFormat

MOST_DAYS = 30.0
"""Older sound is not played: servers change their voices."""
MOST_PHRASE_BYTES = 2_000_000
"""40 s of raw PCM."""
MOST_FILE_BYTES = MOST_PHRASE_BYTES + 4_096

_DIGEST = 32
_SALT_BYTES = 32
_DAY_SECONDS = 86_400.0
_PART_DAYS = 0.01
"""14 min: whoever wrote a part that old is no more."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """A piece of sound as an engine gave it; the fields are those of `EncodedAudio`."""

    data: bytes
    format: AudioFormat
    engine: str
    voice: str
    model: str
    pcm: PcmFormat


class PhraseFiles:
    """The folder. Every call blocks on the disk and none raises: a disk that fails is one that has nothing.

    `max_bytes` holds for all files together; what was not played for longest goes first.
    """

    def __init__(self, folder: Path, *, max_bytes: int, now: Callable[[], datetime] = clock.wall) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._now = now
        self._salt = b""
        self._complained = False

    def load(self, asked: bytes) -> Phrase | None:
        """The phrase for what was `asked`; a file that is damaged or too old is deleted."""
        try:
            if not self._read_salt():
                return None
            path = self._path(asked)
            content = _read(path, MOST_FILE_BYTES)
            if content is None:
                return None
            phrase = _understood(content, self._now().timestamp())
            if phrase is None:
                path.unlink(missing_ok=True)
            else:
                os.utime(path)
        except OSError as problem:
            self._complain(problem)
            return None
        return phrase

    def save(self, asked: bytes, phrase: Phrase) -> None:
        """Puts the phrase in place at once or not at all, and makes room."""
        try:
            make_folder(self._folder)
            if not self._read_salt():
                self._make_salt()
            path = self._path(asked)
            part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
            try:
                _write(part, _content(phrase, self._now().timestamp()))
                part.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    part.unlink()
                raise
        except OSError as problem:
            self._complain(problem)
        self.tidy()

    def tidy(self) -> None:
        """Deletes what is too much, too old, or was left half-written."""
        now = self._now().timestamp()
        units = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if path.suffix not in (".phrase", ".part"):
                        continue
                    with contextlib.suppress(OSError):
                        found = entry.stat(follow_symlinks=False)
                        days = (now - found.st_mtime) / _DAY_SECONDS
                        if path.suffix == ".part":
                            # One being written now must neither be deleted nor push a phrase out.
                            if days > _PART_DAYS:
                                path.unlink()
                            continue
                        units.append(Kept(paths=(path,), age=days, bytes=found.st_size))
        except OSError:
            return
        prune(units, max_days=MOST_DAYS, max_bytes=self._max_bytes)

    def _path(self, asked: bytes) -> Path:
        name = hashlib.blake2b(asked, key=self._salt, digest_size=16).hexdigest()
        return self._folder / f"{name}.phrase"

    def _read_salt(self) -> bool:
        if not self._salt:
            found = _read(self._folder / "salt", _SALT_BYTES) or b""
            self._salt = found if len(found) == _SALT_BYTES else b""
        return bool(self._salt)

    def _make_salt(self) -> None:
        """Another process may make it at the same time: the first file put in place counts for both."""
        path = self._folder / "salt"
        part = self._folder / f"salt.{secrets.token_hex(4)}.part"
        _write(part, secrets.token_bytes(_SALT_BYTES))
        try:
            if _read(path, _SALT_BYTES) is not None:  # there, and not a salt: cut off by a crash of the disk
                part.replace(path)
            else:
                with contextlib.suppress(FileExistsError):
                    os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
        if not self._read_salt():
            raise OSError(f"{path} cannot be read back")

    def _complain(self, problem: OSError) -> None:
        """Once: a full disk stays full, and nothing is lost by it but speed."""
        level = logging.DEBUG if self._complained else logging.WARNING
        self._complained = True
        logger.log(
            level, "Repeated phrases cannot be kept in %s: %s", self._folder, problem.strerror or problem
        )


def _content(phrase: Phrase, made: float) -> bytes:
    head = {
        "engine": phrase.engine,
        "voice": phrase.voice,
        "model": phrase.model,
        "format": str(phrase.format),
        "rate": phrase.pcm.rate,
        "channels": phrase.pcm.channels,
        "made": round(made),
    }
    rest = json.dumps(head).encode() + b"\n" + phrase.data
    return hashlib.sha256(rest).digest() + rest


def _understood(content: bytes, now: float) -> Phrase | None:
    """None for what is damaged, of another kind, or older than `MOST_DAYS`."""
    rest = content[_DIGEST:]
    if hashlib.sha256(rest).digest() != content[:_DIGEST]:
        return None
    line, _, data = rest.partition(b"\n")
    try:
        head = json.loads(line)
        phrase = Phrase(
            data=data,
            format=AudioFormat(head["format"]),
            engine=str(head["engine"]),
            voice=str(head["voice"]),
            model=str(head["model"]),
            pcm=PcmFormat(rate=int(head["rate"]), channels=int(head["channels"])),
        )
        days = (now - float(head["made"])) / _DAY_SECONDS
    except (ValueError, KeyError, TypeError):
        return None
    return phrase if data and days <= MOST_DAYS else None


def _read(path: Path, most: int) -> bytes | None:
    """The whole file; None when there is none. More than `most` bytes are cut off, which no digest survives."""
    try:
        descriptor = open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most)


def _write(path: Path, data: bytes) -> None:
    descriptor = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
