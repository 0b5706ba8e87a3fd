"""Which voices of different engines are one voice: those of one name, and those of which the user says so."""

from __future__ import annotations

from dataclasses import dataclass

from voicemode.configuration.kinds import NO, WORDS, YES, Kind

SAME = "same"
"""Voices of one name, and no others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VoicesAlike:
    """`groups` are names that the user says are one voice."""

    groups: tuple[tuple[str, ...], ...] = ()

    def names(self, voice: str) -> tuple[str, ...]:
        """What `voice` may be called by another engine; its own name first."""
        others = (name for group in self.groups if voice in group for name in group)
        return tuple(dict.fromkeys((voice, *others)))

    def named(self, voice: str) -> str | None:
        """What the user says that another engine calls it."""
        said = [name for group in self.groups if voice in group for name in group]
        return next((name for name in said if name != voice), voice if said else None)


def _parse(text: str) -> VoicesAlike | None:
    if text.lower() in NO:
        return None
    words, groups = WORDS.parse(text), []
    if not words:
        raise ValueError(text)
    for word in words:
        names = tuple(name.strip() for name in word.split("="))
        if len(names) > 1 and all(names):
            groups.append(names)
        elif word.lower() not in {SAME, *YES}:
            raise ValueError(text)
    return VoicesAlike(groups=tuple(groups))


def _show(alike: VoicesAlike | None) -> str:
    if alike is None:
        return ""
    return ",".join("=".join(group) for group in alike.groups) or SAME


ALIKE: Kind[VoicesAlike | None] = Kind(
    allowed=f"{SAME}, or names of one voice with = between them (af_sky=sky), separated by commas",
    parse=_parse,
    show=_show,
)
