"""When a turn ends beside when it should, in noise: many people, each alone, then two sentences with a pause that is
just no end.

    python -m scripts.measuring.turn_ends [--detector auto|webrtc] [--each N] [--rooms quiet,fan20]

The ear and the turn machine of the server, in microphone time. Decision 0009 holds the table. Half of the speakers are
there to choose numbers by, the others to see whether they hold for somebody else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from scripts.measuring import people, sounds
from scripts.measuring.sounds import BLOCK, RATE, SPEECH_DB
from tests.ears.rooms import Wave, at_level, noise, sound
from voicemode.ears.choice import GATE_AGGRESSIVENESS
from voicemode.ears.gated import GatedVad
from voicemode.ears.pitched import PitchedVad
from voicemode.ears.silero import FRAME_SAMPLES, ONSET_SECONDS, OVERHANG_SECONDS, SileroVad
from voicemode.ears.webrtc import WebRtcVad
from voicemode.flows.guessing import Guess
from voicemode.flows.judging import Ear, Judged, Sound
from voicemode.flows.listening import Hearing, ListeningPorts
from voicemode.pcm import LISTENING, Framer
from voicemode.ports import Vad
from voicemode.turn_taking.turn import TurnRules

QUIET_DB = -66.0
LEAD_S = 1.2
"""Of the room before somebody speaks: the microphone is open while the last words of the message sound."""
SILENCE_S = 0.8
SHORT_OF_S = 0.05
AFTER_S = 2.0
VOICED_DB = 25.0
RULES = TurnRules(silence=SILENCE_S, silence_least=SILENCE_S, silence_most=SILENCE_S)

SHORT = ("Please delete the old branch now.", "Is this what you wish?")
HALVES = {
    "chosen by": (people.SPEAKERS[:2] + people.SPEAKERS[4:], ("slt", "awb"), slice(5)),
    "held out": (people.SPEAKERS[2:4], ("rms", "kal16"), slice(5, None)),
}
"""Telephone prompts' speakers, voices of flite, and recordings: each person is in one half."""

BACKGROUNDS: dict[str, Callable[[int], Wave]] = {
    "room": sounds.pink,
    "fan": sounds.fan,
    "music": sounds.music,
    "tunes": people.tunes,
}


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """`voice` begins with the first voiced sample; the last is that at `ends_s`, and what follows dies away."""

    voice: Wave
    ends_s: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """Seconds that turns ended late (early: below zero); how many of `tried` pauses ended one."""

    name: str
    late: list[float]
    never: int
    cut: int
    tried: int


def sentence(samples: Wave) -> Sentence:
    found = sounds.levels(samples)
    blocks = np.flatnonzero(found > found.max() - VOICED_DB)
    first, last = int(blocks[0]), int(blocks[-1]) + 1
    loud = np.concatenate([samples[at * BLOCK : (at + 1) * BLOCK] for at in blocks])
    gain = 10 ** (SPEECH_DB / 20) * 32_768 / np.sqrt(np.mean(loud**2))
    return Sentence(voice=samples[first * BLOCK : (last + 30) * BLOCK] * gain, ends_s=(last - first) / 100)


def heard(vad: Vad, samples: Wave) -> list[Judged]:
    ear, out, at = Ear(vad, None), [], 0.0
    for frame in Framer(LISTENING, vad.frame_samples).feed(sound(samples)):
        out.append(ear.judge(Sound(frame=frame, began=at)))
        at += frame.seconds
    return out


def ended(vad: Vad, judged: Iterable[Judged]) -> float | None:
    """When the turn ends, in seconds from the first frame; None where it does not."""

    def nothing(**_: object) -> object:
        raise AssertionError("nothing is kept here")

    ports = ListeningPorts(
        open_source=nothing,  # type: ignore[arg-type]
        open_vad=lambda: vad,
        engine=None,  # type: ignore[arg-type]
        begin_recording=nothing,  # type: ignore[arg-type]
        emit=lambda event: None,
        rules=RULES,
    )
    hearing = Hearing(
        ports,
        LISTENING,
        turn="t",
        rules=RULES,
        guess=Guess(),
        overhang=vad.overhang_seconds,
        lead_seconds=vad.onset_seconds,
    )
    at = 0.0
    for each in judged:
        at += each.frame.seconds
        if hearing.feed(each) is not None:
            return at
    return None


