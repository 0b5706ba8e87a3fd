"""What was heard and what was not: together always the whole text."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voicemode.playout.ledger import USUAL_CHARACTERS_PER_SECOND, Ledger
from voicemode.sound.joins import Voiced
from voicemode.speech import WordBegins

RATE = 1_000


def begin(*words: tuple[float, int]) -> list[WordBegins]:
    return [WordBegins(at=at, character=character) for at, character in words]


WORDS = st.lists(st.text("abcü.,-你", min_size=1, max_size=9), min_size=1, max_size=12).map(" ".join)


@dataclass(frozen=True, kw_only=True)
class Said:
    """`samples` as they came, frame by frame; `gap` of other sound before them."""

    text: str
    samples: list[int]
    gap: int = 0
    complete: bool = True


SAID = st.builds(
    Said,
    text=WORDS,
    samples=st.lists(st.integers(0, 900), max_size=5),
    gap=st.sampled_from([0, 0, 50]),
    complete=st.booleans(),
)


def ledger_of(pieces: list[Said]) -> tuple[Ledger, int]:
    """The ledger, and the samples in all. A piece that broke off ends the sound, as it ends a message."""
    ledger, at, broken = Ledger(RATE), 0, False
    for piece in pieces:
        number = ledger.add(piece.text)
        if broken:
            continue
        at += piece.gap
        for samples in piece.samples:
            ledger.sound(number, at=at, samples=samples)
            at += samples
        if piece.complete and sum(piece.samples) > 0:
            ledger.complete(number)
        else:
            broken = True
    return ledger, at


@pytest.mark.spec("SPK-33")
@settings(max_examples=150, deadline=None, database=None)
@given(st.lists(SAID, min_size=1, max_size=5))
def test_heard_and_unheard_are_the_whole_text_and_heard_only_grows(pieces: list[Said]) -> None:
    ledger, total = ledger_of(pieces)
    words = " ".join(piece.text for piece in pieces).split()
    before = 0
    for heard in range(0, total + 100, 37):
        said, left = (part.split() for part in ledger.split(heard))
        assert said + left == words
        assert len(said) >= before
        before = len(said)
    assert ledger.split(0)[0] == ""
    if all(piece.complete and sum(piece.samples) > 0 for piece in pieces):
        assert ledger.split(total)[1] == ""


@pytest.mark.spec("SPK-34")
@settings(max_examples=150, deadline=None, database=None)
@given(SAID, st.integers(0, 10_000))
def test_a_piece_that_broke_off_is_never_all_heard(piece: Said, heard: int) -> None:
    ledger = Ledger(RATE)
    number = ledger.add(piece.text)
    ledger.sound(number, at=0, samples=sum(piece.samples))
    assert ledger.split(heard)[1] != ""


@pytest.mark.spec("SPK-34")
def test_words_are_rounded_down() -> None:
    ledger = Ledger(RATE)
    piece = ledger.add("one two three")
    ledger.sound(piece, at=0, samples=1_300)
    ledger.complete(piece)
    assert ledger.split(299) == ("", "one two three")
    assert ledger.split(300) == ("one", "two three")
    assert ledger.split(699) == ("one", "two three")
    assert ledger.split(700) == ("one two", "three")
    assert ledger.split(1_299) == ("one two", "three")
    assert ledger.split(1_300) == ("one two three", "")


@pytest.mark.spec("SPK-34")
def test_where_the_voice_tells_when_words_begin_those_that_have_ended_were_heard() -> None:
    ledger = Ledger(RATE)
    piece = ledger.add("incomprehensibly so, v2.3")
    ledger.timed(piece, lambda: begin((0.0, 0), (0.2, 17), (0.9, 21), (1.1, 23)))
    ledger.sound(piece, at=50, samples=1_300)
    assert ledger.split(249) == ("", "incomprehensibly so, v2.3")
    assert ledger.split(250) == ("incomprehensibly", "so, v2.3")
    assert ledger.split(949) == ("incomprehensibly", "so, v2.3")
    assert ledger.split(950) == ("incomprehensibly so,", "v2.3")
    assert ledger.split(1_349) == ("incomprehensibly so,", "v2.3")
    ledger.complete(piece)
    assert ledger.split(1_350) == ("incomprehensibly so, v2.3", "")
    ledger.say_again(piece)
    ledger.sound(piece, at=2_000, samples=1_300)
    assert ledger.split(2_649) == ("", "incomprehensibly so, v2.3"), (
        "what was told of the first sound counts no more"
    )


@pytest.mark.spec("SPK-34")
def test_words_told_in_a_text_without_spaces_count_by_the_clause() -> None:
    ledger = Ledger(RATE)
    piece = ledger.add("看看，世界。")
    ledger.timed(piece, lambda: begin((0.0, 0), (0.3, 1), (0.6, 3), (0.8, 4)))
    ledger.sound(piece, at=0, samples=1_000)
    assert ledger.split(599) == ("", "看看，世界。")
    assert ledger.split(900) == ("看看，", "世界。")


@pytest.mark.spec("SPK-33", "SPK-34")
@settings(max_examples=150, deadline=None, database=None)
@given(WORDS, st.data())
def test_heard_only_grows_while_words_are_told_with_their_sound(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.lists(st.integers(1, 2_000), min_size=1, max_size=8)))
    words = [
        WordBegins(at=at / RATE, character=data.draw(st.integers(0, len(text) - 1)))
        for at in sorted(data.draw(st.lists(st.integers(0, ends[-1] - 1), max_size=8)))
    ]
    words = [
        replace(word, character=at)
        for word, at in zip(words, sorted(w.character for w in words), strict=True)
    ]
    ledger, come = Ledger(RATE), 0
    piece = ledger.add(text)
    ledger.timed(piece, lambda: [word for word in words if word.at * RATE < come])
    before = 0
    for end in ends:
        heard, start = come, come
        come = end
        ledger.sound(piece, at=start, samples=end - start)
        for heard in range(start, end + 1, 13):
            said, left = (part.split() for part in ledger.split(heard))
            if words and words[0].at == 0:
                assert len(said) >= before
                before = len(said)
            assert "".join(said + left) == "".join(text.split())
            assert left


@pytest.mark.spec("SPK-34")
def test_what_was_heard_of_a_text_without_spaces_ends_with_a_clause() -> None:
    ledger = Ledger(RATE)
    piece = ledger.add("你好，我是助手。我们开始吧。")
    ledger.sound(piece, at=0, samples=1_400)
    assert ledger.split(1_399) == ("你好，我是助手。", "我们开始吧。")
    ledger.complete(piece)
    assert ledger.split(299) == ("", "你好，我是助手。我们开始吧。")
    assert ledger.split(300) == ("你好，", "我是助手。我们开始吧。")
    assert ledger.split(1_399) == ("你好，我是助手。", "我们开始吧。")


@pytest.mark.spec("SPK-34")
def test_an_unfinished_piece_goes_by_the_pace_of_those_before() -> None:
    ledger = Ledger(RATE)
    first, second = ledger.add("ten letter"), ledger.add("and ten more letters")
    ledger.sound(first, at=0, samples=1_000)
    ledger.complete(first)
    assert ledger.said_seconds_per_character == pytest.approx(0.1)
    ledger.sound(second, at=1_000, samples=600)
    assert ledger.split(1_600) == ("ten letter and", "ten more letters")
    ledger.sound(second, at=1_600, samples=300)
    assert ledger.split(1_900) == ("ten letter and ten", "more letters")


@pytest.mark.spec("SPK-34")
def test_before_anything_is_measured_the_usual_pace_counts() -> None:
    ledger = Ledger(RATE)
    assert ledger.said_seconds_per_character == pytest.approx(1 / USUAL_CHARACTERS_PER_SECOND)
    piece = ledger.add("one two three four five six")
    ledger.sound(piece, at=0, samples=500)
    assert ledger.split(500) == ("one two", "three four five six")


@pytest.mark.spec("SPK-33")
def test_a_piece_that_never_came_is_unheard() -> None:
    ledger = Ledger(RATE)
    ledger.add("never said")
    assert ledger.split(10**9) == ("", "never said")
    assert Ledger(RATE).split(5) == ("", "")


@pytest.mark.spec("SPK-53")
def test_what_follows_a_complete_piece_takes_nothing_from_its_words() -> None:
    ledger = Ledger(RATE)
    first, second = ledger.add("one two"), ledger.add("three")
    ledger.sound(first, at=0, samples=700)
    ledger.complete(first)
    ledger.sound(first, at=700, samples=250)
    ledger.sound(second, at=950, samples=500)
    assert ledger.split(700) == ("one two", "three")
    assert ledger.split(950) == ("one two", "three")


@pytest.mark.spec("PLY-32")
def test_a_sound_is_too_short_where_not_half_of_the_text_can_have_been_said() -> None:
    ledger = Ledger(RATE)
    text = "a" * 119 + "."
    number = ledger.add(text)
    # At 30 letters a second it takes 4 s, at 10 letters and a quarter more 9.5 s.
    assert ledger.too_short(number, voice="new", voiced=Voiced(seconds=1.9))
    assert not ledger.too_short(number, voice="new", voiced=Voiced(seconds=2.1))
    ledger.complete(ledger.add("a" * 100), voice="slow", voiced=Voiced(seconds=10.0))
    assert ledger.too_short(number, voice="slow", voiced=Voiced(seconds=4.6))
    assert not ledger.too_short(number, voice="slow", voiced=Voiced(seconds=4.9))
    fast = Ledger(RATE, speed=2.0)
    assert not fast.too_short(fast.add(text), voice="new", voiced=Voiced(seconds=1.1))


@pytest.mark.spec("PLY-31")
def test_a_break_may_repeat_more_than_a_clause_until_a_voice_has_shown_that_it_does_not_hesitate() -> None:
    ledger = Ledger(RATE)
    several, one = ledger.add("One two, three four."), ledger.add("Five six seven.")
    assert ledger.may_repeat(several, voice="v")
    assert not ledger.may_repeat(one, voice="v")
    ledger.complete(ledger.add("a" * 100), voice="v", voiced=Voiced(seconds=8.0))
    assert ledger.may_repeat(several, voice="v")
    ledger.complete(ledger.add("a" * 800), voice="v", voiced=Voiced(seconds=64.0))
    assert not ledger.may_repeat(several, voice="v")


@pytest.mark.spec("SPK-34")
@settings(max_examples=150, deadline=None, database=None)
@given(
    st.text(st.one_of(st.sampled_from("½²①Ⅳ你a1.,… "), st.characters()), min_size=1, max_size=30),
    st.floats(0.001, 20.0),
)
@example("½", 0.4)
@example("…", 0.4)
def test_a_voice_is_measured_by_whatever_it_has_said(text: str, seconds: float) -> None:
    ledger = Ledger(RATE)
    first, second = ledger.add(text), ledger.add("It goes on, and then it breaks.")
    ledger.sound(first, at=0, samples=400)
    ledger.complete(first, voice="v", voiced=Voiced(seconds=seconds))
    ledger.sound(second, at=400, samples=400)
    following = ledger.break_off(second, voice="v", voiced=Voiced(seconds=0.4))
    ledger.too_short(following, voice="v", voiced=Voiced(seconds=0.4))
    assert " ".join(ledger.pieces).split() == f"{text} It goes on, and then it breaks.".split()
