"""Measures voicemode beside its closest peer and a bare server on the MCP SDK, where the user is: at the loudspeaker.

    python -m scripts.bench [--rows start,speaking] [--runs 5] [--formats pcm,wav] [--without peer] [--json FILE]

With `--json` rows can be measured in several goes: each is written when it is done, beside what the file holds already.
Needs the virtual sound card (scripts/system_packages.sh); installs the peer into build/peer the first time.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from scripts.measuring import rows as speaking_rows
from scripts.measuring import turn_rows
from scripts.measuring.contenders import BARE, OURS, PEER, Contender, install_ours, install_peer, ours_runs
from scripts.measuring.results import Result, Results, Taken, load, machine, save, versions
from scripts.measuring.rows import Plan
from scripts.measuring.stage import Stage, stage
from scripts.measuring.table import table
from tests.support.sound_card import what_is_missing
from voicemode import clock

ROWS = {**speaking_rows.ROWS, **turn_rows.ROWS}
WHO = {"ours": OURS, "peer": PEER, "bare": BARE}
FORMATS = ("pcm", "wav", "mp3", "opus", "aac", "flac")
INTERRUPTED = 130


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description=(__doc__ or "").split("\n", 1)[0], allow_abbrev=False
    )
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument(
        "--runs", type=int, default=5, help="of each measurement, after one that is not counted"
    )
    parser.add_argument("--formats", default=",".join(FORMATS), help=f"of {', '.join(FORMATS)}")
    parser.add_argument("--lengths", default="2,30", help="seconds of speech, of the row speaking")
    parser.add_argument(
        "--paces",
        default="1.5,unlimited",
        help="seconds of sound the server sends per second, in the row speaking",
    )
    parser.add_argument("--long-runs", type=int, default=1, help="of speech of 10 s and more")
    parser.add_argument(
        "--echo-minutes", type=float, default=10.0, help="of its own speech for each loudness of the row echo"
    )
    parser.add_argument("--without", default="", help=f"leave out: {', '.join(WHO)}")
    parser.add_argument("--json", type=Path, help="add the figures to this file")
    chosen = parser.parse_args(arguments)
    for given, allowed in ((chosen.rows, ROWS), (chosen.formats, FORMATS), (chosen.without, WHO)):
        for word in filter(None, given.split(",")):
            if word not in allowed:
                parser.error(f"{word!r} is not one of {', '.join(allowed)}")
    return chosen


def contenders(left_out: list[str]) -> list[Contender]:
    wanted = [contender for name, contender in WHO.items() if name not in left_out]
    if OURS in wanted and not ours_runs():
        print("voicemode itself has no entry point yet: only the others are measured", file=sys.stderr)
        wanted.remove(OURS)
    if any(each is not PEER for each in wanted) and (problem := install_ours()):
        print(f"only the peer: {problem}", file=sys.stderr)
        wanted = [each for each in wanted if each is PEER]
    if PEER in wanted and (problem := install_peer()):
        print(f"without the peer: {problem}", file=sys.stderr)
        wanted.remove(PEER)
    return wanted


def main(arguments: list[str]) -> int:
    chosen = options(arguments)
    if missing := what_is_missing():
        print(
            f"no virtual sound card: {missing} is missing; sh scripts/system_packages.sh installs it",
            file=sys.stderr,
        )
        return 1
    stood = load(chosen.json) if chosen.json else Results()
    who = contenders(chosen.without.split(","))
    measured: list[Result] = []
    try:
        with stage() as set_up:
            plan = _plan(chosen, set_up, who)
            for part in chosen.rows.split(","):
                measured += _measured(part, plan, command(arguments))
                if chosen.json:
                    save(stood.merged(measured, list(ROWS)), chosen.json)
    except KeyboardInterrupt:
        print("interrupted: what was being measured is not counted", file=sys.stderr)
        return INTERRUPTED
    finally:
        _show(measured)
    return 0


def _plan(chosen: argparse.Namespace, set_up: Stage, who: list[Contender]) -> Plan:
    return Plan(
        stage=set_up,
        contenders=who,
        runs=chosen.runs,
        formats=chosen.formats.split(","),
        paces=[None if pace == "unlimited" else float(pace) for pace in chosen.paces.split(",")],
        lengths=[float(length) for length in chosen.lengths.split(",")],
        long_runs=chosen.long_runs,
        echo_minutes=chosen.echo_minutes,
    )


def _measured(part: str, plan: Plan, command: str) -> list[Result]:
    date, load_before = clock.wall().isoformat(timespec="minutes"), os.getloadavg()[0]
    rows = ROWS[part](plan)
    taken = Taken(
        date=date,
        command=command,
        machine=machine(),
        versions=versions(),
        load_before=round(load_before, 2),
        load_after=round(os.getloadavg()[0], 2),
    )
    return [Result(part=part, row=row, taken=taken) for row in rows]


def command(arguments: list[str]) -> str:
    """How it was called, without the file, which is nobody's business."""
    kept = [
        word
        for before, word in zip(["", *arguments], arguments, strict=False)
        if "--json" not in (before, word.partition("=")[0])
    ]
    return shlex.join(["python", "-m", "scripts.bench", *kept])


def _show(measured: list[Result]) -> None:
    if not measured:
        return
    print(table([result.row for result in measured]))
    first, last = measured[0].taken, measured[-1].taken
    print(
        f"\n{first.date}, load {first.load_before:.1f} before, {last.load_after:.1f} after; "
        f"{last.machine}; {last.versions}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
