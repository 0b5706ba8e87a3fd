"""What a recording holds: where sound is, where it is missing, and how much of a source came through.

Pure arithmetic on mono int16 samples. *Audible* is |sample| above -50 dBFS, everywhere in the project's measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import gcd

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float64]

FULL_SCALE = 32_768
AUDIBLE = 103
"""-50 dBFS, in steps of 16 bits: a sample louder than this is heard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Samples `start` (the first) to `end` (one past the last)."""

    start: int
    end: int

    @property
    def samples(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A run of the source that was found again.

    `source` is in samples of the source brought to the recording's rate; `heard_at` is where it begins in the
    recording.
    """

    source: Span
    heard_at: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How a recording relates to what was sent.

    `offset` is the sample of the recording at which the source begins (with the fraction that a resampler adds);
    `correlation` is 1.0 for the same shape at any loudness; `snr_db` compares the source, at the loudness heard,
    with everything else in its stretch of the recording; `gain` is the loudness heard / sent; `complete` is the
    fraction of the source's audible 10 ms blocks that were found, in order (a pause tears the block it falls into, so
    each costs up to two although nothing is lost); `pieces` are the runs they form: one
    piece is an unbroken sound.
    """

    offset: float
    correlation: float
    snr_db: float
    gain: float
    complete: float
    pieces: tuple[Piece, ...]


def samples_of(pcm: bytes, channels: int = 1, channel: int = 0) -> Samples:
    """One channel of s16le bytes."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.int16).reshape(-1, channels)[:, channel].copy()


def decibels(samples: Samples) -> float:
    """Root mean square level in dBFS of a square wave at full scale; -inf for digital silence."""
    power = float(np.mean(np.square(samples.astype(np.float64)))) if len(samples) else 0.0
    return 10 * float(np.log10(power / FULL_SCALE**2)) if power else float("-inf")


