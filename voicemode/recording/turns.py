"""All that is kept of each turn while it goes on: whose sounds they are, and the JSON that puts them on one clock.

`watch` is an `Emit`: the events say which turn has the loudspeaker and the microphone, and what becomes of it. Where
sounds come from, `taps` hands them over. Everything here is called on the event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from voicemode import clock
from voicemode.events import (
    Event,
    FirstAudio,
    FirstByte,
    FloorTaken,
    Transcribed,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from voicemode.pcm import Frame, PcmFormat
from voicemode.recording.growing import GrowingFile
from voicemode.recording.recordings import SAVING_S, Recording, Recordings, written
from voicemode.recording.sound_tracks import SoundTrack, StreamTrack
from voicemode.recording.turn_files import KeptFile, TurnFile
from voicemode.recording.wav_file import WavFile
from voicemode.speech import EncodedAudio, RecordingNote
from voicemode.turn_story.turn_record import over, piece_seconds, turn_record

REMEMBERED = 50
"""Turns whose files can still be asked for."""

TOLD = ("turn", "sink", "mic")
"""What results name beside the recording; the turn's JSON lists everything."""

_NOTED = (FloorTaken, FirstByte, FirstAudio, Transcribed, TurnFailed, TurnFinished)
"""Events after which the turn's JSON says more than before."""


class KeptTurns:
    """`conversation` is what all turns of this process belong to."""

    def __init__(self, recordings: Recordings, *, conversation: str = "") -> None:
        self._recordings = recordings
        self._conversation = conversation
        self._turns: dict[str, _Turn] = {}
        self._sounding: _Turn | None = None
        """Who has the loudspeaker and the microphone."""

    def watch(self, event: Event) -> None:
        if isinstance(event, TurnStarted):
            self._turns[event.turn] = _Turn(self._recordings, event.turn, self._conversation)
            self._forget()
        turn = self._turns.get(event.turn)
        if turn is None:
            return
        if isinstance(event, FloorTaken):
            self._sounding = turn
        elif isinstance(event, TurnFinished) and self._sounding is turn:
            self._sounding = None
        turn.watch(event)

    def begin(self, *, kind: str, turn: str, format: PcmFormat) -> Recording | _Listed:  # noqa: A002
        """A `ports.BeginRecording` whose recordings are listed in their turn's JSON."""
        recording = self._recordings.begin(kind=kind, turn=turn, format=format)
        known = self._turns.get(turn)
        return recording if known is None else known.listed(recording)

    def track(self, kind: str, fmt: PcmFormat) -> SoundTrack | None:
        """The track of the turn that has the floor; None between turns."""
        return self._sounding.track(kind, fmt) if self._sounding is not None else None

    def released(self, track: SoundTrack) -> None:
        """A device that was open on it is closed."""
        track.closed()
        for turn in self._turns.values():
            if turn.has(track):
                turn.let_go()

    def stream(self, turn: str, piece: int, audio: EncodedAudio) -> KeptStream | None:
        known = self._turns.get(turn)
        return known.stream(piece, audio) if known is not None else None

    def record(self, turn: str) -> Path | None:
        """The JSON of this turn, once it has the floor or a file."""
        known = self._turns.get(turn)
        return known.paths().get("turn") if known is not None else None

    async def saved(self, turn: str) -> dict[str, Path]:
        """What is kept of this turn, by kind, once it is on disk; nothing where that takes too long."""
        known = self._turns.get(turn)
        if known is None or not await asyncio.to_thread(self._recordings.flush, SAVING_S):
            return {}
        paths = known.paths()
        there = await asyncio.to_thread(lambda: {kind for kind, path in paths.items() if _is_there(path)})
        return {kind: paths[kind] for kind in TOLD if kind in there}

    def _forget(self) -> None:
        for name in list(self._turns)[: max(len(self._turns) - REMEMBERED, 0)]:
            if self._turns[name].over:
                del self._turns[name]


def _is_there(path: Path) -> bool:
    """Or grows there: a chime may still sound into the loudspeaker's file."""
    growing = WavFile.growing(path) if path.suffix == ".wav" else GrowingFile.growing(path)
    return os.path.lexists(growing) or os.path.lexists(path)


class KeptStream:
    """One piece's stream on its way to disk."""

    def __init__(self, turn: _Turn, piece: int, track: StreamTrack) -> None:
        self._turn = turn
        self._piece = piece
        self._track = track
        self._whole = False

    def put(self, chunk: bytes) -> None:
        self._track.put(chunk, clock.monotonic())

    def ended(self) -> None:
        """It came to its end."""
        self._whole = True

    def close(self) -> None:
        self._turn.finish_stream(self._track, self._piece, whole=self._whole)


