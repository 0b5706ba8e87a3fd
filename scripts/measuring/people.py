"""Many people who speak, and music that somebody played: Debian's telephone prompts and music on hold, fetched into
build/ when needed. Mono at 16 kHz, as floats."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from scripts.measuring import sounds
from tests.ears.rooms import Wave

SPEAKERS = ("en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU")
PROMPTS = Path("usr/share/asterisk/sounds")
TUNES = Path("usr/share/asterisk/moh")
MUSIC = "asterisk-moh-opsound-g722"
SHORTEST_S, LONGEST_S = 1.5, 5.0
BYTES_PER_SECOND = 8_000
LOUD_S = 10.0
"""What is taken of a tune: its beginning may be silence."""


def prompts(each: int, speakers: Sequence[str] = SPEAKERS) -> list[Wave]:
    """So many of every speaker, spread over the alphabet of what they say."""
    found = []
    for speaker in speakers:
        root = sounds.fetched(PROMPTS / speaker, f"asterisk-core-sounds-{speaker[:2]}-g722")
        if root is None:
            continue
        sizes = range(round(SHORTEST_S * BYTES_PER_SECOND), round(LONGEST_S * BYTES_PER_SECOND))
        paths = [path for path in sorted(root.glob("*.g722")) if path.stat().st_size in sizes]
        found += [_decoded(path) for path in paths[:: max(len(paths) // each, 1)][:each]]
    return found


def tunes(samples: int) -> Wave:
    """Recorded music: ten seconds of each tune in turn, for so long."""
    root = sounds.fetched(TUNES, MUSIC)
    if root is None:
        return sounds.music(samples)
    return np.resize(_tunes(root), samples)


@lru_cache
def _tunes(root: Path) -> Wave:
    parts = []
    for path in sorted(root.glob("*.g722")):
        tune = _decoded(path)
        middle = len(tune) // 2
        part = tune[middle : middle + round(LOUD_S * sounds.RATE)]
        parts.append(part / np.std(part))
    return np.concatenate(parts)


def _decoded(path: Path) -> Wave:
    with av.open(str(path), format="g722") as file:
        parts = [frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]
    return np.concatenate(parts).astype(np.float64)
