"""Which library opens a device, and what happens when one hangs, fails or is left."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator

import pytest

from voicemode.devices.backend import Backend, DeviceInfo, Stream, Unavailable, choose
from voicemode.devices.capture import Capture
from voicemode.devices.diagnosis import Place, Trouble
from voicemode.devices.feed import Feed
from voicemode.devices.pipes import load_pipes
from voicemode.devices.place import Defaults
from voicemode.devices.soundcard import SoundCard, standard_loaders
from voicemode.devices.threads import in_thread
from voicemode.devices.watchdog import Watchdog
from voicemode.errors import DeviceError, DeviceLost, MicrophoneSilent, NoDevice, VoiceModeError
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat

pytestmark = pytest.mark.anyio


def info(index: int, name: str, *, inputs: int = 0, outputs: int = 2, default: bool = False) -> DeviceInfo:
    return DeviceInfo(
        index=index,
        name=name,
        host_api="Fake",
        input_channels=inputs,
        output_channels=outputs,
        rate=48_000,
        default_input=default and inputs > 0,
        default_output=default and outputs > 0,
    )


class FakeStream:
    def __init__(self, name: str, gate: threading.Event | None = None) -> None:
        self.name = name
        self.closed = threading.Event()
        self._gate = gate

    def close(self) -> None:
        if self._gate is not None:
            self._gate.wait(5)
        self.closed.set()


class FakeLibrary:
    """A `Backend` that opens at once, refuses with `refusal`, or waits for `gate` first."""

    version = "1"

    def __init__(
        self,
        library: str = "fake",
        *,
        refusal: DeviceError | None = None,
        opening: threading.Event | None = None,
        closing: threading.Event | None = None,
        listed: tuple[DeviceInfo, ...] = (info(0, "Speaker", default=True),),
    ) -> None:
        self.library = library
        self.begun = threading.Event()
        self.opened = threading.Event()
        self.streams: list[FakeStream] = []
        self.feed: Feed | None = None
        self.capture: Capture | None = None
        self.wanted: list[str | None] = []
        self._refusal = refusal
        self._opening = opening
        self._closing = closing
        self._listed = listed

    def load(self) -> Backend:
        return self

    def devices(self) -> tuple[DeviceInfo, ...]:
        return self._listed

    def open_output(self, device: str | None, feed: Feed) -> Stream:
        self.feed = feed
        return self._open(device)

    def open_input(self, device: str | None, wanted: PcmFormat, capture: Capture) -> Stream:
        self.capture = capture
        return self._open(device)

    def _open(self, device: str | None) -> FakeStream:
        self.wanted.append(device)
        self.begun.set()
        if self._opening is not None:
            self._opening.wait(5)
        if self._refusal is not None:
            raise self._refusal
        stream = FakeStream(f"{self.library} speaker", self._closing)
        self.streams.append(stream)
        self.opened.set()
        return stream


def missing() -> Backend:
    raise Unavailable("PortAudio: library not found")


def ignore(error: VoiceModeError) -> None:
    pytest.fail(f"lost: {error}")


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 5)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end, so that no thread stays behind."""
    event = threading.Event()
    yield event
    event.set()


async def test_the_block_holds_an_open_loudspeaker_and_closes_it() -> None:
    library = FakeLibrary()
    async with SoundCard(loaders=[library.load]).open_sink(SPEECH, SPEECH.silence, ignore) as sink:
        assert sink.name == "fake speaker"
        assert not library.streams[0].closed.is_set()
    assert library.streams[0].closed.is_set()


async def test_a_library_that_is_missing_or_refuses_is_followed_by_the_next() -> None:
    refusing = FakeLibrary("refusing", refusal=DeviceError("busy"))
    last = FakeLibrary("last")
    card = SoundCard(loaders=[missing, refusing.load, last.load])
    async with card.open_sink(SPEECH, SPEECH.silence, ignore) as sink:
        assert sink.name == "last speaker"


async def test_when_all_refuse_the_first_refusal_is_told() -> None:
    card = SoundCard(
        loaders=[FakeLibrary(refusal=DeviceError(text)).load for text in ("the first", "the second")]
    )
    with pytest.raises(DeviceError, match="the first"):
        async with card.open_source(LISTENING):
            pytest.fail("opened")