def audible_spans(samples: Samples, rate: int, *, bridge_s: float = 0.010) -> list[Span]:
    """Stretches of sound. Quiet of up to `bridge_s` belongs to the sound: every wave crosses zero."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > AUDIBLE)
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > bridge_s * rate)
    starts = np.concatenate(([loud[0]], loud[breaks + 1]))
    ends = np.concatenate((loud[breaks], [loud[-1]])) + 1
    return [Span(start=int(start), end=int(end)) for start, end in zip(starts, ends, strict=True)]


def gaps(samples: Samples, rate: int, *, at_least_s: float = 0.010) -> list[Span]:
    """Silences between the first and the last audible sample."""
    spans = audible_spans(samples, rate, bridge_s=at_least_s)
    return [Span(start=left.end, end=right.start) for left, right in pairwise(spans)]


def chirp(rate: int, seconds: float, *, low: float = 200, high: float = 7_000, level: float = 0.5) -> Samples:
    """A rising tone, `level` of full scale: no two stretches of it are alike, so it aligns in one place only."""
    t = np.arange(round(rate * seconds)) / rate
    phase = 2 * np.pi * (low * t + (high - low) / (2 * seconds) * t**2)
    return np.round(level * (FULL_SCALE - 1) * np.sin(phase)).astype(np.int16)


def tone(rate: int, seconds: float, frequency: float, *, level: float = 0.5) -> Samples:
    t = np.arange(round(rate * seconds)) / rate
    return np.round(level * (FULL_SCALE - 1) * np.sin(2 * np.pi * frequency * t)).astype(np.int16)


def strongest_frequency(samples: Samples, rate: int) -> float:
    """Hz of the loudest line of the spectrum; 0 for silence."""
    if not samples.any():
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64) * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


def resampled(samples: Samples | Wave, rate: int, wanted: int) -> Wave:
    """The same sound at another rate, band-limited by its Fourier series: the reference others are held against."""
    wave = samples.astype(np.float64)
    if rate == wanted:
        return wave
    unit = rate // gcd(rate, wanted)
    units = -(-(len(wave) + rate // 10) // unit)
    padded = np.zeros(units * unit)
    padded[: len(wave)] = wave
    size = units * (wanted // gcd(rate, wanted))
    spectrum = np.fft.rfft(padded)
    kept = np.zeros(size // 2 + 1, dtype=np.complex128)
    lines = min(len(kept), len(spectrum))
    kept[:lines] = spectrum[:lines]
    whole: Wave = np.fft.irfft(kept, size) * (size / len(padded))
    return whole[: round(len(wave) * wanted / rate)]


def compare(
    heard: Samples, heard_rate: int, source: Samples, source_rate: int, *, likeness: float = 0.9
) -> Comparison:
    """Finds `source` in `heard`. `likeness` is the correlation from which a 10 ms block counts as found."""
    sent = resampled(source, source_rate, heard_rate)
    got = heard.astype(np.float64)
    start = best_offset(got, sent)
    stretch = _stretch(got, start, len(sent))
    fraction = _fraction(stretch, sent)
    shifted = _delayed(sent, fraction)
    energy = float(shifted @ shifted)
    gain = float(stretch @ shifted) / energy if energy else 0.0
    rest = stretch - gain * shifted
    noise = float(rest @ rest)
    loudness = float(stretch @ stretch)
    finder = _Finder(
        got=got, sent=sent, block=heard_rate // 100, loud=_loud(source, source_rate), likeness=likeness
    )
    finder.search(Span(start=0, end=len(sent)), Span(start=0, end=len(got)))
    return Comparison(
        offset=start + fraction,
        correlation=float(stretch @ shifted) / (energy * loudness) ** 0.5 if energy and loudness else 0.0,
        snr_db=10 * float(np.log10(gain**2 * energy / noise))
        if noise and gain
        else float("inf" if gain else "-inf"),
        gain=gain,
        complete=finder.fraction(),
        pieces=finder.pieces(),
    )


def _loud(source: Samples, rate: int) -> npt.NDArray[np.bool_]:
    """Which 10 ms blocks are audible. Asked of the source itself: resampling rings beyond an abrupt end."""
    block = rate // 100
    whole = source[: len(source) // block * block].astype(np.int32)
    loud: npt.NDArray[np.bool_] = np.abs(whole).reshape(-1, block).max(axis=1) > AUDIBLE
    return loud


def best_offset(got: Wave, sent: Wave) -> int:
    """Where `sent` begins in `got`, to the nearest sample; negative when its beginning is missing."""
    if not len(got) or not len(sent):
        return 0
    size = 1 << (len(got) + len(sent)).bit_length()
    product = np.fft.rfft(got, size) * np.conj(np.fft.rfft(sent, size))
    best = int(np.argmax(np.fft.irfft(product, size)))
    return best - size if best > len(got) else best


def _stretch(got: Wave, start: int, length: int) -> Wave:
    """`length` samples of `got` from `start` on, silence where there are none."""
    out = np.zeros(length)
    left, right = max(0, start), min(len(got), start + length)
    if right > left:
        out[left - start : right - start] = got[left:right]
    return out


def _fraction(stretch: Wave, sent: Wave) -> float:
    """The rest of the delay, within half a sample: the slope of the phase between the two, weighted by loudness."""
    ours, theirs = np.fft.rfft(stretch), np.fft.rfft(sent)
    cross = ours * np.conj(theirs)
    weight = np.abs(cross)
    omega = 2 * np.pi * np.arange(len(cross)) / max(1, len(sent))
    below = float(np.sum(weight * omega**2))
    return float(-np.sum(weight * omega * np.angle(cross)) / below) if below else 0.0


def _delayed(wave: Wave, fraction: float) -> Wave:
    """`wave` later by a fraction of a sample, without wrapping its end to its beginning."""
    if abs(fraction) < 1e-4:
        return wave
    padded = np.concatenate((wave, np.zeros(4_096)))
    omega = 2 * np.pi * np.arange(len(padded) // 2 + 1) / len(padded)
    moved: Wave = np.fft.irfft(np.fft.rfft(padded) * np.exp(-1j * omega * fraction), len(padded))
    return moved[: len(wave)]


class _Finder:
    """Finds the source in the recording piece by piece, in order, so that a hole or a pause costs only itself."""

    def __init__(
        self, *, got: Wave, sent: Wave, block: int, loud: npt.NDArray[np.bool_], likeness: float
    ) -> None:
        self._got = got
        self._sent = sent
        self._block = block
        self._likeness = likeness
        self._loud = loud[: len(sent) // block]
        self._at = np.full(len(self._loud), -1, dtype=np.int64)
        """For each block of the source: the sample of the recording where it was found, or -1."""

    def search(self, source: Span, heard: Span) -> None:
        """Places the blocks of `source` within `heard`, then tries what is left on either side."""
        if source.samples < 2 * self._block or heard.samples < self._block:
            return
        offset = heard.start + best_offset(
            self._got[heard.start : heard.end], self._sent[source.start : source.end]
        )
        shift = offset - source.start
        found = [
            number
            for number in range(-(-source.start // self._block), source.end // self._block)
            if self._loud[number] and self._alike(number, number * self._block + shift, heard)
        ]
        if not found:
            return
        self._at[found] = np.array(found) * self._block + shift
        first, last = found[0] * self._block, (found[-1] + 1) * self._block
        self.search(Span(start=source.start, end=first), Span(start=heard.start, end=first + shift))
        for left, right in pairwise(found):
            begin, end = (left + 1) * self._block, right * self._block
            self.search(Span(start=begin, end=end), Span(start=begin + shift, end=end + shift))
        self.search(Span(start=last, end=source.end), Span(start=last + shift, end=heard.end))

    def fraction(self) -> float:
        wanted = int(np.count_nonzero(self._loud))
        return float(np.count_nonzero(self._at >= 0)) / wanted if wanted else 1.0

    def pieces(self) -> tuple[Piece, ...]:
        """Runs of blocks with the same delay; quiet blocks of the source break no run."""
        out: list[Piece] = []
        for number in np.flatnonzero(self._at >= 0):
            begin, at = int(number) * self._block, int(self._at[number])
            last = out[-1] if out else None
            if (
                last
                and last.heard_at - last.source.start == at - begin
                and self._quiet(last.source.end, begin)
            ):
                out[-1] = Piece(
                    source=Span(start=last.source.start, end=begin + self._block), heard_at=last.heard_at
                )
            else:
                out.append(Piece(source=Span(start=begin, end=begin + self._block), heard_at=at))
        return tuple(out)

    def _quiet(self, start: int, end: int) -> bool:
        return not self._loud[start // self._block : end // self._block].any()

    def _alike(self, number: int, at: int, heard: Span) -> bool:
        if at < heard.start or at + self._block > heard.end:
            return False
        ours = self._got[at : at + self._block]
        theirs = self._sent[number * self._block : (number + 1) * self._block]
        power = float(ours @ ours) * float(theirs @ theirs)
        return power > 0 and float(ours @ theirs) / power**0.5 >= self._likeness
