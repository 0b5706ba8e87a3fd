"""Whether a message whose stream broke goes on, and where."""

from __future__ import annotations

from array import array

import pytest

from voicemode.errors import DeviceError, EndpointUnreachable, StreamBroken, VoiceModeError
from voicemode.pcm import SPEECH, Frame
from voicemode.playout.breaks import MOST_BREAKS, Breaks, Heard
from voicemode.playout.ledger import Ledger
from voicemode.sound.joins import PAUSE_SECONDS, Contour

TEXT = "one two three, four five six, seven eight nine."
BROKEN = StreamBroken("server:1 broke off.", engine="server:1", retryable=True)
NOBODY = EndpointUnreachable("Nobody answers.", engine="server:1", retryable=True)


def heard(*parts: float, speaker: str = "v") -> Heard:
    """Seconds of voice, each but the last with 0.2 s of silence after it."""
    values = array("h")
    for number, seconds in enumerate(parts):
        values.extend([9_000] * SPEECH.samples(seconds))
        values.extend([0] * SPEECH.samples(0.2 if number + 1 < len(parts) else 0))
    contour = Contour(SPEECH)
    contour.feed(Frame(data=values.tobytes(), format=SPEECH))
    return Heard(speaker=speaker, contour=contour)


def breaks_of(text: str) -> tuple[Breaks, Ledger]:
    ledger = Ledger(SPEECH.rate)
    ledger.add(text)
    return Breaks(ledger, least_pause=PAUSE_SECONDS), ledger


@pytest.mark.spec("PLY-2")
def test_streams_may_break_so_often_and_no_more() -> None:
    breaks, _ = breaks_of(TEXT)
    for _ in range(MOST_BREAKS):
        assert breaks.may_pass(BROKEN, spoken=True)
    assert not breaks.may_pass(BROKEN, spoken=True)


@pytest.mark.spec("PLY-2")
@pytest.mark.parametrize(
    "error",
    [StreamBroken("The voice has run away.", engine="server:1"), DeviceError("It is gone.", retryable=True)],
)
def test_what_asking_again_cannot_mend_is_not_asked_again(error: VoiceModeError) -> None:
    breaks, _ = breaks_of(TEXT)
    assert not breaks.may_pass(error, spoken=True)


@pytest.mark.spec("PLY-2")
def test_where_nobody_answers_who_has_spoken_it_is_tried_once_more() -> None:
    breaks, _ = breaks_of(TEXT)
    assert breaks.may_pass(NOBODY, spoken=True)
    assert not breaks.may_pass(NOBODY, spoken=True)
    silent, _ = breaks_of(TEXT)
    assert not silent.may_pass(NOBODY, spoken=False)


@pytest.mark.spec("PLY-31")
@pytest.mark.parametrize(("speed", "silent"), [(None, True), (3.0, True), (0.5, False)])
def test_what_was_heard_is_passed_over_where_that_is_no_long_silence(
    speed: float | None, silent: bool
) -> None:
    breaks, ledger = breaks_of(TEXT)
    broken = heard(0.9, 0.9)
    assert breaks.go_on_at(0, broken, speed=speed) == 0
    assert ledger.pieces == [TEXT]
    assert (breaks.begun("v") is broken.contour) == silent
    assert breaks.begun("another") is None


@pytest.mark.spec("PLY-31")
def test_a_sound_without_pauses_and_a_text_of_one_clause_are_not_waited_for() -> None:
    breaks, _ = breaks_of(TEXT)
    breaks.go_on_at(0, heard(1.8), speed=None)
    assert breaks.begun("v") is None
    breaks, _ = breaks_of("One two three four five six seven.")
    breaks.go_on_at(0, heard(0.9, 0.9), speed=None)
    assert breaks.begun("v") is None


@pytest.mark.spec("PLY-31")
def test_of_two_breaks_in_a_piece_the_later_one_counts() -> None:
    for first, second in ((heard(0.9, 0.9), heard(0.9, 0.1)), (heard(0.9, 0.1), heard(0.9, 0.9))):
        breaks, _ = breaks_of(TEXT)
        breaks.go_on_at(0, first, speed=None)
        breaks.go_on_at(0, second, speed=None)
        begun = breaks.begun("v")
        assert begun is not None
        assert begun.seconds == max(first.contour.seconds, second.contour.seconds)
        breaks.said()
        assert breaks.begun("v") is None


@pytest.mark.spec("PLY-32")
def test_who_says_a_doubted_piece_instead_is_doubted_too() -> None:
    breaks, _ = breaks_of("a" * 300 + ".")
    for speaker in ("v", "another"):
        with pytest.raises(StreamBroken):
            breaks.doubt(0, heard(1.0, speaker=speaker), engine="server:1")
    breaks.doubt(0, heard(1.0, speaker="another"), engine="server:1")


@pytest.mark.spec("PLY-32")
def test_the_rest_of_a_doubted_piece_is_not_doubted_again() -> None:
    breaks, ledger = breaks_of("a" * 300 + ", " + "b" * 300 + ".")
    with pytest.raises(StreamBroken, match="ended after"):
        breaks.doubt(0, heard(1.0), engine="server:1")
    following = breaks.go_on_at(0, heard(1.0), speed=None)
    breaks.doubt(following, heard(1.0), engine="server:1")
    # Believed: neither are its other pieces doubted from now on, but those of another voice.
    number = ledger.add("c" * 300 + ".")
    breaks.doubt(number, heard(1.0), engine="server:1")
    with pytest.raises(StreamBroken):
        breaks.doubt(number, heard(1.0, speaker="another"), engine="server:1")
