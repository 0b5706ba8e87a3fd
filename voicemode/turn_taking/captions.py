"""Captions that recognisers make of silence and noise, told from words that a person has said.

Models that learnt from subtitled films write what stood under their silences: thanks for watching, names of subtitling
groups, what kind of sound it was.
"""

from __future__ import annotations

import re
import unicodedata

FASTEST_CHARACTERS_PER_SECOND = 22.0
"""Nobody says more in a second of voice; a text that would have taken more was not said."""

USUAL_CHARACTERS_PER_SECOND = 14.0

SHORTEST_WORD_SECONDS = 0.3
"""Voice in the shortest answer that can be believed of a phrase that silence is often given."""

WEAK_DECIBELS = 6.0
"""Voice that stands out of the room by less is more likely the room."""

_CREDITS = re.compile(
    r"amara\.?\s*org|untertitel(ung)?\b.*\b(zdf|ard|wdr|swr|funk|im auftrag|community|von)\b|"
    r"\bsubtit(les?|led|ling)\b.*\bby\b|\bsous-titr\w*\b.*\b(par|réalis|radio)|\bsubt[ií]tulos?\b.*\b(por|de la)\b|"
    r"\bcaption(s|ed|ing)\b.*\bby\b|\btranscri(bed|ption|pt)\b.*\bby\b|"
    r"\bsous-titrage\b.*\bst\b|^copyright (wdr|swr|ndr|zdf)\b|\bsottotitoli\b.*\b(di|a cura|creati)\b|"
    r"\blegendas?\b.*\b(por|pela)\b|\bondertitel\w*\b.*\b(door|van)\b|\bundertext\w*\b.*\b(av|från)\b|"
    r"\btekst(et|ing)\b.*\b(av|af)\b|\bnapisy\b.*\b(stworzone|przez)\b|\baltyazı\b.*\bm\.?\s*k\b|"
    r"субтитр\w*\b.*\b(сделал|делал|создавал|подогнал|редактировал|dimatorzok|синецк\w+)|редактор субтитров|"
    r"字幕.*(由|提供|志[愿願]者|by|[:：])|[点點][赞贊].*[订訂][阅閱]|자막.*(by|제공|제작)|ترجمة نانسي",
    re.IGNORECASE,
)
_NOTE = r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|<[^>]*>|（[^）]*）|【[^】]*】|［[^］]*］|[♪♫🎵🎶]"
"""On a sound, in brackets or between stars: [Music], (silence), *coughs*."""

_NOTES = re.compile(_NOTE)
_SOUNDS = re.compile(rf"({_NOTE}|[-\s.…,!、。])+")
_JOINTS = re.compile(r"[.!?…,;:\n。！？、，；。؟،]+")
_AND = ("and ", "so ", "und ", "et ", "y ", "e ")

FAREWELLS = frozenset(
    (
        "thanks for watching",
        "thank you for watching",
        "thank you so much for watching",
        "thank you for watching this video",
        "thanks for watching this video",
        "thanks for watching guys",
        "thank you guys for watching",
        "thanks for listening",
        "thank you for listening",
        "please subscribe",
        "please subscribe to my channel",
        "dont forget to subscribe",
        "dont forget to like and subscribe",
        "like and subscribe",
        "see you next time",
        "see you in the next video",
        "ill see you in the next video",
        "bis zum nächsten mal",
        "vielen dank fürs zuschauen",
        "danke fürs zuschauen",
        "vielen dank für die aufmerksamkeit",
        "das wars für heute",
        "merci davoir regardé",
        "merci davoir regardé cette vidéo",
        "abonnezvous",
        "gracias por ver",
        "gracias por ver el video",
        "gracias por ver el vídeo",
        "suscríbete al canal",
        "suscribete al canal",
        "obrigado por assistir",
        "obrigada por assistir",
        "inscrevase no canal",
        "grazie per la visione",
        "grazie per aver guardato il video",
        "iscrivetevi al canale",
        "bedankt voor het kijken",
        "tack för att ni tittade",
        "tak fordi du så med",
        "takk for at du så på",
        "kiitos kun katsoitte",
        "dziękuję za uwagę",
        "dziękuję za oglądanie",
        "děkuji za pozornost",
        "izlediğiniz için teşekkürler",
        "izlediğiniz için teşekkür ederim",
        "abone olmayı unutmayın",
        "спасибо за просмотр",
        "спасибо за внимание",
        "продолжение следует",
        "подписывайтесь на канал",
        "дякую за перегляд",
        "ご視聴ありがとうございました",
        "ご清聴ありがとうございました",
        "最後までご視聴いただきありがとうございます",
        "チャンネル登録お願いします",
        "チャンネル登録をお願いいたします",
        "谢谢观看",
        "謝謝觀看",
        "感谢观看",
        "感謝觀看",
        "谢谢收看",
        "謝謝收看",
        "시청해주셔서 감사합니다",
        "시청해 주셔서 감사합니다",
        "구독과 좋아요 부탁드립니다",
        "شكرا على المشاهدة",
    )
)
"""What nobody says to an assistant."""

