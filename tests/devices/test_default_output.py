"""The system's default output becomes another device while somebody speaks on the old one."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.devices.fake_sounddevice import FakeOutput, FakeSoundDevice
from tests.devices.test_soundcard import FakeLibrary, FakeStream
from voicemode.devices.core_audio import CORE_AUDIO, SYSTEM_OBJECT, Address, CoreAudio, Library
from voicemode.devices.default_output import DefaultWatch, system_default
from voicemode.devices.feed import Feed
from voicemode.devices.portaudio import PortAudio
from voicemode.devices.soundcard import SoundCard
from voicemode.errors import VoiceModeError
from voicemode.pcm import SPEECH

pytestmark = [pytest.mark.anyio, pytest.mark.spec("PLY-29")]

T = TypeVar("T")
LIMIT_SECONDS = 5.0
SOON = 0.001


def answers(*given: int | None) -> Callable[[], int | None]:
    """One after another; the last one for ever."""
    left = list(given)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(("known", "given"), [(1, (1, 1, 2)), (1, (None, None, 2)), (None, (None, 1, 2))])
def test_another_default_is_told_once(known: int | None, given: tuple[int | None, ...]) -> None:
    told = threading.Semaphore(0)
    DefaultWatch(answers(*given), known, told.release, SOON)
    assert told.acquire(timeout=LIMIT_SECONDS)
    assert not told.acquire(timeout=20 * SOON)


@pytest.mark.parametrize(("known", "given"), [(1, (1, None, 1, None)), (None, (7, 7))])
def test_the_same_default_or_none_at_all_is_no_change(
    known: int | None, given: tuple[int | None, ...]
) -> None:
    asked = threading.Semaphore(0)
    ask = answers(*given)

    def counted() -> int | None:
        asked.release()
        return ask()

    watch = DefaultWatch(counted, known, lambda: pytest.fail("told"), SOON)
    for _ in range(10):
        assert asked.acquire(timeout=LIMIT_SECONDS)
    watch.stop()


async def lost_on(card: SoundCard, gone: asyncio.Event) -> list[VoiceModeError]:
    lost: list[VoiceModeError] = []
    loop = asyncio.get_running_loop()

    def lose(error: VoiceModeError) -> None:
        lost.append(error)
        loop.call_soon_threadsafe(gone.set)

    async with card.open_sink(SPEECH, SPEECH.silence, lose):
        async with asyncio.timeout(LIMIT_SECONDS):
            await gone.wait()
    return lost


async def test_a_loudspeaker_that_is_no_longer_the_default_is_lost_with_the_reason() -> None:
    card = SoundCard(loaders=[FakeLibrary().load], ask_default=answers(1, 2))
    lost = await lost_on(card, asyncio.Event())
    assert [error.code for error in lost] == ["device_lost"]
    assert "default output is now another device" in lost[0].message


async def test_the_default_that_counts_is_the_one_before_the_loudspeaker_was_opened() -> None:
    now = [1]

    class Slow(FakeLibrary):
        def _open(self, device: str | None) -> FakeStream:
            now[0] = 2
            return super()._open(device)

    assert (
        len(await lost_on(SoundCard(loaders=[Slow().load], ask_default=lambda: now[0]), asyncio.Event())) == 1
    )


async def test_who_named_a_loudspeaker_keeps_it() -> None:
    asked: list[int] = []

    def ask() -> int | None:
        asked.append(1)
        return len(asked)

    card = SoundCard(output_device="Speaker", loaders=[FakeLibrary().load], ask_default=ask)
    async with card.open_sink(SPEECH, SPEECH.silence, lambda error: pytest.fail(str(error))):
        pass
    assert asked == []


class Outputs(FakeSoundDevice):
    """Loudspeakers by their names; the list is what PortAudio saw when it started. `default` is an index in it."""

    def __init__(self, api: str, *names: str, default: int = 0) -> None:
        super().__init__(SPEECH)
        self.api = api
        self.plugged = list(names)
        self.preferred = default
        self.played_on: list[str] = []
        self.blocks: list[object] = []
        self._initialize()

    def _initialize(self) -> None:
        self._listed, self._default = list(self.plugged), self.preferred

    @property
    def device(self) -> tuple[int, int]:
        return (-1, self._default)

    def query_hostapis(self) -> list[dict[str, str]]:
        return [{"name": self.api}]

    def query_devices(self) -> list[dict[str, object]]:
        sides: dict[str, object] = {"hostapi": 0, "max_input_channels": 0, "max_output_channels": 2}
        return [
            {**sides, "index": index, "name": name, "default_samplerate": 48_000.0}
            for index, name in enumerate(self._listed)
        ]

    def RawOutputStream(self, **settings: Any) -> FakeOutput:
        self.played_on.append(self._listed[settings["device"]])
        self.blocks.append(settings["blocksize"])
        return super().RawOutputStream(**settings)

    def play(self, platform: str, device: str | None = None) -> None:
        feed = Feed(SPEECH, SPEECH.silence, lambda error: pytest.fail(str(error)), lambda: 0.0)
        stream = PortAudio(self, platform=platform).open_output(device, feed)
        feed.stop()
        stream.close()


def test_on_macos_the_next_loudspeaker_is_the_one_that_is_the_default_by_then() -> None:
    library = Outputs("Core Audio", "Built-in")
    library.play("darwin")
    library.plugged, library.preferred = ["Built-in", "Headset"], 1
    library.play("darwin")
    assert library.played_on == ["Built-in", "Headset"]


def test_on_windows_the_wave_mapper_is_played_on_as_it_follows_the_default() -> None:
    library = Outputs("MME", "Microsoft Soundmapper - Output", "Speakers", "Headset", default=1)
    library.play("win32")
    library.play("win32", "headset")
    assert library.played_on == ["Microsoft Soundmapper - Output", "Headset"]


@pytest.mark.parametrize(("api", "first"), [("MME", "Speakers"), ("Windows DirectSound", "Any - Output")])
def test_without_a_wave_mapper_the_default_is_played_on(api: str, first: str) -> None:
    library = Outputs(api, first, "Headset", default=1)
    library.play("win32")
    assert library.played_on == ["Headset"]


@pytest.mark.spec("PLY-30")
@pytest.mark.parametrize(("platform", "block"), [("linux", 480), ("darwin", 0), ("win32", 0)])
def test_a_block_is_20_ms_on_linux_and_the_devices_own_elsewhere(platform: str, block: int) -> None:
    library = Outputs("ALSA", "default")
    library.play(platform)
    assert library.blocks == [block]


class FakeCoreAudio:
    """Checks what it is given as strictly as the real one would, and more audibly."""

    def __init__(self, device: int, *, status: int = 0) -> None:
        self.device = device
        self.status = status
        self.set: list[str] = []

    def AudioObjectSetPropertyData(
        self, thing: int, address: object, qualifier_size: int, qualifier: None, size: int, data: object
    ) -> int:
        assert (thing, qualifier_size, qualifier) == (SYSTEM_OBJECT, 0, None)
        self.set.append(named(address))
        pointer = pointed_at(data, ctypes.c_void_p)
        assert size == ctypes.sizeof(ctypes.c_void_p)
        assert pointer.value is None
        return 0

    def AudioObjectGetPropertyData(
        self, thing: int, address: object, qualifier_size: int, qualifier: None, size: object, data: object
    ) -> int:
        assert (thing, qualifier_size, qualifier) == (SYSTEM_OBJECT, 0, None)
        assert named(address) == "dOut"
        assert pointed_at(size, ctypes.c_uint32).value == 4
        pointed_at(data, ctypes.c_uint32).value = self.device
        return self.status


def pointed_at(pointer: object, kind: type[T]) -> T:
    found = pointer._obj  # type: ignore[attr-defined]
    assert isinstance(found, kind)
    return found


def named(address: object) -> str:
    """The property's four letters; it is the whole system's."""
    found = pointed_at(address, Address)
    assert (found.scope.to_bytes(4, "big"), found.element) == (b"glob", 0)
    letters: bytes = found.selector.to_bytes(4, "big")
    return letters.decode()


def test_core_audio_is_asked_for_the_default_output_and_keeps_its_answers_fresh_by_itself() -> None:
    library = FakeCoreAudio(74)
    ask = CoreAudio(library)
    assert library.set == ["rnlp"]
    assert ask() == 74
    library.device = 81
    assert ask() == 81


@pytest.mark.parametrize("library", [FakeCoreAudio(0), FakeCoreAudio(5, status=-50)])
def test_no_device_and_a_refusal_are_no_answer(library: FakeCoreAudio) -> None:
    assert CoreAudio(library)() is None


def test_core_audio_is_loaded_once_and_only_on_macos() -> None:
    loaded: list[str] = []

    def load(path: str) -> Library:
        loaded.append(path)
        return FakeCoreAudio(3)

    assert system_default("linux", load) is None
    assert system_default("win32", load) is None
    ask = system_default("darwin", load)
    assert ask is not None
    assert loaded == []
    assert [ask(), ask()] == [3, 3]
    assert loaded == [CORE_AUDIO]


def test_where_core_audio_cannot_be_loaded_nothing_is_known() -> None:
    def load(path: str) -> Library:
        raise OSError(path)

    ask = system_default("darwin", load)
    assert ask is not None
    assert ask() is None
