"""A message said over real HTTP into a loudspeaker inside this process, and what was heard of it.

The loudspeaker is the port's, not a device's: it pulls blocks as a device does, from the flow itself, but as soon as
they hold sound. A message of three seconds is heard in 0.15 s, so that hypothesis can choose what goes wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.battery.reading_back import QuickSpeaker, whole_words
from tests.support.fakes import Shelf, Watched
from voicemode.codecs.opening import open_decoder
from voicemode.engines.first import FirstSpeech
from voicemode.engines.http_endpoint import Endpoint, Limits
from voicemode.engines.openai_http import OpenAiSpeech
from voicemode.events import EndpointFailed
from voicemode.flows.speaking import SpeakingPorts, Utterance
from voicemode.pcm import SPEECH
from voicemode.playout.links import Links
from voicemode.speech import SpeechRequest, Spoken

LIMIT_S = 15.0
LIMITS = Limits(connect_s=1.0, first_byte_s=5.0, gap_s=1.0)
IMPATIENT = Limits(connect_s=1.0, first_byte_s=1.5, gap_s=0.3)
"""For servers that stay silent; a good one behind them may be late on a busy machine and is asked once more."""
REQUEST = SpeechRequest(text="")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """`failures` are (engine, code, reason) of every engine that gave up before sound."""

    spoken: Spoken
    samples: bytes
    events: Watched
    failures: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        return whole_words(self.samples, SPEECH.rate)


def new_links() -> Links:
    return Links(fill_seconds=0.1, limit_seconds=2.0)


async def say(
    text: str,
    urls: Sequence[str],
    *,
    request: SpeechRequest = REQUEST,
    links: Links | None = None,
    speaker: QuickSpeaker | None = None,
    keys: Sequence[str] = (),
    limits: Limits = LIMITS,
    limit_seconds: float = 2.0,
) -> Heard:
    """Asks `urls` in turn, with the key of each; at most `limit_seconds` of sound are held. Raises what the message
    failed with."""
    speaker, watched = speaker or QuickSpeaker(), Watched()
    chain = FirstSpeech(
        [
            OpenAiSpeech(Endpoint(base_url=url, api_key=key, voices=("alloy",), limits=limits))
            for url, key in zip(urls, [*keys, *[""] * len(urls)], strict=False)
        ]
    )
    ports = SpeakingPorts(
        engine=chain,
        open_decoder=open_decoder,
        open_sink=speaker,
        begin_recording=Shelf(),
        emit=watched,
        links=links or new_links(),
        limit_seconds=limit_seconds,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            spoken = await Utterance(ports, text, request, turn="t").run()
    finally:
        await chain.close()
    told = [event for event in watched.events if isinstance(event, EndpointFailed)]
    failures = [(event.engine, event.code, event.reason) for event in told]
    return Heard(spoken=spoken, samples=bytes(speaker.heard), events=watched, failures=failures)
