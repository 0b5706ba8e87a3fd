"""The echo canceller, the gate and the neural detector in synthetic rooms.

    python -m scripts.measuring.echo

flite speaks through the loudspeaker at -20 dBFS; a room (the direct sound and a tail that dies within 0.3 s) brings it
into the microphone; another voice of flite talks over it at -26 dBFS. Decision 0010 holds the table.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from scripts.measuring import sounds
from scripts.measuring.sounds import BLOCK, RATE
from tests.ears.rooms import Wave, at_level, echo, level, noise, sound, wave
from voicemode.ears.canceller import WebRtcCanceller
from voicemode.ears.silero import FRAME_SAMPLES, SileroVad
from voicemode.pcm import LISTENING, Frame, Framer
from voicemode.sound.levels import decibels
from voicemode.turn_taking.echo import EchoGate

ROOM_DB = -66.0
USER = "Wait, not that one. Please stop."
USER_AT = (5.0, 9.0, 13.0)
DELAYS_MS, LOSSES_DB = (20, 60, 200), (10, 20)
FIRST_S = 3.0
PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class Heard:
    """`left` is what comes out; `voice` the detector's answer and `more` the gate's for each 10 ms."""

    left: Wave
    voice: np.ndarray[tuple[int], np.dtype[np.bool_]]
    more: np.ndarray[tuple[int], np.dtype[np.bool_]]
    cpu: float


def run(played: Wave, microphone: Wave, canceller: WebRtcCanceller | None) -> Heard:
    far, near = (Framer(LISTENING, BLOCK).feed(sound(each)) for each in (played, microphone))
    began = process_time()
    out = []
    for one, other in zip(far, near, strict=True):
        if canceller is not None:
            canceller.far(one)
        out.append(canceller.near(other) if canceller is not None else other)
    cpu = (process_time() - began) / len(near) * 100
    gate, more = EchoGate(), []
    for number, (one, other) in enumerate(zip(far, out, strict=True)):
        gate.played(decibels(one), number / 100, 0.01)
        more.append(gate.heard(decibels(other), number / 100).more)
    left = b"".join(frame.data for frame in out)
    vad = SileroVad()
    answers = [vad.feed(each) for each in Framer(LISTENING, FRAME_SAMPLES).feed(left)]
    index = np.minimum(np.arange(len(out)) * BLOCK // FRAME_SAMPLES, len(answers) - 1)
    return Heard(left=wave(left), voice=np.asarray(answers)[index] >= 0.5, more=np.asarray(more), cpu=cpu)


def less(before: Wave, after: Wave, start_s: float, end_s: float | None = None) -> str:
    part = slice(round(start_s * RATE), None if end_s is None else round(end_s * RATE))
    return f"{level(before[: len(after)][part]) - level(after[part]):.0f}"


def until_gone(before: Wave, after: Wave) -> str:
    """Seconds until half a second is 20 dB fainter."""
    half = RATE // 2
    for start in range(0, len(after) - half, RATE // 10):
        if level(before[start : start + half]) > -60 and (
            level(before[start : start + half]) - level(after[start : start + half]) >= 20
        ):
            return f"{start / RATE:.1f}"
    return "never"


def user(count: int) -> Wave:
    words = sounds.spoken(sounds.flite(USER, "awb"))
    out = np.zeros(count)
    for at in USER_AT:
        out[round(at * RATE) : round(at * RATE) + len(words)] = words
    return out


def row(
    name: str, played: Wave, microphone: Wave, talked: Wave, canceller: list[WebRtcCanceller | None]
) -> str:
    alone = run(played, microphone, canceller[0])
    both = run(played, microphone + talked, canceller[1])
    speaks = np.repeat(False, len(both.voice))
    voiced = sounds.levels(talked) > -50
    speaks[: len(voiced)] = voiced[: len(speaks)]
    kept = level(both.left[np.repeat(speaks, BLOCK)]) - level(
        talked[: len(both.left)][np.repeat(speaks, BLOCK)]
    )
    agreed, over = alone.voice & alone.more, both.voice & both.more
    cells = [
        less(microphone, alone.left, 0, FIRST_S),
        less(microphone, alone.left, FIRST_S),
        until_gone(microphone, alone.left),
        f"{np.mean(alone.voice):.0%}",
        f"{np.mean(agreed):.1%}",
        f"{kept:+.0f}",
        f"{np.mean(both.voice[speaks]):.0%}",
        f"{np.mean(over[speaks]):.0%}",
        onset(over, talked),
        f"{1000 * alone.cpu:.0f}",
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def onset(over: np.ndarray[tuple[int], np.dtype[np.bool_]], talked: Wave) -> str:
    """Milliseconds from the user's first voice until 100 ms of it have been found: the latest, and how often never."""
    voiced = sounds.levels(talked) > -50
    found = []
    for at in USER_AT:
        first = round(at * 100) + int(np.flatnonzero(voiced[round(at * 100) :])[0])
        runs = (block for block in range(first + 10, first + 200) if over[block - 10 : block].all())
        found.append(next(runs, first) - first)
    missed = found.count(0)
    latest = f"{10 * max(found)}" if any(found) else "never"
    return f"{latest}, {missed} of {len(found)} missed" if missed and any(found) else latest


def memory() -> float:
    """Resident megabytes; 0 where the system does not tell."""
    file = Path("/proc/self/statm")
    return int(file.read_text().split()[1]) * PAGE / 1e6 if file.exists() else 0.0


def main() -> None:
    before, began = memory(), perf_counter()
    WebRtcCanceller()
    first = perf_counter()
    after = memory()
    WebRtcCanceller().near(Frame(data=bytes(2 * BLOCK), format=LISTENING))
    again = perf_counter() - first
    played = np.tile(at_level(sounds.flite(sounds.OWN_SPEECH), -20), 2)
    talked = user(len(played))
    print(f"Opening: {1000 * (first - began):.0f} ms the first time, {1000 * again:.0f} ms again; ", end="")
    print(f"{after - before:.0f} MB more than with numpy alone.\n")
    print(
        "| room | first 3 s, dB | then | 20 dB after, s | voice on echo | and gate | user's level, dB | user found "
        "| and gate | 100 ms of user found after, ms | CPU, ms/s |"
    )
    print("|---" * 11 + "|")
    for loss in LOSSES_DB:
        for delay in DELAYS_MS:
            heard = echo(played, delay_ms=delay, loss_db=loss) + noise(len(played), ROOM_DB)
            for name, make in (
                ("without", lambda: None),
                ("canceller", WebRtcCanceller),
                ("and noise suppression", lambda: WebRtcCanceller(noise_suppression=True)),
            ):
                print(
                    row(f"−{loss} dB, {delay} ms, {name}", played, heard, talked, [make(), make()]),
                    flush=True,
                )
            sys.stderr.write(f"  {loss} dB, {delay} ms\n")


if __name__ == "__main__":
    main()
