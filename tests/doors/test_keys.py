"""The key of whoever sits at the terminal, on a real one: silence, talk, done; and the terminal as it was."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.battery.wire import events
from tests.live.host import environment
from tests.support import voice
from tests.support.command import ran
from tests.support.looking import look_for
from tests.support.recording import Recording
from tests.support.sound_card import MICROPHONE, VirtualSoundCard
from tests.support.speech_server import SpeechServer
from tests.support.terminal import at_terminal
from voicemode.cli.exits import DONE, FAILED, INTERRUPTED, NO_SPEECH, USAGE
from voicemode.clock import monotonic
from voicemode.machine.terminal import HELD_SECONDS, Presses

LIMIT = 30
COUNTING = "one two three four five six seven eight nine ten " * 3
QUESTION = "Shall I delete the old branch? It was merged a year ago, and nobody has looked at it since then."
ANSWER = "yes please delete it now"
SILENT_S = 0.1
HEARD_S = 0.4
"""Behind a word: what a busy machine has recorded so long ago a program on it has got as well."""


def happened(folder: Path, name: str, times: int = 1) -> None:
    """Follows the event log until there are so many events of this name."""

    def written() -> bool:
        return sum(event.name == name for event in events(folder)) >= times

    look_for(written, LIMIT, lambda: f"no {name}")


def variables(card: VirtualSoundCard, folder: Path, server: SpeechServer, **settings: str) -> dict[str, str]:
    urls = {"TTS_BASE_URLS": server.base_url, "STT_BASE_URLS": server.base_url}
    return environment(card, folder, **urls, AUDIO_FEEDBACK="false", **settings)


def said(card: VirtualSoundCard, sound: bytes) -> None:
    """Into the microphone: until all of it has come out there, and some silence behind it."""
    ear = Recording(environment=card.environment, source=MICROPHONE, channels=1)
    try:
        ear.wait_until_running()
        began = ear.position
        card.say(sound, 24_000).wait(LIMIT)
        ear.wait_for_sound(LIMIT, after=began)
        ear.wait_for_silence(HEARD_S, LIMIT)
    finally:
        ear.stop()


# What is a press.


@pytest.mark.parametrize("key", [b" ", b"q", b"Q", b"\x1b"])
@pytest.mark.spec("CLI-9")
def test_space_q_and_esc_are_the_key(key: bytes) -> None:
    assert Presses().feed(key, 0.0)


@pytest.mark.parametrize("keys", [b"\x1b[A", b"\x1bOP", b"\x1b[200~q", b"x", b"\r", b"7", b""])
@pytest.mark.spec("CLI-9")
def test_other_keys_are_not_not_even_those_that_begin_like_esc(keys: bytes) -> None:
    assert not Presses().feed(keys, 0.0)


@pytest.mark.spec("CLI-9")
def test_a_key_held_down_is_one_press_however_long() -> None:
    presses = Presses()
    times = [0.0, *(0.5 + 0.03 * repeat for repeat in range(100))]
    assert [at for at in times if presses.feed(b" ", at)] == [0.0]
    assert presses.feed(b" ", times[-1] + HELD_SECONDS)


# Silence.


@pytest.mark.timed
@pytest.mark.live
@pytest.mark.parametrize(("text", "typed"), [(COUNTING, None), ("-", COUNTING)])
@pytest.mark.parametrize("key", [" ", "\x1b"])
@pytest.mark.spec("CLI-9", "CLI-11")
def test_the_key_silences_speech_at_once(
    sound_card: VirtualSoundCard, tmp_path: Path, text: str, typed: str | None, key: str
) -> None:
    """With a text on standard input the keys come from the session's terminal."""
    with SpeechServer() as server, sound_card.recording() as heard:
        env = variables(sound_card, tmp_path, server)
        with at_terminal("speak", text, env=env, cwd=tmp_path, typed=typed) as program:
            heard.wait_for_sound(LIMIT)
            program.wait_for_keys()
            pressed = program.type(key)
            code, _ = program.ended()
            last = heard.wait_for_silence(0.5, LIMIT)
            assert program.line_by_line
            assert program.screen.count("silence") == 1
    assert code == DONE, program.screen
    assert heard.time_of(last) - pressed < SILENT_S
    assert len(voice.hear(heard.samples().tobytes(), 48_000)) < 25


# Talking.


