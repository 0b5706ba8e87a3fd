"""What a word or two mean that are said while we speak: stop, an assent that wants nothing, or an interruption."""

from __future__ import annotations

from voicemode.turn_taking.interruption import Sign

STOPS = {
    "en": "stop; wait; cancel; quiet; silence; enough; hold on; hang on; shut up; be quiet; stop it; stop talking; "
    "stop speaking; wait a minute; wait a second; hold on a second; hold on a minute; one moment; "
    "just a moment; that's enough; never mind",
    "de": "stopp; stop; halt; warte; warte mal; warten; moment; moment mal; ruhe; sei still; schluss; genug; "
    "abbrechen; aufhören; hör auf; sei ruhig",
    "fr": "stop; arrête; arrêtez; attends; attendez; silence; tais-toi; ça suffit; annule",
    "es": "para; alto; espera; basta; silencio; cállate; cancela; un momento",
}
"""Phrases that ask for silence, apart by semicolons."""

COURTESIES = {
    "en": "please; now; right now; okay; ok; hey; oh",
    "de": "bitte; jetzt; okay; ok; hey; mal",
    "fr": "s'il te plaît; s'il vous plaît; maintenant; ok; hé; oh",
    "es": "por favor; ya; ahora; ok; oye",
}
"""What may stand beside them and changes nothing: "please stop", "okay, wait"."""

ASSENTS = {
    "en": "mhm; mm; mmm; mm-hmm; mmhmm; mm hmm; hmm; hm; uh-huh; uh huh; uhhuh; uh; um; ah; aha; oh; yeah; yep; yes; "
    "ok; okay; right; sure; i see; got it; good; nice; great; cool; alright; all right",
    "de": "mhm; hm; hmm; ja; jaja; ja ja; aha; ach so; achso; ok; okay; genau; gut; klar; stimmt; verstehe; äh; ähm",
    "fr": "mhm; hm; oui; ouais; d'accord; ok; ah; ah bon; je vois; bien; voilà; euh; très bien",
    "es": "mhm; hm; sí; si; ya; vale; claro; ok; ajá; aja; bueno; bien; ah; eh; entiendo",
}
"""What a listener says to show that they listen."""

LONGEST_PHRASE = 4
"""In words."""


def meaning(text: str, language: str | None = None) -> Sign:
    """`language` (BCP 47) chooses the tables; None and others mean all of them. No words at all are quiet."""
    words = "".join(
        character if character.isalnum() or character in "'-" else " "
        for character in text.replace("’", "'").casefold()
    ).split()
    if not words:
        return Sign.QUIET
    known = (language or "").lower().replace("_", "-").split("-")[0]
    courtesies = _phrases(COURTESIES, known)
    if _made_of(words, _phrases(STOPS, known) | courtesies) and not _made_of(words, courtesies):
        return Sign.STOP_WORD
    return Sign.ASSENT if _made_of(words, _phrases(ASSENTS, known)) else Sign.WORDS


def _phrases(table: dict[str, str], language: str) -> frozenset[tuple[str, ...]]:
    chosen = [table[language]] if language in table else list(table.values())
    return frozenset(tuple(phrase.split()) for row in chosen for phrase in row.split(";"))


def _made_of(words: list[str], phrases: frozenset[tuple[str, ...]]) -> bool:
    """Whether the words are nothing but such phrases, one after another ("stop, stop", "yeah, okay")."""
    reach = [True, *[False] * len(words)]
    for end in range(1, len(words) + 1):
        reach[end] = any(
            reach[start] and tuple(words[start:end]) in phrases
            for start in range(max(end - LONGEST_PHRASE, 0), end)
        )
    return reach[-1]
