"""What recognisers make of silence is told from what was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.turn_taking.captions import COMMON, FAREWELLS, SHORTEST_WORD_SECONDS, is_caption


@pytest.mark.spec("LSN-38")
@pytest.mark.parametrize(
    "text",
    [
        "Thank you for watching.",
        "Thanks for watching!",
        "Subtitles by the Amara.org community",
        "Untertitel der Amara.org-Community",
        "Untertitelung des ZDF, 2020",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "Subtítulos realizados por la comunidad de Amara.org",
        "Please subscribe to my channel.",
        "Vielen Dank fürs Zuschauen!",
        "Merci d'avoir regardé.",
        "¡Gracias por ver el video!",
        "Copyright WDR 2021",
        "Sous-titrage ST' 501",
        "Legendas pela comunidade Amara.org",
        "Obrigado por assistir!",
        "Sottotitoli e revisione a cura di QTSS",
        "Ondertiteld door de gemeenschap",
        "Undertexter av en grupp",
        "Napisy stworzone przez widzów",
        "İzlediğiniz için teşekkür ederim.",
        "Субтитры сделал DimaTorzok",
        "Редактор субтитров А. Синецкая",
        "Продолжение следует...",
        "ご視聴ありがとうございました。",
        "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
        "字幕由志愿者提供",
        "謝謝觀看！",
        "시청해 주셔서 감사합니다.",
        "ترجمة نانسي قنقر",
        "شكرا على المشاهدة",
        "Спасибо.",
        "ありがとうございました。",
        "you",
        "Thank you.",
        "Bye.",
        "Thank you. Thank you. Thank you.",
        "So",
        "Thanks for watching! Thanks for watching!",
        "Thank you for watching. Please subscribe.",
        "Thanks for watching. Bye bye.",
        "Thanks for watching, and I'll see you in the next video.",
        "Thanks for watching, see you next time.",
        "[Music] Thank you for watching.",
        "Thank you. [Applause]",
        "Thank you. Bye.",
        "Vielen Dank. Tschüss.",
        "Продолжение следует... Продолжение следует...",
        "ご視聴ありがとうございました。ご視聴ありがとうございました。",
    ],
)
def test_a_caption_over_a_little_noise_is_no_answer(text: str) -> None:
    assert is_caption(text, voice=0.12)


@pytest.mark.spec("LSN-38")
@pytest.mark.parametrize(
    "text",
    [
        "[Music]",
        "(silence)",
        "[BLANK_AUDIO]",
        "♪♪",
        "*coughs*",
        "(Musik) [Applaus]",
        "...",
        "<noise>",
        "（音楽）",
        "【拍手】",
        "。。。",
    ],
)
@pytest.mark.parametrize("voice", [0.1, 30.0])
def test_a_note_on_a_sound_is_no_answer_however_much_voice_there_was(text: str, voice: float) -> None:
    assert is_caption(text, voice=voice, margin=30.0)


@pytest.mark.spec("LSN-38")
@pytest.mark.parametrize(
    ("text", "voice"),
    [
        ("Thank you.", 0.5),
        ("Bye.", 0.3),
        ("Thank you very much.", 0.95),
        ("You.", 0.3),
        ("Danke.", 0.35),
        ("ありがとうございました。", 0.9),
        ("Спасибо.", 0.45),
    ],
)
def test_a_phrase_that_people_do_say_is_an_answer_once_there_is_voice_enough_for_it(
    text: str, voice: float
) -> None:
    assert not is_caption(text, voice=voice, margin=20.0)
    assert is_caption(text, voice=voice, margin=3.0)


@pytest.mark.spec("LSN-38")
@pytest.mark.parametrize(
    "text",
    [
        "Yes.",
        "No.",
        "Ja",
        "OK",
        "2",
        "sí",
        "Stop!",
        "(I think) yes",
        "go to amara",
        "はい。",
        "对",
        "Да.",
        "字幕",
        "네",
    ],
)
@pytest.mark.parametrize("voice", [0.09, 1.0])
def test_other_words_are_answers_however_short(text: str, voice: float) -> None:
    assert not is_caption(text, voice=voice, margin=1.0)


@pytest.mark.spec("LSN-38")
@given(st.sampled_from(sorted(COMMON | FAREWELLS)), st.floats(0.0, 10.0), st.floats(0.0, 10.0))
def test_more_voice_never_makes_an_answer_a_caption(text: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert is_caption(text, voice=less) or not is_caption(text, voice=more)


def test_the_phrases_are_as_they_are_looked_up() -> None:
    """Lower case, without marks: another spelling would never be found."""
    for phrase in COMMON | FAREWELLS:
        assert is_caption(phrase.capitalize() + ".", voice=SHORTEST_WORD_SECONDS / 2), phrase


def test_no_text_is_no_caption() -> None:
    assert not is_caption("  ", voice=0.0)
