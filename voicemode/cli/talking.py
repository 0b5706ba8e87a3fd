"""The commands that talk. At a terminal a key silences what is said, begins to talk, and ends the turn."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from voicemode.cli.exits import DONE, FAILED, NO_SPEECH, NOT_PLAYED, USAGE
from voicemode.cli.streams import show, standard_input
from voicemode.cli.values import listen_seconds, speed
from voicemode.events import Event, FloorAwaited
from voicemode.machine.terminal import KEY_NAMES, key_terminal, watched
from voicemode.text import languages
from voicemode.turn_taking.doing import Doing

if TYPE_CHECKING:
    from pathlib import Path

    from voicemode.app import App
    from voicemode.flows.by_key import KeyedMicrophone
    from voicemode.flows.calls import Call
    from voicemode.flows.conversation import Conversation
    from voicemode.speech import Exchange

SPEAKING = (Doing.WAITING, Doing.STARTING, Doing.SPEAKING, Doing.PAUSED)
"""States of a call that has a message, before its answer is listened to."""

NAMING_SECONDS = 1.0
"""Who ends the command waits no longer for the name of the file that has their words."""

TRY_MICROPHONE = "`voicemode doctor --sound` says whether the microphone hears you."

UNPRESSED = "The key was not pressed, and the microphone stays open no longer (--max-listen)."


def add_saying_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("text", metavar="TEXT")
    made.add_argument("--voice", help="voice id (see `voicemode voices`)")
    made.add_argument("--speed", type=speed, help="0.25 to 4; 1 is normal")
    made.add_argument("--instructions", help="tone, where the voice can follow one")


def add_hearing_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--language", help="language of the answer, e.g. en")
    made.add_argument(
        "--max-listen", type=listen_seconds, metavar="SECONDS", help="longest time the microphone is open"
    )
    made.add_argument(
        "--push-to-talk",
        action="store_true",
        help="press Space to talk and again when you are done (at a terminal)",
    )


class _Once:
    """Begins `work` at the first call of it; later ones are nothing."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._begun: asyncio.Future[None] | None = None

    def __call__(self) -> None:
        self._begun = self._begun or asyncio.ensure_future(self._work())

    def __bool__(self) -> bool:
        return self._begun is not None


async def speak(app: App, options: argparse.Namespace) -> int:
    app.witnesses.add(_tell_who_has_the_floor)
    piped = standard_input() if options.text == "-" else None
    request = app.request(voice=options.voice, speed=options.speed, instructions=options.instructions)
    text = options.text if piped is None else aiter(piped)
    async with app.conversation.speak(text, request) as call:
        silence = _Once(call.stop)
        with key_terminal(text_on_stdin=piped is not None) as terminal, _key(terminal, silence, "silence"):
            exchange = await call.result()
    spoken = exchange.spoken
    if piped is not None and not (silence or spoken.heard or spoken.unheard):
        raise piped.nothing_to_say()
    return _told(app, call, exchange, options, silenced=bool(silence))


async def converse(app: App, options: argparse.Namespace) -> int:
    app.witnesses.add(_tell_who_has_the_floor)
    with key_terminal() as terminal:
        if options.push_to_talk and terminal is None:
            return _no_key()
        microphone = _microphone(options)
        async with app.listening_by(microphone.hears) as conversation:
            return await _converse(app, options, conversation, microphone, terminal)


async def _converse(
    app: App,
    options: argparse.Namespace,
    conversation: Conversation,
    microphone: KeyedMicrophone,
    terminal: int | None,
) -> int:
    request = app.request(voice=options.voice, speed=options.speed, instructions=options.instructions)
    language, longest = languages.tag(options.language) or app.language, options.max_listen
    talking = False

    def press() -> None:
        nonlocal talking
        begins = not talking and call.status().state in SPEAKING
        if begins:
            talking = True
            call.give_way()
        if not (begins and microphone.heard):
            microphone.press()

    async with conversation.converse(options.text, request, language=language, max_listen=longest) as call:
        with _key(terminal, press, "talk now, and again when you are done"):
            exchange = await _answer(app, call)
    return _told(app, call, exchange, options, unpressed=microphone.unpressed)


