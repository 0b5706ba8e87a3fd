"""The same sound at more than one place: listeners beside the loudspeaker, and a peer that asks every 20 ms."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fakes import FakeLoudspeaker, until
from tests.support.laws import cut
from voicemode.devices.mixers import mixed, panned, teed
from voicemode.devices.tee import Given, Listener, Tee
from voicemode.devices.tracks import Interrupted, Pace, TimedFrame, Track
from voicemode.errors import DeviceError, DeviceLost, NoDevice, VoiceModeError
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.playout.playback import Moment, Playback
from voicemode.ports import Lost, OpenSink, Pull, Sink
from voicemode.sound.mixing import Mixer, Panner, scaled
from voicemode.sound.thinking import thinking_sound

pytestmark = pytest.mark.anyio

STEREO = PcmFormat(rate=24_000, channels=2)
FRAME = 480
LIMIT = 10.0


def ramp(samples: int, start: int = 1) -> bytes:
    """Every sample is another one than its neighbours, and none is silence."""
    return b"".join((1 + (start + i) % 30_000).to_bytes(2, "little") for i in range(samples))


def never(error: VoiceModeError) -> None:
    pytest.fail(f"lost: {error}")


class Script:
    """A pull that gives `sound`, then silence."""

    def __init__(self, sound: bytes, size: int = 2) -> None:
        self._rest = sound
        self._size = size

    def __call__(self, samples: int) -> bytes:
        wanted = samples * self._size
        data, self._rest = self._rest[:wanted], self._rest[wanted:]
        return data + bytes(wanted - len(data))


class Notebook:
    """A listener that writes down what it hears; `gate` makes it slow, `failing` breaks it."""

    def __init__(self, *, gate: threading.Event | None = None, failing: bool = False) -> None:
        self.heard: list[Given] = []
        self.left_out: int | None = None
        self.finished = threading.Event()
        self.threads: set[threading.Thread] = set()
        self._gate = gate
        self._failing = failing

    def hear(self, sound: Given) -> None:
        self.threads.add(threading.current_thread())
        if self._gate is not None:
            assert self._gate.wait(LIMIT)
        if self._failing:
            raise OSError("disk full")
        self.heard.append(sound)

    def done(self, left_out: int) -> None:
        self.left_out = left_out
        self.finished.set()

    @property
    def data(self) -> bytes:
        return b"".join(sound.frame.data for sound in self.heard)


# --- tee ---


@pytest.mark.spec("TRK-8")
@settings(max_examples=25, deadline=None, database=None)
@given(blocks=st.lists(st.integers(0, 2_000), min_size=1, max_size=20))
def test_every_listener_is_given_what_the_loudspeaker_was_given_in_order(blocks: list[int]) -> None:
    notebooks = [Notebook(), Notebook(), Notebook()]
    tee = Tee(Script(ramp(15_000)), SPEECH, notebooks, ahead_seconds=60.0)
    given_out = b"".join([tee(samples) for samples in blocks])
    tee.close()
    assert tee.wait(LIMIT)
    for notebook in notebooks:
        assert notebook.data == given_out
        positions = [sound.position for sound in notebook.heard]
        assert positions == [sum(blocks[:i]) for i, samples in enumerate(blocks) if samples]
        assert notebook.left_out == 0
    assert tee.left_out == (0, 0, 0)


@pytest.mark.spec("TRK-9")
def test_a_listener_that_hangs_slows_nobody_and_what_it_missed_is_counted() -> None:
    gate = threading.Event()
    slow, quick = Notebook(gate=gate), Notebook()
    tee = Tee(Script(ramp(24_000)), SPEECH, [slow, quick], ahead_seconds=0.1)
    given_out = []
    for _ in range(50):
        given_out.append(tee(FRAME))
        expected = len(given_out)
        assert wait_until(lambda expected=expected: len(quick.heard) == expected)  # type: ignore[misc]
    gate.set()
    tee.close()
    assert tee.wait(LIMIT)
    assert quick.data == b"".join(given_out)
    assert slow.data == b"".join(given_out[:5])
    assert slow.left_out == 45 * FRAME
    assert tee.left_out == (45 * FRAME, 0)
    assert (
        slow.threads.isdisjoint(quick.threads | {threading.current_thread().name}) or len(slow.threads) == 1
    )


@pytest.mark.spec("TRK-9")
def test_the_position_tells_where_a_lagging_listener_missed_something() -> None:
    gate = threading.Event()
    slow = Notebook(gate=gate)
    tee = Tee(Script(ramp(24_000)), SPEECH, [slow], ahead_seconds=0.04)
    for _ in range(4):
        tee(FRAME)
    gate.set()
    assert wait_until(lambda: len(slow.heard) == 2)
    assert wait_until(lambda: (tee(FRAME), len(slow.heard) > 2)[1])
    tee.close()
    assert tee.wait(LIMIT)
    assert [sound.position for sound in slow.heard[:2]] == [0, FRAME]
    assert slow.heard[2].position >= 4 * FRAME
    assert slow.heard[2].frame.data == ramp(FRAME, 1 + slow.heard[2].position)


@pytest.mark.spec("TRK-9")
def test_a_listener_that_fails_is_taken_off_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    broken, good = Notebook(failing=True), Notebook()
    tee = Tee(Script(ramp(4_800)), SPEECH, [broken, good])
    first = tee(FRAME)
    assert wait_until(lambda: "disk full" in caplog.text)
    rest = tee(FRAME)
    tee.close()
    assert tee.wait(LIMIT)
    assert good.data == first + rest
    assert tee.left_out == (FRAME, 0)
    assert "Notebook" in caplog.text


def wait_until(condition: Callable[[], bool]) -> bool:
    """Lets the other threads run until `condition` holds, at most `LIMIT`."""
    tick = threading.Event()
    return any(condition() or tick.wait(0.001) for _ in range(int(LIMIT / 0.001)))


# --- decorators of a loudspeaker ---


class Stubborn(FakeLoudspeaker):
    """A loudspeaker that takes mono only, or fails with `problem` whatever it is asked for."""

    def __init__(self, problem: DeviceError | None = None) -> None:
        super().__init__()
        self.problem = problem

    @asynccontextmanager
    async def __call__(self, format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        self.formats.append(format)
        if self.problem is not None:
            raise self.problem
        if format.channels != 1:
            raise DeviceError("The loudspeaker 'headset' does not open at 24000 Hz, 2 channels.")
        async with super().__call__(format, pull, lost) as sink:
            yield sink


async def play_all(open_sink: OpenSink, sound: bytes) -> Playback:
    """As a flow does: writes it, waits until it is over."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch(moment: Moment, position: int, after: int) -> None:
        if moment is Moment.OVER:
            loop.call_soon_threadsafe(over.set)

    playback = Playback(SPEECH, fill_seconds=0.0, limit_seconds=60.0, watch=watch)
    playback.write(Frame(data=sound, format=SPEECH))
    playback.end()
    async with asyncio.timeout(LIMIT), open_sink(SPEECH, playback.pull, never) as sink:
        playback.device_latency = lambda: sink.latency
        await over.wait()
    return playback


