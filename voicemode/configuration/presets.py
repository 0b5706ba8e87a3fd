"""Ways to speak under a name, and what of them a request may set otherwise."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum

from voicemode.errors import InvalidRequest
from voicemode.speech import Delivery

TOKENS_PER_SECOND = 25
"""Speech tokens of Chatterbox; each becomes 40 ms of sound."""


class Preset(StrEnum):
    """Which to choose: see the table in specs/speech-parts.md."""

    BALANCED = "balanced"
    EXPRESSIVE = "expressive"
    FAST = "fast"
    CLONE_FIDELITY = "clone_fidelity"
    REALTIME = "realtime"
    ADAPTIVE = "adaptive"


_BALANCED = Delivery(exaggeration=0.5, cfg_weight=0.5, temperature=0.8, steps=10, first_chunk=24, chunk=24)
"""The model's own defaults (exaggeration, cfg weight, temperature, ten decoder steps)."""

PRESETS: dict[Preset, Delivery] = {
    Preset.BALANCED: _BALANCED,
    # The model's authors: for expressive speech 0.7 and a cfg weight of 0.3, which slows what exaggeration hurries.
    Preset.EXPRESSIVE: replace(_BALANCED, exaggeration=0.7, cfg_weight=0.3),
    # Half the decoder's work, in chunks of two thirds of a second.
    Preset.FAST: replace(_BALANCED, steps=5, first_chunk=16, chunk=16),
    # Nearer to the recording: less chance, more guidance, more steps, and longer chunks, so fewer joins.
    Preset.CLONE_FIDELITY: replace(
        _BALANCED, cfg_weight=0.7, temperature=0.6, steps=15, first_chunk=30, chunk=30
    ),
    Preset.REALTIME: replace(_BALANCED, steps=4, first_chunk=10, chunk=10),
    # Sound after half a second of tokens; then chunks as long as balanced has them.
    Preset.ADAPTIVE: replace(_BALANCED, steps=8, first_chunk=12, chunk=24),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Range:
    least: float
    most: float
    whole: bool = False


_RANGES = {
    "exaggeration": _Range(least=0.25, most=2.0),
    "cfg_weight": _Range(least=0.0, most=1.0),
    "temperature": _Range(least=0.05, most=5.0),
    "steps": _Range(least=1, most=50, whole=True),
    "first_chunk": _Range(least=5, most=250, whole=True),
    "chunk": _Range(least=5, most=250, whole=True),
}
"""Those of the model's own demonstration for the first three. 250 tokens are 10 s."""


def delivery(
    preset: str | None = None,
    *,
    exaggeration: float | None = None,
    cfg_weight: float | None = None,
    temperature: float | None = None,
    steps: int | None = None,
    first_chunk: int | None = None,
    chunk: int | None = None,
) -> Delivery:
    """The preset (None: balanced) with what is given instead of its own. Raises `InvalidRequest`."""
    given: dict[str, float | None] = {
        "exaggeration": exaggeration,
        "cfg_weight": cfg_weight,
        "temperature": temperature,
        "steps": steps,
        "first_chunk": first_chunk,
        "chunk": chunk,
    }
    own = PRESETS[_named(preset)]
    values = {name: _checked(name, value) for name, value in given.items() if value is not None}
    return Delivery(**{each.name: values.get(each.name, getattr(own, each.name)) for each in fields(own)})


def _named(preset: str | None) -> Preset:
    try:
        return Preset(preset or Preset.BALANCED)
    except ValueError:
        raise InvalidRequest(
            f"There is no preset {str(preset)[:64]!r}.",
            hint=f"Choose one of {', '.join(Preset)}; or leave it out for {Preset.BALANCED}.",
            about="preset",
        ) from None


def _checked(name: str, value: float) -> float:
    allowed = _RANGES[name]
    kind = "a whole number" if allowed.whole else "a number"
    possible = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and allowed.least <= value <= allowed.most
        and not (allowed.whole and value != int(value))
    )
    if not possible:
        raise InvalidRequest(
            f"{name} is {str(value)[:32]}; it is {kind} from {allowed.least:g} to {allowed.most:g}.",
            hint=f"Leave {name} out to get the preset's.",
            about=name,
        )
    return int(value) if allowed.whole else float(value)
