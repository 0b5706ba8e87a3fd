"""The sounds of a turn on their way to disk: what devices took and gave, on the clock, and streams as they came.

Who has the sound hands it over and returns, a sound card's thread too: no lock, no disk, and no more than
`MOST_SECONDS` of it wait. The methods whose names begin with `_` belong to the recordings' thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from voicemode.codecs.opening import HEAD_BYTES
from voicemode.pcm import PcmFormat
from voicemode.recording.growing import GrowingFile
from voicemode.recording.recordings import Recordings
from voicemode.recording.turn_files import KeptFile, TurnFile
from voicemode.recording.wav_file import WavFile
from voicemode.sound.laying import Timeline
from voicemode.sound.sniff import SNIFF_BYTES, container, sniff, undecided
from voicemode.speech import AudioFormat, EncodedAudio

MOST_SECONDS = 20.0
"""Of a sound wait for a disk that hangs; after that it ends, since a hole in it would be taken for silence."""

MOST_BYTES = 4_000_000
"""Of a stream; minutes of anything that is encoded."""

Block = tuple[bytes, float]
"""(whole samples, when the first of them was or will be audible or was captured, in monotonic seconds)."""


class SoundTrack:
    """One device's side of a turn (`kind` is sink, mic or clean), from its first sample to the turn's end.

    Between `opened` and `closed` one thread at a time calls `put`; `finish` comes after the last of them.
    """

    def __init__(
        self,
        recordings: Recordings,
        about: TurnFile,
        *,
        kind: str,
        path: Path,
        format: PcmFormat,  # noqa: A002
    ) -> None:
        self.kind = kind
        self.path = path
        self.format = format
        self.over = False
        self.open = 0
        """Devices that are open on it."""
        self.failed = False
        self._recordings = recordings
        self._about = about
        self._entry = KeptFile(kind=kind, name=path.name, rate=format.rate, channels=format.channels)
        self._line = Timeline(format)
        self._file: WavFile | None = None
        self._told = False
        self._ended = False
        self._most = int(MOST_SECONDS * format.rate) * format.bytes_per_sample
        # Each is changed by one thread alone.
        self._given = 0
        self._taken = 0

    def opened(self) -> None:
        self.open += 1
        self._do(self._resume)

    def put(self, blocks: Sequence[Block]) -> None:
        """In order. From any thread; never blocks and never raises."""
        size = sum(len(data) for data, _ in blocks)
        if self.failed or not size:
            return
        if self._given - self._taken > self._most:
            self.failed = True
            return
        self._given += size
        self._do(lambda: self._put(blocks, size))

    def closed(self) -> None:
        self.open -= 1

    def finish(self) -> None:
        self.over = True
        self._recordings.submit(self._finish)

    def _do(self, job: Callable[[], None]) -> None:
        if not self._recordings.submit(job):
            self.failed = True

    def _resume(self) -> None:
        self._lay(self._line.resume())

    def _put(self, blocks: Sequence[Block], size: int) -> None:
        self._taken += size
        self._lay([part for data, at in blocks for part in self._line.feed(data, at)])

    def _lay(self, parts: list[bytes]) -> None:
        if not parts:
            return
        try:
            if self._file is None and not self._ended:
                self._begin()
            if self._file is not None:
                self._file.write(b"".join(parts))
            if self._line.settled and not self._told:
                self._told = True
                self._entry.position = _rounded(self._line.position)
                self._about.hold(self._entry)
        except OSError as error:
            self._fail(error)

    def _begin(self) -> None:
        self._recordings.make_room(self.path)
        self._file = WavFile(self.path.with_suffix(""), self.format)
        self.path = self._file.path
        self._entry.name, self._entry.position = self.path.name, _rounded(self._line.position)
        self._about.hold(self._entry)

    def _finish(self) -> None:
        self._lay(self._line.flush())
        self._end()

    def _end(self) -> None:
        self._ended = True
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.finish()
        except OSError as error:
            self.failed = True
            self._recordings.warn_once(error)
        self._entry.position = _rounded(self._line.position)
        self._entry.seconds = round(self.format.seconds(file.samples), 3)
        self._entry.complete = not self.failed
        try:
            self._about.hold(self._entry)
        except OSError as error:
            self._recordings.warn_once(error)

    def _fail(self, error: OSError) -> None:
        """What there is stays playable; the conversation goes on."""
        self.failed = True
        self._recordings.warn_once(error)
        self._end()


class StreamTrack:
    """A stream's bytes as they came. What they are shows in the first of them; raw PCM becomes a WAV.

    `path` has no ending yet. Called on the event loop.
    """

    def __init__(
        self, recordings: Recordings, about: TurnFile, *, kind: str, path: Path, audio: EncodedAudio
    ) -> None:
        self.failed = False
        self._recordings = recordings
        self._about = about
        self._path = path
        self._pcm = audio.pcm
        self._format = audio.format
        self._entry = KeptFile(kind=kind, name="")
        self._head = b""
        self._file: GrowingFile | None = None
        self._ended = False
        self._given = 0
        self._taken = 0

    def put(self, chunk: bytes, at: float) -> None:
        """`at` is when it came."""
        if self.failed:
            return
        self._given += len(chunk)
        full = self._given - self._taken > MOST_BYTES
        if full or not self._recordings.submit(lambda: self._put(chunk, at)):
            self.failed = True

    def finish(self, *, complete: bool) -> None:
        self._recordings.submit(lambda: self._finish(complete=complete))

    def sounds(self, seconds: float | None) -> None:
        """It turned out to be so long when it was decoded."""
        self._recordings.submit(lambda: self._sounds(seconds))

    def _put(self, chunk: bytes, at: float) -> None:
        self._taken += len(chunk)
        if self._ended:  # What was on its way here when the file had to be given up.
            return
        if self._entry.position is None:
            self._entry.position = _rounded(at)
        try:
            if self._file is not None:
                self._file.write(chunk)
                return
            self._head += chunk
            if len(self._head) >= HEAD_BYTES and (
                not undecided(self._head) or len(self._head) >= SNIFF_BYTES
            ):
                self._begin()
        except OSError as error:
            self._fail(error)

    def _begin(self) -> None:
        self._recordings.make_room(self._path)
        head, self._head = self._head, b""
        ending = _ending(head, self._format)
        if ending == AudioFormat.PCM:
            self._file = WavFile(self._path, self._pcm)
            self._entry.rate, self._entry.channels = self._pcm.rate, self._pcm.channels
        else:
            self._file = GrowingFile(self._path.with_name(f"{self._path.name}.{ending}"))
        self._entry.name = self._file.path.name
        self._about.hold(self._entry)
        self._file.write(head)

    def _finish(self, *, complete: bool) -> None:
        try:
            if self._file is None and self._head and not self.failed:
                self._begin()
        except OSError as error:
            self._fail(error)
        self._end(complete=complete and not self.failed)

    def _end(self, *, complete: bool) -> None:
        self._ended = True
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.finish()
            if isinstance(file, WavFile):
                self._entry.seconds = round(self._pcm.seconds(file.samples), 3)
            self._entry.complete = complete
            self._about.hold(self._entry)
        except OSError as error:
            self._recordings.warn_once(error)

    def _sounds(self, seconds: float | None) -> None:
        if seconds is None or self._entry.seconds is not None or not self._entry.name:
            return
        self._entry.seconds = round(seconds, 3)
        try:
            self._about.hold(self._entry)
        except OSError as error:
            self._recordings.warn_once(error)

    def _fail(self, error: OSError) -> None:
        self.failed = True
        self._recordings.warn_once(error)
        self._end(complete=False)


def _ending(head: bytes, labelled: AudioFormat) -> str:
    """What a player takes the bytes for; pcm where they have no mark and are said to be raw."""
    found = sniff(head)
    if found is AudioFormat.OPUS:
        return "opus" if b"OpusHead" in head else "ogg"
    if found is None and (foreign := container(head)):
        return foreign
    if found is None and labelled in (AudioFormat.WAV, AudioFormat.OPUS, AudioFormat.FLAC):
        return "bin"
    return found or labelled


def _rounded(at: float | None) -> float | None:
    return None if at is None else round(at, 4)
