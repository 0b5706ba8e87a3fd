"""Voice detectors side by side: when they notice a voice, how long they hold on to it, and what they take for one.

    python -m scripts.measuring.detectors

Recordings of people (Debian's pocketsphinx-testdata, fetched into build/ when needed) and flite's voices, 1.5 s apart,
at -26 dBFS in each background; then every background and noise alone. Decision 0009 holds the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter, process_time

import numpy as np

from scripts.measuring import sounds
from scripts.measuring.sounds import BLOCK, RATE, SPEECH_DB
from tests.ears.rooms import Wave, at_level, noise, sound
from voicemode.ears.choice import GATE_AGGRESSIVENESS
from voicemode.ears.gated import GatedVad
from voicemode.ears.silero import FRAME_SAMPLES, SileroVad
from voicemode.ears.webrtc import WebRtcVad
from voicemode.pcm import LISTENING, Framer
from voicemode.ports import Vad

PAUSE_S = 1.5
QUIET_DB = -66.0
ONSET = 9
"""Blocks of voice in a row that open a turn: 90 ms."""
ALONE_S = 30.0
FAINTER_DB = 24.0
"""A microphone that is turned down, or a person across the room."""
NEAR_S = 0.3
"""Beside a voice nothing is a false alarm: rooms ring, and detectors hold on."""

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """`truth` for each 10 ms: somebody speaks; `utterances` are (first, last + 1) blocks."""

    name: str
    samples: Wave
    truth: Flags
    utterances: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Detector:
    name: str
    make: Callable[[], Vad]
    threshold: float = 0.5


DETECTORS = (
    *(Detector(name=f"webrtc {level}", make=partial(WebRtcVad, level)) for level in range(4)),
    *(
        Detector(name=f"silero ≥ {threshold}", make=SileroVad, threshold=threshold)
        for threshold in (0.3, 0.5, 0.7)
    ),
    Detector(
        name="gated ≥ 0.5",
        make=lambda: GatedVad(WebRtcVad(GATE_AGGRESSIVENESS), SileroVad, frame_samples=FRAME_SAMPLES),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Milliseconds and shares. `onset` from the first voiced moment until a turn would open, None where it never did;
    `end` from the last voiced moment to the last frame called voice; `opened` turns per minute where nobody speaks."""

    onsets: list[float | None]
    ends: list[float]
    missed: float
    false: float
    opened: float
    cpu: float


