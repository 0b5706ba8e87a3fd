"""Loudspeakers that go away, any number of times and anywhere, with sound in their store: all of it is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.battery.at_the_sink import say
from tests.battery.reading_back import QuickSpeaker, loudness, words_of
from tests.support import voice
from tests.support.speech_server import Behaviour, Cut, SpeechServer
from voicemode.events import SinkLost
from voicemode.flows.loudspeakers import MOST_LOSSES
from voicemode.pcm import SPEECH
from voicemode.speech import Outcome

WORDS = list(words_of(14))
TEXT = f"{' '.join(WORDS[:6])}. {' '.join(WORDS[6:10])}, {' '.join(WORDS[10:])}."
SAMPLES = len(voice.speak(TEXT)) // 2


@pytest.fixture(scope="module")
def server() -> Iterator[SpeechServer]:
    with SpeechServer() as running:
        yield running


@pytest.mark.spec("BAT-27")
@settings(
    max_examples=16,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    losses=st.lists(st.integers(0, SAMPLES - 2_400), max_size=4),
    latency=st.sampled_from([0.0, 0.02, 0.2]),
    away=st.integers(0, 2),
    breaks=st.booleans(),
)
def test_a_loudspeaker_that_goes_away_anywhere_costs_no_word_and_says_none_twice(
    server: SpeechServer, losses: list[int], latency: float, away: int, breaks: bool
) -> None:
    server.behave(Behaviour())
    if (
        breaks
    ):  # The stream as well: what is asked for again and what is played again do not get in each other's way.
        server.then(Behaviour(status=503), Behaviour(cut_after_bytes=0, cut=Cut.RESET))
    speaker = QuickSpeaker(latency=latency, losses=losses, away=away)
    heard = asyncio.run(say(TEXT, [server.base_url], speaker=speaker))
    assert heard.words == WORDS
    assert heard.spoken.outcome is Outcome.FINISHED
    assert (heard.spoken.heard, heard.spoken.unheard) == (TEXT, "")
    assert loudness(heard.samples, SPEECH.rate) == pytest.approx(loudness(voice.speak(TEXT), SPEECH.rate))
    lost = [event for event in heard.events.events if isinstance(event, SinkLost)]
    assert len(lost) == speaker.opened - 1


@pytest.mark.spec("BAT-27")
def test_loudspeakers_that_never_stay_are_given_up_with_what_was_heard(server: SpeechServer) -> None:
    server.behave(Behaviour())
    losses = range(2_400, SAMPLES, 4_800)
    heard = asyncio.run(say(TEXT, [server.base_url], speaker=QuickSpeaker(losses=losses)))
    assert heard.spoken.outcome is Outcome.BROKEN
    assert f"{heard.spoken.heard} {heard.spoken.unheard}".strip() == TEXT
    said = voice.words(heard.spoken.heard)
    assert heard.words[: len(said)] == said
    lost = [event for event in heard.events.events if isinstance(event, SinkLost)]
    assert len(lost) == MOST_LOSSES + 1
