"""What one turn leaves on disk beside its sounds: a JSON that says what was said and which file begins when.

    20261121-104801-123_<turn>_turn.json    while the turn goes on: ….json.part, a line for all that is learnt

Everything here belongs to the recordings' thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from voicemode.machine.private_files import open_file, write_whole
from voicemode.recording.growing import PART, GrowingFile, lock
from voicemode.turn_story.turn_record import KILLED

JOURNAL = f"_turn.json{PART}"

TTS = "tts"


@dataclass(kw_only=True, slots=True)
class KeptFile:
    """A file of a turn. `position` is when its first sample was heard or captured, and of a stream when its first byte
    came, in monotonic seconds of the process; None: not known. `seconds`, `rate` and `channels` are those of its sound,
    where that is known without decoding it."""

    kind: str
    name: str
    position: float | None = None
    seconds: float | None = None
    rate: int | None = None
    channels: int | None = None
    complete: bool = False


class TurnFile:
    """The JSON of a turn that goes on. `begin` and `learn` raise OSError; what is learnt stays known all the same.

    `head` is what never changes: whose turn it is and when it began.
    """

    def __init__(
        self,
        path: Path,
        head: Mapping[str, object],
        redacted: Callable[[object], object] = lambda value: value,
    ) -> None:
        self.path = path
        """Where the JSON is, or will be."""
        self.lost = False
        """There is no room for it."""
        self.files: dict[str, KeptFile] = {}
        self._head = dict(head)
        self._redacted = redacted
        self._story: object = {}
        self._journal: GrowingFile | None = None
        self._over = False

    def begin(self) -> None:
        self._journal = GrowingFile(self.path)
        self.path = self._journal.path
        try:
            self._note("head", self._head)
        except OSError:
            self._journal.abandon()
            self._journal = None
            raise

    def learn(self, story: Mapping[str, object], *, over: bool) -> None:
        self._story, self._over = self._redacted(story), over
        self._note("story", self._story)

    def hold(self, file: KeptFile) -> None:
        """There is a file, or more is known of it."""
        self.files[file.name] = file
        self._note("file", asdict(file))

    def settle(self, *, last: bool) -> None:
        """The JSON, if the turn is over; `last`: nothing more will be learnt."""
        if not self._over:
            return
        try:
            _write(self.path, self._head, self._story, self.files.values())
        except OSError:
            self.lost = True
            raise
        self.lost = False
        if last and self._journal is not None:
            self._journal.abandon()
            self._journal = None

    def _note(self, what: str, value: object) -> None:
        if self._journal is not None:
            self._journal.write(f"{json.dumps({what: value}, ensure_ascii=False)}\n".encode(errors="replace"))


def adopt(journal: Path, sounds: Iterable[Path]) -> Path | None:
    """Makes the JSON of a turn whose process died from what it had noted and from the files that it left.

    None when a living process still writes it. Raises OSError.
    """
    file = open_file(journal, os.O_RDWR)
    try:
        if not lock(file):
            return None
        with os.fdopen(os.dup(file), "rb") as reader:
            head, story, noted = _read(reader.read())
        path = journal.with_name(journal.name.removesuffix(PART))
        if not path.exists():
            audible = story.pop("audible", None)
            files = [_found(sound, noted, audible) for sound in sounds if sound.suffix != ".json"]
            _write(path, head, {**story, "outcome": story.get("outcome") or KILLED}, files)
        if os.name != "nt":
            journal.unlink()
    finally:
        os.close(file)
    if os.name == "nt":
        journal.unlink()
    return path


def _write(path: Path, head: Mapping[str, object], story: object, files: Iterable[KeptFile]) -> None:
    told = (
        {name: value for name, value in story.items() if name != "audible"} if isinstance(story, dict) else {}
    )
    listed = sorted(files, key=lambda file: (file.position is None, file.position or 0.0, file.name))
    values = {**head, **told, "files": [asdict(file) for file in listed]}
    write_whole(path, f"{json.dumps(values, ensure_ascii=False, indent=1)}\n")


def _read(data: bytes) -> tuple[dict[str, object], dict[str, object], dict[str, KeptFile]]:
    """(head, story, files by name). A line that was torn is passed over."""
    head: dict[str, object] = {}
    story: dict[str, object] = {}
    files: dict[str, KeptFile] = {}
    for line in data.split(b"\n"):
        with suppress(ValueError, TypeError):
            for what, value in json.loads(line).items():
                if what == "head":
                    head = dict(value)
                elif what == "story":
                    story = dict(value)
                elif what == "file":
                    file = KeptFile(**value)
                    files[file.name] = file
    return head, story, files


def _found(sound: Path, noted: Mapping[str, KeptFile], audible: object) -> KeptFile:
    import wave  # Only after a process that was killed.

    kind = sound.stem.split("_", 2)[2]
    file = noted.get(sound.name) or KeptFile(kind=kind, name=sound.name)
    if file.position is None and file.kind == TTS and isinstance(audible, float):
        file.position = audible
    if not file.complete:
        # A stream may be cut within its header, or never have had one that tells.
        with suppress(OSError, wave.Error, EOFError), wave.open(str(sound), "rb") as reader:
            size = reader.getnframes() * reader.getnchannels() * reader.getsampwidth()
            if size <= sound.stat().st_size:  # A stream's header may say anything.
                file.rate, file.channels = reader.getframerate(), reader.getnchannels()
                file.seconds = round(reader.getnframes() / file.rate, 3)
    return file
