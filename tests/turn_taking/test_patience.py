"""How long a silence has to last, by the speaker and by the words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicemode.turn_taking.patience import FEWEST_PAUSES, Patience, PatienceRules, Pauses, Thought, thought
from voicemode.turn_taking.turn import Turn, TurnRules, TurnState, Why

RULES = PatienceRules(usual=1.0, least=0.6, most=3.0)
FRAME = 0.01


def after(pauses: list[float], rules: PatienceRules = RULES) -> Patience:
    known = Pauses()
    for pause in pauses:
        known.note(pause)
    return Patience(rules, known)


@pytest.mark.spec("LSN-33")
def test_without_knowing_the_speaker_the_users_setting_holds() -> None:
    assert after([]).limit() == 1.0
    assert after([0.5] * (FEWEST_PAUSES - 1)).limit() == 1.0


@pytest.mark.spec("LSN-33")
def test_who_makes_short_pauses_is_done_sooner_and_who_makes_long_ones_later() -> None:
    quick, slow = after([0.25] * 10).limit(), after([0.9] * 10).limit()
    assert quick == pytest.approx(0.7)
    assert slow == pytest.approx(0.9 * 1.6)


@pytest.mark.spec("LSN-33")
def test_one_long_pause_among_many_does_not_make_everybody_wait() -> None:
    assert after([*[0.4] * 19, 0.95]).limit() == pytest.approx(0.7)


@pytest.mark.spec("LSN-33")
def test_a_closed_mouth_between_two_words_is_no_pause_for_thought() -> None:
    assert after([0.05, 0.1, 0.19] * 20).limit() == 1.0


@pytest.mark.spec("LSN-33")
def test_what_is_known_of_a_speaker_outlives_the_turn() -> None:
    pauses = Pauses()
    first = Patience(RULES, pauses)
    for _ in range(FEWEST_PAUSES):
        first.paused(0.9)
    assert Patience(RULES, pauses).limit() == pytest.approx(0.9 * 1.6)


@pytest.mark.spec("LSN-34")
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Yes.", None),
        ("Is that what you want?", "en"),
        ("Do it!", None),
        ("Take the second one.", "en-GB"),
        ("Version 3.", None),
        ("2.", None),
        ("It is in the car.", None),
        ("Ask Ben.", None),
        ("Turn it on.", "en"),
        ('He said "no."', "en"),
        ("Das ist gut.", "de"),
        ("C'est bon.", "fr"),
        ("Está bien.", "es"),
        ("我想要这个。", "zh"),
        ("これですか？", "ja"),
        ("彼は「はい。」", "ja"),
        ("هل تريد هذا؟", "ar"),
        ("ठीक है।", "hi"),
    ],
)
def test_a_whole_sentence_is_finished(text: str, language: str | None) -> None:
    assert thought(text, language) is Thought.FINISHED


@pytest.mark.spec("LSN-34")
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I would like to change the", None),
        ("First the tests, and.", "en"),
        ("Because", "en"),
        ("So, um.", "en"),
        ("I think...", None),
        ("I think…", None),
        ("Red, green,", None),
        ("My number is 0171 55", None),
        ("It is 12 34.", "en"),
        ("Ich möchte und", "de"),
        ("Das ist gut, weil.", "de-DE"),
        ("Je veux parce que mais", "fr"),
        ("Quiero pero", "es_ES"),
        ("Quiero pero", "xx"),
        ("我想要，", "zh"),
        ("それでは、", "ja"),
        ("أنا أريد،", "ar"),
    ],
)
def test_in_mid_thought_more_will_come_whatever_mark_the_recogniser_has_put(
    text: str, language: str | None
) -> None:
    assert thought(text, language) is Thought.OPEN


@pytest.mark.spec("LSN-34")
@pytest.mark.parametrize("text", ["", "  ", "...", "the tests are green now"])
def test_words_without_a_mark_say_nothing_either_way(text: str) -> None:
    assert thought(text) is Thought.UNKNOWN


@pytest.mark.spec("LSN-34")
def test_a_finished_sentence_shortens_the_silence_and_mid_thought_lengthens_it() -> None:
    patience = after([])
    patience.heard("Run the tests.")
    assert patience.limit() == pytest.approx(0.6)
    patience.heard("Run the tests, and")
    assert patience.limit() == pytest.approx(2.0)
    patience.heard("run the tests")
    assert patience.limit() == 1.0


@pytest.mark.spec("LSN-34")
def test_what_was_made_of_the_words_is_void_when_the_speaker_goes_on() -> None:
    patience = after([])
    patience.heard("Run the tests.")
    patience.paused(0.1)
    assert patience.limit() == 1.0


SECONDS = st.floats(0.05, 10.0)


@pytest.mark.spec("LSN-35")
@settings(max_examples=200, deadline=None, database=None)
@given(
    usual=SECONDS,
    least=SECONDS,
    most=SECONDS,
    pauses=st.lists(SECONDS, max_size=50),
    text=st.sampled_from(["", "Yes.", "and", "words"]),
)
def test_whatever_is_known_the_limits_hold_and_a_setting_beyond_them_moves_them(
    usual: float, least: float, most: float, pauses: list[float], text: str
) -> None:
    patience = after(pauses, PatienceRules(usual=usual, least=min(least, most), most=max(least, most)))
    patience.heard(text)
    limit = patience.limit()
    assert limit is not None
    assert min(least, most, usual) - 1e-9 <= limit <= max(least, most, usual) + 1e-9


@pytest.mark.spec("LSN-35")
@pytest.mark.parametrize("text", ["Yes.", "and", "words"])
def test_limits_at_the_setting_make_it_exact(text: str) -> None:
    patience = after([0.9] * 20, PatienceRules(usual=0.8, least=0.8, most=0.8))
    patience.heard(text)
    assert patience.limit() == pytest.approx(0.8)


@pytest.mark.spec("LSN-11")
def test_without_a_setting_no_silence_ends_a_turn() -> None:
    patience = after([0.5] * 20, replace(RULES, usual=None))
    patience.heard("Done.")
    assert patience.limit() is None


def pausing(turn: Turn, seconds: float, *, voice: bool) -> None:
    for _ in range(round(seconds / FRAME)):
        turn.feed(FRAME, voice=voice, zeros=False)


@pytest.mark.spec("LSN-36")
@pytest.mark.parametrize(("text", "silence"), [("Yes.", 0.6), ("Yes, but", 2.0), ("yes", 1.0)])
def test_words_that_come_during_the_silence_move_the_end_of_the_turn(text: str, silence: float) -> None:
    rules = TurnRules()
    patience = Patience(rules.patience)
    turn = Turn(rules, patience)
    pausing(turn, 1.0, voice=True)
    pausing(turn, 0.4, voice=False)
    patience.heard(text)
    pausing(turn, 10.0, voice=False)
    assert turn.why is Why.SILENCE
    assert turn.now == pytest.approx(1.0 + silence, abs=FRAME + 1e-6)


@pytest.mark.spec("LSN-36")
def test_words_that_come_when_the_shorter_silence_is_over_end_the_turn_with_the_next_frame() -> None:
    rules = TurnRules()
    patience = Patience(rules.patience)
    turn = Turn(rules, patience)
    pausing(turn, 1.0, voice=True)
    pausing(turn, 0.9, voice=False)
    patience.heard("Yes.")
    assert turn.feed(FRAME, voice=False, zeros=False) is Why.SILENCE


@pytest.mark.spec("LSN-33")
def test_a_turn_learns_the_pauses_inside_it() -> None:
    pauses = Pauses()
    rules = TurnRules()
    turn = Turn(rules, Patience(rules.patience, pauses))
    for _ in range(FEWEST_PAUSES + 1):
        pausing(turn, 0.5, voice=True)
        pausing(turn, 0.8, voice=False)
    assert turn.state is TurnState.PAUSING
    assert pauses.limit() == pytest.approx(0.8 * 1.6, abs=2 * FRAME)
    assert turn.voiced == pytest.approx(0.5 * (FEWEST_PAUSES + 1), abs=0.02)