def speech_in(heard: bytes | bytearray, sound: bytes) -> bool:
    return sound in bytes(heard)


@pytest.mark.spec("TRK-11")
async def test_a_flow_is_told_the_same_of_a_loudspeaker_with_everything_on_it() -> None:
    sound = ramp(9_600, 5_000)
    speaker, notebook = FakeLoudspeaker(), Notebook()
    everything = mixed(panned(teed(speaker, lambda fmt: [notebook]), 0.5), thinking_sound)
    playback = await play_all(everything, sound)
    assert playback.heard == 9_600
    assert speaker.formats == [STEREO]
    assert speaker.open == 0
    assert notebook.finished.wait(LIMIT)
    assert bytes(speaker.heard).startswith(notebook.data) or notebook.data.startswith(bytes(speaker.heard))
    assert abs(len(notebook.data) - len(speaker.heard)) <= 4 * 240
    plain = await play_all(FakeLoudspeaker(), sound)
    assert plain.heard == playback.heard


@pytest.mark.spec("TRK-11", "TRK-4")
async def test_the_bed_lies_under_everything_that_is_said() -> None:
    sound = bytes(2 * 24_000)
    speaker = FakeLoudspeaker()
    await play_all(mixed(speaker, thinking_sound), sound)
    expected = Mixer(thinking_sound(SPEECH)).mix(sound)
    assert speech_in(speaker.heard, expected)
    assert any(expected)


