"""Whether a voice that comes while we speak means us, in seconds of microphone time, and by its words."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicemode.turn_taking.interruption import (
    TRANSITIONS,
    Interruption,
    InterruptionRules,
    Sign,
    Talk,
    Verdict,
)
from voicemode.turn_taking.meanings import meaning

RULES = InterruptionRules(guard=0.0)
FRAME = 0.01

Span = tuple[float, bool]
Judgement = tuple[float, Verdict]
"""(at which second of microphone time, what)."""


def judged(
    *spans: Span,
    rules: InterruptionRules = RULES,
    frame: float = FRAME,
    awaiting: bool = False,
    wordless: bool = False,
    machine: Interruption | None = None,
) -> list[Judgement]:
    machine = machine or Interruption(rules)
    found: list[Judgement] = []
    for seconds, voice in spans:
        for _ in range(round(seconds / frame)):
            verdict = machine.feed(frame, voice=voice, awaiting=awaiting, wordless=wordless)
            if verdict is not None:
                found.append((round(machine.now, 3), verdict))
    return found


def about(seconds: float, frame: float = FRAME) -> object:
    return pytest.approx(seconds, abs=frame + 1e-6)


@pytest.mark.spec("LSN-51")
@pytest.mark.parametrize("frame", [0.01, 0.02, 0.032])
def test_a_little_voice_is_suspected_and_more_than_a_word_of_it_believed(frame: float) -> None:
    verdicts = judged((2.0, False), (1.5, True), frame=frame)
    assert [verdict for _, verdict in verdicts] == [Verdict.SUSPECTED, Verdict.CONFIRMED]
    started = round(2.0 / frame) * frame
    assert verdicts[0][0] - started == about(RULES.suspect, frame)
    assert verdicts[1][0] - started == about(RULES.confirm, frame)


@pytest.mark.spec("LSN-51")
@pytest.mark.parametrize("tap", [0.02, 0.04, 0.08])
def test_taps_and_clicks_pause_nothing_however_many_there_are(tap: float) -> None:
    assert judged(*[(tap, True), (tap, False)] * 40) == []


@pytest.mark.spec("LSN-51")
def test_while_a_canceller_still_adapts_it_takes_more_voice() -> None:
    rules = InterruptionRules()
    early = judged((0.1, False), (0.8, True), rules=rules)
    assert early[0] == (about(0.1 + rules.guarded), Verdict.SUSPECTED)
    late = judged((rules.guard, False), (0.8, True), rules=rules)
    assert late[0] == (about(rules.guard + rules.suspect), Verdict.SUSPECTED)


@pytest.mark.spec("LSN-99")
@pytest.mark.parametrize("voice", [0.05, 0.11, 0.13, 0.4, RULES.mistaken])
def test_a_voice_that_is_found_out_to_have_been_ours_is_none(voice: float) -> None:
    machine = Interruption(RULES)
    said = judged((voice, True), machine=machine)
    found = machine.feed(FRAME, voice=True, mistaken=True)
    assert [*(verdict for _, verdict in said), found] in ([None], [Verdict.SUSPECTED, Verdict.FALSE])
    assert machine.state is Talk.OURS
    assert judged((RULES.suspect - 2 * FRAME, True), machine=machine) == [], "it begins anew"


@pytest.mark.spec("LSN-99")
def test_a_voice_that_began_long_before_stays_one() -> None:
    machine = Interruption(RULES)
    judged((RULES.mistaken + 2 * FRAME, True), machine=machine)
    assert machine.feed(FRAME, voice=True, mistaken=True) is None
    assert machine.state is Talk.SUSPECTED


@pytest.mark.spec("LSN-51", "LSN-95")
def test_a_canceller_that_knows_the_way_from_before_needs_no_patience() -> None:
    machine = Interruption(InterruptionRules())
    found = [machine.feed(FRAME, voice=True, known=True) for _ in range(20)]
    assert found.index(Verdict.SUSPECTED) == pytest.approx(RULES.suspect / FRAME, abs=1)


@pytest.mark.spec("LSN-51")
def test_where_the_voice_began_is_known_while_it_is_suspected_and_after() -> None:
    machine = Interruption(RULES)
    judged((3.0, False), (0.3, True), machine=machine)
    assert machine.voice_from == about(3.0)
    judged((1.0, True), machine=machine)
    assert (machine.state, machine.voice_from) == (Talk.THEIRS, about(3.0))


@pytest.mark.spec("LSN-52")
def test_voice_with_short_gaps_between_its_words_is_believed_all_the_same() -> None:
    verdicts = judged((1.0, False), *[(0.25, True), (0.15, False)] * 5)
    assert [verdict for _, verdict in verdicts] == [Verdict.SUSPECTED, Verdict.CONFIRMED]


@pytest.mark.spec("LSN-52")
@pytest.mark.parametrize("said", [0.6, 0.9, 1.15])
def test_who_said_more_than_a_cough_and_is_silent_meant_us_where_nobody_can_say_what_it_was(
    said: float,
) -> None:
    verdicts = judged((2.0, False), (said, True), (5.0, False))
    assert verdicts[1] == (about(2.0 + said + RULES.quiet), Verdict.CONFIRMED)


@pytest.mark.spec("LSN-53")
@pytest.mark.parametrize("cough", [0.3, 0.6, 1.15])
def test_a_sound_in_which_a_recogniser_found_no_words_is_no_interruption_before_it_is_long(
    cough: float,
) -> None:
    verdicts = judged((2.0, False), (cough, True), (5.0, False), wordless=True)
    assert verdicts[1] == (about(2.0 + cough + RULES.quiet), Verdict.FALSE)
    long = judged((2.0, False), (2.0, True), wordless=True)
    assert long[1] == (about(2.0 + RULES.confirm), Verdict.CONFIRMED)


@pytest.mark.spec("LSN-53")
@pytest.mark.parametrize("cough", [0.15, 0.3, 0.5])
def test_silence_after_a_cough_is_no_interruption(cough: float) -> None:
    verdicts = judged((2.0, False), (cough, True), (5.0, False))
    assert [verdict for _, verdict in verdicts] == [Verdict.SUSPECTED, Verdict.FALSE]
    assert verdicts[1][0] == about(2.0 + cough + RULES.quiet)


@pytest.mark.spec("LSN-53")
def test_while_words_are_awaited_the_pause_lasts_longer_but_not_for_ever() -> None:
    verdicts = judged((2.0, False), (0.3, True), (15.0, False), awaiting=True)
    assert verdicts[1:] == [
        (about(2.3 + RULES.patience), Verdict.POSTPONED),
        (about(2.3 + RULES.patience + RULES.late), Verdict.FALSE),
    ]


@pytest.mark.spec("LSN-94")
@pytest.mark.parametrize(
    ("sign", "verdict"),
    [
        (Sign.STOP_WORD, Verdict.STOPPED),
        (Sign.WORDS, Verdict.CONFIRMED),
        (Sign.ASSENT, Verdict.FALSE),
    ],
)
def test_words_that_come_late_decide_as_any_others(sign: Sign, verdict: Verdict) -> None:
    machine = Interruption(RULES)
    judged((2.0, False), (0.3, True), (RULES.patience + 1.0, False), awaiting=True, machine=machine)
    assert machine.state is Talk.DOUBTED
    assert machine.heard(sign) is verdict


@pytest.mark.spec("LSN-94")
def test_while_late_words_are_awaited_a_new_voice_pauses_us_again() -> None:
    spans = ((2.0, False), (0.3, True), (RULES.patience + 1.0, False), (0.2, True))
    verdicts = [verdict for _, verdict in judged(*spans, awaiting=True)]
    assert verdicts == [Verdict.SUSPECTED, Verdict.POSTPONED, Verdict.SUSPECTED]


@pytest.mark.spec("LSN-94")
def test_a_recogniser_that_fails_late_ends_the_doubt() -> None:
    machine = Interruption(RULES)
    judged((2.0, False), (0.3, True), (RULES.patience + 1.0, False), awaiting=True, machine=machine)
    assert machine.feed(FRAME, voice=False) is Verdict.FALSE


@pytest.mark.spec("LSN-53")
def test_after_a_false_one_the_next_has_to_prove_itself_from_the_beginning() -> None:
    verdicts = judged((1.0, False), (0.3, True), (1.0, False), (0.08, True), (1.0, False), (1.5, True))
    assert [verdict for _, verdict in verdicts] == [
        Verdict.SUSPECTED,
        Verdict.FALSE,
        Verdict.SUSPECTED,
        Verdict.CONFIRMED,
    ]
    assert verdicts[3][0] == about(3.38 + RULES.confirm)


@pytest.mark.spec("LSN-52", "LSN-53", "LSN-54")
@pytest.mark.parametrize(
    ("sign", "verdict"),
    [
        (Sign.WORDS, Verdict.CONFIRMED),
        (Sign.STOP_WORD, Verdict.STOPPED),
        (Sign.ASSENT, Verdict.FALSE),
        (Sign.QUIET, Verdict.FALSE),
    ],
)
def test_words_decide_at_once(sign: Sign, verdict: Verdict) -> None:
    machine = Interruption(RULES)
    assert machine.heard(sign) is None, "nobody has spoken"
    judged((1.0, False), (0.25, True), (0.2, False), machine=machine)
    assert machine.heard(sign) is verdict
    assert machine.heard(sign) is None, "that is decided"


@pytest.mark.spec("LSN-54")
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Stop.", "en"),
        ("Stop, stop, stop!", None),
        ("Wait!", None),
        ("Hold on.", "en"),
        ("Shut up!", "en"),
        ("That’s enough.", "en"),
        ("Stopp!", "de"),
        ("Warte mal.", "de-DE"),
        ("Arrête !", "fr"),
        ("¡Espera!", "es"),
        ("Halt", None),
        ("Please stop.", "en"),
        ("Okay, stop!", None),
        ("Hey, wait. Wait!", "en"),
        ("Stop talking, please.", "en"),
        ("Stop now.", "en"),
        ("Hold on a second.", "en"),
        ("Bitte aufhören.", "de"),
        ("Arrête, s'il te plaît.", "fr"),
        ("Para ya, por favor.", "es"),
    ],
)
def test_a_word_that_asks_for_silence_is_known(text: str, language: str | None) -> None:
    assert meaning(text, language) is Sign.STOP_WORD


@pytest.mark.spec("LSN-53")
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Mhm.", None),
        ("Uh-huh.", "en"),
        ("Yeah, okay.", "en"),
        ("I see. Right.", "en"),
        ("Ja, genau.", "de"),
        ("D'accord.", "fr"),
        ("Sí, vale.", "es"),
    ],
)
def test_an_assent_is_known(text: str, language: str | None) -> None:
    assert meaning(text, language) is Sign.ASSENT


@pytest.mark.spec("LSN-52")
@pytest.mark.parametrize(
    "text",
    [
        "No.",
        "What?",
        "Stop the tests first",
        "Yeah, but why?",
        "okay stop the server",
        "Please.",
        "Now, please",
    ],
)
def test_other_words_are_words(text: str) -> None:
    assert meaning(text, "en") is Sign.WORDS


@pytest.mark.spec("LSN-53")
@pytest.mark.parametrize("text", ["", " ", "...", "?!"])
def test_no_words_are_quiet(text: str) -> None:
    assert meaning(text) is Sign.QUIET


@pytest.mark.spec("LSN-50")
def test_every_sign_has_a_row_and_only_their_turn_has_no_way_back() -> None:
    assert {sign for _, sign in TRANSITIONS} == set(Sign)
    assert set(Talk) - {before for before, _ in TRANSITIONS} == {Talk.THEIRS}
    assert {Talk.OURS, *TRANSITIONS.values()} == set(Talk)


ENDS = {Verdict.CONFIRMED, Verdict.STOPPED, Verdict.FALSE}
FOLLOWING = {
    Verdict.SUSPECTED: {*ENDS, Verdict.POSTPONED},
    Verdict.POSTPONED: {*ENDS, Verdict.SUSPECTED},
    Verdict.FALSE: {Verdict.SUSPECTED},
    Verdict.CONFIRMED: set[Verdict](),
    Verdict.STOPPED: set[Verdict](),
}

STEPS = st.lists(st.one_of(st.booleans(), st.sampled_from(Sign)), max_size=400)


@pytest.mark.spec("LSN-50")
@settings(max_examples=100, deadline=None, database=None)
@given(STEPS)
def test_whatever_is_heard_the_machine_moves_along_its_table_and_pauses_and_goes_on_in_turn(
    steps: list[bool | Sign],
) -> None:
    machine = Interruption(RULES)
    moves = {(before, after) for (before, _), after in TRANSITIONS.items()}
    verdicts: list[Verdict] = []
    words = {Sign.WORDS, Sign.STOP_WORD, Sign.ASSENT, Sign.QUIET, Sign.LATE, Sign.ECHO}
    for step in steps:
        before = machine.state
        if isinstance(step, bool):
            verdict = machine.feed(0.1, voice=step)
        else:
            verdict = machine.heard(step) if step in words else None
        assert (verdict is not None) is (machine.state is not before)
        assert machine.state is before or (before, machine.state) in moves
        assert (machine.voice_from is None) is (machine.state is Talk.OURS)
        if verdict is not None:
            verdicts.append(verdict)
    told = [verdict for verdict in verdicts if verdict is not Verdict.POSTPONED]
    assert told[:1] in ([], [Verdict.SUSPECTED])
    for one, other in pairwise(verdicts):
        assert other in FOLLOWING[one]