def gated() -> Vad:
    return GatedVad(
        WebRtcVad(GATE_AGGRESSIVENESS),
        SileroVad,
        frame_samples=FRAME_SAMPLES,
        onset_seconds=ONSET_SECONDS,
        overhang_seconds=OVERHANG_SECONDS,
    )


def scene(parts: list[Wave], behind: Wave, at: int) -> Wave:
    clean = np.concatenate([np.zeros(round(LEAD_S * RATE)), *parts, np.zeros(round(AFTER_S * RATE))])
    return (
        clean
        + noise(len(clean), QUIET_DB, seed=at)
        + np.take(behind, np.arange(at, at + len(clean)), mode="wrap")
    )


def row(name: str, behind: Wave, make: Callable[[], Vad], said: list[Sentence]) -> Row:
    late, never, cut = [], 0, 0
    for number, each in enumerate(said):
        at = number * 31_013
        vad = make()
        end = ended(vad, heard(vad, scene([each.voice], behind, at)))
        if end is None:
            never += 1
        else:
            late.append(end - LEAD_S - each.ends_s - SILENCE_S)
        after = said[(number + 1) % len(said)]
        first = each.voice[: round(each.ends_s * RATE)]
        tail = each.voice[len(first) :]
        pause = np.zeros(round((SILENCE_S - SHORT_OF_S) * RATE))
        pause[: len(tail)] = tail[: len(pause)]
        vad = make()
        end = ended(vad, heard(vad, scene([first, pause, after.voice], behind, at)))
        # A turn that had ended in the pause ends before the second sentence could have begun to be heard.
        cut += end is not None and end < LEAD_S + each.ends_s + SILENCE_S + 0.3
    sys.stderr.write(f"  {name}\n")
    return Row(name=name, late=late, never=never, cut=cut, tried=len(said))


def half(name: str, each: int) -> list[Wave]:
    speakers, voices, recorded = HALVES[name]
    flite = [sounds.flite(text, voice) for voice in voices for text in (*sounds.SENTENCES, *SHORT)]
    return [*sounds.recordings()[recorded], *people.prompts(each, speakers), *flite]


def told(half: str, row: Row) -> str:
    if not row.late:
        return f"| {row.name} | {half} | | | | {row.never} |"
    late = 1000 * np.array(row.late)
    spread = " / ".join(f"{np.percentile(late, at):+.0f}" for at in (0, 5, 50, 95, 100))
    near = np.mean(np.abs(late) <= 100)
    return f"| {row.name} | {half} | {spread} | {near:.0%} | {row.cut} of {row.tried} | {row.never} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--detector", choices=["auto", "webrtc"], default="auto")
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--rooms", default="", help="all, if nothing else is said")
    options = parser.parse_args()
    halves = {name: [sentence(each) for each in half(name, options.each)] for name in HALVES}
    make: Callable[[], Vad] = gated if options.detector == "auto" else lambda: PitchedVad(WebRtcVad(2))
    count = 60 * RATE
    rooms: dict[str, Wave] = {"quiet": np.zeros(count)}
    for name, background in BACKGROUNDS.items():
        for snr in (20, 10):
            rooms[f"{name}{snr}"] = at_level(background(count), SPEECH_DB - snr)
    wanted = options.rooms.split(",") if options.rooms else list(rooms)
    print(
        f"{', '.join(f'{len(said)} sentences {name}' for name, said in halves.items())}; {options.detector}\n"
    )
    print("| | | late, ms: least / 5 % / median / 95 % / most | within 100 ms | cut in a pause | never |")
    print("|---|---|---|---|---|---|")
    for room in wanted:
        for name, said in halves.items():
            print(told(name, row(room, rooms[room], make, said)), flush=True)


if __name__ == "__main__":
    main()