async def test_without_any_library_the_error_says_why_and_what_to_do() -> None:
    with pytest.raises(NoDevice, match="PortAudio: library not found") as raised:
        async with SoundCard(loaders=[missing]).open_sink(SPEECH, SPEECH.silence, ignore):
            pytest.fail("opened")
    assert raised.value.hint


async def test_the_configured_devices_are_asked_for() -> None:
    library = FakeLibrary()
    card = SoundCard(output_device="head", input_device="mic", loaders=[library.load])
    async with card.open_sink(SPEECH, SPEECH.silence, ignore), card.open_source(LISTENING):
        pass
    assert library.wanted == ["head", "mic"]


async def test_a_cancel_while_opening_closes_the_device_afterwards(gate: threading.Event) -> None:
    library = FakeLibrary(opening=gate)
    card = SoundCard(loaders=[library.load])

    async def hold() -> None:
        async with card.open_sink(SPEECH, SPEECH.silence, ignore):
            pytest.fail("opened")

    task = asyncio.create_task(hold())
    await until(library.begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert library.feed is not None
    assert library.feed.over
    gate.set()
    await until(library.opened)
    await until(library.streams[0].closed)


async def test_a_device_that_hangs_while_opening_is_given_up(gate: threading.Event) -> None:
    with pytest.raises(DeviceError, match=r"Opening: the sound system did not answer within 0\.05 s"):
        await in_thread(lambda: gate.wait(5), what="Opening", limit_seconds=0.05)


async def test_a_device_that_hangs_while_closing_holds_nobody_up(gate: threading.Event) -> None:
    library = FakeLibrary(closing=gate)
    async with asyncio.timeout(4):
        async with SoundCard(loaders=[library.load]).open_sink(SPEECH, SPEECH.silence, ignore):
            pass
    assert not library.streams[0].closed.is_set()


async def test_abort_may_be_called_from_any_thread_and_closes_once() -> None:
    library = FakeLibrary()
    async with SoundCard(loaders=[library.load]).open_sink(
        SPEECH, lambda samples: b"ab" * samples, ignore
    ) as sink:
        assert library.feed is not None
        assert library.feed.fill(1) == b"ab"
        await asyncio.to_thread(sink.abort)
        sink.abort()
        assert library.feed.fill(1) == bytes(2)
        await until(library.streams[0].closed)


async def test_silence_reaches_every_open_loudspeaker() -> None:
    library = FakeLibrary()
    card = SoundCard(loaders=[library.load])
    async with card.open_sink(SPEECH, SPEECH.silence, ignore):
        card.silence()
        assert library.feed is not None
        assert library.feed.over


async def test_a_microphone_that_goes_raises_device_lost_from_the_reader() -> None:
    library = FakeLibrary()
    async with SoundCard(loaders=[library.load]).open_source(LISTENING) as frames:
        assert library.capture is not None
        library.capture.give(bytes(320))
        library.capture.lose(DeviceLost("gone"))
        assert await anext(frames) == Frame(data=bytes(320), format=LISTENING)
        with pytest.raises(DeviceLost, match="gone"):
            await anext(frames)
    assert library.streams[0].closed.is_set()


async def test_the_inventory_names_the_first_library_with_devices_and_what_was_passed_over() -> None:
    report = await SoundCard(
        loaders=[missing, FakeLibrary("empty", listed=()).load, FakeLibrary("full").load]
    ).inventory()
    assert (report.library, report.version, report.why_none) == ("full", "1", "")
    assert [device.name for device in report.devices] == ["Speaker"]
    assert report.notes == ("PortAudio: library not found", "empty lists no device.")


async def test_the_inventory_of_a_machine_without_sound_says_why() -> None:
    report = await SoundCard(loaders=[missing]).inventory()
    assert (report.library, report.devices) == ("", ())
    assert report.why_none == "PortAudio: library not found"


BOTH = (info(0, "Speaker", default=True), info(1, "Microphone", inputs=1, outputs=0, default=True))
STAND_INS = (info(0, "default", default=True), info(1, "default", inputs=1, outputs=0, default=True))
SERVERS = Defaults(answers=True, output_name="usb-headset analog", input_name="usb-mic")


@pytest.mark.parametrize(
    ("listed", "wanted", "server", "names"),
    [
        (BOTH, None, Defaults(), ("Speaker", "Microphone")),
        (STAND_INS, None, SERVERS, ("usb-headset analog", "usb-mic")),
        (STAND_INS, None, Defaults(), ("", "")),
        (STAND_INS, "default", SERVERS, ("usb-headset analog", "usb-mic")),
        (STAND_INS, "default", Defaults(), ("", "")),
        (STAND_INS, "alsa_card.usb", Defaults(), ("alsa_card.usb", "alsa_card.usb")),
        (STAND_INS, None, Defaults(answers=True, output_name="RDPSink", input_name="RDPSource"), ("", "")),
    ],
    ids=[
        "by the library",
        "by the server",
        "by nobody",
        "asked for",
        "asked for, by nobody",
        "its own",
        "WSLg's",
    ],
)
@pytest.mark.spec("CLI-15")
async def test_a_device_that_only_a_stand_in_is_known_of_has_no_name(
    listed: tuple[DeviceInfo, ...], wanted: str | None, server: Defaults, names: tuple[str, str]
) -> None:
    report = await SoundCard(
        loaders=[FakeLibrary(listed=listed).load],
        output_device=wanted,
        input_device=wanted,
        place=Place(platform="linux"),
        ask_server=lambda: server,
    ).inventory()
    assert (report.output_name, report.input_name) == names
    assert report.nameless is (names == ("", ""))


class Now:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("last_at", "limit"), [(None, 3.0), (0.5, 1.5)])
async def test_a_device_that_does_not_move_is_lost_after_its_limit(
    last_at: float | None, limit: float
) -> None:
    now = Now()
    lost: list[DeviceLost] = []
    gone = asyncio.Event()

    def lose(error: DeviceLost) -> None:
        lost.append(error)
        gone.set()

    watchdog = Watchdog(asyncio.get_running_loop(), lambda: last_at, lose, now, "The loudspeaker 'X'")
    now.seconds = limit - 0.01
    watchdog.look()
    assert lost == []
    now.seconds = limit
    async with asyncio.timeout(5):
        await gone.wait()
    watchdog.stop()
    assert len(lost) == 1
    assert "The loudspeaker 'X'" in lost[0].message


