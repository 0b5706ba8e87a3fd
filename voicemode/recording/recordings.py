"""Recordings of what was said and what was answered, each with a JSON beside it that says what it is.

    recordings/2026/11/20261121-104801-123_<turn>_tts.wav  and  ….json

Every call here hands over and returns; a thread of the recordings' own touches the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from voicemode import clock
from voicemode.events import Event, Transcribed, TurnFinished
from voicemode.machine.background import Background
from voicemode.machine.private_files import make_folder, write_whole
from voicemode.pcm import Frame, PcmFormat
from voicemode.recording.wav_file import WavFile
from voicemode.speech import RecordingNote
from voicemode.text.redaction import Redactor

logger = logging.getLogger(__name__)

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


def written(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds")


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
        self.discarded = False
        self.failed = False
        """Something could not be written; what `path` names ends early or is not there."""
        self.path = recordings.plan(kind, turn, started)
        """Where the finished file is, or will be."""
        self._recordings = recordings
        # Belongs to the recordings' thread.
        self.file: WavFile | None = None

    @property
    def kept(self) -> int:
        """Samples on disk, once it is finished."""
        return self.file.samples if self.file is not None else 0

    def write(self, frame: Frame) -> None:
        """Adds sound in the recording's format."""
        if frame.format != self.format:
            raise ValueError(f"{frame.format} does not belong into a recording of {self.format}")
        self.samples += frame.samples
        self._recordings.append(self, frame.data)

    def finish(self, note: RecordingNote, *, wanted: bool = True) -> None:
        """Ends the sound and writes the JSON beside it; what is not `wanted` any more goes instead."""
        if wanted:
            self._recordings.finish(self, note)
        else:
            self.discarded = True
            self._recordings.discard(self)

    async def saved(self) -> Path | None:
        """Where the finished recording is, once it is on disk; None when it could not be kept in time, or was not
        wanted."""
        if self.discarded:
            return None
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
        self.wall = wall
        self._warned = False
        self._lock = threading.Lock()
        self._stamp = ""
        self._taken: set[str] = set()
        self._background = Background("recordings", capacity=capacity)

    def __enter__(self) -> Recordings:
        self.submit(self._tidy)
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(CLOSING_S)

    def begin(self, *, kind: str, turn: str, format: PcmFormat) -> Recording:  # noqa: A002
        """A `ports.BeginRecording`: a recording of `kind` (tts or stt) that begins now."""
        recording = Recording(self, kind=kind, turn=turn, started=self.wall(), fmt=format)
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
        started = self.wall()
        path = self.plan(note.kind, note.turn, started)
        self.submit(lambda: self._keep_text(path, started, note))

    def plan(self, kind: str, turn: str, started: datetime | None = None, *, suffix: str = ".wav") -> Path:
        """A path of its own for each recording of this process; the disk is not asked."""
        started = started or self.wall()
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
        return self.folder / f"{when:%Y}" / f"{when:%m}" / f"{name}{suffix}"

    def submit(self, job: Callable[[], None]) -> bool:
        """Has the recordings' thread do it, in order. Never blocks and takes no lock; False when there is no room."""
        return self._background.submit(job)

    def redacted(self, value: object) -> object:
        """The same without secrets, however deep."""
        if isinstance(value, str):
            return self._redactor.redact(value)
        if isinstance(value, Mapping):
            return {key: self.redacted(each) for key, each in value.items()}
        return value

    def flush(self, limit_s: float) -> bool:
        """Blocks until everything handed over before is on disk, at most `limit_s`."""
        return self._background.flush(limit_s)

    def close(self, limit_s: float) -> bool:
        """Does what is waiting. What nobody finished stays a `.part.wav`, playable, adopted at the next start."""
        return self._background.close(limit_s)

    def _submit(self, recording: Recording, job: Callable[[], None]) -> None:
        if not self.submit(job):
            # A hole in the middle would be worse than an early end.
            recording.failed = True

    # --- the recordings' thread ---

    def _begin(self, recording: Recording) -> None:
        try:
            self.make_room(recording.path)
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
            self.make_room(path)
            self._write_note(path, started, note, {})
        except OSError as error:
            self.warn_once(error)

    def make_room(self, path: Path) -> None:
        """The folder of `path`. Raises OSError."""
        make_folder(path.parent)
        if not path.parent.resolve().is_relative_to(self.folder.resolve()):
            raise OSError(0, f"{path.parent} leads out of {self.folder}")

    def _write_note(
        self, wav: Path, started: datetime, note: RecordingNote, about: Mapping[str, object]
    ) -> None:
        values = {name: self.redacted(value) for name, value in asdict(note).items()}
        text = json.dumps({**values, "started": written(started), **about}, ensure_ascii=False, indent=1)
        write_whole(wav.with_suffix(".json"), text + "\n")

    def _failed(self, recording: Recording, error: OSError) -> None:
        """Gives up this recording; what it holds is closed and stays playable."""
        recording.failed = True
        if recording.file is not None:
            with suppress(OSError):
                recording.file.finish()
        self.warn_once(error)

    def warn_once(self, error: OSError) -> None:
        if self._warned:
            return
        self._warned = True
        reason = error.strerror or str(error)
        self._warn(
            f"Recordings in {self.folder} cannot be kept ({reason}); the conversation goes on without them."
        )

    def _tidy(self) -> None:
        if not self.folder.is_dir():
            return
        from voicemode.recording.tidying import tidy  # Most users keep no recordings.

        tidy(
            self.folder,
            now=self.wall().timestamp(),
            max_days=self._max_days,
            max_bytes=self._max_bytes,
        )
