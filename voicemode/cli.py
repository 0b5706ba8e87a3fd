"""The command line. Alone, `voicemode` is the MCP server on standard input and output.

Exit codes: 0 done; 1 failed, and standard error says why and what to do; 2 wrong arguments; 3 there is no
loudspeaker and the sound is in a file; 4 nobody spoke; 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO, cast

from voicemode import __version__
from voicemode.background import Unhurried
from voicemode.errors import InvalidRequest, VoiceModeError

if TYPE_CHECKING:
    from voicemode.app import App
    from voicemode.calls import Call
    from voicemode.config import Config
    from voicemode.speech import Exchange

DONE, FAILED, USAGE, NOT_PLAYED, NO_SPEECH, INTERRUPTED = 0, 1, 2, 3, 4, 130

Command = Callable[["App", argparse.Namespace], Awaitable[int]]


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script."""
    _take_stderr()
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    _find_audio_server()
    try:
        with suppress(BrokenPipeError):
            return _run(options)
        return FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except VoiceModeError as error:
        if getattr(options, "json", False):
            print(json.dumps({"error": {"code": error.code, "message": error.message, "hint": error.hint}}))
        print(f"voicemode: {error}", file=sys.stderr)
        return FAILED


def _run(options: argparse.Namespace) -> int:
    from voicemode.settings_files import load_config, working_folder
    from voicemode.variables import Debug

    config = load_config(os.environ, working_folder())
    if config.log.debug is not Debug.FALSE:
        logging.getLogger("voicemode").setLevel(logging.DEBUG)
    if options.command in (None, "mcp"):
        return _serve(config, options)
    command: Command = options.run
    return asyncio.run(_with_app(config, command, options))


async def _with_app(config: Config, command: Command, options: argparse.Namespace) -> int:
    from voicemode.app import open_app

    for problem in config.problems:
        print(f"voicemode: {problem}", file=sys.stderr)
    task = asyncio.current_task()
    assert task is not None
    for name in ("SIGTERM", "SIGHUP"):
        # Ctrl-C cancels by itself. Windows knows no handlers on a loop, and there nobody sends these.
        with suppress(NotImplementedError, AttributeError):
            asyncio.get_running_loop().add_signal_handler(getattr(signal, name), task.cancel)
    async with open_app(config, os.environ) as app:
        return await command(app, options)


def _serve(config: Config, options: argparse.Namespace) -> int:
    # Imports make half a million objects that stay: looking among them for garbage takes a tenth of the start.
    gc.disable()
    from dataclasses import replace

    from voicemode.kinds import is_loopback_host
    from voicemode.mcp_server.serve import serve_http, serve_stdio

    gc.freeze()
    gc.enable()
    for problem in config.problems:
        logging.getLogger(__name__).warning("%s", problem)
    if not getattr(options, "http", False):
        asyncio.run(serve_stdio(config, os.environ))
        return DONE
    settings = config.server
    host = options.host or settings.host
    if options.host and not settings.token and not is_loopback_host(options.host):
        print(
            f"voicemode: {host} can be reached by others: set VOICEMODE_HTTP_TOKEN first, or use 127.0.0.1.",
            file=sys.stderr,
        )
        return USAGE
    port = settings.port if options.port is None else options.port
    config = replace(config, server=replace(settings, host=host, port=port))
    asyncio.run(serve_http(config, os.environ, ready=lambda url: print(f"Serving at {url}", file=sys.stderr)))
    return DONE


# The commands.


async def _speak(app: App, options: argparse.Namespace) -> int:
    text: str | AsyncIterator[str] = _standard_input() if options.text == "-" else options.text
    request = app.request(voice=options.voice, speed=options.speed, instructions=options.instructions)
    async with app.conversation.speak(text, request) as call:
        exchange = await call.result()
    return _told(call, exchange, options)


async def _converse(app: App, options: argparse.Namespace) -> int:
    request = app.request(voice=options.voice, speed=options.speed, instructions=options.instructions)
    language = options.language or app.language
    call = app.conversation.converse(options.text, request, language=language, max_listen=options.max_listen)
    async with call:
        exchange = await call.result()
    return _told(call, exchange, options)


async def _listen(app: App, options: argparse.Namespace) -> int:
    language = options.language or app.language
    async with app.conversation.listen(language=language, max_listen=options.max_listen) as call:
        exchange = await call.result()
    return _told(call, exchange, options)


