"""The words of the command line: commands, their options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from voicemode import __version__
from voicemode.cli.bench import bench, bench_options
from voicemode.cli.log_options import add_options as add_events_options
from voicemode.cli.logs import show_events
from voicemode.cli.models import add_options as add_models_options
from voicemode.cli.models import models
from voicemode.cli.reviewing import add_options as add_review_options
from voicemode.cli.reviewing import review
from voicemode.cli.showing import add_doctor_options, show_config, show_findings, show_voices
from voicemode.cli.talking import add_hearing_options, add_saying_options, converse, listen, speak
from voicemode.cli.values import port

if TYPE_CHECKING:
    from voicemode.app import App
    from voicemode.configuration.config import Config
    from voicemode.machine.settings_files import Folders

Command = Callable[["App", argparse.Namespace], Awaitable[int]]
Look = Callable[["Config", "Folders", argparse.Namespace], int]
"""A command that needs nothing but files."""

EVENTS = (
    "What happened, from the event logs. Without options: the last turns, the newest at the end. Of ids the "
    "beginning is enough."
)


REVIEW = (
    "A page in the browser: every turn with its sound, its moments and why it was slow or went wrong. Of a turn's id "
    "the beginning is enough."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="voicemode",
        description="A voice for a coding assistant. Without a command: the MCP server on standard input and output.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no loudspeaker (the sound is in a file), "
        "4 nobody spoke, 130 interrupted.",
    )
    made.add_argument("--version", action="version", version=f"voicemode {__version__}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND")

    door = "the MCP server; --http serves it on a local port"
    mcp = commands.add_parser("mcp", help=door, description=door)
    mcp.add_argument(
        "--http", action="store_true", help="streamable HTTP instead of standard input and output"
    )
    mcp.add_argument("--host", help="address to listen on (default: VOICEMODE_SERVE_HOST)")
    mcp.add_argument("--port", type=port, help="port (default: VOICEMODE_SERVE_PORT; 0: a free one)")

    server = "a speech server for other programs: OpenAI's audio API and WebSockets"
    serving = commands.add_parser("serve", help=server, description=server)
    serving.add_argument("--host", help="address to listen on (default: VOICEMODE_SPEECH_HOST)")
    serving.add_argument("--port", type=port, help="port (default: VOICEMODE_SPEECH_PORT; 0: a free one)")
    serving.add_argument(
        "--engine",
        action="append",
        dest="engines",
        metavar="NAME",
        help="who speaks, in order, where it is given more than once (default: VOICEMODE_SPEECH_ENGINES)",
    )
    serving.add_argument(
        "--ray",
        type=Path,
        metavar="FILE",
        help="on Ray Serve, as this configuration file says (docs/cluster.md)",
    )

    def command(name: str, run: Command, explained: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=explained, description=explained)
        made.add_argument("--json", action="store_true", help="for programs")
        made.set_defaults(run=run)
        return made

    saying = command("speak", speak, "say a text; - reads it from standard input while it is written")
    both = command("converse", converse, "say a text, listen, print the answer")
    hearing = command("listen", listen, "listen once, print what was said")
    for each in (saying, both):
        add_saying_options(each)
    for each in (both, hearing):
        add_hearing_options(each)
    command("voices", show_voices, "the voices of every engine that answers")
    add_models_options(
        command("models", models, "neural voices and ears for this machine: list, install, remove, measure")
    )
    measuring = commands.add_parser("bench", help="measure how fast your own set-up speaks and understands")
    measuring.set_defaults(run=bench)
    bench_options(measuring)
    reviewing = commands.add_parser("review", help="a page of what happened in each turn", description=REVIEW)
    reviewing.set_defaults(look=review)
    add_review_options(reviewing)
    command("config", show_config, "every variable, its value and where it comes from")
    looking = commands.add_parser(
        "events", help="what happened: the last turns, one turn, or live", description=EVENTS
    )
    looking.add_argument("--json", action="store_true", help="for programs: one JSON line per event")
    looking.set_defaults(look=show_events)
    add_events_options(looking)
    doctor = command(
        "doctor", show_findings, "check what speaking and listening need, and say how to mend it"
    )
    add_doctor_options(doctor)
    return made
