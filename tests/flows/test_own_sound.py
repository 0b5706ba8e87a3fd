"""What the loudspeaker pulls reaches the canceller and the gate, and what the microphone gives is judged by them."""

from __future__ import annotations

import random
from array import array

import pytest

from tests.support.fakes import FakeLoudspeaker, until
from voicemode.ears.canceller import WebRtcCanceller
from voicemode.flows.own_sound import BEYOND_DECIBELS, EchoGates, OwnSound, Tap
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.ports import OpenSink
from voicemode.sound.laying import BREAK_SECONDS, Steady
from voicemode.sound.levels import QUIETEST, decibels

pytestmark = pytest.mark.anyio

STEREO = PcmFormat(rate=48_000, channels=2)
PIECE = LISTENING.samples(0.01)
QUIET = Frame(data=LISTENING.silence(PIECE), format=LISTENING)


class FakeCanceller:
    """Takes nothing out."""

    def __init__(self) -> None:
        self.played: list[Frame] = []
        self.closed = False
        self.words = QUIET
        self.anew = False
        self.known = False
        self.rest = QUIETEST

    @property
    def format(self) -> PcmFormat:
        return LISTENING

    def far(self, frame: Frame) -> None:
        self.played.append(frame)

    def near(self, frame: Frame) -> Frame:
        self.words = frame
        return frame

    def close(self) -> None:
        self.closed = True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def noise(fmt: PcmFormat, seconds: float, peak: float, seed: int) -> bytes:
    random_ = random.Random(seed)
    values = (random_.uniform(-peak, peak) for _ in range(fmt.samples(seconds) * fmt.channels))
    return array("h", (round(each) for each in values)).tobytes()


async def pulled(open_sink: OpenSink, speaker: FakeLoudspeaker, fmt: PcmFormat, sound: bytes) -> bytes:
    """`sound`, once the loudspeaker has had it."""
    wanted = len(speaker.heard) + len(sound)
    rest = bytearray(sound)

    def pull(samples: int) -> bytes:
        size = samples * fmt.bytes_per_sample
        data = bytes(rest[:size]).ljust(size, b"\0")
        del rest[:size]
        return data

    async with open_sink(fmt, pull, lambda error: None):
        await until(lambda: len(speaker.heard) >= wanted)
    return sound


@pytest.mark.spec("LSN-59")
@pytest.mark.parametrize("fmt", [SPEECH, STEREO], ids=["24 kHz", "48 kHz stereo"])
async def test_the_canceller_gets_what_the_loudspeaker_gets_and_nothing_before_or_after(
    fmt: PcmFormat,
) -> None:
    speaker = FakeLoudspeaker()
    tap = Tap(speaker)
    before = await pulled(tap, speaker, fmt, noise(fmt, 0.1, 1_000, 1))
    canceller = FakeCanceller()
    clock = Clock()
    own = OwnSound(tap, canceller, EchoGates(), now=clock)
    sound = await pulled(tap, speaker, fmt, noise(fmt, 0.2, 1_000, 2))
    assert canceller.played == [], "the loudspeaker's thread only puts it down"
    for _ in range(25):
        clock.now += 0.01
        own.near(QUIET)
    own.close()
    await pulled(tap, speaker, fmt, noise(fmt, 0.1, 1_000, 3))
    assert canceller.closed
    given = b"".join(frame.data for frame in canceller.played)
    assert given[: len(sound)] == sound
    assert {frame.format for frame in canceller.played} == {fmt}
    assert bytes(speaker.heard).startswith(before)


