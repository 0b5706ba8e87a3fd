"""Answers that are no sound, in front of any piece of a message: none of it is heard, every word is, by somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.battery.at_the_sink import IMPATIENT, LIMITS, say
from tests.battery.bad_servers import BAD
from tests.battery.reading_back import QuickSpeaker
from tests.support import voice
from tests.support.speech_server import Behaviour, Content, RequestSeen, SpeechServer, closed_port
from voicemode.errors import BadContent, EngineError
from voicemode.speech import AudioFormat, Outcome, SpeechRequest
from voicemode.text.pieces import split

KEY = "sk-battery-0123456789abcdef"
TEXT = "The harbour is quiet. Seven boats wait. Nobody sails today; the wind is north."
PIECES = len(split(TEXT))
REFUSED = ("400", "401", "403", "404", "a circle")
"""What only a person can mend: the result tells it."""
SOME_REQUESTS = {
    "500 for ever": 2,
    "503 for ever": 2,
    "closes": 2,
    "resets": 2,
    "is no HTTP": 2,
    "huge headers": 2,
    "a circle": 4,
}
"""The most that are sent for one piece: it may have been a hiccup, or a kept connection that had grown old; some
redirects are followed. Nobody else is asked twice."""

formats = st.sampled_from(list(AudioFormat))
pieces = st.integers(0, PIECES - 1)
SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


@dataclass(frozen=True, kw_only=True)
class Servers:
    """`first` is asked first, and wants a key; `elsewhere` is where nobody has any business."""

    first: SpeechServer
    second: SpeechServer
    elsewhere: SpeechServer
    nobody: str


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(
            first=stack.enter_context(SpeechServer(key=KEY)),
            second=stack.enter_context(SpeechServer()),
            elsewhere=stack.enter_context(SpeechServer()),
            nobody=stack.enter_context(closed_port()),
        )


def asked_since(server: SpeechServer, before: int) -> list[RequestSeen]:
    return [each for each in server.requests[before:] if each.path == "/v1/audio/speech"]


@pytest.mark.spec("BAT-23")
@pytest.mark.parametrize("name", [*BAD, "elsewhere"])
@settings(max_examples=2, deadline=None, database=None, suppress_health_check=SLOW)
@given(piece=pieces, fmt=formats)
def test_whoever_gives_no_sound_from_some_piece_on_costs_no_word(
    servers: Servers, name: str, piece: int, fmt: AudioFormat
) -> None:
    leads_away = Behaviour(status=307, location=f"{servers.elsewhere.base_url}/audio/speech")
    fault, code = BAD.get(name, (leads_away, "refused"))
    servers.first.behave(fault)
    servers.first.then(*[Behaviour()] * piece)
    before = len(servers.first.requests)
    urls = [servers.first.base_url, servers.second.base_url]
    limits = IMPATIENT if name == "stays silent" else LIMITS
    request = SpeechRequest(text="", format=fmt)
    heard = asyncio.run(say(TEXT, urls, request=request, keys=[KEY], limits=limits))
    assert heard.words == voice.words(TEXT)
    assert (heard.spoken.outcome, heard.spoken.unheard) == (Outcome.FINISHED, "")
    asked = len(asked_since(servers.first, before)[piece:])
    refused_each_time = PIECES - piece if name == "400" else 1
    assert refused_each_time <= asked <= SOME_REQUESTS.get(name, refused_each_time)
    assert [failure[1] for failure in heard.failures] == [code] * refused_each_time
    told = heard.spoken.note.count(heard.failures[0][2])
    assert told == (1 if name in REFUSED or name == "elsewhere" else 0)
    assert not servers.elsewhere.requests


@pytest.mark.spec("BAT-23")
def test_a_dead_address_in_front_costs_no_word_and_little_time(servers: Servers) -> None:
    servers.second.behave(Behaviour())
    heard = asyncio.run(say(TEXT, [servers.nobody, servers.second.base_url]))
    assert heard.words == voice.words(TEXT)
    assert [failure[1] for failure in heard.failures] == ["unreachable"]
    assert heard.spoken.timings.ttfa is not None
    assert heard.spoken.timings.ttfa < 1.5


PAGES = st.sampled_from(
    [
        f"<!doctype html><html><body>Sign in with {KEY}</body></html>",
        f'{{"detail": "out of credit for {KEY}"}}',
        f'[{{"error": {{"message": "Bearer {KEY} has expired"}}}}]',
        f'<?xml version="1.0"?><Error><Key>{KEY}</Key></Error>',
        f"The service is being serviced until noon, dear holder of the key {KEY}; come again later.",
        "",
    ]
)
LABELS = st.sampled_from(
    ["", "audio/mpeg", "audio/wav", "audio/pcm", "application/octet-stream", "text/html"]
)


@pytest.mark.spec("BAT-24")
@settings(max_examples=14, deadline=None, database=None, suppress_health_check=SLOW)
@given(page=PAGES, label=LABELS, fmt=formats, piece=pieces, alone=st.booleans())
def test_a_page_with_status_200_is_never_heard_and_quoted_without_secrets(
    servers: Servers, page: str, label: str, fmt: AudioFormat, piece: int, alone: bool
) -> None:
    nothing = Behaviour(content=Content.EMPTY, content_type=label)
    servers.first.behave(replace(nothing, content=Content.SOUND, body=page) if page else nothing)
    servers.first.then(*[Behaviour()] * piece)
    request = SpeechRequest(text="", format=fmt)
    speaker = QuickSpeaker()
    urls = [servers.first.base_url] + ([] if alone else [servers.second.base_url])
    saying = say(TEXT, urls, request=request, keys=[KEY], speaker=speaker)
    if alone and piece == 0:
        with pytest.raises(BadContent) as caught:
            asyncio.run(saying)
        assert not any(speaker.heard)
        failures = [str(caught.value)]
    else:
        heard = asyncio.run(saying)
        said_well = voice.words(" ".join(split(TEXT)[:piece]))
        assert heard.words == (said_well if alone else voice.words(TEXT))
        assert heard.spoken.outcome is (Outcome.BROKEN if alone else Outcome.FINISHED)
        failures = [failure[2] for failure in heard.failures]
    words = page.translate(str.maketrans('<>"{}[]:', " " * 8)).split()
    for failure in failures:
        assert KEY not in failure
        assert (words[0] if words else "empty") in failure


@pytest.mark.spec("BAT-25")
@settings(max_examples=8, deadline=None, database=None, suppress_health_check=SLOW)
@given(
    busy=st.sampled_from(
        [
            Behaviour(status=429, retry_after="0.2"),
            Behaviour(status=429, retry_after="0"),
            Behaviour(status=500),
            Behaviour(status=502),
            Behaviour(status=503),
            Behaviour(status=503, retry_after="0.1"),
        ]
    ),
    piece=pieces,
    fmt=formats,
)
def test_one_bad_moment_before_any_piece_is_waited_for_and_nobody_else_is_asked(
    servers: Servers, busy: Behaviour, piece: int, fmt: AudioFormat
) -> None:
    servers.first.behave(Behaviour())
    servers.first.then(*[Behaviour()] * piece, busy)
    before = len(servers.first.requests)
    urls = [servers.first.base_url, servers.nobody]
    heard = asyncio.run(say(TEXT, urls, request=SpeechRequest(text="", format=fmt), keys=[KEY]))
    assert heard.words == voice.words(TEXT)
    assert (heard.failures, heard.spoken.note) == ([], "")
    assert len(asked_since(servers.first, before)) == PIECES + 1


@pytest.mark.spec("BAT-25")
def test_where_everybody_is_busy_for_long_the_error_names_each(servers: Servers) -> None:
    busy = Behaviour(status=429, retry_after="60")
    with SpeechServer(busy) as one, SpeechServer(busy) as two:
        speaker = QuickSpeaker()
        with pytest.raises(EngineError) as caught:
            asyncio.run(say(TEXT, [one.base_url, two.base_url], speaker=speaker))
    assert str(caught.value).count("HTTP 429") == 2
    assert not any(speaker.heard)