@pytest.mark.live
@pytest.mark.spec("CLI-10", "CLI-11")
def test_the_key_takes_the_word_and_the_answer_is_brought_back(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server, sound_card.recording() as heard:
        env = variables(sound_card, tmp_path, server)
        with at_terminal("converse", "--json", QUESTION, env=env, cwd=tmp_path) as program:
            heard.wait_for_sound(LIMIT)
            program.wait_for_keys()
            pressed = program.type(" ")
            last = heard.wait_for_silence(0.3, LIMIT)
            happened(tmp_path, "microphone_opened")
            sound_card.say(voice.speak(ANSWER), 24_000).wait(LIMIT)
            code, out = program.ended()
            assert program.line_by_line
    assert code == DONE, program.screen
    told = json.loads(out)
    assert heard.time_of(last) - pressed < 0.15
    assert told["transcript"]["text"] == ANSWER
    assert QUESTION.startswith(told["spoken"]["heard"])
    assert told["spoken"]["unheard"]


@pytest.mark.live
@pytest.mark.spec("CLI-10")
def test_the_key_ends_a_turn_that_silence_has_not_ended(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    with SpeechServer() as server:
        env = variables(sound_card, tmp_path, server, SILENCE_THRESHOLD_MS="9000", SILENCE_MAX_MS="9000")
        with at_terminal("listen", env=env, cwd=tmp_path) as program:
            happened(tmp_path, "microphone_opened")
            said(sound_card, voice.speak(ANSWER))
            program.type("q")
            code, out = program.ended(5.0)
    assert (code, out.strip()) == (DONE, ANSWER), program.screen


@pytest.mark.live
@pytest.mark.spec("CLI-12")
def test_push_to_talk_takes_what_lies_between_two_presses(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        env = variables(sound_card, tmp_path, server, SILENCE_THRESHOLD_MS="600")
        with at_terminal("listen", "--push-to-talk", env=env, cwd=tmp_path) as program:
            happened(tmp_path, "microphone_opened")
            said(sound_card, voice.speak("not for you"))
            program.type(" ")
            said(sound_card, voice.speak("yes please") + bytes(2 * 24_000 * 2))
            said(sound_card, voice.speak("delete it now"))
            program.type(" ")
            code, out = program.ended(10.0)
            assert program.line_by_line
    assert (code, out.strip()) == (DONE, ANSWER), program.screen


@pytest.mark.live
@pytest.mark.spec("CLI-12")
def test_push_to_talk_without_a_word_is_nobody_spoke(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    env = environment(sound_card, tmp_path, AUDIO_FEEDBACK="false")
    with at_terminal("listen", "--push-to-talk", env=env, cwd=tmp_path) as program:
        happened(tmp_path, "microphone_opened")
        pressed = program.type(" ")

        def over() -> bool:
            """Presses that a busy machine gives to the program at once are one: it is pressed until that is two."""
            nonlocal pressed
            if program.process.poll() is None and monotonic() - pressed > 2 * HELD_SECONDS:
                pressed = program.type(" ")
            return program.process.poll() is not None

        look_for(over, LIMIT, lambda: f"it goes on: {program.screen!r}")
        assert program.ended(LIMIT) == (NO_SPEECH, "")


@pytest.mark.spec("CLI-12")
def test_push_to_talk_without_a_terminal_is_told_before_anything_opens(tmp_path: Path) -> None:
    for arguments in (["listen", "--push-to-talk"], ["converse", "hello", "--push-to-talk"]):
        done = ran(*arguments, variables=environment(None, tmp_path), limit_s=LIMIT)
        assert done.returncode == USAGE
        assert done.stderr.startswith("voicemode: --push-to-talk")


# The terminal afterwards.


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.spec("CLI-11")
def test_a_signal_leaves_the_terminal_as_it_was(
    sound_card: VirtualSoundCard, tmp_path: Path, number: signal.Signals
) -> None:
    with at_terminal("speak", COUNTING, env=environment(sound_card, tmp_path), cwd=tmp_path) as program:
        program.wait_for_keys()
        os.kill(program.process.pid, number)
        code, _ = program.ended(5.0)
        assert program.line_by_line
    assert code == INTERRUPTED


@pytest.mark.live
@pytest.mark.spec("CLI-11")
def test_ctrl_c_interrupts_as_ever(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    with at_terminal("speak", COUNTING, env=environment(sound_card, tmp_path), cwd=tmp_path) as program:
        program.wait_for_keys()
        program.type("\x03")
        code, _ = program.ended(5.0)
        assert program.line_by_line
    assert code == INTERRUPTED


@pytest.mark.spec("CLI-11")
def test_a_failure_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with at_terminal("listen", env=environment(None, tmp_path), cwd=tmp_path) as program:
        code, _ = program.ended()
        assert program.line_by_line
    assert code == FAILED
    assert "done talking" in program.screen
    assert "Traceback" not in program.screen


@pytest.mark.spec("CLI-11")
def test_in_the_background_the_terminal_is_left_alone(tmp_path: Path) -> None:
    """Whoever touches it from there is stopped by the system, and would hang."""
    env = environment(None, tmp_path)
    with at_terminal("listen", env=env, cwd=tmp_path, background=True) as program:
        code, out = program.ended()
        assert program.line_by_line
    assert code == FAILED, out
    assert "done talking" not in out