def conversation(own: OwnSound, clock: Clock, *, seconds: float, loss: float, seed: int, user: float) -> int:
    """Plays and hears bursts of noise `loss` times as loud 50 ms later; how many frames were free. `user` is the peak
    of somebody else's."""
    random_ = random.Random(seed)
    levels = [random_.choice((300, 3_000, 12_000)) for _ in range(round(seconds / 0.1) + 1)]
    free = 0
    for step in range(round(seconds / 0.01)):
        clock.now += 0.01
        own.far(Frame(data=noise(SPEECH, 0.01, levels[step // 10], step), format=SPEECH))
        echo = noise(LISTENING, 0.01, max(levels[max(step - 5, 0) // 10] * loss, 20), step)
        other = noise(LISTENING, 0.01, user, step + 1) if user else bytes(len(echo))
        mixed = array("h", (a + b for a, b in zip(array("h", echo), array("h", other), strict=True)))
        frame = Frame(data=mixed.tobytes(), format=LISTENING)
        assert own.near(frame) == frame
        free += own.free
    return free


@pytest.mark.spec("LSN-59")
def test_our_echo_is_not_free_and_a_louder_voice_is_once_the_way_between_them_is_known() -> None:
    clock = Clock()
    gates = EchoGates()
    own = OwnSound(Tap(FakeLoudspeaker()), FakeCanceller(), gates, now=clock)
    assert not own.clean
    assert conversation(own, clock, seconds=4.0, loss=0.1, seed=1, user=0) <= 4
    assert own.clean
    assert own.frame_samples == PIECE
    assert conversation(own, clock, seconds=0.5, loss=0.1, seed=2, user=20_000) >= 40
    own.close()
    again = OwnSound(Tap(FakeLoudspeaker()), FakeCanceller(), gates, now=clock)
    assert again.clean, "the gate has learnt the room, whoever opens the microphone"


@pytest.mark.spec("LSN-99")
def test_a_way_that_is_found_to_be_another_says_that_what_was_free_was_ours() -> None:
    canceller, clock = FakeCanceller(), Clock()
    own = OwnSound(Tap(FakeLoudspeaker()), canceller, EchoGates(), now=clock)
    told = []
    for canceller.anew in (False, True, False):
        clock.now += 0.01
        own.near(QUIET)
        told.append(own.mistaken)
    assert told == [False, True, False]


@pytest.mark.spec("LSN-59")
def test_a_burst_of_microphone_frames_finds_each_what_was_pulled_before_it() -> None:
    clock = Clock()
    canceller = FakeCanceller()
    own = OwnSound(Tap(FakeLoudspeaker()), canceller, EchoGates(), now=clock)
    own.near(QUIET)
    for _ in range(5):
        clock.now += 0.01
        own.far(Frame(data=SPEECH.silence(240), format=SPEECH))
    given = []
    for _ in range(5):
        own.near(QUIET)
        given.append(len(canceller.played))
    assert given == [1, 2, 3, 4, 5]


@pytest.mark.spec("LSN-59")
@pytest.mark.parametrize("late", [0.0, 0.02, 0.15])
def test_blocks_that_come_late_began_when_their_samples_say(late: float) -> None:
    steady = Steady()
    random_ = random.Random(1)
    for number in range(500):
        came = 100.0 + (number + 1) * 0.01
        began = steady.began(came + (random_.random() * late if number else 0.0), 0.01)
        assert began == pytest.approx(came - 0.01, abs=0.006)


@pytest.mark.spec("LSN-59")
def test_after_a_break_the_time_is_counted_from_there_once_nothing_catches_up() -> None:
    steady, after = Steady(), 10.0 + 2 * BREAK_SECONDS
    assert steady.began(10.0, 0.01) == pytest.approx(9.99)
    began = [steady.began(after + number * 0.01, 0.01) for number in range(40)]
    assert began[0] == pytest.approx(10.0, abs=0.001)
    assert began[-1] == pytest.approx(after + 0.38)


@pytest.mark.spec("LSN-59")
def test_a_program_that_stood_still_finds_what_waited_for_it_where_it_was() -> None:
    steady = Steady()
    for number in range(100):
        steady.began(100.0 + (number + 1) * 0.01, 0.01)
    burst = [steady.began(102.0, 0.01) for _ in range(100)]
    assert burst[0] == pytest.approx(101.0, abs=0.002)
    assert burst[-1] == pytest.approx(101.99, abs=0.002)


@pytest.mark.spec("LSN-59")
def test_what_is_pulled_ahead_meets_the_microphone_when_its_turn_to_sound_comes() -> None:
    canceller, clock = FakeCanceller(), Clock()
    tap = Tap(FakeLoudspeaker())
    own = OwnSound(tap, canceller, EchoGates(), now=clock)
    block = Frame(data=SPEECH.silence(SPEECH.samples(0.02)), format=SPEECH)
    for _ in range(3):  # At one moment: the loudspeaker begins to hold more.
        own.far(block)
    met = []
    for _ in range(6):
        clock.now += 0.01
        own.near(QUIET)
        met.append(len(canceller.played))
    assert met == [1, 2, 2, 3, 3, 3], "before a frame goes what begins to sound by its end"


class HardCanceller(FakeCanceller):
    """Leaves nothing of anybody but in the words."""

    def near(self, frame: Frame) -> Frame:
        super().near(frame)
        return QUIET


@pytest.mark.spec("LSN-87")
def test_who_talks_over_us_is_found_in_the_words_where_the_canceller_quiets_them_with_us() -> None:
    clock = Clock()
    own = OwnSound(Tap(FakeLoudspeaker()), HardCanceller(), EchoGates(), now=clock)
    assert conversation(own, clock, seconds=4.0, loss=0.1, seed=1, user=0) <= 8
    assert conversation(own, clock, seconds=0.5, loss=0.1, seed=2, user=20_000) >= 40


@pytest.mark.spec("LSN-59")
@pytest.mark.parametrize(
    "anew", [False, True], ids=["the ear is opened first", "the microphone is opened anew"]
)
def test_what_was_played_while_no_microphone_was_open_is_not_taken_for_what_comes_next(anew: bool) -> None:
    """A loudspeaker that is open pulls all the time: the echo would come before what was given 0.5 s ahead of it."""
    clock, canceller = Clock(), WebRtcCanceller()
    own = OwnSound(Tap(FakeLoudspeaker()), canceller, EchoGates(), now=clock)
    if anew:
        own.near(QUIET)
    for _ in range(50):
        clock.now += 0.01
        own.far(Frame(data=SPEECH.silence(240), format=SPEECH))
    played = [noise(LISTENING, 0.01, 8_000, seed) for seed in range(300)]
    left = []
    for number, piece in enumerate(played):
        clock.now += 0.01
        own.far(Frame(data=piece, format=LISTENING))
        echo = played[number - 12] if number >= 12 else QUIET.data
        heard = Frame(data=array("h", (value // 4 for value in array("h", echo))).tobytes(), format=LISTENING)
        left.append(decibels(heard) - decibels(own.near(heard)))
    own.close()
    assert sum(left[200:]) / 100 > 20.0


class Unsure(FakeCanceller):
    """Leaves what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.left = QUIET

    def near(self, frame: Frame) -> Frame:
        self.words = self.left
        return self.left


def free_beside_us(own: OwnSound, clock: Clock, *, seconds: float, echo: float) -> int:
    """Frames that were free while we are heard `echo` times as loud as we are played."""
    free = 0
    for step in range(round(seconds / 0.01)):
        clock.now += 0.01
        peak = (300, 3_000, 12_000)[step // 10 % 3]
        own.far(Frame(data=noise(SPEECH, 0.01, peak, step), format=SPEECH))
        own.near(Frame(data=noise(LISTENING, 0.01, max(peak * echo, 20), step), format=LISTENING))
        free += own.free
    return free


@pytest.mark.spec("LSN-87")
def test_what_may_be_a_rest_of_us_is_nobody_and_what_is_louder_is_somebody() -> None:
    clock, canceller = Clock(), Unsure()
    own = OwnSound(Tap(FakeLoudspeaker()), canceller, EchoGates(), now=clock)
    free_beside_us(own, clock, seconds=4.0, echo=1.0)
    canceller.left = Frame(data=noise(LISTENING, 0.01, 200, 3), format=LISTENING)
    somebody = decibels(canceller.left)
    canceller.rest = somebody - BEYOND_DECIBELS + 1.0
    assert free_beside_us(own, clock, seconds=0.3, echo=1.0) == 0
    canceller.rest = somebody - BEYOND_DECIBELS - 1.0
    assert free_beside_us(own, clock, seconds=0.3, echo=1.0) >= 25


@pytest.mark.spec("LSN-87")
def test_with_headphones_a_faint_voice_is_found_however_unsure_the_canceller_is() -> None:
    clock, canceller = Clock(), Unsure()
    own = OwnSound(Tap(FakeLoudspeaker()), canceller, EchoGates(), now=clock)
    free_beside_us(own, clock, seconds=4.0, echo=0.0)
    canceller.left = Frame(data=noise(LISTENING, 0.01, 600, 3), format=LISTENING)
    canceller.rest = decibels(canceller.left) + 20.0
    assert free_beside_us(own, clock, seconds=0.3, echo=0.0) >= 25


@pytest.mark.spec("LSN-89")
def test_what_a_filter_leaves_of_us_at_the_beginning_of_a_message_is_not_measured_by_the_end_of_the_last() -> (
    None
):
    """A filter takes off 8 dB in its first second and 30 after half a minute."""
    clock, gates = Clock(), EchoGates()
    last = OwnSound(Tap(FakeLoudspeaker()), HardCanceller(), gates, now=clock)
    conversation(last, clock, seconds=8.0, loss=0.03, seed=1, user=0)
    last.close()
    again = OwnSound(Tap(FakeLoudspeaker()), HardCanceller(), gates, now=clock)
    assert conversation(again, clock, seconds=4.0, loss=0.9, seed=1, user=0) <= 2
    assert conversation(again, clock, seconds=0.5, loss=0.9, seed=2, user=20_000) >= 20
