"""The commands that talk. At a terminal a key silences what is said, begins to talk, and ends the turn."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from voicemode.cli.exits import DONE, FAILED, NO_SPEECH, NOT_PLAYED, USAGE
from voicemode.errors import InvalidRequest
from voicemode.terminal import KEY_NAMES, key_terminal, watched

if TYPE_CHECKING:
    from voicemode.app import App
    from voicemode.by_key import KeyedMicrophone
    from voicemode.calls import Call
    from voicemode.conversation import Conversation
    from voicemode.speech import Exchange

SPEAKING = ("waiting", "starting", "speaking", "paused")
"""States of a call that has a message, before its answer is listened to."""


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
    piped = options.text == "-"
    text: str | AsyncIterator[str] = _standard_input() if piped else options.text
    request = app.request(voice=options.voice, speed=options.speed, instructions=options.instructions)
    async with app.conversation.speak(text, request) as call:
        silence = _Once(call.stop)
        with key_terminal(text_on_stdin=piped) as terminal, _key(terminal, silence, "silence"):
            exchange = await call.result()
    return _told(call, exchange, options, silenced=bool(silence))


async def converse(app: App, options: argparse.Namespace) -> int:
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
    language, longest = options.language or app.language, options.max_listen
    call = conversation.converse(options.text, request, language=language, max_listen=longest)
    silence = _Once(call.stop)

    def press() -> None:
        if not silence and call.status().state in SPEAKING:
            silence()
        else:
            microphone.press()

    with _key(terminal, press, "talk now, and again when you are done"):
        async with call:
            exchange = await call.result()
        if not silence:
            return _told(call, exchange, options)
        if not microphone.heard:
            microphone.press()
        async with conversation.listen(language=language, max_listen=longest) as answer:
            answered = await answer.result()
    return _told(answer, replace(answered, spoken=exchange.spoken), options)


async def listen(app: App, options: argparse.Namespace) -> int:
    language = options.language or app.language
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
                exchange = await call.result()
    return _told(call, exchange, options)


# The key.


def _microphone(options: argparse.Namespace) -> KeyedMicrophone:
    from voicemode.by_key import KeyedMicrophone

    return KeyedMicrophone(push_to_talk=options.push_to_talk)


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
        "voicemode: --push-to-talk takes its key from the terminal, and standard input is none that listens to us. "
        "Start it at a terminal, in the foreground, or leave the option out.",
        file=sys.stderr,
    )
    return USAGE


# What became of it.


def _told(call: Call, exchange: Exchange, options: argparse.Namespace, *, silenced: bool = False) -> int:
    from voicemode.speech import Outcome

    spoken, transcript = exchange.spoken, exchange.transcript
    if options.json:
        print(
            json.dumps({"handle": call.handle, **asdict(exchange)}, ensure_ascii=False, default=str, indent=1)
        )
    elif transcript is not None:
        print(transcript.text)
    for note in (spoken.note, exchange.note, transcript.note if transcript else ""):
        if note:
            print(f"voicemode: {note}", file=sys.stderr)
    if exchange.outcome is Outcome.NOT_PLAYED:
        print(f"voicemode: the sound is in {spoken.recording}", file=sys.stderr)
    if exchange.outcome is Outcome.NOT_TRANSCRIBED:
        print(f"voicemode: the recording is kept in {exchange.recording}", file=sys.stderr)
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


async def _standard_input() -> AsyncIterator[str]:
    """Text as it is written, so that the first sentence sounds while the rest is still coming."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    anything = False
    while data := await asyncio.to_thread(os.read, sys.stdin.fileno(), 65_536):
        anything = anything or bool(data.strip())
        yield decoder.decode(data)
    yield decoder.decode(b"", final=True)
    if not anything:
        raise InvalidRequest("Standard input is empty.", hint="Pipe a text into `voicemode speak -`.")
