"""What the loudspeaker is given: every sample once and in order, and silence only where it belongs."""

from __future__ import annotations

import random
import threading
from array import array
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scripts import pictures
from scripts.generated import ROOT, with_table
from voicemode.pcm import Frame, PcmFormat
from voicemode.playback import TRANSITIONS, Moment, Playback, Signal, State

TINY = PcmFormat(rate=1_000)
"""One sample is a millisecond."""

DRAIN = 20
"""Samples of silence after the end beyond the latency, at TINY's rate."""

LIMIT_SECONDS = 20.0


def sound(start: int, samples: int) -> Frame:
    """Samples that count up and are never zero."""
    values = array("h", ((start + index) % 30_000 + 1 for index in range(samples)))
    return Frame(data=values.tobytes(), format=TINY)


def values(data: bytes) -> list[int]:
    return array("h", data).tolist()


def spoken(data: bytes) -> list[int]:
    return [value for value in values(data) if value]


class Watched:
    def __init__(self) -> None:
        self.moments: list[tuple[Moment, int]] = []

    def __call__(self, moment: Moment, position: int) -> None:
        self.moments.append((moment, position))

    def count(self, moment: Moment) -> int:
        return sum(seen is moment for seen, _ in self.moments)


def playback(*, fill: int = 0, limit: int = 2_000, watch: Watched | None = None) -> Playback:
    """Marks in samples."""
    return Playback(TINY, fill_seconds=fill / 1_000, limit_seconds=limit / 1_000, watch=watch)


def filling() -> Playback:
    made = playback(fill=10)
    made.write(sound(0, 5))
    return made


def playing() -> Playback:
    made = filling()
    made.write(sound(5, 45))
    made.pull(5)
    return made


def rebuffering() -> Playback:
    made = playing()
    made.pull(100)
    return made


def paused() -> Playback:
    made = playing()
    made.pause()
    return made


def draining() -> Playback:
    made = playing()
    made.end()
    return made


def done() -> Playback:
    made = draining()
    made.pull(1_000)
    return made


def cut() -> Playback:
    made = playing()
    made.cut()
    return made


WAYS_INTO: dict[State, Callable[[], Playback]] = {
    State.FILLING: filling,
    State.PLAYING: playing,
    State.REBUFFERING: rebuffering,
    State.PAUSED: paused,
    State.DRAINING: draining,
    State.DONE: done,
    State.CUT: cut,
}

DOINGS: dict[Signal, Callable[[Playback], object]] = {
    Signal.FILLED: lambda made: made.write(sound(0, 500)),
    Signal.RAN_DRY: lambda made: made.pull(made.buffered + 1),
    Signal.ENDED: Playback.end,
    Signal.PLAYED_OUT: lambda made: made.pull(made.buffered + DRAIN),
    Signal.PAUSE: Playback.pause,
    Signal.RESUME: Playback.resume,
    Signal.CUT: Playback.cut,
}

AT_ONCE = {
    (State.PAUSED, Signal.RESUME): State.PLAYING,
    (State.PLAYING, Signal.PLAYED_OUT): State.REBUFFERING,
    (State.DRAINING, Signal.RAN_DRY): State.DRAINING,
}
"""Where a doing carries more than its signal: a resumed buffer that is full enough plays on at once; pulling more
than there is runs a playing buffer dry; one sample beyond the end is less than the drain."""


@pytest.mark.spec("SPK-16")
@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
@pytest.mark.parametrize("signal", Signal, ids=lambda signal: signal.value)
def test_every_signal_moves_every_state_as_the_table_says(state: State, signal: Signal) -> None:
    made = WAYS_INTO[state]()
    assert made.state is state
    DOINGS[signal](made)
    assert made.state is AT_ONCE.get((state, signal), TRANSITIONS.get((state, signal), state))


@pytest.mark.spec("SPK-16")
def test_every_state_is_reached_and_only_the_last_two_have_no_way_out() -> None:
    assert {State.FILLING, *TRANSITIONS.values()} == set(State)
    assert set(State) - {before for before, _ in TRANSITIONS} == {State.DONE, State.CUT}


