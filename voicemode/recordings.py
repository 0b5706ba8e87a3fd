"""Recordings of both sides of a conversation, each with a JSON beside it that says what it is.

    recordings/2026/11/20261121-104801-123_<turn>_tts.wav  and  ….json

Every call here hands over and returns; a thread of the recordings' own touches the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from voicemode import clock
from voicemode.background import Background
from voicemode.events import Event, Transcribed, TurnFinished
from voicemode.pcm import Frame, PcmFormat
from voicemode.private_files import Kept, make_folder, open_file, prune
from voicemode.redaction import Redactor
from voicemode.speech import RecordingNote
from voicemode.wav_file import PART, WavFile, adopt

logger = logging.getLogger(__name__)

SECONDS_A_DAY = 86_400
CLOSING_S = 0.2
SAVING_S = 2.0
"""How long a result waits for its recording to be on disk."""
LONGEST_NAME = 40
_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")


def safe_name(turn: str) -> str:
    """A file name's part for any turn id: letters, digits and dashes; ids that had to be changed stay distinct."""
    name = _UNSAFE.sub("-", turn).strip("-")[:LONGEST_NAME]
    if name == turn:
        return name or "turn"
    digest = hashlib.sha256(turn.encode("utf-8", errors="replace")).hexdigest()[:8]
    return f"{name}-{digest}" if name else digest


