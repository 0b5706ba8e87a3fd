"""What the loudspeaker is given, and when: marks, underruns, pauses, ends, cuts and room."""

from __future__ import annotations

import pytest

from tests.support.counted_sound import (
    DRAIN,
    Watched,
    done,
    playback,
    rebuffering,
    sound,
    spoken,
    values,
)
from voicemode.pcm import Frame, PcmFormat
from voicemode.playout.playback import Moment, State


@pytest.mark.spec("SPK-19")
def test_nothing_sounds_before_the_first_mark_is_reached() -> None:
    made = playback(fill=10)
    made.write(sound(0, 9))
    assert spoken(made.pull(100)) == []
    made.write(sound(9, 1))
    assert len(spoken(made.pull(100))) == 10


@pytest.mark.spec("SPK-19", "PLY-5")
def test_a_link_that_is_known_may_have_waited_long_enough_with_less_sound() -> None:
    made = playback(fill=10)
    made.fill(0.4, wait=0.025)
    assert spoken(made.pull(10)) == []
    made.write(sound(0, 30))
    # The sound came somewhere in the first of these; 25 samples behind it are in the middle of the third.
    assert [len(spoken(made.pull(10))) for _ in range(4)] == [0, 0, 10, 10]


@pytest.mark.spec("SPK-19", "PLY-5")
def test_the_sound_that_a_link_needs_ends_its_wait() -> None:
    made = playback(fill=10)
    made.fill(0.03, wait=60)
    made.write(sound(0, 29))
    assert spoken(made.pull(10)) == []
    made.write(sound(29, 1))
    assert len(spoken(made.pull(10))) == 10


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


@pytest.mark.spec("SPK-19", "EVT-20")
def test_a_silence_is_told_where_it_begins_and_ends_in_what_the_device_pulled() -> None:
    watched = Watched()
    made = playback(fill=10, watch=watched)
    made.write(sound(0, 30))
    made.pull(20)
    assert len(spoken(made.pull(20))) == 10
    made.pull(20)
    made.write(sound(30, 40))
    assert watched.count(Moment.RESUMED) == 0
    made.pull(20)
    assert list(zip(watched.moments, watched.after, strict=True)) == [
        ((Moment.FIRST_AUDIO, 0), 20),
        ((Moment.RAN_DRY, 30), 10),
        ((Moment.RESUMED, 30), 20),
    ]


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
    made.device_latency = lambda: 0.1
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
    made.device_latency = lambda: 0.01
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
    made.device_latency = lambda: 0.2
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
    made.device_latency = lambda: 0.02
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