@pytest.mark.spec("SPK-16", "LSN-1")
@pytest.mark.parametrize(("name", "picture", "document"), pictures.PICTURES, ids=["speaking", "listening"])
def test_the_picture_in_the_specification_is_the_table(
    name: str, picture: Callable[[], str], document: str
) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert with_table(text, name, picture()) == text
    assert pictures.main(["--check"]) == 0


class PlaybackModel(RuleBasedStateMachine):
    """Anything may happen in any order; the list of given samples is the judge."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = Watched()
        self.playback = playback(fill=15, limit=60, watch=self.watched)
        self.playback.latency = 0.03
        self.written = 0
        self.given: list[int] = []
        self.heard = 0
        self.ended = self.was_cut = False

    @precondition(lambda self: not self.ended and not self.was_cut)
    @rule(samples=st.integers(0, 40))
    def write(self, samples: int) -> None:
        self.playback.write(sound(self.written, samples))
        self.written += samples

    @rule(samples=st.integers(1, 40))
    def pull(self, samples: int) -> None:
        state, buffered = self.playback.state, self.playback.buffered
        data = self.playback.pull(samples)
        assert len(data) == samples * TINY.bytes_per_sample
        given = spoken(data)
        assert values(data) == given + [0] * (samples - len(given)), (
            "silence only after what there was to say"
        )
        if state in (State.PLAYING, State.DRAINING):
            assert len(given) == min(samples, buffered)
        else:
            assert given == []
        self.given += given

    @rule()
    def pause(self) -> None:
        self.playback.pause()

    @rule()
    def resume(self) -> None:
        self.playback.resume()

    @rule()
    def end(self) -> None:
        self.playback.end()
        self.ended = True

    @precondition(lambda self: self.written > 100)
    @rule()
    def cut(self) -> None:
        over = self.playback.over
        self.playback.cut()
        self.was_cut = self.was_cut or not over

    @invariant()
    def nothing_is_lost_doubled_or_moved(self) -> None:
        assert self.given == values(sound(0, len(self.given)).data)
        if not self.was_cut:
            assert len(self.given) + self.playback.buffered == self.written

    @invariant()
    def heard_is_at_most_given_and_never_goes_back(self) -> None:
        assert self.heard <= self.playback.heard <= len(self.given) <= self.playback.written
        self.heard = self.playback.heard

    @invariant()
    def what_is_told_fits_what_happened(self) -> None:
        assert self.watched.count(Moment.FIRST_AUDIO) == bool(self.given)
        assert self.watched.count(Moment.OVER) == self.playback.over
        if self.playback.state is State.DONE:
            assert self.playback.heard == self.written == len(self.given)

    def teardown(self) -> None:
        """Whatever happened, the rest can be played to its end."""
        self.playback.resume()
        self.playback.end()
        for _ in range(self.written // 40 + 5):
            self.pull(40)
        assert self.playback.over
        self.nothing_is_lost_doubled_or_moved()


TestPlaybackModel = pytest.mark.spec("SPK-17", "SPK-18")(PlaybackModel.TestCase)
TestPlaybackModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, database=None)


@pytest.mark.spec("SPK-19")
def test_nothing_sounds_before_the_first_mark_is_reached() -> None:
    made = playback(fill=10)
    made.write(sound(0, 9))
    assert spoken(made.pull(100)) == []
    made.write(sound(9, 1))
    assert len(spoken(made.pull(100))) == 10


@pytest.mark.spec("SPK-19")
def test_each_underrun_doubles_the_mark_up_to_the_limit() -> None:
    watched = Watched()
    made = playback(fill=10, limit=50, watch=watched)
    marks = []
    written = 0
    for _ in range(4):
        while made.state is not State.PLAYING:
            assert spoken(made.pull(1)) == []
            made.write(sound(written, 1))
            written += 1
        marks.append(made.buffered)
        made.pull(made.buffered + 1)
    assert marks == [10, 20, 40, 50]
    assert [position for moment, position in watched.moments if moment is Moment.RAN_DRY] == [
        10,
        30,
        70,
        120,
    ]
    assert watched.count(Moment.RESUMED) == 3


@pytest.mark.spec("PLY-28")
def test_a_silence_while_nothing_is_on_order_is_nobodys_lateness() -> None:
    watched = Watched()
    made = playback(fill=10, watch=watched)
    made.write(sound(0, 10))
    made.expecting = False
    assert spoken(made.pull(50)) == values(sound(0, 10).data)
    made.expecting = True
    assert made.state is State.REBUFFERING
    assert made.refill_seconds == pytest.approx(0.01)
    made.write(sound(10, 10))
    assert len(spoken(made.pull(10))) == 10
    assert [moment for moment, _ in watched.moments] == [Moment.FIRST_AUDIO, Moment.RESUMED]


@pytest.mark.spec("PLY-28")
def test_an_end_that_is_told_late_resumes_nothing() -> None:
    watched = Watched()
    made = playback(watch=watched)
    made.write(sound(0, 10))
    made.pull(50)
    made.end()
    made.pull(50)
    assert made.state is State.DONE
    assert [moment for moment, _ in watched.moments] == [Moment.FIRST_AUDIO, Moment.RAN_DRY, Moment.OVER]


@pytest.mark.spec("SPK-19")
def test_an_underrun_without_a_mark_gathers_a_tenth_of_a_second() -> None:
    made = playback(fill=0)
    made.write(sound(0, 1))
    made.pull(2)
    assert made.refill_seconds == pytest.approx(0.1)


@pytest.mark.spec("SPK-19")
def test_an_empty_frame_starts_nothing() -> None:
    watched = Watched()
    made = playback(fill=0, watch=watched)
    made.write(sound(0, 0))
    made.pull(10)
    assert made.state is State.FILLING
    assert watched.moments == []


@pytest.mark.spec("SPK-20")
@pytest.mark.parametrize("block", [1, 7, 64, 500])
def test_the_end_is_believed_after_latency_and_a_margin_of_silence(block: int) -> None:
    made = playback()
    made.latency = 0.1
    made.write(sound(0, 50))
    made.end()
    pulled = 0
    while not made.over:
        assert pulled < 50 + 100 + DRAIN
        made.pull(block)
        pulled += block
    assert pulled < 50 + 100 + DRAIN + block
    assert made.state is State.DONE
    assert made.heard == 50


@pytest.mark.spec("SPK-20")
def test_a_message_without_sound_is_over_at_once() -> None:
    watched = Watched()
    made = playback(fill=10, watch=watched)
    made.end()
    assert made.state is State.DONE
    assert watched.moments == [(Moment.OVER, 0)]


@pytest.mark.spec("SPK-18")
def test_heard_follows_the_devices_latency_through_gaps() -> None:
    made = playback()
    made.latency = 0.01
    made.write(sound(0, 5))
    made.pull(5)
    assert made.heard == 0
    made.pull(5)
    assert made.heard == 0
    made.pull(3)
    assert made.heard == 3
    made.write(sound(5, 200))
    made.pull(7)
    assert made.heard == 5
    made.pull(5)
    assert made.heard == 7


@pytest.mark.spec("SPK-18")
def test_a_latency_that_is_told_late_counts_for_what_was_already_given() -> None:
    made = playback()
    made.write(sound(0, 1_000))
    for _ in range(60):
        made.pull(10)
    made.latency = 0.2
    assert made.heard == 400


@pytest.mark.spec("SPK-21")
def test_a_pause_is_silence_and_loses_nothing() -> None:
    watched = Watched()
    made = playback(watch=watched)
    made.write(sound(0, 100))
    before = spoken(made.pull(30))
    made.pause()
    assert spoken(made.pull(500)) == []
    made.write(sound(100, 50))
    made.resume()
    assert before + spoken(made.pull(120)) == values(sound(0, 150).data)
    assert [moment for moment, _ in watched.moments] == [Moment.FIRST_AUDIO, Moment.PAUSED, Moment.RESUMED]


@pytest.mark.spec("SPK-21")
@pytest.mark.parametrize("written", [0, 5])
def test_a_pause_before_the_first_mark_is_no_underrun(written: int) -> None:
    watched = Watched()
    made = playback(fill=10, watch=watched)
    made.write(sound(0, written))
    made.pause()
    made.resume()
    assert spoken(made.pull(50)) == []
    made.write(sound(written, 10))
    assert len(spoken(made.pull(10))) == 10
    assert watched.count(Moment.RAN_DRY) == 0
    assert made.refill_seconds == pytest.approx(0.01)


@pytest.mark.spec("SPK-21")
def test_a_pause_while_refilling_still_refills() -> None:
    made = rebuffering()
    made.pause()
    made.resume()
    made.write(sound(50, 19))
    assert spoken(made.pull(50)) == []
    made.write(sound(69, 1))
    assert len(spoken(made.pull(50))) == 20


@pytest.mark.spec("SPK-21")
@pytest.mark.parametrize("written", [0, 50])
def test_a_message_that_ends_during_a_pause_is_played_out_after_it(written: int) -> None:
    made = playback(fill=100)
    made.write(sound(0, written))
    made.pause()
    made.end()
    assert not made.over
    made.resume()
    assert len(spoken(made.pull(200))) == written
    assert made.state is State.DONE


@pytest.mark.spec("SPK-22")
def test_a_cut_is_silence_for_ever_and_keeps_what_was_heard() -> None:
    made = playback()
    made.latency = 0.02
    made.write(sound(0, 500))
    made.pull(100)
    made.cut()
    made.write(sound(500, 100))
    made.resume()
    made.end()
    assert spoken(made.pull(1_000)) == []
    assert made.state is State.CUT
    assert made.heard == 80
    assert made.buffered == 0


@pytest.mark.spec("SPK-22")
def test_a_cut_after_the_end_changes_nothing() -> None:
    made = done()
    made.cut()
    assert made.state is State.DONE
    assert made.heard == 50


@pytest.mark.spec("SPK-23")
def test_room_is_told_once_when_a_quarter_is_free() -> None:
    watched = Watched()
    made = playback(limit=100, watch=watched)
    made.write(sound(0, 100))
    assert not made.has_room
    made.pull(24)
    assert watched.count(Moment.ROOM) == 0
    made.pull(1)
    assert watched.count(Moment.ROOM) == 1
    made.pull(25)
    assert watched.count(Moment.ROOM) == 1


@pytest.mark.spec("SPK-17")
def test_what_is_taken_for_a_file_is_not_given_to_a_device() -> None:
    made = playback()
    made.write(sound(0, 30))
    assert made.take() == sound(0, 30)
    assert made.has_room
    assert spoken(made.pull(30)) == []


@pytest.mark.spec("SPK-17")
def test_sound_in_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="playback runs at"):
        playback().write(Frame(data=b"\0\0", format=PcmFormat(rate=8_000)))


@pytest.mark.spec("SPK-17")
@pytest.mark.parametrize("channels", [1, 2])
def test_a_writer_and_a_device_in_two_threads_lose_nothing(channels: int) -> None:
    fmt = PcmFormat(rate=8_000, channels=channels)
    whole = array("h", (index % 30_000 + 1 for index in range(60_000 * channels))).tobytes()
    over = threading.Event()
    room = threading.Event()

    def watch(moment: Moment, position: int) -> None:
        if moment is Moment.ROOM:
            room.set()
        elif moment is Moment.OVER:
            over.set()

    made = Playback(fmt, fill_seconds=0.01, limit_seconds=0.1, watch=watch)
    taken = bytearray()
    most = 0

    def device() -> None:
        chance = random.Random(1)
        while not over.is_set():
            taken.extend(made.pull(chance.randrange(1, 300)))
            assert made.heard <= made.written

    pulling = threading.Thread(target=device, daemon=True)
    pulling.start()
    chance = random.Random(2)
    at = 0
    while at < len(whole):
        while not made.has_room:
            room.clear()
            if not made.has_room:
                assert room.wait(LIMIT_SECONDS)
        size = chance.randrange(1, 200) * fmt.bytes_per_sample
        made.write(Frame(data=whole[at : at + size], format=fmt))
        most = max(most, made.buffered)
        at += size
        if chance.random() < 0.05:
            made.pause()
            made.resume()
    made.end()
    assert over.wait(LIMIT_SECONDS)
    pulling.join(LIMIT_SECONDS)
    assert not pulling.is_alive()
    assert spoken(bytes(taken)) == values(whole)
    assert made.heard == 60_000
    assert most <= 800 + 200
