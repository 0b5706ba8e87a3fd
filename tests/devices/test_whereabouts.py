"""What is known of a microphone that the sound server changes for another while it is open."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from voicemode.devices.diagnosis import Place
from voicemode.devices.whereabouts import Whereabouts, ours
from voicemode.speech import Moved

pytestmark = [pytest.mark.anyio, pytest.mark.spec("LSN-98")]

LINUX = Place(platform="linux")
OURS = "41"
UNLINKED = "4294967295"


class Server:
    """A sound server's tool: our recording is on the source `at`, beside one of another program."""

    def __init__(self, at: str = "1", *, native: bool = False) -> None:
        self.at = at
        self.there = True
        self.sources = {
            "1": ("usb_mic", "Yeti", "n/a", "no"),
            "2": ("webcam", "Webcam", "n/a", "no"),
            "3": ("speaker.monitor", "Monitor of Speaker", "speaker", "no"),
            "4": ("headset", "Headset", "n/a", "yes"),
            "5": ("usb_mic.2", "Yeti", "n/a", "no"),
        }
        self.asked: list[str] = []
        self._native = native

    def __call__(self, command: tuple[str, ...]) -> str | None:
        self.asked.append(command[-1])
        lists = {"source-outputs": self._streams, "sources": self._sources, "clients": self._clients}
        return lists[command[-1]]() if self.there else None

    def _streams(self) -> str:
        owner = "" if self._native else _property("application.process.id", OURS)
        mine = f"Source Output #12\n\tDriver: x\n\tClient: 7\n\tSource: {self.at}\n\tProperties:\n{owner}"
        theirs = "Source Output #11\n\tClient: 6\n\tSource: 2\n\tProperties:\n"
        return f"{theirs}{_property('application.process.id', '99')}\n{mine}"

    def _clients(self) -> str:
        of = {"6": "99", "7": OURS}
        blocks = (
            f"Client #{n}\n\tProperties:\n{_property('application.process.id', p)}" for n, p in of.items()
        )
        return "\n".join(blocks)

    def _sources(self) -> str:
        return "\n".join(
            f"Source #{number}\n\tName: {name}\n\tDescription: {told}\n\tMute: {mute}\n\tMonitor of Sink: {monitor}\n"
            for number, (name, told, monitor, mute) in self.sources.items()
        )


def _property(key: str, value: str) -> str:
    return f'\t\t{key} = "{value}"\n'


def whereabouts(server: Server, place: Place = LINUX) -> Whereabouts:
    return Whereabouts(place, run=server, is_ours=lambda process: process == OURS)


async def moved(server: Server, *, to: str) -> Moved | None:
    where = whereabouts(server)
    with where.during():
        await where.looked()
        server.at = to
        await where.looked()
        return where.moved


@pytest.mark.parametrize("native", [False, True], ids=["PulseAudio's client", "PipeWire's own"])
@pytest.mark.parametrize(
    ("to", "after", "hint"),
    [
        ("2", "Webcam", "If it does not hear you"),
        ("3", "Monitor of Speaker", "what the loudspeaker plays"),
        ("4", "Headset", "set-source-mute"),
    ],
)
async def test_another_microphone_is_told_with_both_names_and_what_helps(
    to: str, after: str, hint: str, *, native: bool
) -> None:
    found = await moved(Server(native=native), to=to)
    assert found is not None
    assert (found.before, found.after) == ("Yeti", after)
    assert hint in found.hint


async def test_two_of_one_kind_are_told_apart() -> None:
    found = await moved(Server(), to="5")
    assert found is not None
    assert (found.before, found.after) == ("usb_mic", "usb_mic.2")


@pytest.mark.parametrize("to", ["1", UNLINKED])
async def test_the_same_one_and_none_yet_are_no_other(to: str) -> None:
    assert await moved(Server(), to=to) is None


async def test_a_recording_that_is_not_linked_at_first_begins_with_the_one_it_is_seen_on() -> None:
    assert await moved(Server(UNLINKED), to="2") is None


async def test_one_that_comes_back_is_the_one_that_was_opened() -> None:
    server = Server()
    where = whereabouts(server)
    with where.during():
        for at in ("1", "2", "1"):
            server.at = at
            await where.looked()
        assert where.moved is None


async def test_what_was_known_of_the_last_opening_is_not_known_of_the_next() -> None:
    server = Server()
    where = whereabouts(server)
    for at in ("1", "2"):
        server.at = at
        with where.during():
            await where.looked()
            assert where.moved is None
    assert where.moved is None


async def test_without_a_tool_it_is_asked_once_and_nothing_is_known() -> None:
    server = Server()
    server.there = False
    where = whereabouts(server)
    with where.during():
        await where.looked()
        where.look()
        await where.looked()
        assert where.moved is None
    assert server.asked == ["source-outputs"]


async def test_elsewhere_than_on_linux_nobody_is_asked() -> None:
    server = Server()
    where = whereabouts(server, Place(platform="darwin"))
    with where.during():
        where.look()
        await where.looked()
    assert server.asked == []


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_a_server_that_hangs_holds_up_nobody(gate: threading.Event) -> None:
    def frozen(command: tuple[str, ...]) -> str | None:
        gate.wait(10)
        return None

    where = Whereabouts(LINUX, run=frozen, is_ours=lambda process: True)
    with where.during():
        where.look()
        where.look()
        await where.looked()
        assert where.moved is None
        assert sum(each.name == "voicemode whereabouts" for each in threading.enumerate()) == 1


def test_a_program_that_records_for_this_one_is_ours_and_no_other() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert ours(str(os.getpid()))
        assert ours(str(child.pid)) is sys.platform.startswith("linux")
        assert not ours(str(os.getppid()))
        assert not ours("")
    finally:
        child.communicate()
