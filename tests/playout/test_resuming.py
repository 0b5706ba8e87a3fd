"""Where a message goes on after its sound broke off or its loudspeaker went away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.pcm import Frame, PcmFormat
from voicemode.playout.ledger import Ledger
from voicemode.playout.playback import Playback

FMT = PcmFormat(rate=1_000)
WORDS = st.lists(st.sampled_from(["one", "two,", "three", "four.", "five;", "six"]), min_size=1, max_size=40)


@given(WORDS, st.integers(0, 40_000), st.floats(0.5, 2.0))
@pytest.mark.spec("PLY-12")
def test_the_part_said_and_the_rest_are_the_whole_text(words: list[str], samples: int, speed: float) -> None:
    ledger = Ledger(FMT.rate, speed=speed)
    text = " ".join(words)
    number = ledger.add(text)
    ledger.add("after.")
    if samples:
        ledger.sound(number, at=0, samples=samples)
    following = ledger.break_off(number)
    assert " ".join(ledger.pieces) == f"{text} after."
    assert following in (number, number + 1)
    heard, unheard = ledger.split(samples)
    assert f"{heard} {unheard}".split() == [*words, "after."]


@pytest.mark.spec("PLY-12")
def test_a_rest_begins_at_a_clause_and_never_after_the_break() -> None:
    for pace in (0.06, 0.075, 0.09):  # Seconds per character: a quick, a usual and a slow voice.
        text = "One two three, four five six. Seven eight nine; ten eleven twelve, thirteen fourteen."
        for percent in range(5, 100, 5):
            said = len(text) * percent // 100
            ledger = Ledger(FMT.rate)
            number = ledger.add(text)
            ledger.sound(number, at=0, samples=int(said * pace * FMT.rate))
            following = ledger.break_off(number)
            rest = ledger.pieces[following]
            assert len(text) - len(rest) <= said, (pace, percent, rest)
            assert rest[0] in "OfStt"


@given(
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 50),
)
@pytest.mark.spec("PLY-11")
def test_after_a_rewind_every_unheard_sample_is_given_again_once_and_in_order(
    pulls: list[tuple[int, bool]], latency: int
) -> None:
    total = 600
    playback = Playback(FMT, fill_seconds=0.0, limit_seconds=10.0)
    playback.device_latency = lambda: latency / FMT.rate
    playback.write(Frame(data=b"".join(i.to_bytes(2, "little") for i in range(1, total + 1)), format=FMT))
    playback.end()
    expected = 1
    for samples, lost in pulls:
        block = playback.pull(samples)
        values = [int.from_bytes(block[i : i + 2], "little") for i in range(0, len(block), 2)]
        for value in filter(None, values):
            assert value == expected
            expected += 1
        if lost and not playback.over:
            heard = playback.heard
            assert playback.rewind() == heard
            expected = heard + 1
    for _ in range(100):
        block = playback.pull(50)
        for i in range(0, len(block), 2):
            if value := int.from_bytes(block[i : i + 2], "little"):
                assert value == expected
                expected += 1
    assert expected == total + 1
    assert playback.over
    assert playback.heard == total