CHOICES = (
    info(0, "HDMI"),
    info(1, "USB Headset"),
    info(2, "USB Headset Pro", default=True),
    info(12, "Mic", inputs=1, outputs=0),
)


@pytest.mark.parametrize(
    ("wanted", "index"), [("1", 1), ("usb headset", 1), ("usb", 2), ("PRO", 2), (" hdmi ", 0)]
)
def test_a_device_is_chosen_by_index_or_whole_name_or_part_of_it(wanted: str, index: int) -> None:
    assert choose(CHOICES, wanted, output=True).index == index


@pytest.mark.parametrize("wanted", ["Bose", "12", "7", " "])
def test_an_unknown_device_names_the_value_and_the_choices(wanted: str) -> None:
    with pytest.raises(NoDevice) as raised:
        choose(CHOICES, wanted, output=True)
    assert repr(wanted) in raised.value.message
    assert "0: HDMI, 1: USB Headset, 2: USB Headset Pro" in raised.value.message
    assert "Mic" not in raised.value.message
    assert "VOICEMODE_OUTPUT_DEVICE" in raised.value.hint


REFUSED = DeviceError("The microphone 'USB' does not open: Device unavailable.")


@pytest.mark.parametrize(
    ("refusal", "server", "word"),
    [
        (REFUSED, Defaults(), "exclusive control"),
        (NoDevice("fake finds no microphone."), Defaults(), "Connect a microphone"),
        (DeviceError("Frozen.", hint="Restart it."), Defaults(input=Trouble.MUTED), "Restart it."),
    ],
)
@pytest.mark.spec("CLI-13")
async def test_a_microphone_that_does_not_open_says_the_way_out_of_this_machine(
    refusal: DeviceError, server: Defaults, word: str
) -> None:
    library = FakeLibrary(refusal=refusal)
    place = Place(platform="win32")
    card = SoundCard(loaders=[library.load], place=place, ask_server=lambda: server)
    with pytest.raises(DeviceError) as raised:
        async with card.open_source(LISTENING):
            pass
    assert word in raised.value.hint


