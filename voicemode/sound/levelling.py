"""How loud voices are, and by how much one of them differs from another."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

REMEMBERED = 5
"""Pieces of a voice that count: no two are read alike."""

LEAST_BLOCKS = 60
"""Of 5 ms: less voice than that is a word, which may be a loud one."""

LEAST_DB, MOST_DB = 1.5, 12.0
"""A smaller step is not heard between two sentences; a larger one is no matter of level."""

FULL_SCALE = 32_767.0


@dataclass(slots=True)
class _Level:
    powers: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    peaks: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    @property
    def power(self) -> float:
        return sorted(self.powers)[len(self.powers) // 2]


class Levels:
    """The memory, by speaker (any name that tells voices apart)."""

    def __init__(self) -> None:
        self._levels: dict[str, _Level] = {}

    def learn(self, speaker: str, voice: Sequence[int]) -> None:
        """`voice` are the peaks of the blocks in which it was heard."""
        if len(voice) >= LEAST_BLOCKS:
            level = self._levels.setdefault(speaker, _Level())
            level.powers.append(sum(peak * peak for peak in voice) / len(voice))
            level.peaks.append(max(voice))

    def factor(self, speaker: str, *, like: str) -> float:
        """By which `speaker` becomes as loud as `like`, without being cut at full scale; 1 where one of them is not
        known, or nobody would hear it."""
        one, other = self._levels.get(speaker), self._levels.get(like)
        if one is None or other is None:
            return 1.0
        decibels = 10 * math.log10(other.power / one.power)
        if abs(decibels) < LEAST_DB:
            return 1.0
        factor = 10 ** (max(min(decibels, MOST_DB), -MOST_DB) / 20)
        return min(factor, max(FULL_SCALE / max(one.peaks), 1.0))
