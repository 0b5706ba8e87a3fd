"""`voicemode bench`: how fast the user's own set-up speaks and understands, beside an earlier run."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from voicemode.cli.exits import DONE, FAILED
from voicemode.cli.streams import agrees, show
from voicemode.cli.under_way import UnderWay
from voicemode.errors import InvalidRequest, VoiceModeError
from voicemode.machine.terminal import key_terminal

if TYPE_CHECKING:
    from voicemode.app import App
    from voicemode.bench.results import Circumstances, Run
    from voicemode.measuring.benching import Bench, BenchPorts, Plan, Step

FORMATS = ("pcm", "wav", "mp3", "opus", "aac", "flac")
LENGTHS = ("short", "medium", "long")
PARTS = ("speech", "transcription", "turn")
LAST = "last"
DESCRIPTION = """\
Measures how fast your own set-up speaks and understands: each speech engine and format (first byte, first audible
sample, real time factor, longest stall, underruns), each recogniser (time, wrong words), and how long after your last
word its text is there. Nothing is recorded and no microphone is opened."""


def bench_options(made: argparse.ArgumentParser) -> None:
    made.description = DESCRIPTION
    made.add_argument("--runs", type=_count, default=5, help="of each measurement, 1 to 100 (default: 5)")
    made.add_argument("--text", help="say this instead of our own sentences")
    made.add_argument(
        "--lengths", type=_some(LENGTHS), default=("medium",), help=f"of {_listed(LENGTHS)} (default: medium)"
    )
    made.add_argument(
        "--formats", type=_some(FORMATS), default=FORMATS, help=f"of {_listed(FORMATS)} (default: all)"
    )
    made.add_argument("--parts", type=_some(PARTS), default=PARTS, help=f"of {_listed(PARTS)} (default: all)")
    made.add_argument(
        "--engines", metavar="NAMES", help="only engines with one of these words in their name, e.g. embedded"
    )
    made.add_argument("--voice", help="voice id (see `voicemode voices`)")
    made.add_argument("--sound", action="store_true", help="play it, quietly; otherwise nobody hears it")
    made.add_argument("--yes", action="store_true", help="also ask services that cost money")
    made.add_argument(
        "--limit", type=_seconds, default=600.0, metavar="SECONDS", help="for all of it (default: 600)"
    )
    made.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the wait for the first sound")
    made.add_argument(
        "--json",
        nargs="?",
        type=Path,
        const=True,
        default=False,
        metavar="FILE",
        help="for programs: to standard output, or a file",
    )
    made.add_argument(
        "--compare",
        nargs="?",
        const=LAST,
        metavar="FILE",
        help="what changed since the last run, or the one in a file",
    )


async def bench(app: App, options: argparse.Namespace) -> int:
    from voicemode.cli.bench_set_up import bench_ports
    from voicemode.machine import bench_runs
    from voicemode.measuring.benching import Bench

    # What it is compared with is read first: a wrong name costs no measurement, and the new run is no earlier one.
    before = await asyncio.to_thread(_earlier, app, options.compare) if options.compare else None
    for file in (options.plot, options.json):
        if isinstance(file, Path):
            await asyncio.to_thread(bench_runs.check_place, file)
    plan = _plan(app, options)
    ports = await _agreed(
        _chosen(bench_ports(app, sound=options.sound), options.engines), plan, yes=options.yes
    )
    here = await _circumstances(app, sound=options.sound)
    progress = _Progress()
    measuring = Bench(ports, plan, progress.step)
    stopped = ""
    try:
        async with AsyncExitStack() as stack:
            if options.sound:
                await stack.enter_async_context(app.floor.hold("bench"))
            await stack.enter_async_context(asyncio.timeout(options.limit))
            await measuring.run()
    except TimeoutError:
        stopped = f"The limit of {options.limit:g} s is reached (--limit): the rest was not measured."
    except asyncio.CancelledError:
        progress.end()
        _say("interrupted: this was measured until then")
        _told(_run(measuring, here, complete=False), options, before)
        raise
    finally:
        progress.end()
    run = _run(measuring, here, complete=not stopped)
    if stopped:
        _say(stopped)
    if any(row.values for row in run.rows):
        try:
            await asyncio.to_thread(bench_runs.keep, app.places.data, run)
        except VoiceModeError as error:
            _say(f"the run is not kept: {error}")
    await asyncio.to_thread(_files, run, options)
    _told(run, options, before)
    return DONE if any(row.values for row in run.rows) else FAILED


def _plan(app: App, options: argparse.Namespace) -> Plan:
    from voicemode.bench.results import Kind
    from voicemode.bench.texts import DICTATED, TEXTS
    from voicemode.bench.words import words
    from voicemode.measuring.benching import Plan
    from voicemode.speech import AudioFormat

    if options.text is not None and not words(options.text):
        raise InvalidRequest(
            f"There is nothing to say in {options.text[:40]!r}.",
            hint="Give --text a sentence with words in it.",
        )
    return Plan(
        runs=options.runs,
        texts=(options.text,) if options.text else tuple(TEXTS[name] for name in options.lengths),
        formats=tuple(map(AudioFormat, options.formats)),
        kinds=tuple(map(Kind, options.parts)),
        request=app.request(voice=options.voice),
        dictated=options.text or DICTATED,
    )


def _chosen(ports: BenchPorts, names: str | None) -> BenchPorts:

    if names is None:
        return ports
    wanted = [word.strip().lower() for word in names.split(",") if word.strip()]

    def meant(name: str) -> bool:
        return any(word in name.lower() for word in wanted)

    chosen = replace(
        ports,
        speakers=tuple(each for each in ports.speakers if meant(each.engine.name)),
        listeners=tuple(each for each in ports.listeners if meant(each.engine.name)),
    )
    if not chosen.speakers and not chosen.listeners:
        raise InvalidRequest(f"No engine is called {names!r}.", hint=f"There are: {', '.join(ports.names)}.")
    # Recognisers are given what somebody says, also where only they are to be measured.
    return chosen if chosen.speakers else replace(chosen, voices=ports.speakers)


async def _agreed(ports: BenchPorts, plan: Plan, *, yes: bool) -> BenchPorts:
    """Without the services that cost money, unless the user agrees: who is at the terminal is asked."""
    from voicemode.measuring.benching import asked

    costly = ports.costly
    if yes or not costly:
        return ports
    comes_to = asked(ports, plan)
    for name in costly:
        mine = comes_to[name]
        _say(
            f"{name} costs money: at most {mine.characters:,} characters to say and {mine.recordings} recordings of "
            "some seconds to transcribe."
        )
    with key_terminal() as terminal:
        at_terminal = terminal is not None
    if at_terminal and await agrees("May it be asked?"):
        return ports
    _say("It is left out; --yes agrees to it.")
    return replace(
        ports,
        speakers=tuple(each for each in ports.speakers if not each.costs),
        listeners=tuple(each for each in ports.listeners if not each.costs),
        voices=tuple(each for each in ports.voices if not each.costs),
    )


def _earlier(app: App, name: str) -> Run:
    from voicemode.machine import bench_runs

    if name != LAST:
        return bench_runs.load(Path(name))
    found = bench_runs.last(app.places.data)
    if found is None:
        raise InvalidRequest(
            "There is no earlier run to compare with.",
            hint="Run `voicemode bench` once; it is kept for the next.",
        )
    return found


async def _circumstances(app: App, *, sound: bool) -> Circumstances:
    from voicemode import clock
    from voicemode.bench.results import Circumstances
    from voicemode.machine import bench_runs

    speaking, hearing = app.config.streaming, app.config.listening
    played = "not played, but taken by the clock as a loudspeaker would (--sound plays it)"
    if sound:
        played = f"played quietly on {(await app.status()).devices.output_name or 'the loudspeaker'}"
    silence = f"{hearing.silence_ms} ms ({hearing.silence_min_ms} to {hearing.silence_max_ms})"
    return Circumstances(
        date=clock.wall().isoformat(timespec="seconds"),
        machine=bench_runs.machine(),
        versions=bench_runs.versions(),
        played=played,
        settings=(
            f"Buffer {speaking.buffer_ms} ms; a silence of {silence} ends a turn, "
            f"transcribed {'ahead' if hearing.speculative else 'after it'}"
        ),
        load_before=bench_runs.load_average(),
    )


def _run(measuring: Bench, here: Circumstances, *, complete: bool) -> Run:
    from voicemode.bench.results import Run
    from voicemode.machine import bench_runs

    after = replace(here, load_after=bench_runs.load_average())
    rows = [row for row in measuring.rows if row.values or row.failure]
    return Run(circumstances=after, rows=rows, complete=complete)


# What is told.


def _files(run: Run, options: argparse.Namespace) -> None:
    from voicemode.bench.drawing import drawing
    from voicemode.bench.results import to_json
    from voicemode.machine import bench_runs

    if options.plot is not None:
        bench_runs.write_for_user(options.plot, drawing(run))
    if isinstance(options.json, Path):
        bench_runs.write_for_user(options.json, to_json(run) + "\n")


def _told(run: Run, options: argparse.Namespace, before: Run | None) -> None:
    from voicemode.bench.comparing import compared, other_circumstances
    from voicemode.bench.results import to_json
    from voicemode.bench.showing import PLAIN_SHADES, SHADES, bars, changes, circumstances, tables

    found = compared(before, run) if before is not None else []
    if options.json is True:
        told = json.loads(to_json(run))
        if before is not None:
            told["compared_with"] = before.circumstances.date
            told["changes"] = [{**asdict(each), "share": each.share} for each in found]
        show(json.dumps(told, ensure_ascii=False, indent=1))
        return
    if not run.rows:
        show("Nothing was measured.")
        return
    parts = [tables(run), bars(run, SHADES if _prints(SHADES) else PLAIN_SHADES), circumstances(run)]
    if before is not None:
        others = other_circumstances(before, run)
        parts.append(f"Since {before.circumstances.date}:\n{changes(found, others)}")
    show("\n\n".join(part for part in parts if part))


def _prints(text: str) -> bool:
    with suppress(UnicodeEncodeError, LookupError):
        text.encode(sys.stdout.encoding or "ascii")
        return True
    return False


class _Progress(UnderWay):
    """Of each measurement."""

    def step(self, step: Step) -> None:
        from voicemode.bench.showing import TITLES, label

        counted = f"{step.number}/{step.runs}" if step.number else "getting ready"
        self.show(f"{TITLES[step.subject.kind]}: {label(step.subject)} {counted}")


def _say(text: str) -> None:
    print(f"voicemode: {text}", file=sys.stderr)


# Words.


def _some(allowed: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
        if wrong := [word for word in words if word not in allowed]:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is not one of {_listed(allowed)}")
        if not words:
            raise argparse.ArgumentTypeError(f"nothing is named; there are {_listed(allowed)}")
        return tuple(word for word in allowed if word in words)

    return parse


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(words)


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 100:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 100")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 1 <= (value := float(text)) <= 86_400:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 86400")