async def listen(app: App, options: argparse.Namespace) -> int:
    app.witnesses.add(_tell_who_has_the_floor)
    language = languages.tag(options.language) or app.language
    meaning = "talk, and again when you are done" if options.push_to_talk else "done talking"
    with key_terminal() as terminal:
        if options.push_to_talk and terminal is None:
            return _no_key()
        microphone = _microphone(options)
        async with (
            app.listening_by(microphone.hears) as conversation,
            conversation.listen(language=language, max_listen=options.max_listen) as call,
        ):
            with _key(terminal, microphone.press, meaning):
                exchange = await _answer(app, call)
    return _told(app, call, exchange, options, unpressed=microphone.unpressed)


# The key.


def _microphone(options: argparse.Namespace) -> KeyedMicrophone:
    from voicemode.flows.by_key import KeyedMicrophone

    return KeyedMicrophone(push_to_talk=options.push_to_talk, longest=options.max_listen)


@contextmanager
def _key(terminal: int | None, on_press: Callable[[], None], meaning: str) -> Iterator[None]:
    """Where there is a terminal: tells what its key means, once, and calls `on_press` at each press."""
    if terminal is None:
        yield
        return
    if sys.stderr.isatty():
        print(f"\x1b[2m{KEY_NAMES}: {meaning}.\x1b[0m", file=sys.stderr)
    with watched(terminal, on_press):
        yield


def _no_key() -> int:
    print(
        "voicemode: --push-to-talk takes its key from a terminal, and there is none here that it may read. "
        "Start it at a terminal, in the foreground, or leave the option out.",
        file=sys.stderr,
    )
    return USAGE


# What became of it.


def _tell_who_has_the_floor(event: Event) -> None:
    if isinstance(event, FloorAwaited):
        print(f"voicemode: waiting: {event.holder} has the floor.", file=sys.stderr, flush=True)


async def _answer(app: App, call: Call) -> Exchange:
    """Who ends the command is told where what they said is kept."""
    try:
        return await call.result()
    except asyncio.CancelledError:
        await call.end()
        await call.named(NAMING_SECONDS)
        _tell_kept(app, call, call.kept_in)
        raise


def _tell_kept(app: App, call: Call, path: Path | None) -> None:
    """Where the user's voice is, and how to have its words."""
    if path is not None:
        way = f"; `voicemode review --replay {call.handle}` transcribes it" if app.config.log.events else ""
        print(f"voicemode: what you said is kept in {path}{way}.", file=sys.stderr)


def _told(
    app: App,
    call: Call,
    exchange: Exchange,
    options: argparse.Namespace,
    *,
    silenced: bool = False,
    unpressed: bool = False,
) -> int:
    from voicemode.speech import Outcome

    spoken, transcript = exchange.spoken, exchange.transcript
    for note in (spoken.note, exchange.note, transcript.note if transcript else ""):
        if note:
            print(f"voicemode: {note}", file=sys.stderr)
    if exchange.outcome is Outcome.NOT_PLAYED:
        print(f"voicemode: the sound is in {spoken.recording}", file=sys.stderr)
    if exchange.outcome is Outcome.NOT_TRANSCRIBED:
        _tell_kept(app, call, exchange.recording)
    code = _code(exchange, silenced=silenced)
    if code == NO_SPEECH and not (exchange.note or (transcript and transcript.note)):
        print(f"voicemode: nobody spoke. {UNPRESSED if unpressed else TRY_MICROPHONE}", file=sys.stderr)
    # The last thing: where it cannot be written, the rest has been told.
    heard = transcript.text if transcript is not None else ""
    if options.json:
        told = {"handle": call.handle, **asdict(exchange)}
        show(json.dumps(told, ensure_ascii=False, default=str, indent=1), heard=heard)
    elif transcript is not None:
        show(heard, heard=heard)
    return code


def _code(exchange: Exchange, *, silenced: bool) -> int:
    from voicemode.speech import Outcome

    transcript = exchange.transcript
    codes = {
        Outcome.FINISHED: DONE,
        Outcome.ANSWERED: DONE,
        Outcome.TIMED_OUT: DONE,
        Outcome.INTERRUPTED: DONE if transcript is not None and transcript.text else NO_SPEECH,
        Outcome.CANCELLED: DONE if silenced else FAILED,
        Outcome.NOT_PLAYED: NOT_PLAYED,
        Outcome.NO_SPEECH: NO_SPEECH,
    }
    return codes.get(exchange.outcome, FAILED)
