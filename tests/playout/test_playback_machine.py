"""What the loudspeaker is given: every sample once and in order, and silence only where it belongs, whatever happens
in whatever order."""

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
from tests.support.counted_sound import (
    DRAIN,
    TINY,
    Watched,
    cut,
    done,
    draining,
    filling,
    paused,
    playback,
    playing,
    rebuffering,
    sound,
    spoken,
    values,
)
from voicemode.pcm import Frame, PcmFormat
from voicemode.playout.playback import TRANSITIONS, Moment, Playback, Signal, State

LIMIT_SECONDS = 20.0

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
@pytest.mark.parametrize(
    ("name", "picture", "document"), pictures.PICTURES, ids=[name for name, _, _ in pictures.PICTURES]
)
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
        self.playback.device_latency = lambda: 0.03
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


@pytest.mark.spec("SPK-17")
@pytest.mark.parametrize("channels", [1, 2])
def test_a_writer_and_a_device_in_two_threads_lose_nothing(channels: int) -> None:
    fmt = PcmFormat(rate=8_000, channels=channels)
    whole = array("h", (index % 30_000 + 1 for index in range(60_000 * channels))).tobytes()
    over = threading.Event()
    room = threading.Event()

    def watch(moment: Moment, position: int, after: int) -> None:
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
