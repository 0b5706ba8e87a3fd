"""Measures voicemode beside its closest peer and a bare server on the MCP SDK, where the user is: at the loudspeaker.

    python -m scripts.bench [--rows start,speaking] [--runs 5] [--formats pcm,wav] [--without peer] [--json FILE]

Needs the virtual sound card (scripts/system_packages.sh); installs the peer into build/peer the first time.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

from scripts.measuring import rows as speaking_rows
from scripts.measuring import turn_rows
from scripts.measuring.contenders import BARE, OURS, PEER, Contender, install_peer, ours_runs
from scripts.measuring.rows import Plan, Row
from scripts.measuring.stage import stage
from scripts.measuring.table import Report, measured, table
from tests.support.sound_card import what_is_missing
from voicemode import clock

ROWS = {**speaking_rows.ROWS, **turn_rows.ROWS}
WHO = {"ours": OURS, "peer": PEER, "bare": BARE}
FORMATS = ("pcm", "wav", "mp3", "opus", "aac", "flac")


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n", 1)[0])
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
    parser.add_argument("--json", type=Path, help="write the figures to this file")
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
    who = contenders(chosen.without.split(","))
    load_before = os.getloadavg()[0]
    rows: list[Row] = []
    with stage() as set_up:
        plan = Plan(
            stage=set_up,
            contenders=who,
            runs=chosen.runs,
            formats=chosen.formats.split(","),
            paces=[None if pace == "unlimited" else float(pace) for pace in chosen.paces.split(",")],
            lengths=[float(length) for length in chosen.lengths.split(",")],
            long_runs=chosen.long_runs,
            echo_minutes=chosen.echo_minutes,
        )
        for name in chosen.rows.split(","):
            rows += ROWS[name](plan)
    print(table(rows))
    report = Report(
        date=clock.wall().isoformat(timespec="seconds"),
        python=platform.python_version(),
        machine=platform.platform(),
        processors=os.cpu_count() or 0,
        load_before=load_before,
        load_after=os.getloadavg()[0],
        rows=[measured(row) for row in rows],
    )
    print(f"\n{report.conditions()}")
    if chosen.json:
        chosen.json.write_text(report.model_dump_json(indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