def scene(name: str, people: list[Wave], background: Callable[[int], Wave] | None, snr: float) -> Scene:
    pause = np.zeros(round(PAUSE_S * RATE))
    parts: list[Wave] = [pause]
    truth: list[Flags] = [np.zeros(len(pause) // BLOCK, dtype=bool)]
    bounds = []
    for each in people:
        begin = sum(len(flags) for flags in truth)
        parts += [each, pause]
        truth += [sounds.voiced(each), np.zeros(len(pause) // BLOCK, dtype=bool)]
        bounds.append((begin, begin + len(each) // BLOCK))
    clean = np.concatenate(parts)
    behind = noise(len(clean), QUIET_DB)
    if background is not None:
        behind = behind + at_level(background(len(clean)), SPEECH_DB - snr)
    return Scene(name=name, samples=clean + behind, truth=np.concatenate(truth), utterances=tuple(bounds))


def alone(name: str, make: Callable[[int], Wave], decibels: float) -> Scene:
    count = round(ALONE_S * RATE)
    samples = at_level(make(count), decibels) + noise(count, QUIET_DB)
    return Scene(name=name, samples=samples, truth=np.zeros(count // BLOCK, dtype=bool))


def decided(make: Callable[[], Vad], samples: Wave) -> tuple[Wave, float]:
    """(probability for each 10 ms at the end of which it is known, CPU seconds)."""
    vad = make()
    frames = list(Framer(LISTENING, vad.frame_samples).feed(sound(samples)))
    vad.feed(frames[0])
    began = process_time()
    answers = [vad.feed(frame) for frame in frames]
    spent = process_time() - began
    blocks = np.arange(len(samples) // BLOCK)
    # What a block is called is known when the frame that holds it has ended.
    index = np.minimum((blocks * BLOCK) // vad.frame_samples, len(answers) - 1)
    return np.asarray(answers)[index], spent


def judged(scene: Scene, probabilities: Wave, threshold: float, frame: int, cpu: float) -> Seen:
    called: Flags = np.asarray(probabilities >= threshold)[: len(scene.truth)]
    near = np.convolve(scene.truth, np.ones(2 * round(NEAR_S * 100) + 1), mode="same") > 0
    quiet = ~near
    onsets: list[float | None] = []
    ends = []
    for first, end in scene.utterances:
        run = next((at for at in range(first - 10, end) if called[at : at + ONSET].all()), None)
        if run is None:
            onsets.append(None)
        else:
            frames = (run + ONSET - 1) * BLOCK // frame + 1
            onsets.append(1000 * (frames * frame / RATE - first / 100))
        after = np.flatnonzero(called[first : end + 100])
        ends.append((after[-1] + 1 + first - end) * 10.0 if len(after) else 0.0)
    starts = called & quiet
    opened = sum(
        1
        for at in range(len(starts) - ONSET)
        if starts[at : at + ONSET].all() and not (at and starts[at - 1])
    )
    minutes = quiet.sum() / 6_000
    return Seen(
        onsets=onsets,
        ends=ends,
        missed=float(np.mean(~called[scene.truth])) if scene.truth.any() else 0.0,
        false=float(np.mean(called[quiet])) if quiet.any() else 0.0,
        opened=opened / minutes if minutes else 0.0,
        cpu=cpu / (len(scene.samples) / RATE),
    )


def measured(scenes: list[Scene]) -> dict[tuple[str, str], Seen]:
    found = {}
    for each in scenes:
        answers: dict[str, tuple[Wave, float]] = {}
        for detector in DETECTORS:
            kind = detector.name.split(" ≥")[0]
            if kind not in answers:
                answers[kind] = decided(detector.make, each.samples)
            probabilities, cpu = answers[kind]
            frame = detector.make().frame_samples
            found[each.name, detector.name] = judged(each, probabilities, detector.threshold, frame, cpu)
        sys.stderr.write(f"  {each.name}\n")
    return found


def table(scenes: list[Scene], found: dict[tuple[str, str], Seen], cell: Callable[[Seen], str]) -> str:
    lines = [
        "| | " + " | ".join(detector.name for detector in DETECTORS) + " |",
        "|---" * (len(DETECTORS) + 1) + "|",
    ]
    for each in scenes:
        cells = [cell(found[each.name, detector.name]) for detector in DETECTORS]
        lines.append(f"| {each.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_voice(seen: Seen) -> str:
    """median onset (latest) / median end / missed % / false %"""
    heard = [each for each in seen.onsets if each is not None]
    lost = len(seen.onsets) - len(heard)
    onset = f"{median(heard):.0f} ({max(heard):.0f})" if heard else "never"
    deaf = f", {lost} unheard" if lost else ""
    return f"{onset} / {median(seen.ends):.0f} / {seen.missed:.0%} / {seen.false:.0%}{deaf}"


def main() -> None:
    began = perf_counter()
    SileroVad()
    first = perf_counter()
    SileroVad()
    again = perf_counter()
    recorded = sounds.recordings()
    people = [sounds.spoken(each) for each in recorded]
    people += [
        sounds.spoken(sounds.flite(text, voice))
        for text, voice in zip(sounds.SENTENCES, ("slt", "awb"), strict=True)
    ]
    backgrounds: list[tuple[str, Callable[[int], Wave], tuple[float, ...]]] = [
        ("room", sounds.pink, (20, 10, 5)),
        ("babble", sounds.babble, (20, 10, 5)),
        ("music", sounds.music, (10, 5)),
        ("fan", sounds.fan, (10, 5)),
    ]
    scenes = [scene("quiet", people, None, 0.0)]
    scenes += [
        scene(f"{name}, {snr:g} dB", people, make, snr) for name, make, snrs in backgrounds for snr in snrs
    ]
    quiet = scenes[0]
    faint = quiet.samples * 10 ** (-FAINTER_DB / 20) + noise(len(quiet.samples), -80.0)
    scenes.append(replace(quiet, name=f"quiet, {FAINTER_DB:g} dB fainter", samples=faint))
    empty = [alone(name, make, -36.0) for name, make, _ in backgrounds]
    empty += [alone("music, loud", sounds.music, -26.0), alone("keys", sounds.keys, -36.0)]
    empty += [
        alone("breaths", sounds.breaths, -40.0),
        alone("coughs", sounds.coughs, -34.0),
        alone("nothing", sounds.pink, -80.0),
    ]
    found = measured([*scenes, *empty])
    seconds = sum(len(each) for each in people) / RATE
    synthesized = len(people) - len(recorded)
    print(f"{len(recorded)} recordings of people, {synthesized} of flite, {seconds:.0f} s of speech.")
    loading = f"{1000 * (first - began):.0f} ms the first time, {1000 * (again - first):.1f} ms again"
    print(f"Loading the network: {loading}.\n")
    print(
        "Median onset (latest) / median end after the last voice, ms / missed voice / false alarms in pauses:\n"
    )
    print(table(scenes, found, with_voice))
    print("\nNobody speaks: frames called voice, turns opened in a minute:\n")
    print(table(empty, found, lambda seen: f"{seen.false:.0%}, {seen.opened:.0f}"))
    print("\nCPU, ms for a second of sound:\n")
    print(table([scenes[0], scenes[2], empty[-1]], found, lambda seen: f"{1000 * seen.cpu:.1f}"))


if __name__ == "__main__":
    main()