@pytest.mark.spec("TRK-5", "TRK-11")
async def test_a_place_of_ones_own_is_heard_in_stereo() -> None:
    sound = ramp(2_400, 8_000)
    speaker = FakeLoudspeaker()
    await play_all(panned(speaker, -0.5), sound)
    assert speech_in(speaker.heard, Panner(-0.5).pan(sound))


@pytest.mark.spec("TRK-10")
async def test_a_loudspeaker_that_takes_mono_only_plays_the_sound_as_it_is() -> None:
    sound = ramp(2_400, 8_000)
    speaker = Stubborn()
    playback = await play_all(panned(speaker, -0.5), sound)
    assert [fmt.channels for fmt in speaker.formats] == [2, 1, 1]
    assert speech_in(speaker.heard, sound)
    assert playback.heard == 2_400


@pytest.mark.spec("TRK-10")
@pytest.mark.parametrize(
    "problem", [NoDevice("There is no loudspeaker."), DeviceError("It hangs.", retryable=True)], ids=repr
)
async def test_a_missing_loudspeaker_is_told_as_it_is(problem: DeviceError) -> None:
    speaker = Stubborn(problem)
    with pytest.raises(DeviceError) as raised:
        await play_all(panned(speaker, -0.5), ramp(240))
    assert raised.value is problem
    assert speaker.formats == [STEREO]


@pytest.mark.spec("TRK-10")
async def test_an_error_while_a_panned_sound_plays_opens_nothing_again() -> None:
    speaker = FakeLoudspeaker()
    with pytest.raises(DeviceError, match="in the block"):
        async with panned(speaker, 0.5)(SPEECH, SPEECH.silence, never):
            raise DeviceError("in the block")
    assert speaker.opened == 1
    assert speaker.open == 0


@pytest.mark.spec("TRK-10")
async def test_sound_that_is_not_mono_is_left_where_it_stands() -> None:
    speaker = FakeLoudspeaker()
    async with panned(speaker, -1.0)(STEREO, Script(ramp(480), size=4), never):
        await until(lambda: len(speaker.heard) >= 960)
    assert speaker.formats == [STEREO]
    assert bytes(speaker.heard[:960]) == ramp(480)


@pytest.mark.spec("TRK-9")
async def test_leaving_a_loudspeaker_does_not_wait_for_a_listener_that_hangs() -> None:
    gate = threading.Event()
    listeners: Sequence[Listener] = [Notebook(gate=gate)]
    speaker = FakeLoudspeaker()
    try:
        async with asyncio.timeout(5):
            playback = await play_all(teed(speaker, lambda fmt: listeners), ramp(2_400))
        assert playback.heard == 2_400
    finally:
        gate.set()


# --- a track for a peer ---


def frames(track: Track, count: int) -> list[TimedFrame]:
    return [track.frame() for _ in range(count)]


def joined(taken: Sequence[TimedFrame]) -> bytes:
    return b"".join(each.frame.data for each in taken)