@pytest.mark.parametrize(
    ("refusal", "server", "word"),
    [
        (
            DeviceError("Unanticipated host error."),
            Defaults(answers=True, input=Trouble.MUTED),
            "set-source-mute",
        ),
        (DeviceError("Unanticipated host error."), Defaults(answers=True), "Another program"),
        (DeviceError("Unanticipated host error."), Defaults(), "sudo apt install"),
        (NoDevice("fake finds no microphone."), Defaults(answers=True), "Connect a microphone"),
        (NoDevice("fake finds no microphone."), Defaults(), "sudo apt install"),
        (REFUSED, Defaults(), "Another program"),
    ],
)
@pytest.mark.spec("CLI-13")
async def test_on_linux_the_sound_server_is_asked_what_the_librarys_words_do_not_tell(
    refusal: DeviceError, server: Defaults, word: str
) -> None:
    card = SoundCard(
        loaders=[FakeLibrary(refusal=refusal).load], place=Place(platform="linux"), ask_server=lambda: server
    )
    with pytest.raises(DeviceError) as raised:
        async with card.open_source(LISTENING):
            pass
    assert re.search(word, raised.value.hint)


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        (Defaults(answers=True, output=Trouble.NONE), NoDevice),
        (Defaults(answers=True, input=Trouble.NONE), DeviceError),
        (Defaults(answers=True, output=Trouble.MUTED), DeviceError),
    ],
)
@pytest.mark.spec("SPK-10", "CLI-2")
async def test_a_sound_server_without_a_loudspeaker_is_no_loudspeaker_whatever_the_library_says(
    server: Defaults, kind: type[DeviceError]
) -> None:
    library = FakeLibrary(refusal=DeviceError("Unanticipated host error.", retryable=True))
    card = SoundCard(loaders=[library.load], place=Place(platform="linux"), ask_server=lambda: server)
    with pytest.raises(DeviceError) as raised:
        async with card.open_sink(SPEECH, SPEECH.silence, ignore):
            pass
    assert (type(raised.value), raised.value.message) == (kind, "Unanticipated host error.")
    assert raised.value.retryable


@pytest.mark.spec("CLI-13")
async def test_a_named_microphone_is_not_judged_by_the_default_one() -> None:
    library = FakeLibrary(refusal=DeviceError("Unanticipated host error."))
    muted = Defaults(input=Trouble.MUTED)
    card = SoundCard(loaders=[library.load], input_device="USB", ask_server=lambda: muted)
    with pytest.raises(DeviceError) as raised:
        async with card.open_source(LISTENING):
            pass
    assert "muted" not in raised.value.hint


@pytest.mark.parametrize(
    ("given", "dead"),
    [((bytes(16_000),), True), ((bytes(15_990),), False), ((b"\0" * 32_000, b"\1\0"), False)],
)
@pytest.mark.spec("CLI-13")
async def test_a_microphone_that_gave_nothing_but_zeros_for_half_a_second_was_dead(
    given: tuple[bytes, ...], dead: bool
) -> None:
    library = FakeLibrary()
    card = SoundCard(loaders=[library.load], place=Place(platform="darwin"), ask_server=Defaults)
    raised: list[MicrophoneSilent] = []
    try:
        async with card.open_source(LISTENING):
            assert library.capture is not None
            for block in given:
                library.capture.give(block)
    except MicrophoneSilent as error:
        raised.append(error)
    assert [("zeros" in error.message, "Privacy" in error.hint) for error in raised] == [(True, True)] * dead


async def test_a_dead_microphone_does_not_hide_why_it_was_left() -> None:
    library = FakeLibrary()
    card = SoundCard(loaders=[library.load], ask_server=Defaults)

    async def listen() -> None:
        async with card.open_source(LISTENING) as source:
            assert library.capture is not None
            library.capture.give(bytes(32_000))
            library.capture.lose(DeviceLost("Gone."))
            assert [frame async for frame in source]

    with pytest.raises(DeviceLost):
        await listen()


def test_only_linux_needs_more_than_portaudio() -> None:
    assert [len(standard_loaders(platform=platform)) for platform in ("linux", "darwin", "win32")] == [
        3,
        1,
        1,
    ]


def test_a_machine_without_any_tool_says_which_were_looked_for() -> None:
    with pytest.raises(Unavailable, match="paplay, pw-play, aplay, parec, pw-record, arecord"):
        load_pipes(lambda program: None)


def test_only_the_tools_that_are_there_are_used() -> None:
    assert load_pipes(lambda program: "/bin/x" if program == "aplay" else None).version == "aplay"