COMMON = frozenset(
    (
        "you",
        "thank you",
        "thank you very much",
        "thank you so much",
        "thanks",
        "bye",
        "bye bye",
        "goodbye",
        "oh",
        "hmm",
        "mm",
        "so",
        "the",
        "i",
        "danke",
        "vielen dank",
        "tschüss",
        "merci",
        "au revoir",
        "gracias",
        "adiós",
        "obrigado",
        "obrigada",
        "grazie",
        "dank je wel",
        "bedankt",
        "tack",
        "tak",
        "dziękuję",
        "teşekkürler",
        "спасибо",
        "дякую",
        "ありがとうございました",
        "ありがとうございます",
        "谢谢",
        "謝謝",
        "감사합니다",
        "شكرا",
    )
)
"""What people do say, and recognisers make of nothing too."""


def is_caption(text: str, *, voice: float, margin: float | None = None) -> bool:
    """Whether `text` is what a recogniser makes of nothing rather than what was said.

    `voice` is the seconds of voice in the recording, `margin` how many dB it stood out of the room (None: unknown).
    A phrase that people do say is an answer as soon as there is voice enough to have said it.
    """
    stripped = text.strip()
    if not any(character.isalnum() for character in _without_sounds(stripped)):
        return bool(stripped)
    words = _plain(_NOTES.sub(" ", stripped))
    phrases = _phrases(stripped)
    weak = margin is not None and margin < WEAK_DECIBELS
    if (phrases <= FAREWELLS | COMMON and phrases & FAREWELLS) or _CREDITS.search(stripped):
        return weak or voice < len(stripped) / USUAL_CHARACTERS_PER_SECOND
    if phrases <= COMMON:
        return weak or voice < max(len(words) / FASTEST_CHARACTERS_PER_SECOND, SHORTEST_WORD_SECONDS)
    return False


def _without_sounds(text: str) -> str:
    """`text` without notes on sounds and the marks around them."""
    return _SOUNDS.sub("", text)


def _phrases(text: str) -> set[str]:
    """What is said in it, each phrase once, without notes on sounds."""
    parts = (_repeats(_plain(part)) for part in _JOINTS.split(_NOTES.sub("\n", text)))
    return {_without_and(part) for part in parts if part}


def _without_and(phrase: str) -> str:
    """Of a phrase that is known without it."""
    rest = next((phrase.removeprefix(word) for word in _AND if phrase.startswith(word)), phrase)
    return rest if rest in FAREWELLS | COMMON else phrase


def _plain(text: str) -> str:
    """Lower case letters and single spaces."""
    kept = "".join(
        character if character.isalnum() else " " if character.isspace() else ""
        for character in unicodedata.normalize("NFC", text).casefold()
    )
    return " ".join(kept.split())


def _repeats(words: str) -> str:
    """A loop of one phrase ("thank you thank you thank you") is that phrase."""
    parts = words.split()
    for size in range(1, len(parts) // 2 + 1):
        if len(parts) % size == 0 and parts == parts[:size] * (len(parts) // size):
            return " ".join(parts[:size])
    return words
