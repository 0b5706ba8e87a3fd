"""Makes docs/bench.md from docs/bench.json, which `make bench` fills; `--check` compares.

python -m scripts.bench_page [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.measuring.results import Result, Results, Taken, load
from scripts.measuring.table import HEAD, cells, markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "bench.json"
PAGE = ROOT / "docs" / "bench.md"

HEADINGS = {
    "start": "Start-up and memory",
    "tokens": "What its tools cost a model",
    "speaking": "From the first byte to the loudspeaker",
    "ping": "Whether it answers while it speaks",
    "cancel": "How soon it is silent",
    "gaps": "A stream that stumbles",
    "cpu": "What speaking costs",
    "turn": "The end of your turn",
    "deaf": "An answer given at once",
    "interrupt": "Talking over it",
    "echo": "Its own voice in the microphone",
}

BEGINNING = """\
# Measured

voicemode beside its closest peer (voice-mode) and, where nothing is said, beside a server on the MCP SDK that does
nothing. Made by `make bench`; what you have at home is measured by `voicemode bench`.

How to read it:

- Sound is measured where you are: at the loudspeaker, not at the socket. The loudspeaker is a virtual sound card that
  is recorded, the microphone another one; the speech server is one of our own, the same for all, whose first byte comes
  after 200 ms and whose pace, pauses and bursts are set for each row.
- All contenders of a row are measured in turn, run by run, so that they share what else the machine did. A ratio holds;
  an absolute time is that of one machine on one day.
- A cell is the median (least–most); from 20 runs on the median (p95: what 19 of 20 stayed below). A dash: not measured,
  or nothing was heard.
- *Ratio* is the peer's median over ours, or ours over the peer's where more is better: above 1 we are ahead.
- *TTFA overhead* is from the first byte that leaves the server to the first audible sample. *Completeness* is how much
  of what was sent was heard. *Go* is the number of the measurement in the list at the end.
"""


def page(results: Results) -> str:
    goes = list(dict.fromkeys(result.taken for result in results.results))
    parts = list(dict.fromkeys(result.part for result in results.results))
    blocks = [BEGINNING]
    for part in parts:
        lines = [_line(result, goes) for result in results.results if result.part == part]
        blocks.append(f"## {HEADINGS.get(part, part)}\n\n{markdown((*HEAD, 'go'), lines)}\n")
    blocks.append(f"## When, and on what\n\n{_goes(goes)}\n")
    return "\n".join(blocks)


def _line(result: Result, goes: list[Taken]) -> tuple[str, ...]:
    return (*cells(result.row), str(goes.index(result.taken) + 1))


def _goes(goes: list[Taken]) -> str:
    """Every go with its time, command and load; the machine and the versions are named where they change."""
    lines: list[str] = []
    before = ""
    for number, go in enumerate(goes, 1):
        here = f"{go.machine}; {go.versions}"
        lines.append(
            f"{number}. {go.date.replace('T', ' ')}, `{go.command}`, load {go.load_before:.1f} before and "
            f"{go.load_after:.1f} after{f': {here}' if here != before else ''}"
        )
        before = here
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    results = load(RESULTS)
    if not results.results:
        print(f"{RESULTS} holds no results: run make bench", file=sys.stderr)
        return 1
    new = page(results)
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if "--check" in arguments:
        if new != old:
            print(f"{PAGE} is not what {RESULTS} says; run python -m scripts.bench_page", file=sys.stderr)
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    print(f"{PAGE}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
