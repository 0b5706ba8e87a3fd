"""espeak-ng's voices by the names people use: a language, and optionally a variant of it (`de`, `en-us+f3`)."""

from __future__ import annotations

from dataclasses import dataclass

from voicemode.errors import UnknownVoice
from voicemode.speech import Voice
from voicemode.text.similar import similar

DEFAULT_VOICE = "en-us"

_SERVES = {"zh": "cmn", "no": "nb", "en": "en-us", "fr": "fr-fr", "vi": "vi", "iw": "he", "tlh": "piqd"}
"""Languages that espeak-ng lists under another tag than people write, and the choice among relatives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """`identifier` is the voice's file, which espeak-ng always finds; it finds few languages by their tag."""

    voice: Voice
    identifier: str


class Catalogue:
    """What espeak-ng has listed. Ids are compared without regard to case, `_` counts as `-`."""

    def __init__(self, listing: str, engine: str) -> None:
        """`listing` is the answer to `L`: kind, tag, name, identifier, tab-separated."""
        self._languages: dict[str, Language] = {}
        self._variants: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for line in listing.splitlines():
            kind, tag, name, identifier = line.split("\t")
            key = tag.lower()
            if kind == "variant":
                variant = identifier.rpartition("/")[2]
                self._variants[variant.lower()] = variant
                self._names[variant] = name
            elif key not in self._languages:
                voice = Voice(id=key, engine=engine, name=name.strip(), language=tag)
                self._languages[key] = Language(voice=voice, identifier=identifier)
        self._engine = engine

    def voices(self) -> list[Voice]:
        """Every language, then American English in every variant; any other language takes variants as well."""
        variants = [
            Voice(id=f"{DEFAULT_VOICE}+{variant}", engine=self._engine, name=name, language="en-US")
            for variant, name in self._names.items()
        ]
        return [*(language.voice for language in self._languages.values()), *variants]

    def find(self, asked: str) -> tuple[str, str]:
        """(voice id, espeak-ng's identifier). Raises `UnknownVoice` with the near choices."""
        tag, plus, variant = asked.strip().partition("+")
        language = self._languages.get(tag.lower().replace("_", "-"))
        known = self._variants.get(variant.lower())
        if language is None or (plus and known is None):
            raise self._unknown(asked)
        suffix = f"+{known}" if plus else ""
        return language.voice.id + suffix, language.identifier + suffix

    def for_language(self, tag: str) -> str:
        """The voice for a BCP 47 tag: itself, its parents, a relative; English for one it cannot speak."""
        parts = tag.lower().replace("_", "-").split("-")
        for length in range(len(parts), 0, -1):
            shorter = "-".join(parts[:length])
            if shorter in self._languages:
                return shorter
            if _SERVES.get(shorter) in self._languages:
                return _SERVES[shorter]
        return next((known for known in self._languages if known.startswith(f"{parts[0]}-")), DEFAULT_VOICE)

    def _unknown(self, asked: str) -> UnknownVoice:
        ids = [voice.id for voice in self.voices()]
        near = similar(asked.lower(), ids, most=4, cutoff=0.6) or [
            "en-us",
            "en-gb",
            "en-us+f3",
        ]
        return UnknownVoice(
            f"The embedded voice has no voice {asked!r}; it speaks languages, each in variants.",
            hint=f"Near: {', '.join(near)}. {UnknownVoice.LISTED_BY} lists all; leave the voice out for the default.",
        )
