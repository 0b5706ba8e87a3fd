"""On which of the sound server's microphones the one that is open is by now.

A server moves a program whose microphone is unplugged, or whose default becomes another, and tells it nothing: sound
goes on coming, from a microphone that the user may be far from. Its tool is asked when the microphone opens and where
somebody wants to know, in a thread that nobody waits for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from voicemode.devices.diagnosis import Place, Trouble, advice
from voicemode.devices.pactl import PACTL, Entry, Run, entries, run
from voicemode.devices.place import wrong
from voicemode.devices.threads import in_thread
from voicemode.errors import DeviceError
from voicemode.speech import Moved

LOOK_SECONDS = 0.5
"""Who waits for the answer waits no longer: a server that runs gives it in 5 ms, on a busy machine in 50."""

PROCESS = "application.process.id"


def ours(process: str) -> bool:
    """Whether it is this process, or one that this one has started to record for it."""
    own = str(os.getpid())
    if process == own:
        return True
    try:
        told = Path("/proc", process, "stat").read_text(errors="replace")
    except OSError:
        return False
    return told.rpartition(")")[2].split()[1:2] == [own]


class Whereabouts:
    """`ports.Whereabouts` of this machine's microphone. Where no tool answers nothing is ever known."""

    def __init__(self, place: Place, *, run: Run = run, is_ours: Callable[[str], bool] = ours) -> None:
        self._place = place
        self._run = run
        self._is_ours = is_ours
        self._stay: _Stay | None = None

    @contextmanager
    def during(self) -> Iterator[None]:
        """The block in which the microphone is open."""
        if self._place.platform.startswith("linux"):
            self._stay = _Stay(self._place, self._run, self._is_ours)
            self.look()
        try:
            yield
        finally:
            self._stay = None

    @property
    def moved(self) -> Moved | None:
        return self._stay.moved if self._stay is not None else None

    def look(self) -> None:
        stay = self._stay
        if stay is not None and not stay.engaged:
            threading.Thread(target=stay.look, name="voicemode whereabouts", daemon=True).start()

    async def looked(self) -> None:
        if self._stay is not None:
            with suppress(DeviceError):
                await in_thread(self._stay.look, what="The sound server", limit_seconds=LOOK_SECONDS)


class _Stay:
    """One opening of the microphone: where it was at first, and where it was seen last."""

    def __init__(self, place: Place, run: Run, is_ours: Callable[[str], bool]) -> None:
        self.moved: Moved | None = None
        self._place = place
        self._run = run
        self._is_ours = is_ours
        self._looking = threading.Lock()
        self._silent = False
        """There is nobody to ask."""
        self._stream = ""
        """The number of our recording with the server."""
        self._first: Entry | None = None
        """The microphone that it began with."""

    @property
    def engaged(self) -> bool:
        """It is looked already, or there is nobody to ask."""
        return self._silent or self._looking.locked()

    def look(self) -> None:
        """Blocks; any thread."""
        with self._looking:
            number = "" if self._silent else self._source()
            if not number:
                return
            if self._first is not None and number == self._first.number:
                self.moved = None
                return
            source = next((each for each in self._listed("sources") if each.number == number), None)
            if source is None:  # It is between two, or not yet on any.
                return
            if self._first is None:
                self._first = source
            else:
                self.moved = self._told(self._first, source)

    def _source(self) -> str:
        """The number of the source that our recording is on, "" where that is not known."""
        streams = self._listed("source-outputs")
        if not self._stream:
            mine = self._ours(streams)
            self._stream = mine[-1].number if mine else ""  # An earlier one may be closing still.
        return next((each.facts.get("Source", "") for each in streams if each.number == self._stream), "")

    def _ours(self, streams: Sequence[Entry]) -> list[Entry]:
        """PipeWire's own streams do not say whose they are, but their clients do."""
        mine = [each for each in streams if self._is_ours(each.properties.get(PROCESS, ""))]
        if mine or not streams:
            return mine
        clients = self._listed("clients")
        numbers = {each.number for each in clients if self._is_ours(each.properties.get(PROCESS, ""))}
        return [each for each in streams if each.facts.get("Client") in numbers]

    def _listed(self, what: str) -> list[Entry]:
        told = self._run((*PACTL, "list", what))
        self._silent = self._silent or told is None
        return entries(told or "")

    def _told(self, before: Entry, after: Entry) -> Moved:
        trouble = wrong(after) or Trouble.MOVED
        names = [each.facts.get("Description", "") for each in (before, after)]
        if names[0] == names[1]:
            names = [each.facts.get("Name", "") for each in (before, after)]
        return Moved(before=names[0], after=names[1], hint=advice(trouble, self._place, output=False))
