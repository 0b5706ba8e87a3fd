"""The command line. Alone, `voicemode` is the MCP server on standard input and output."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

from voicemode.cli.exits import DONE, FAILED, INTERRUPTED, USAGE
from voicemode.cli.streams import show
from voicemode.errors import VoiceModeError
from voicemode.machine.background import Unhurried

if TYPE_CHECKING:
    import argparse

    from voicemode.cli.words import Command, Look
    from voicemode.configuration.config import Config
    from voicemode.configuration.settings import Problem


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script."""
    _take_stderr()
    given = sys.argv[1:] if arguments is None else arguments
    as_json = False
    try:
        options = _parsed(given)
        as_json = getattr(options, "json", False) is True  # Not the file that some commands write it to.
        logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
        _find_audio_server()
        return _run(options)
    except BrokenPipeError:  # Nobody is left to be told.
        return FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except VoiceModeError as error:
        print(f"voicemode: {error}", file=sys.stderr)
        if as_json:
            with suppress(OSError, VoiceModeError):  # Perhaps this is what failed.
                show(
                    json.dumps({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
                )
        return FAILED


def _parsed(arguments: Sequence[str]) -> argparse.Namespace | None:
    """None: without a command it is the MCP server, which would keep the words of all others in memory (1 MB)."""
    if not arguments:
        return None
    from voicemode.cli.words import parser

    try:
        options = parser().parse_args(arguments)
        return options if options.command else None
    except SystemExit:
        show("", end="")  # The help.
        raise


def _run(options: argparse.Namespace | None) -> int:
    from voicemode.configuration.variables import Debug
    from voicemode.machine.settings_files import folders, load_config, working_folder

    config = load_config(os.environ, working_folder())
    if config.log.debug is not Debug.FALSE:
        logging.getLogger("voicemode").setLevel(logging.DEBUG)
    if options is None or options.command == "mcp":
        return _serve(config, options)
    if options.command == "serve":
        return _serve_ray(config, options) if options.ray else _serve_speech(config, options)
    if hasattr(options, "look"):
        look: Look = options.look
        _tell(config.problems)
        return look(config, folders(config, os.environ), options)
    if options.command == "doctor":
        from voicemode.cli.showing import ask_leave

        ask_leave(options, config)
    command: Command = options.run
    return asyncio.run(_with_app(config, command, options))


def _tell(problems: Iterable[Problem | str]) -> None:
    for problem in problems:
        print(f"voicemode: {problem}", file=sys.stderr)


async def _with_app(config: Config, command: Command, options: argparse.Namespace) -> int:
    from voicemode.app import open_app

    if options.command != "doctor":  # It tells them itself.
        _tell(config.problems)
    task = asyncio.current_task()
    assert task is not None
    for name in ("SIGTERM", "SIGHUP"):
        # Ctrl-C cancels by itself. Windows knows no handlers on a loop, and there nobody sends these.
        with suppress(NotImplementedError, AttributeError):
            asyncio.get_running_loop().add_signal_handler(getattr(signal, name), task.cancel)
    async with open_app(config, os.environ) as app:
        if options.command != "doctor":
            _tell(app.line_up.models.problems)
        return await command(app, options)


def _serve(config: Config, options: argparse.Namespace | None) -> int:
    if options is not None and not options.http and (options.host or options.port is not None):
        print("voicemode: --host and --port are those of `voicemode mcp --http`.", file=sys.stderr)
        return USAGE
    # Imports make half a million objects that stay: looking among them for garbage takes a tenth of the start.
    gc.disable()
    from dataclasses import replace

    from voicemode.mcp_server.serve import serve_http, serve_stdio

    gc.freeze()
    gc.enable()
    for problem in config.problems:
        logging.getLogger(__name__).warning("%s", problem)
    if options is None or not options.http:
        _greet()
        asyncio.run(serve_stdio(config, os.environ))
        return DONE
    settings = config.server
    host = options.host or settings.host
    if _needs_token(config, options.host):
        return USAGE
    port = settings.port if options.port is None else options.port
    config = replace(config, server=replace(settings, host=host, port=port))
    asyncio.run(serve_http(config, os.environ, ready=lambda url: print(f"Serving at {url}", file=sys.stderr)))
    return DONE


def _greet() -> None:
    """Whoever tries it at a terminal would see nothing at all, and wait."""
    if sys.stdin is not None and sys.stdin.isatty():
        print(
            "voicemode: this is the MCP server, which waits for an assistant on standard input. To hear it yourself: "
            "`voicemode speak hello`, and `voicemode --help` for the rest; Ctrl-C ends it.",
            file=sys.stderr,
        )


def _serve_speech(config: Config, options: argparse.Namespace) -> int:
    from dataclasses import replace

    from voicemode.speech_server.request_lines import show_requests
    from voicemode.speech_server.serve import serve_speech

    show_requests()
    # It tells of every client that hangs up; of what is no client's doing it has the exception.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.exc_info is not None)
    _tell(config.problems)
    if _needs_token(config, options.host):
        return USAGE
    settings = config.speech_server
    port = settings.port if options.port is None else options.port
    settings = replace(
        settings,
        host=options.host or settings.host,
        port=port,
        engines=tuple(options.engines or settings.engines),
    )
    config = replace(config, speech_server=settings, own_port=port)
    gc.freeze()

    def ready(url: str, silent: str) -> None:
        print(f"Serving at {url}", file=sys.stderr)
        if silent:
            print(f"No engine can speak: {silent} Until then speech is refused (503).", file=sys.stderr)

    asyncio.run(serve_speech(config, os.environ, ready=ready))
    return DONE


def _serve_ray(config: Config, options: argparse.Namespace) -> int:
    if options.engines:
        print("voicemode: with --ray the file names the engines.", file=sys.stderr)
        return USAGE
    # Ray reads these when it is imported: nothing is told to its makers, and every line of a replica is shown.
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_DEDUP_LOGS", "0")):
        os.environ.setdefault(name, value)
    from voicemode.cluster.running import serve_ray

    _tell(config.problems)
    serve_ray(
        options.ray,
        config,
        os.environ,
        host=options.host,
        port=options.port,
        ready=lambda url: print(f"Serving at {url}", file=sys.stderr),
    )
    return DONE


def _needs_token(config: Config, host: str | None) -> bool:
    """Whether others could reach what is asked for, and nothing would keep them out. Says so."""
    from voicemode.configuration.kinds import is_loopback_host

    if not host or config.server.token or is_loopback_host(host):
        return False
    print(
        f"voicemode: {host} can be reached by others: set VOICEMODE_HTTP_TOKEN first, or use 127.0.0.1.",
        file=sys.stderr,
    )
    return True


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
