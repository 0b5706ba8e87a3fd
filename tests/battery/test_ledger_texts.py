"""Any text at all, and requests that make no sense, as they are heard."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.battery.at_the_sink import say
from tests.battery.reading_back import QuickSpeaker
from tests.support import voice
from tests.support.speech_server import Behaviour, SpeechServer
from voicemode.errors import InvalidRequest, UnknownVoice
from voicemode.speech import Outcome, SpeechRequest
from voicemode.text.pieces import LONGEST_MESSAGE_CHARACTERS, split


@pytest.fixture(scope="module")
def server() -> Iterator[SpeechServer]:
    with SpeechServer(Behaviour()) as running:
        yield running


HEARD = {
    "a\0b\x07c\x1b[31m hello": "hello",
    "# Title\n\n**bold** and `code` <b>tag</b> [link](http://x.example/y)": "title bold and code tag link",
    "🎉 done 🎉": "done",
    "\u202eשלום\u202c עולם": "שלום עולם",
    "one\u200btwo\r\n\r\nthree\tfour": "three four",
}


@pytest.mark.spec("BAT-28")
@pytest.mark.parametrize("text", HEARD)
def test_marks_controls_and_directions_are_not_heard_and_the_words_are(
    server: SpeechServer, text: str
) -> None:
    heard = asyncio.run(say(text, [server.base_url]))
    assert heard.words[-len(HEARD[text].split()) :] == HEARD[text].split()
    assert heard.words == voice.words(heard.spoken.heard)


@pytest.mark.spec("BAT-28")
@settings(
    max_examples=12,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.sampled_from(
            [
                "boats",
                "Wait",
                "42",
                "über",
                "שלום",
                "你好",
                "**",
                "`",
                "#",
                "🎉",
                "\0",
                "\u202e",
                "...",
                "?",
                "\n",
                "—",
                "&",
                "<b>",
            ]
        ),
        min_size=1,
        max_size=10,
    ),
    st.sampled_from(["", " "]),
)
def test_whatever_is_reported_as_heard_is_what_sounded(
    server: SpeechServer, parts: list[str], between: str
) -> None:
    text = between.join(parts)
    pieces = split(text)
    assume(pieces)
    heard = asyncio.run(say(text, [server.base_url]))
    assert heard.spoken.outcome is Outcome.FINISHED
    assert heard.spoken.heard == " ".join(pieces)
    assert heard.words == voice.words(heard.spoken.heard)


WRONG = {
    "nothing": ("", SpeechRequest(text=""), InvalidRequest),
    "blank": (" \n\t ", SpeechRequest(text=""), InvalidRequest),
    "emoji only": ("🎉🚀", SpeechRequest(text=""), InvalidRequest),
    "a megabyte": ("word " * 200_000, SpeechRequest(text=""), InvalidRequest),
    "one too many": ("x" * (LONGEST_MESSAGE_CHARACTERS + 1), SpeechRequest(text=""), InvalidRequest),
    "an unknown voice": ("One.", SpeechRequest(text="", voice="aloy"), UnknownVoice),
    "far too fast": ("One.", SpeechRequest(text="", speed=9.0), InvalidRequest),
}


@pytest.mark.spec("BAT-28")
@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_refused_in_silence_and_the_next_message_is_heard(
    server: SpeechServer, name: str
) -> None:
    text, request, error = WRONG[name]
    speaker = QuickSpeaker()
    before = [each for each in server.requests if each.text]
    with pytest.raises(error):
        asyncio.run(say(text, [server.base_url], request=request, speaker=speaker))
    assert not any(speaker.heard)
    assert [each for each in server.requests if each.text] == before
    assert asyncio.run(say("Still here.", [server.base_url], speaker=speaker)).words == ["still", "here"]