def _write_whole(path: Path, text: str) -> None:
    """The file is there with all of its text, or not at all."""
    growing = path.with_suffix(".json.part")
    file = open_file(growing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with os.fdopen(file, "w", encoding="utf-8", errors="replace") as out:
            out.write(text)
        growing.replace(path)
    except OSError:
        with suppress(OSError):
            growing.unlink()
        raise


def _ignore(what: str) -> None:
    logger.warning("%s", what)


class Recording:
    """One recording that is under way, and a `ports.Recording`. Any one thread may call it; nothing here blocks."""

    def __init__(
        self, recordings: Recordings, *, kind: str, turn: str, started: datetime, fmt: PcmFormat
    ) -> None:
        self.kind = kind
        self.turn = turn
        self.started = started
        self.format = fmt
        self.samples = 0
        self.failed = False
        """Something could not be written; what `path` names ends early or is not there."""
        self.path = recordings.plan(kind, turn, started)
        """Where the finished file is, or will be."""
        self._recordings = recordings
        # Belongs to the recordings' thread.
        self.file: WavFile | None = None

    def write(self, frame: Frame) -> None:
        """Adds sound in the recording's format."""
        if frame.format != self.format:
            raise ValueError(f"{frame.format} does not belong into a recording of {self.format}")
        self.samples += frame.samples
        self._recordings.append(self, frame.data)

    def finish(self, note: RecordingNote) -> None:
        """Ends the sound and writes the JSON beside it."""
        self._recordings.finish(self, note)

    async def saved(self) -> Path | None:
        """Where the finished recording is, once it is on disk; None when it could not be kept in time."""
        written = await asyncio.to_thread(self._recordings.flush, SAVING_S)
        return self.path if written and not self.failed else None


class Recordings:
    """Use as a context manager. `on_warning` is told once, from the thread, when recordings cannot be kept."""

    def __init__(
        self,
        folder: Path,
        *,
        secrets: Iterable[str] = (),
        max_days: float = 30.0,
        max_bytes: int = 500_000_000,
        capacity: int = 10_000,
        on_warning: Callable[[str], None] = _ignore,
        wall: Callable[[], datetime] = clock.wall,
    ) -> None:
        self.folder = folder
        self._redactor = Redactor(secrets)
        self._max_days = max_days
        self._max_bytes = max_bytes
        self._warn = on_warning
        self._wall = wall
        self._warned = False
        self._lock = threading.Lock()
        self._stamp = ""
        self._taken: set[str] = set()
        self._background = Background("recordings", capacity=capacity)

    def __enter__(self) -> Recordings:
        self._background.submit(self._tidy)
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(CLOSING_S)

    def begin(self, *, kind: str, turn: str, format: PcmFormat) -> Recording:  # noqa: A002
        """A `ports.BeginRecording`: a recording of `kind` (tts or stt) that begins now."""
        recording = Recording(self, kind=kind, turn=turn, started=self._wall(), fmt=format)
        self._submit(recording, lambda: self._begin(recording))
        return recording

    def append(self, recording: Recording, data: bytes) -> None:
        self._submit(recording, lambda: self._append(recording, data))

    def finish(self, recording: Recording, note: RecordingNote) -> None:
        self._submit(recording, lambda: self._finish(recording, note))

    def discard(self, recording: Recording) -> None:
        """Nobody wants it: nothing of it stays."""
        self._submit(recording, lambda: self._discard(recording))

    def keep_text(self, event: Event) -> None:
        """An `events.Emit` that keeps what was said as JSON alone, for those who keep transcripts and no sound."""
        if isinstance(event, Transcribed):
            note = RecordingNote(
                kind="stt", turn=event.turn, text=event.text, engine=event.engine, position=event.at
            )
        elif isinstance(event, TurnFinished) and event.heard + event.unheard:
            note = RecordingNote(
                kind="tts",
                turn=event.turn,
                text=f"{event.heard} {event.unheard}".strip(),
                outcome=event.outcome,
                heard=event.heard,
                unheard=event.unheard,
                position=event.at,
            )
        else:
            return
        started = self._wall()
        path = self.plan(note.kind, note.turn, started)
        self._background.submit(lambda: self._keep_text(path, started, note))

    def plan(self, kind: str, turn: str, started: datetime) -> Path:
        """A path of its own for each recording of this process; the disk is not asked."""
        when = started.astimezone(UTC)
        stamp = f"{when:%Y%m%d-%H%M%S}-{when.microsecond // 1000:03}"
        with self._lock:
            if stamp != self._stamp:
                self._stamp, self._taken = stamp, set()
            base = name = f"{stamp}_{safe_name(turn)}_{safe_name(kind)}"
            count = 1
            while name in self._taken:
                count += 1
                name = f"{base}-{count}"
            self._taken.add(name)
        return self.folder / f"{when:%Y}" / f"{when:%m}" / f"{name}.wav"

    def flush(self, limit_s: float) -> bool:
        """Blocks until everything handed over before is on disk, at most `limit_s`."""
        return self._background.flush(limit_s)

    def close(self, limit_s: float) -> bool:
        """Does what is waiting. What nobody finished stays a `.part.wav`, playable, adopted at the next start."""
        return self._background.close(limit_s)

    def _submit(self, recording: Recording, job: Callable[[], None]) -> None:
        if not self._background.submit(job):
            # A hole in the middle would be worse than an early end.
            recording.failed = True

    # --- the recordings' thread ---

    def _begin(self, recording: Recording) -> None:
        try:
            self._make_room(recording.path)
            recording.file = WavFile(recording.path.with_suffix(""), recording.format)
            recording.path = recording.file.path
        except OSError as error:
            self._failed(recording, error)

    def _append(self, recording: Recording, data: bytes) -> None:
        if recording.file is None or recording.failed:
            return
        try:
            recording.file.write(data)
        except OSError as error:
            self._failed(recording, error)

    def _finish(self, recording: Recording, note: RecordingNote) -> None:
        if recording.file is None:
            return
        try:
            path = recording.file.finish()
            about = {
                "sound": path.name,
                "rate": recording.format.rate,
                "channels": recording.format.channels,
                "seconds": round(recording.format.seconds(recording.samples), 3),
                "complete": not recording.failed,
            }
            self._write_note(path, recording.started, note, about)
        except OSError as error:
            self._failed(recording, error)

    def _discard(self, recording: Recording) -> None:
        if recording.file is not None:
            recording.file.abandon()
            recording.file = None

    def _keep_text(self, path: Path, started: datetime, note: RecordingNote) -> None:
        try:
            self._make_room(path)
            self._write_note(path, started, note, {})
        except OSError as error:
            self._warn_once(error)

    def _make_room(self, path: Path) -> None:
        make_folder(path.parent)
        if not path.parent.resolve().is_relative_to(self.folder.resolve()):
            raise OSError(0, f"{path.parent} leads out of {self.folder}")

    def _write_note(
        self, wav: Path, started: datetime, note: RecordingNote, about: Mapping[str, object]
    ) -> None:
        values = {
            name: self._redactor.redact(value) if isinstance(value, str) else value
            for name, value in asdict(note).items()
        }
        start = started.astimezone(UTC).isoformat(timespec="milliseconds")
        text = json.dumps({**values, "started": start, **about}, ensure_ascii=False, indent=1)
        _write_whole(wav.with_suffix(".json"), text + "\n")

    def _failed(self, recording: Recording, error: OSError) -> None:
        """Gives up this recording; what it holds is closed and stays playable."""
        recording.failed = True
        if recording.file is not None:
            with suppress(OSError):
                recording.file.finish()
        self._warn_once(error)

    def _warn_once(self, error: OSError) -> None:
        if self._warned:
            return
        self._warned = True
        reason = error.strerror or str(error)
        self._warn(
            f"Recordings in {self.folder} cannot be kept ({reason}); the conversation goes on without them."
        )

    def _tidy(self) -> None:
        """Adopts what dead processes left, then keeps age and size."""
        for folder in self._months():
            for part in list(folder.glob(f"*{PART}")):
                with suppress(OSError):
                    adopt(part)
        now = self._wall().timestamp()
        kept = []
        for paths in self._finished():
            with suppress(OSError):
                stats = [path.lstat() for path in paths]
                age = (now - max(stat.st_mtime for stat in stats)) / SECONDS_A_DAY
                size = sum(stat.st_size for stat in stats)
                kept.append(Kept(paths=tuple(paths), age=age, bytes=size))
        prune(kept, max_days=self._max_days, max_bytes=self._max_bytes)

    def _finished(self) -> list[list[Path]]:
        """The files of each finished recording, sound and JSON together."""
        units: dict[str, list[Path]] = {}
        for folder in self._months():
            for path in folder.glob("*_*_*.*"):
                if path.suffix in (".wav", ".json") and not path.name.endswith(PART):
                    units.setdefault(str(path.with_suffix("")), []).append(path)
        return list(units.values())

    def _months(self) -> list[Path]:
        """The folders of recordings; a link that leads elsewhere is none."""
        root = self.folder.resolve()
        return [
            each for each in self.folder.glob("*/*") if each.resolve().is_relative_to(root) and each.is_dir()
        ]
