"""`voicemode review`: the page of what happened, served or as one file; a turn as one WAV; a turn listened to again."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from contextlib import suppress
from itertools import islice
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from voicemode.cli.exits import DONE
from voicemode.cli.log_options import LAST
from voicemode.cli.streams import show
from voicemode.cli.values import port
from voicemode.errors import InvalidRequest, VoiceModeError

if TYPE_CHECKING:
    from voicemode.configuration.config import Config
    from voicemode.logs.logbook import LoggedTurn
    from voicemode.machine.settings_files import Folders
    from voicemode.review.archive import Archive

HOST = "127.0.0.1"
TOKEN_BYTES = 24


def add_options(made: argparse.ArgumentParser) -> None:
    what = made.add_mutually_exclusive_group()
    what.add_argument(
        "--html", metavar="FILE", type=Path, help="write the page as one file that opens anywhere"
    )
    what.add_argument(
        "--export",
        nargs="+",
        metavar=("TURN", "FILE"),
        help="both sides of a turn on their clock in one WAV: the assistant left, you right",
    )
    what.add_argument(
        "--replay",
        metavar="TURN",
        help="listen to a turn's recorded microphone again, with the settings of now and of --set",
    )
    made.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="a variable for --replay, as often as needed, e.g. VOICEMODE_SILENCE_THRESHOLD_MS=700",
    )
    made.add_argument("--port", type=port, default=0, help="port of the page (default: a free one)")
    made.add_argument("--no-browser", action="store_true", help="print the page's address and open nothing")
    made.add_argument("--json", action="store_true", help="for programs")


def review(config: Config, places: Folders, options: argparse.Namespace) -> int:
    from voicemode.logs.logbook import Logbook
    from voicemode.recording.sound_files import KeptSounds
    from voicemode.review.archive import Archive

    if options.settings and not options.replay:
        raise InvalidRequest("--set is for --replay.", hint="voicemode review --replay TURN --set NAME=VALUE")
    archive = Archive(Logbook(places.events), KeptSounds(places.recordings))
    try:
        if options.html is not None:
            return _write_page(archive, options)
        if options.export is not None:
            return _export(archive, options)
        if options.replay is not None:
            return _replay(archive, options)
        return _serve(archive, options)
    except OSError as error:
        reason = error.strerror or str(error)
        raise VoiceModeError(
            f"{error.filename or 'A file'} cannot be read or written: {reason}.",
            hint="`voicemode config` says where logs and recordings are; a file is written into a folder that exists.",
        ) from error


def _write_page(archive: Archive, options: argparse.Namespace) -> int:
    from voicemode.review.one_file import one_file

    made = one_file(archive)
    _write(options.html, made.html.encode("utf-8", errors="replace"))
    if options.json:
        told = {
            "file": str(options.html),
            "turns": made.turns,
            "sounds": made.sounds,
            "left_out": made.left_out,
        }
        show(json.dumps(told, ensure_ascii=False))
    else:
        show(f"{options.html}: {made.turns:,} turns, {made.sounds:,} sounds. {made.left_out}".rstrip())
    return DONE


def _export(archive: Archive, options: argparse.Namespace) -> int:
    from voicemode.review.both_sides import both_sides

    if len(options.export) > 2:
        raise InvalidRequest("--export takes a turn and a file.", hint="voicemode review --export TURN FILE")
    turn = _the_turn(archive, options.export[0])
    file = Path(options.export[1]) if len(options.export) > 1 else Path(f"{turn.id}.wav")
    made = both_sides(archive.sounds.of(turn.id), turn)
    _write(file, made.wav)
    if options.json:
        told = {"file": str(file), "seconds": made.seconds, "left": made.left, "right": made.right}
        show(json.dumps(told, ensure_ascii=False))
    else:
        show(
            f"{file}: {made.seconds:.1f} s; left: {made.left or 'silence'}, right: {made.right or 'silence'}."
        )
    return DONE


def _replay(archive: Archive, options: argparse.Namespace) -> int:
    from voicemode.app import open_app
    from voicemode.machine.settings_files import load_config, working_folder
    from voicemode.review.replay import replay, shown, told

    turn = _the_turn(archive, options.replay)
    given = dict(_setting(each) for each in options.settings)
    environment = {**os.environ, **given}
    config = load_config(environment, working_folder())
    wrong = [problem for problem in config.problems if problem.variable in given]
    if wrong:
        raise InvalidRequest(str(wrong[0]), hint="`voicemode config` lists every variable.")

    async def run() -> int:
        async with open_app(config, environment) as app:
            found = await replay(
                turn,
                archive.sounds.of(turn.id),
                app.ear(),
                language=app.language,
            )
        show(
            json.dumps(told(found, given), ensure_ascii=False, indent=1)
            if options.json
            else shown(found, given)
        )
        return DONE

    return asyncio.run(run())


def _serve(archive: Archive, options: argparse.Namespace) -> int:
    from voicemode.local_http.door import listen, open_door, url_of
    from voicemode.review.web import review_app

    token = token_urlsafe(TOKEN_BYTES)

    async def serve() -> int:
        stopped = asyncio.Event()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            # Windows knows no handlers on a loop; there Ctrl-C is an exception.
            with suppress(NotImplementedError, AttributeError):
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), stopped.set)
        with listen(HOST, options.port, token=token) as listening:
            url = url_of(listening, HOST)
            web = review_app(archive, host=HOST, port=listening.getsockname()[1], token=token)
            async with open_door(web, listening):
                _tell(f"{url}/?token={token}", options)
                await stopped.wait()
        return DONE

    return asyncio.run(serve())


def _tell(address: str, options: argparse.Namespace) -> None:
    if options.json:
        show(json.dumps({"url": address}))
    else:
        show(f"The page is at {address}\nIt is for you alone, until Ctrl-C.")
    if not options.no_browser:
        import threading
        import webbrowser

        # A browser in the terminal would hold up the server that it asks.
        threading.Thread(target=webbrowser.open, args=(address,), name="browser", daemon=True).start()


def _the_turn(archive: Archive, beginning: str) -> LoggedTurn:
    """The one turn whose id begins so, or the last one."""
    if beginning == LAST:
        found = list(islice(archive.named(""), 1))
    else:
        found = list(archive.named(beginning)) if beginning else []
    exact = [turn for turn in found if turn.id == beginning]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if not found:
        raise InvalidRequest(
            f"The logs have no turn {beginning!r}.",
            hint="`voicemode review` and `voicemode events` list them.",
        )
    ids = ", ".join(turn.id for turn in found[:5])
    raise InvalidRequest(f"{len(found)} turns begin with {beginning!r}: {ids} …", hint="Give more of its id.")


def _setting(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise InvalidRequest(
            f"{given!r} is not NAME=VALUE.", hint="For example --set VOICEMODE_SILENCE_THRESHOLD_MS=700"
        )
    return name, value


def _write(path: Path, data: bytes) -> None:
    """What was said is for the user alone."""
    from voicemode.machine.private_files import open_file

    with os.fdopen(open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(data)