class _Listed:
    """A `ports.Recording` that is a file of its turn."""

    def __init__(self, turn: _Turn, recording: Recording) -> None:
        self._turn = turn
        self._recording = recording

    def write(self, frame: Frame) -> None:
        self._recording.write(frame)

    def finish(self, note: RecordingNote, *, wanted: bool = True) -> None:
        """All of a turn is kept, also what its flow does not want."""
        self._recording.finish(note)
        self._turn.finished(self._recording, note.position)

    async def saved(self) -> Path | None:
        return await self._recording.saved()


class _Turn:
    def __init__(self, recordings: Recordings, name: str, conversation: str) -> None:
        self.over = False
        self._recordings = recordings
        self._name = name
        self._conversation = conversation
        self._events: list[Event] = []
        self._file: TurnFile | None = None
        self._tracks: list[SoundTrack] = []
        self._listed: list[Recording] = []
        self._unfinished = 0
        """Recordings and streams that are still growing."""
        self._settled = False
        self._streams: list[tuple[int, StreamTrack]] = []

    def watch(self, event: Event) -> None:
        self._events.append(event)
        self._settled = False
        self.over = self.over or over(event)
        if isinstance(event, _NOTED) and (self._file is not None or isinstance(event, FloorTaken)):
            self._learn()
            self.let_go()

    def track(self, kind: str, fmt: PcmFormat) -> SoundTrack:
        for track in self._tracks:
            if (track.kind, track.format) == (kind, fmt):
                return track
        path = self._recordings.plan(kind, self._name)
        track = SoundTrack(self._recordings, self._begun(), kind=kind, path=path, format=fmt)
        self._tracks.append(track)
        return track

    def has(self, track: SoundTrack) -> bool:
        return track in self._tracks

    def stream(self, piece: int, audio: EncodedAudio) -> KeptStream:
        kind = f"stream-{piece}"
        path = self._recordings.plan(kind, self._name, suffix="")
        self._unfinished += 1
        return KeptStream(
            self, piece, StreamTrack(self._recordings, self._begun(), kind=kind, path=path, audio=audio)
        )

    def finish_stream(self, track: StreamTrack, piece: int, *, whole: bool) -> None:
        track.finish(complete=whole)
        self._unfinished -= 1
        self._streams.append((piece, track))
        self.let_go()

    def listed(self, recording: Recording) -> _Listed:
        self._listed.append(recording)
        self._unfinished += 1
        self._hold(recording, None, over=False)
        return _Listed(self, recording)

    def finished(self, recording: Recording, position: float) -> None:
        self._unfinished -= 1
        self._hold(recording, position, over=True)
        self.let_go()

    def let_go(self) -> None:
        """Ends the tracks on which nothing is open any more, once the turn is over, and writes its JSON."""
        if not self.over or self._file is None or self._settled:
            return
        for track in [each for each in self._tracks if not each.open and not each.over]:
            track.finish()
        pieces = piece_seconds(self._events)
        for piece, stream in self._streams:
            stream.sounds(pieces.get(piece))
        self._streams.clear()
        last = self._settled = not self._unfinished and all(track.over for track in self._tracks)
        self._submit(self._file, lambda file: file.settle(last=last))

    def paths(self) -> dict[str, Path]:
        """By kind; of several files of a kind the first."""
        if self._file is None:
            return {}
        found = {} if self._file.lost else {"turn": self._file.path}
        sounds: list[Recording | SoundTrack] = [*self._listed, *self._tracks]
        for each in sounds:
            found.setdefault(each.kind, each.path)
        return found

    def _begun(self) -> TurnFile:
        if self._file is None:
            path = self._recordings.plan("turn", self._name, suffix=".json")
            head = {
                "turn": self._name,
                "conversation": self._conversation,
                "started": written(self._recordings.wall()),
            }
            self._file = TurnFile(path, head, self._recordings.redacted)

            def begin(file: TurnFile) -> None:
                file.lost = True
                self._recordings.make_room(path)
                file.begin()
                file.lost = False

            self._submit(self._file, begin)
            self._learn()
        return self._file

    def _learn(self) -> None:
        told, ended = turn_record(self._events), self.over
        self._submit(self._begun(), lambda file: file.learn(told, over=ended))

    def _hold(self, recording: Recording, position: float | None, *, over: bool) -> None:
        """What is known of it when all that was handed over before has been written."""

        def hold(file: TurnFile) -> None:
            fmt = recording.format
            file.hold(
                KeptFile(
                    kind=recording.kind,
                    name=recording.path.name,
                    position=None if position is None else round(position, 4),
                    seconds=round(fmt.seconds(recording.kept), 3) if over else None,
                    rate=fmt.rate,
                    channels=fmt.channels,
                    complete=over and not recording.failed,
                )
            )

        self._submit(self._begun(), hold)

    def _submit(self, file: TurnFile, job: Callable[[TurnFile], None]) -> None:
        def work() -> None:
            try:
                job(file)
            except OSError as error:
                self._recordings.warn_once(error)

        self._recordings.submit(work)