@pytest.mark.spec("TRK-14")
@settings(max_examples=50, deadline=None, database=None)
@given(places=st.lists(st.integers(0, 3_000), max_size=12), channels=st.sampled_from([1, 2]))
def test_bytes_cut_anywhere_come_out_as_frames_of_one_length(places: list[int], channels: int) -> None:
    fmt = PcmFormat(rate=24_000, channels=channels)
    sound = ramp(1_500)
    track = Track(fmt)
    for piece in cut(sound, places):
        track.write(piece)
    track.end()
    taken = frames(track, 5)
    assert joined(taken) == sound + bytes(5 * FRAME * 2 * channels - len(sound))
    assert [each.pts for each in taken] == [0, 480, 960, 1440, 1920]
    assert {each.frame.samples for each in taken} == {FRAME}
    assert {each.frame.format for each in taken} == {fmt}


@pytest.mark.spec("TRK-14")
@settings(max_examples=50, deadline=None, database=None)
@given(st.lists(st.integers(0, 1_200) | st.none(), max_size=20))
def test_writing_and_taking_in_any_order_loses_and_doubles_nothing(steps: list[int | None]) -> None:
    """A number writes so many bytes, None takes a frame."""
    track = Track()
    sound = ramp(12_000)
    written, taken = 0, []
    for step in steps:
        if step is None:
            taken.append(track.frame())
        else:
            track.write(sound[written : written + step])
            written += step
    track.end()
    taken += frames(track, 30)
    whole = written - written % 2
    heard = joined(taken)
    assert (
        bytes(b for i in range(0, len(heard), 2) if any(heard[i : i + 2]) for b in heard[i : i + 2])
        == sound[:whole]
    )


@pytest.mark.spec("TRK-14")
def test_a_track_with_nothing_to_say_is_silence() -> None:
    taken = frames(Track(PcmFormat(rate=48_000, channels=2)), 3)
    assert joined(taken) == bytes(3 * 960 * 4)
    assert [each.pts for each in taken] == [0, 960, 1920]


@pytest.mark.spec("TRK-15")
def test_an_interruption_is_heard_in_the_next_frame_and_tells_what_was_spoken() -> None:
    said: list[int] = []
    track = Track(spoken=said.append)
    track.write(ramp(4_800))
    track.end()
    track.write(ramp(481) + b"\1")
    frames(track, 3)
    assert track.interrupt() == Interrupted(spoken=3 * FRAME, unspoken=4_800 - 3 * FRAME + 481)
    assert track.buffered == 0
    assert joined(frames(track, 20)) == bytes(20 * FRAME * 2)
    assert said == []
    track.write(ramp(FRAME))
    track.end()
    assert joined(frames(track, 2)) == ramp(FRAME) + bytes(FRAME * 2)
    assert said == [FRAME]
    assert track.interrupt() == Interrupted(spoken=0, unspoken=0)


@pytest.mark.spec("TRK-16")
def test_spoken_is_told_when_the_consumer_asks_for_what_follows_the_last_sample() -> None:
    said: list[int] = []
    track = Track(spoken=said.append)
    track.write(ramp(1_000))
    frames(track, 4)
    assert said == []
    track.end()
    track.frame()
    assert said == [1_000]
    track.write(ramp(FRAME))
    track.end()
    track.frame()
    assert said == [1_000]
    frames(track, 3)
    assert said == [1_000, FRAME]


@pytest.mark.spec("TRK-16")
def test_every_utterance_is_told_once_and_in_order() -> None:
    said: list[int] = []
    track = Track(spoken=said.append)
    for samples in (100, 50, 0, 2_000):
        track.write(ramp(samples))
        track.end()
    track.frame()
    assert said == []
    track.frame()
    assert said == [100, 50, 0]
    frames(track, 10)
    assert said == [100, 50, 0, 2_000]


