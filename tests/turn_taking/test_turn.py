"""When a turn begins and when it ends, in seconds of microphone time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicemode.turn_taking.turn import TRANSITIONS, Step, Turn, TurnRules, TurnState, Why

RULES = TurnRules()
FRAME = 0.01
LONG = 200.0

Span = tuple[float, bool]
"""(seconds, does it hold voice)."""


def listen(
    *spans: Span,
    rules: TurnRules = RULES,
    frame: float = FRAME,
    zeros: bool = False,
    turn: Turn | None = None,
    levels: tuple[float, ...] = (),
) -> Turn:
    """Feeds `spans`, frame by frame, until the turn ends."""
    turn = turn or Turn(rules)
    for seconds, voice in spans:
        for _ in range(round(seconds / frame)):
            if turn.feed(frame, voice=voice, zeros=zeros and not voice, levels=levels) is not None:
                return turn
    return turn


def voice(seconds: float) -> Span:
    return seconds, True


def quiet(seconds: float) -> Span:
    return seconds, False


def about(seconds: float, frame: float = FRAME) -> object:
    """Within one frame."""
    return pytest.approx(seconds, abs=frame + 1e-6)


@pytest.mark.spec("LSN-2")
@pytest.mark.parametrize("click", [0.01, 0.02, 0.04, 0.08])
def test_a_click_opens_no_turn(click: float) -> None:
    turn = listen(quiet(1.0), voice(click), quiet(1.0))
    assert turn.state is TurnState.WAITING
    assert turn.voice_from is None


@pytest.mark.spec("LSN-2")
def test_clicks_do_not_sum() -> None:
    typing = [voice(0.03), quiet(0.07)] * 60
    assert listen(*typing).state is TurnState.WAITING


@pytest.mark.spec("LSN-2")
def test_voice_opens_a_turn_from_its_first_frame_on() -> None:
    turn = listen(quiet(2.0), voice(RULES.onset))
    assert turn.state is TurnState.SPEAKING
    assert turn.voice_from == pytest.approx(2.0)
    assert turn.voice_to == pytest.approx(2.0 + RULES.onset)


@pytest.mark.spec("LSN-2")
def test_speech_from_the_first_frame_on_is_a_turn() -> None:
    turn = listen(voice(0.5), quiet(LONG))
    assert (turn.why, turn.voice_from) == (Why.SILENCE, 0.0)


@pytest.mark.spec("LSN-3")
@pytest.mark.parametrize("frame", [0.01, 0.02, 0.03, 0.032])
@pytest.mark.parametrize("spoken", [0.3, 2.1, 30.0])
def test_silence_ends_a_turn_with_the_frame_nearest_to_the_limit(frame: float, spoken: float) -> None:
    turn = listen(quiet(0.6), voice(spoken), quiet(LONG), frame=frame)
    assert turn.why is Why.SILENCE
    assert turn.voice_to == about(0.6 + spoken, frame)
    assert turn.voice_to is not None
    assert turn.now - turn.voice_to == pytest.approx(1.0, abs=frame / 2 + 1e-6)


@pytest.mark.spec("LSN-4")
def test_a_pause_just_under_the_limit_does_not_end_the_turn() -> None:
    turn = listen(voice(0.5), quiet(0.99), voice(0.5), quiet(0.99), voice(0.5))
    assert turn.state is TurnState.SPEAKING
    assert turn.voice_to == pytest.approx(turn.now)


@pytest.mark.spec("LSN-5")
@pytest.mark.parametrize("spoken", [0.2, 5.0, 60.0])
@pytest.mark.parametrize("blip", [0.01, 0.02])
@pytest.mark.parametrize("after", [0.1, 0.5, 0.9])
def test_a_blip_does_not_restart_the_silence_however_long_was_spoken(
    spoken: float, blip: float, after: float
) -> None:
    turn = listen(voice(spoken), quiet(after), voice(blip), quiet(LONG))
    assert turn.why is Why.SILENCE
    assert turn.voice_to == pytest.approx(spoken)
    assert turn.now == about(spoken + 1.0)


@pytest.mark.spec("LSN-5")
def test_a_short_word_after_a_pause_restarts_the_silence() -> None:
    turn = listen(voice(0.5), quiet(0.9), voice(RULES.resume), quiet(LONG))
    assert turn.voice_to == pytest.approx(1.4 + RULES.resume)
    assert turn.now == about(2.4 + RULES.resume)


@pytest.mark.spec("LSN-6")
def test_single_frames_without_voice_do_not_end_speech() -> None:
    turn = listen(*[voice(0.04), quiet(0.01)] * 100)
    assert turn.voice_from == 0.0
    assert turn.voice_to == pytest.approx(turn.now, abs=0.011)
    assert turn.why is None


ROOM_DB, SOFT_DB, VOICE_DB = -60.0, -40.0, -20.0
HELD = 0.06
"""What the detector of these holds on to a voice."""


def heard_on(
    turn: Turn, seconds: float, *, sound: bool, level: float | None = None, maybe: bool = False
) -> None:
    """Nothing that the detector calls voice."""
    loud = level if level is not None else SOFT_DB if sound else ROOM_DB
    for _ in range(round(seconds / FRAME)):
        turn.feed(FRAME, voice=False, zeros=False, sound=sound, levels=(loud,), room=ROOM_DB, maybe=maybe)


def said(seconds: float = 1.0, *, level: float = VOICE_DB, turn: Turn | None = None) -> Turn:
    """Voice of so many dB."""
    return listen(voice(seconds), levels=(level,), turn=turn or Turn(RULES, overhang=HELD))


@pytest.mark.spec("LSN-15")
@pytest.mark.parametrize("frame", [0.01, 0.032])
def test_a_detector_that_holds_on_to_a_voice_does_not_lengthen_the_silence(frame: float) -> None:
    turn = listen(voice(2.08), quiet(LONG), frame=frame, turn=Turn(RULES, overhang=0.08))
    assert turn.now == pytest.approx(3.0, abs=frame / 2 + 1e-6)
    assert turn.voice_to == about(2.0, frame)


@pytest.mark.spec("LSN-15")
@pytest.mark.parametrize(("held", "counts"), [(0.0, 0.0), (0.03, 0.0), (0.12, 0.0), (0.2, 0.072)])
def test_the_silence_begins_where_the_sound_of_the_voice_ends(held: float, counts: float) -> None:
    turn = said(1.0)
    said(held, level=ROOM_DB, turn=turn)
    heard_on(turn, LONG, sound=False)
    assert turn.voice_to == pytest.approx(1.0 + counts, abs=FRAME)
    assert turn.now == about(2.0 + counts)


@pytest.mark.spec("LSN-15")
def test_an_end_is_told_to_a_part_of_a_frame() -> None:
    turn = Turn(RULES, overhang=HELD)
    for _ in range(30):
        turn.feed(0.032, voice=True, zeros=False, levels=(VOICE_DB,) * 4, room=ROOM_DB)
    parts = (VOICE_DB, VOICE_DB - 24, ROOM_DB, ROOM_DB)
    turn.feed(0.032, voice=True, zeros=False, levels=parts, room=ROOM_DB)
    turn.feed(0.032, voice=False, zeros=False, levels=(ROOM_DB,) * 4, room=ROOM_DB)
    assert turn.voice_to == pytest.approx(30.5 * 0.032)


@pytest.mark.spec("LSN-15")
@pytest.mark.parametrize(("room", "counts"), [(-18.0, -HELD), (-24.0, -HELD), (-48.0, 0.0)])
def test_a_room_that_hides_the_end_of_a_voice_leaves_it_to_the_detector(room: float, counts: float) -> None:
    turn = said(1.0)
    said(0.1, level=room, turn=turn)
    heard_on(turn, LONG, sound=True, level=room)
    found = 1.0 if counts == 0.0 else 1.1 + counts
    assert turn.voice_to == about(found)


@pytest.mark.spec("LSN-16")
@pytest.mark.parametrize(("lasts", "counts"), [(0.05, 0.05), (0.1, 0.1), (0.15, 0.1)])
def test_a_soft_end_belongs_to_the_voice_but_what_sounds_on_does_not(lasts: float, counts: float) -> None:
    turn = said(1.0)
    heard_on(turn, lasts, sound=True)
    heard_on(turn, LONG, sound=False)
    assert turn.voice_to == pytest.approx(1.0 + counts)
    assert turn.now == about(2.0 + counts)


@pytest.mark.spec("LSN-16")
def test_a_breath_after_the_voice_is_no_soft_end() -> None:
    turn = said(1.0)
    heard_on(turn, 0.02, sound=False)
    heard_on(turn, 0.05, sound=True, level=VOICE_DB - 26)
    assert turn.voice_to == pytest.approx(1.0)
    turn = said(1.0)
    heard_on(turn, 0.06, sound=False)
    heard_on(turn, 0.03, sound=True)
    assert turn.voice_to == pytest.approx(1.0)


@pytest.mark.spec("LSN-16")
@pytest.mark.parametrize("beats", [1, 3])
def test_music_that_plays_on_behind_a_voice_is_no_soft_end_and_its_beats_put_nothing_off(beats: int) -> None:
    turn = said(1.0)
    for _ in range(20):
        for level in (SOFT_DB, SOFT_DB - 3, SOFT_DB - 6):
            heard_on(turn, 0.1 / beats, sound=True, level=level)
    assert turn.why is Why.SILENCE
    assert turn.now == about(2.0)
    assert turn.voice_to == pytest.approx(1.0)


@pytest.mark.spec("LSN-16")
def test_the_end_of_a_voice_that_stands_out_of_a_fan_belongs_to_it() -> None:
    turn = said(1.0)
    heard_on(turn, 0.08, sound=True, level=SOFT_DB + 5)
    heard_on(turn, LONG, sound=True, level=SOFT_DB)
    assert turn.now == about(2.08)


@pytest.mark.spec("LSN-17")
@pytest.mark.parametrize(("sound", "maybe"), [(True, False), (False, True)])
def test_a_voice_of_which_the_detector_is_not_sure_yet_when_the_silence_is_over_goes_on(
    sound: bool, maybe: bool
) -> None:
    turn = said(1.0)
    heard_on(turn, 0.95, sound=False)
    heard_on(turn, 0.1, sound=sound, maybe=maybe)
    assert turn.why is None
    assert listen(voice(0.5), turn=turn).state is TurnState.SPEAKING


@pytest.mark.spec("LSN-17")
@pytest.mark.parametrize("maybe", [True, False])
def test_a_sound_that_is_no_voice_puts_off_the_end_by_an_eighth_of_a_second_at_most(maybe: bool) -> None:
    turn = said(1.0)
    heard_on(turn, 0.95, sound=False)
    heard_on(turn, LONG, sound=not maybe, maybe=maybe)
    assert turn.why is Why.SILENCE
    assert 2.0 < turn.now <= 2.13 + FRAME + 1e-6


@pytest.mark.spec("LSN-17")
def test_what_is_no_louder_than_the_silence_was_begins_nothing() -> None:
    turn = said(1.0)
    for _ in range(20):
        heard_on(turn, 0.05, sound=True, level=SOFT_DB)
        heard_on(turn, 0.05, sound=False, level=ROOM_DB)
    assert turn.now == about(2.0)


@pytest.mark.spec("LSN-17")
def test_a_sound_of_which_a_detector_thinks_nothing_opens_no_turn() -> None:
    turn = Turn(RULES)
    heard_on(turn, 1.0, sound=True)
    assert turn.state is TurnState.WAITING


@pytest.mark.spec("LSN-7")
def test_silence_ends_no_turn_before_the_minimum() -> None:
    rules = replace(RULES, silence=0.2, minimum=2.0)
    turn = listen(voice(0.2), quiet(LONG), rules=rules)
    assert turn.why is Why.SILENCE
    assert turn.now == about(2.0)


@pytest.mark.spec("LSN-8")
def test_when_nobody_speaks_the_turn_is_given_up() -> None:
    turn = listen(quiet(LONG))
    assert turn.why is Why.NO_SPEECH
    assert turn.now == about(RULES.no_speech)
    assert turn.voice_from is turn.voice_to is None


@pytest.mark.spec("LSN-8")
def test_someone_who_begins_at_the_last_moment_is_heard() -> None:
    turn = listen(quiet(RULES.no_speech - 0.02), voice(0.5), quiet(LONG))
    assert turn.why is Why.SILENCE
    assert turn.voice_from == about(RULES.no_speech - 0.02)


@pytest.mark.spec("LSN-9")
@pytest.mark.parametrize("frame", [0.01, 0.02, 0.03])
def test_someone_who_speaks_on_and_on_is_stopped_at_the_maximum(frame: float) -> None:
    turn = listen(voice(LONG), rules=replace(RULES, maximum=3.0), frame=frame)
    assert turn.why is Why.MAXIMUM
    assert turn.now == about(3.0, frame)
    assert turn.voice_to == pytest.approx(turn.now)


@pytest.mark.spec("LSN-9")
def test_flickering_noise_that_opens_no_turn_ends_at_the_maximum() -> None:
    flicker = [voice(0.02), quiet(0.01)] * 1_000
    turn = listen(*flicker, rules=replace(RULES, maximum=15.0))
    assert turn.voice_from is None
    assert turn.now <= 15.0 + FRAME


@pytest.mark.spec("LSN-10")
def test_a_microphone_that_gives_only_zeros_is_dead() -> None:
    turn = listen(quiet(LONG), zeros=True)
    assert turn.why is Why.DEAD
    assert turn.now == about(RULES.dead)


@pytest.mark.spec("LSN-10")
@pytest.mark.parametrize("short", [replace(RULES, no_speech=0.5), replace(RULES, maximum=0.5, no_speech=0.5)])
def test_a_short_limit_does_not_turn_a_dead_microphone_into_a_silent_user(short: TurnRules) -> None:
    turn = listen(quiet(LONG), rules=short, zeros=True)
    assert turn.why is Why.DEAD
    assert turn.now == about(0.5)


@pytest.mark.spec("LSN-10")
def test_one_live_frame_is_life() -> None:
    turn = listen(quiet(1.0), zeros=True)
    turn.feed(FRAME, voice=False, zeros=False)
    assert listen(quiet(LONG), zeros=True, turn=turn).why is Why.NO_SPEECH


@pytest.mark.spec("LSN-10")
def test_zeros_after_speech_are_a_gate_that_closed_and_end_the_turn_as_silence() -> None:
    assert listen(voice(1.0), quiet(LONG), zeros=True).why is Why.SILENCE


@pytest.mark.spec("LSN-11")
def test_without_a_limit_of_silence_only_the_maximum_ends_an_opened_turn() -> None:
    rules = replace(RULES, silence=None, maximum=20.0)
    turn = listen(voice(0.5), quiet(LONG), rules=rules)
    assert turn.why is Why.MAXIMUM
    assert turn.voice_to == pytest.approx(0.5)


@pytest.mark.spec("LSN-25")
@pytest.mark.parametrize("silence", [RULES.silence, None])
@pytest.mark.parametrize(("spoken", "cut"), [(LONG, True), (19.5, True), (15.0, False)])
def test_who_had_ended_before_the_maximum_was_not_cut_there(
    silence: float | None, spoken: float, *, cut: bool
) -> None:
    turn = listen(
        voice(spoken), quiet(LONG), rules=replace(RULES, silence=silence, minimum=60.0, maximum=20.0)
    )
    assert (turn.why, turn.cut) == (Why.MAXIMUM, cut)


@pytest.mark.spec("LSN-25")
def test_nobody_is_cut_where_nobody_spoke() -> None:
    assert not listen(quiet(LONG), rules=replace(RULES, no_speech=9.0, maximum=2.0)).cut


SPANS = st.lists(st.tuples(st.integers(1, 40).map(lambda n: n * 0.06), st.booleans()), min_size=1, max_size=8)
"""Spans of whole frames of 10, 20 and 30 ms."""


@pytest.mark.spec("LSN-12")
@settings(max_examples=100, deadline=None, database=None)
@given(SPANS)
def test_the_size_of_frames_moves_the_end_by_at_most_one_frame(spans: list[Span]) -> None:
    rules = TurnRules(no_speech=3.0, maximum=6.0)
    turns = [listen(*spans, quiet(LONG), rules=rules, frame=frame) for frame in (0.01, 0.02, 0.03)]
    assert len({turn.why for turn in turns}) == 1
    assert max(turn.now for turn in turns) - min(turn.now for turn in turns) <= 0.03 + 1e-6
    assert len({turn.voice_from is None for turn in turns}) == 1
    if turns[0].voice_from is not None:
        assert [turn.voice_from for turn in turns] == pytest.approx([turns[0].voice_from] * 3)
        assert [turn.voice_to for turn in turns] == pytest.approx([turns[0].voice_to] * 3, abs=0.03 + 1e-6)


FLAGS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=400)


@pytest.mark.spec("LSN-1", "LSN-13")
@settings(max_examples=100, deadline=None, database=None)
@given(FLAGS)
def test_whatever_is_heard_the_machine_moves_along_its_table_and_ends_once(
    flags: list[tuple[bool, bool]],
) -> None:
    turn = Turn(TurnRules(silence=0.3, minimum=0.1, no_speech=1.0, maximum=3.0, dead=0.5))
    moves = {(before, after) for (before, _), after in TRANSITIONS.items()}
    ended: tuple[Why | None, float] | None = None
    for voice_there, zeros in flags:
        before = turn.state
        why = turn.feed(FRAME, voice=voice_there, zeros=zeros and not voice_there)
        assert turn.state is before or (before, turn.state) in moves or turn.state is TurnState.ENDED
        assert (why is not None) is (turn.state is TurnState.ENDED)
        if ended is not None:
            assert (why, turn.now) == ended
        elif why is not None:
            ended = (why, turn.now)
        if turn.voice_from is not None:
            assert turn.voice_to is not None
            assert 0 <= turn.voice_from < turn.voice_to <= turn.now
    assert turn.now <= 3.0 + FRAME


@pytest.mark.spec("LSN-1")
def test_every_step_has_a_row_and_only_the_end_has_no_way_out() -> None:
    assert {step for _, step in TRANSITIONS} == set(Step)
    assert set(TurnState) - {before for before, _ in TRANSITIONS} == {TurnState.ENDED}
    assert {TurnState.WAITING, *TRANSITIONS.values()} == set(TurnState)


@pytest.mark.spec("LSN-67")
def test_what_is_only_like_a_voice_opens_no_turn_and_keeps_nobody_waiting() -> None:
    turn = Turn(RULES)
    while turn.feed(FRAME, voice=True, zeros=False, opens=False) is None:
        assert turn.voice_from is None
    assert turn.why is Why.NO_SPEECH
    assert turn.now == about(RULES.no_speech)


@pytest.mark.spec("LSN-67")
def test_a_voice_that_begins_like_one_opens_a_turn_as_soon_as_it_is_one_and_from_its_start_on() -> None:
    turn = Turn(RULES)
    listen(quiet(1.0), turn=turn)
    for _ in range(15):
        turn.feed(FRAME, voice=True, zeros=False, opens=False)
    assert turn.voice_from is None
    turn.feed(FRAME, voice=True, zeros=False)
    assert turn.voice_from == pytest.approx(1.0)
