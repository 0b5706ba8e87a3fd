"""The files of pronunciations on this machine: the project's, found by walking up, and the user's own."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voicemode.speech import SpeechRequest
from voicemode.text.pieces import Splitter
from voicemode.text.pronunciations import NONE, Pronunciations, parse
from voicemode.text.reading import Reading
from voicemode.text.sentences import MESSAGES, SplitRules

PROJECT_FILE = ".voicemode.pronunciations"
USER_FILE = "voicemode.pronunciations"

MOST_BYTES = 1_048_576
"""A file of pronunciations beyond this size is not one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Version:
    """What changes when somebody has written the file."""

    path: Path
    modified_ns: int
    size: int


class PronunciationFiles:
    """The pronunciations that hold now: those of the project around `start` under those of `user_folder`.

    The user's own win, since a project may come from a stranger. Files are read again when they have changed, so that a
    new word is heard in the next message. What is wrong with a file is told to `on_problem` once for each change, and
    never stops anything.
    """

    def __init__(self, start: Path, user_folder: Path, *, on_problem: Callable[[str], None]) -> None:
        self._start = Path(os.path.abspath(start))  # noqa: PTH100  (resolve() would follow links, and may raise)
        self._user = user_folder / USER_FILE
        self._on_problem = on_problem
        self._versions: list[_Version] | None = None
        self._current = NONE

    def __call__(self) -> Pronunciations:
        versions = [each for each in (self._project_version(), _version(self._user)) if each is not None]
        if versions != self._versions:
            self._versions = versions
            self._current = NONE
            for version in versions:
                self._current = self._read(version.path).over(self._current)
        return self._current

    def _project_version(self) -> _Version | None:
        """The nearest file in `start` or above it."""
        for folder in (self._start, *self._start.parents):
            if found := _version(folder / PROJECT_FILE):
                return found
        return None

    def _read(self, path: Path) -> Pronunciations:
        try:
            # O_NONBLOCK: a named pipe that took the file's place must not be waited for.
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(descriptor, "rb") as file:
                raw = file.read(MOST_BYTES + 1)
        except OSError as error:
            self._on_problem(f"{path} cannot be read ({error.strerror or error}); its words are not used.")
            return NONE
        if len(raw) > MOST_BYTES:
            self._on_problem(f"{path} is larger than {MOST_BYTES:,} bytes; its words are not used.")
            return NONE
        pronunciations, bad = parse(raw.decode("utf-8", errors="replace"))
        for line in bad:
            self._on_problem(f"{path}: line {line.number} {line.says}; it is skipped.")
        return pronunciations


def splitters(
    start: Path,
    user_folder: Path,
    *,
    markdown: bool = True,
    rules: SplitRules = MESSAGES,
    on_problem: Callable[[str], None] = lambda what: logger.warning("%s", what),
) -> Callable[[SpeechRequest], Splitter]:
    """Makes the splitter of each request, with its language and the pronunciations that hold at that moment."""
    files = PronunciationFiles(start, user_folder, on_problem=on_problem)

    def new_splitter(request: SpeechRequest) -> Splitter:
        reading = Reading(markdown=markdown, pronunciations=files())
        return Splitter(rules=rules, reading=reading.of(request.language, request.voice))

    return new_splitter


def _version(path: Path) -> _Version | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return _Version(path=path, modified_ns=found.st_mtime_ns, size=found.st_size)