@pytest.mark.spec("TRK-14", "TRK-16")
def test_half_a_sample_at_the_end_of_an_utterance_spoils_neither_its_end_nor_the_next_one() -> None:
    said: list[int] = []
    track = Track(spoken=said.append)
    track.write(ramp(100) + b"\x7f")
    track.end()
    track.write(ramp(380))
    track.end()
    assert joined(frames(track, 1)) == ramp(100) + ramp(380)
    track.frame()
    assert said == [100, 380]


@pytest.mark.spec("TRK-16")
def test_an_utterance_whose_last_sample_was_taken_is_spoken_even_if_the_next_is_interrupted() -> None:
    said: list[int] = []
    track = Track(spoken=said.append)
    track.write(ramp(300))
    track.end()
    track.write(ramp(1_000))
    track.frame()
    assert track.interrupt() == Interrupted(spoken=180, unspoken=820)
    frames(track, 3)
    assert said == [300]


class FakeTime:
    """A clock that only sleeping moves; each sleep takes `late` seconds more than asked for."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 100.0
        self.late = late

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late

    def pace(self) -> Pace:
        return Pace(self, self.sleep)


@pytest.mark.spec("TRK-17")
async def test_frames_come_when_they_are_due_and_errors_do_not_add_up() -> None:
    time = FakeTime(late=0.004)
    track = Track(pace=time.pace(), now=time)
    came = []
    for _ in range(1_000):
        await track.recv()
        came.append(time.now - 100.0)
    assert came == [pytest.approx(0.02 * i, abs=0.0041) for i in range(1_000)]
    assert all(moment >= 0.02 * i - 1e-9 for i, moment in enumerate(came))


@pytest.mark.spec("TRK-17")
async def test_a_consumer_that_was_away_gets_no_burst_and_no_gap_in_the_timestamps() -> None:
    time = FakeTime()
    track = Track(pace=time.pace(), now=time)
    await track.recv()
    time.now += 60.0
    came, stamps = [], []
    for _ in range(4):
        stamps.append((await track.recv()).pts)
        came.append(time.now)
    assert stamps == [480, 960, 1440, 1920]
    assert came == [pytest.approx(160.0 + 0.02 * i) for i in range(4)]


@pytest.mark.spec("TRK-17")
async def test_a_consumer_that_is_a_little_late_catches_up() -> None:
    time = FakeTime()
    track = Track(pace=time.pace(), now=time)
    await track.recv()
    time.now += 0.1
    for _ in range(6):
        await track.recv()
    assert time.now == pytest.approx(100.12)


@pytest.mark.spec("TRK-18")
async def test_a_flow_speaks_on_a_track_as_on_a_loudspeaker() -> None:
    track = Track()
    sound = ramp(5_000)
    playing = asyncio.create_task(play_all(track.open_sink, sound))
    taken: list[TimedFrame] = []
    while not playing.done():
        taken.append(track.frame())
        await asyncio.sleep(0)
    assert (await playing).heard == 5_000
    assert sound in joined(taken)
    assert not any(track.frame().frame.data)


@pytest.mark.spec("TRK-18")
async def test_several_flows_on_one_track_are_added() -> None:
    track = Track()
    track.write(ramp(FRAME))
    async with (
        track.open_sink(SPEECH, Script(ramp(FRAME)), never),
        track.open_sink(SPEECH, Script(ramp(FRAME)), never) as second,
    ):
        assert joined(frames(track, 1)) == b"".join(
            (3 * value).to_bytes(2, "little") for value in range(2, FRAME + 2)
        )
        second.abort()
        assert not any(track.frame().frame.data)


@pytest.mark.spec("TRK-18")
async def test_silence_from_an_aborted_flow_begins_with_the_next_frame() -> None:
    track = Track()
    async with track.open_sink(SPEECH, Script(ramp(24_000)), never) as sink:
        assert any(track.frame().frame.data)
        sink.abort()
        assert not any(track.frame().frame.data)


@pytest.mark.spec("TRK-18")
async def test_a_track_in_another_format_is_refused_with_both_formats() -> None:
    track = Track(STEREO, name="guest")
    with pytest.raises(
        DeviceError, match=r"'guest' carries 24000 Hz with 2 channels, not 24000 Hz with 1 channel\."
    ):
        async with track.open_sink(SPEECH, SPEECH.silence, never):
            pass
    async with panned(track.open_sink, 1.0)(SPEECH, Script(ramp(FRAME)), never):
        assert joined(frames(track, 1)) == Panner(1.0).pan(ramp(FRAME))


@pytest.mark.spec("TRK-18")
async def test_a_peer_that_no_longer_asks_is_a_lost_device() -> None:
    now = 100.0
    track = Track(now=lambda: now)
    lost: list[VoiceModeError] = []
    async with track.open_sink(SPEECH, SPEECH.silence, lost.append):
        track.frame()
        now += 5.0
        async with asyncio.timeout(LIMIT):
            await until(lambda: bool(lost))
    assert isinstance(lost[0], DeviceLost)
    assert "track" in str(lost[0])


def raising(samples: int) -> bytes:
    raise RuntimeError("no samples")


def short(samples: int) -> bytes:
    return bytes(2 * samples - 2)


@pytest.mark.spec("TRK-18")
@pytest.mark.parametrize(("pull", "why"), [(raising, "no samples"), (short, "958 bytes for 480 samples")])
async def test_a_flow_whose_samples_cannot_be_had_is_told_once_and_the_track_goes_on(
    pull: Pull, why: str
) -> None:
    track = Track()
    lost: list[VoiceModeError] = []
    async with track.open_sink(SPEECH, pull, lost.append):
        track.write(ramp(2 * FRAME))
        assert joined(frames(track, 2)) == ramp(2 * FRAME)
    assert [type(error) for error in lost] == [DeviceLost]
    assert why in str(lost[0])


@pytest.mark.spec("TRK-18")
async def test_a_flow_that_was_told_already_is_not_told_again_when_the_peer_goes_too() -> None:
    now = 100.0
    track = Track(now=lambda: now)
    first: list[VoiceModeError] = []
    second: list[VoiceModeError] = []
    async with (
        track.open_sink(SPEECH, raising, first.append),
        track.open_sink(SPEECH, SPEECH.silence, second.append),
    ):
        track.frame()
        now += 5.0
        async with asyncio.timeout(LIMIT):
            await until(lambda: bool(second))
    assert len(first) == len(second) == 1


@pytest.mark.spec("TRK-4", "TRK-15")
def test_a_mixing_track_keeps_its_bed_through_an_interruption() -> None:
    bed = Frame(data=ramp(480), format=SPEECH)
    track = Track(through=lambda pull: Mixer(bed).over(pull))
    expected = Mixer(bed)
    track.write(ramp(24_000, 9_000))
    assert track.frame().frame.data == expected.mix(ramp(FRAME, 9_000))
    track.interrupt()
    silence = SPEECH.silence(FRAME)
    assert joined(frames(track, 100)) == b"".join(expected.mix(silence) for _ in range(100))
    assert track.frame().frame.data == scaled(ramp(480), 1 << 15)


@pytest.mark.spec("TRK-14")
def test_a_frame_becomes_a_frame_of_pyav_as_the_document_says() -> None:
    import av

    track = Track()
    track.write(ramp(3 * FRAME))
    track.frame()
    taken = track.frame()
    frame = av.AudioFrame(format="s16", layout="mono", samples=taken.frame.samples)
    frame.planes[0].update(taken.frame.data)
    frame.sample_rate, frame.pts = taken.frame.format.rate, taken.pts
    frame.time_base = Fraction(1, taken.frame.format.rate)
    assert bytes(frame.planes[0])[: 2 * FRAME] == ramp(FRAME, 1 + FRAME)
    assert frame.time == pytest.approx(0.02)