async def _voices(app: App, options: argparse.Namespace) -> int:
    voices = await app.voices()
    if options.json:
        print(json.dumps([asdict(voice) for voice in voices], ensure_ascii=False, indent=1))
    else:
        width = max((len(voice.id) for voice in voices), default=0)
        for voice in voices:
            print(f"{voice.id:{width}}  {voice.language:8}  {voice.engine}  {voice.name}".rstrip())
    return DONE


async def _config(app: App, options: argparse.Namespace) -> int:
    rows = app.config.resolved()
    if options.json:
        values = [{key: str(value) for key, value in asdict(row).items()} for row in rows]
        problems = [str(problem) for problem in app.config.problems]
        print(json.dumps({"variables": values, "problems": problems}, ensure_ascii=False, indent=1))
    else:
        for row in rows:
            print(f"{row.name}={row.value}  ({row.source})\n    {row.help}")
        print(f"\nYour file: {app.places.user_file}\nData: {app.places.data}")
    return DONE


async def _doctor(app: App, options: argparse.Namespace) -> int:
    from voicemode.doctor import examine

    findings = await examine(app)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1))
    else:
        for finding in findings:
            print(f"{finding.state:5} {finding.what}: {finding.found}")
            if finding.mend:
                print(f"      → {finding.mend}")
    return FAILED if any(finding.state == "fail" for finding in findings) else DONE


def _told(call: Call, exchange: Exchange, options: argparse.Namespace) -> int:
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


# The edges of the process.


def _take_stderr() -> None:
    """A standard error that nobody reads holds nothing up, and words are not lost while an audio library, for its own
    noise's sake, points descriptor 2 elsewhere."""
    try:
        sys.stderr = cast("TextIO", Unhurried(os.dup(2)))
    except OSError:  # It is closed.
        sys.stderr = cast("TextIO", Unhurried(os.open(os.devnull, os.O_WRONLY)))


def _find_audio_server() -> None:
    """Clients start servers in a bare environment: the sound libraries need to be told where the audio server is."""
    if not hasattr(os, "getuid"):
        return
    from voicemode.devices.server import audio_server_variables

    os.environ.update(audio_server_variables(os.environ, uid=os.getuid(), exists=os.path.exists))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voicemode",
        description="A voice for a coding assistant. Without a command: the MCP server on standard input and output.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no loudspeaker (the sound is in a file), "
        "4 nobody spoke, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"voicemode {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    mcp = commands.add_parser("mcp", help="the MCP server; --http serves it on a local port")
    mcp.add_argument(
        "--http", action="store_true", help="streamable HTTP instead of standard input and output"
    )
    mcp.add_argument("--host", help="address to listen on (default: VOICEMODE_SERVE_HOST)")
    mcp.add_argument("--port", type=_port, help="port (default: VOICEMODE_SERVE_PORT; 0: a free one)")

    def command(name: str, run: Command, explained: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=explained, description=explained)
        made.add_argument("--json", action="store_true", help="for programs")
        made.set_defaults(run=run)
        return made

    speak = command("speak", _speak, "say a text; - reads it from standard input while it is written")
    converse = command("converse", _converse, "say a text, listen, print the answer")
    listen = command("listen", _listen, "listen once, print what was said")
    for each in (speak, converse):
        each.add_argument("text", metavar="TEXT")
        each.add_argument("--voice", help="voice id (see `voicemode voices`)")
        each.add_argument("--speed", type=_speed, help="0.25 to 4; 1 is normal")
        each.add_argument("--instructions", help="tone, where the voice can follow one")
    for each in (converse, listen):
        each.add_argument("--language", help="language of the answer, e.g. en")
        each.add_argument(
            "--max-listen", type=float, metavar="SECONDS", help="longest time the microphone is open"
        )
    command("voices", _voices, "the voices of every engine that answers")
    command("config", _config, "every variable, its value and where it comes from")
    command("doctor", _doctor, "check what speaking and listening need, and say how to mend it")
    return parser


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 0 to 65535")


def _speed(text: str) -> float:
    with suppress(ValueError):
        if 0.25 <= (value := float(text)) <= 4.0:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0.25 and 4")


if __name__ == "__main__":
    sys.exit(main())
