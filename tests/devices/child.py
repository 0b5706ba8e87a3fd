"""Plays and records through `SoundCard` in a process of its own, whose environment leads to the virtual card.

`python -m tests.devices.child SCENARIO LIBRARY …` writes one JSON object per line; times are monotonic seconds, the
same clock as the parent's. Audio libraries read the environment when they load, so a test's own process cannot.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from tests.support.listening import chirp, tone
from voicemode import clock
from voicemode.codecs.convert import Converter
from voicemode.devices.backend import Loader
from voicemode.devices.mini import load_miniaudio
from voicemode.devices.pipes import load_pipes
from voicemode.devices.portaudio import load_portaudio
from voicemode.devices.soundcard import SoundCard
from voicemode.errors import VoiceModeError
from voicemode.events import FloorTaken, TurnFinished, TurnStarted
from voicemode.pcm import LISTENING, SPEECH, Frame, PcmFormat
from voicemode.ports import Stage
from voicemode.recording.recordings import Recordings
from voicemode.recording.taps import Microphone, kept_sink
from voicemode.recording.turns import KeptTurns


def resample(source: PcmFormat, wanted: PcmFormat) -> Stage[Frame, Frame]:
    return Converter(wanted)


LOADERS: dict[str, Loader] = {
    "portaudio": lambda: load_portaudio(resample),
    "miniaudio": load_miniaudio,
    "tools": load_pipes,
}
CHIRP_SECONDS = 2.0
MARK_SECONDS = 0.1
LATER_SECONDS = 2.0


def tell(what: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"what": what, "at": clock.monotonic(), **values}) + "\n")
    sys.stdout.flush()


class Script:
    """A `pull`: silence, then the sound once, then silence; `drained` when that has lasted for the latency."""

    def __init__(self, sound: bytes, lead: int) -> None:
        self._rest = bytes(2 * lead) + sound
        self._loop = asyncio.get_running_loop()
        self._silence = 0
        self._lead = 2 * lead
        self.latency: Callable[[], float] = lambda: 1e9
        self.drained = asyncio.Event()
        self.begun_at = 0.0
        self.longest = 0.0
        """Seconds the slowest pull took."""

    def __call__(self, samples: int) -> bytes:
        at = clock.monotonic()
        data, self._rest = self._rest[: 2 * samples], self._rest[2 * samples :]
        if not self.begun_at:
            self._lead -= len(data)
            if self._lead <= 0:
                self.begun_at = at
        self._silence += samples - len(data) // 2
        if self._silence >= SPEECH.samples(self.latency()):
            self._loop.call_soon_threadsafe(self.drained.set)
        self.longest = max(self.longest, clock.monotonic() - at)
        return data + bytes(2 * samples - len(data))


async def play(card: SoundCard) -> None:
    """A chirp, then silence for the stated latency, then out."""
    script = Script(chirp(SPEECH.rate, CHIRP_SECONDS).astype("<i2").tobytes(), lead=SPEECH.samples(0.2))
    lost: list[str] = []
    asked_at = clock.monotonic()
    async with card.open_sink(SPEECH, script, lambda error: lost.append(str(error))) as sink:
        opened = clock.monotonic() - asked_at
        script.latency = lambda: sink.latency
        stated = sink.latency
        async with asyncio.timeout(20):
            await script.drained.wait()
        tell(
            "played",
            seconds=clock.monotonic() - asked_at,
            opened=opened,
            stated=stated,
            latency=sink.latency,
            begun_at=script.begun_at,
            lost=lost,
            underflows=sink.underflows,
        )
    tell("closed")


async def play_patiently(card: SoundCard) -> None:
    """Three short tones, by which a device that ran dry is learned to need more in hand; a line on stdin; `play`."""
    sound = tone(SPEECH.rate, 0.3, 440.0).astype("<i2").tobytes()
    for _ in range(3):
        script = Script(sound, lead=SPEECH.samples(0.1))
        async with card.open_sink(SPEECH, script, lambda error: None) as sink:
            script.latency = lambda sink=sink: sink.latency  # type: ignore[misc]
            async with asyncio.timeout(20):
                await script.drained.wait()
    tell("learned")
    await asyncio.to_thread(sys.stdin.readline)
    await play(card)


async def abort(card: SoundCard) -> None:
    """A tone, aborted in full swing from another thread, twice; the block stays open half a second more."""
    sound = tone(SPEECH.rate, 20, 440.0).astype("<i2").tobytes()
    pulled = 0
    flowing = asyncio.Event()
    loop = asyncio.get_running_loop()

    def pull(samples: int) -> bytes:
        nonlocal pulled
        data = sound[2 * pulled : 2 * (pulled + samples)]
        pulled += samples
        if pulled > SPEECH.rate // 2:
            loop.call_soon_threadsafe(flowing.set)
        return data

    lost: list[str] = []
    async with card.open_sink(SPEECH, pull, lambda error: lost.append(str(error))) as sink:
        async with asyncio.timeout(20):
            await flowing.wait()
        at = clock.monotonic()
        sink.abort()
        took = clock.monotonic() - at
        sink.abort()
        before = pulled
        await asyncio.to_thread(sink.abort)
        await asyncio.sleep(0.5)
        tell("aborted", aborted_at=at, took=took, pulled_after=pulled - before, lost=lost)
    tell("closed")


async def until_lost(card: SoundCard) -> None:
    """A tone until the device is reported lost; then a second sink, as a flow would open."""
    sound = np.tile(tone(SPEECH.rate, 1, 440.0).astype("<i2"), 60).tobytes()
    pulled = 0
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    errors: list[VoiceModeError] = []

    def pull(samples: int) -> bytes:
        nonlocal pulled
        data = sound[2 * pulled : 2 * (pulled + samples)]
        pulled += samples
        return data

    def lost(error: VoiceModeError) -> None:
        errors.append(error)
        loop.call_soon_threadsafe(gone.set)

    async with card.open_sink(SPEECH, pull, lost):
        tell("opened")
        async with asyncio.timeout(20):
            await gone.wait()
        tell("lost", code=errors[0].code, message=str(errors[0]), pulled=pulled)
    tell("closed", times=len(errors))


async def leave(card: SoundCard) -> None:
    """Opens, waits for a line on stdin, leaves."""
    async with card.open_sink(SPEECH, SPEECH.silence, lambda error: None):
        tell("opened")
        await asyncio.to_thread(sys.stdin.readline)
        tell("leaving")
    tell("closed")


async def record(card: SoundCard) -> None:
    """Three seconds of the microphone into the file named last."""
    data = bytearray()
    sizes = set()
    async with card.open_source(LISTENING) as frames:
        tell("opened")
        async with asyncio.timeout(20):
            async for frame in frames:
                sizes.add(frame.samples)
                data += frame.data
                if len(data) >= 2 * LISTENING.samples(3.0):
                    break
    await asyncio.to_thread(Path(sys.argv[3]).write_bytes, bytes(data))
    tell("recorded", sizes=sorted(sizes))


async def keep(card: SoundCard) -> None:
    """A chirp now and one in `LATER_SECONDS`, with the microphone open meanwhile; all of it is kept in the folder named
    last."""
    mark, pause = (
        chirp(SPEECH.rate, MARK_SECONDS),
        SPEECH.silence(SPEECH.samples(LATER_SECONDS - MARK_SECONDS)),
    )
    script = Script(mark.tobytes() + pause + mark.tobytes(), lead=SPEECH.samples(0.5))
    with Recordings(Path(sys.argv[3])) as recordings:
        turns = KeptTurns(recordings)
        turns.watch(TurnStarted(at=clock.monotonic(), turn="t", kind="converse", text="two marks"))
        turns.watch(FloorTaken(at=clock.monotonic(), turn="t", waited=0.0))
        async with Microphone(card.open_source, turns)(LISTENING) as frames:

            async def listen() -> None:
                async for _ in frames:
                    pass

            listening = asyncio.create_task(listen())
            async with kept_sink(card.open_sink, turns)(SPEECH, script, lambda error: None) as sink:
                # The microphone has its part of the last mark a little after the loudspeaker.
                script.latency = lambda: sink.latency + 0.5
                async with asyncio.timeout(20):
                    await script.drained.wait()
            listening.cancel()
        turns.watch(TurnFinished(at=clock.monotonic(), turn="t", outcome="answered", heard="", unheard=""))
        assert await asyncio.to_thread(recordings.flush, 10)
    tell("kept")


async def listen_until_lost(card: SoundCard) -> None:
    async with card.open_source(LISTENING) as frames:
        tell("opened")
        try:
            async with asyncio.timeout(20):
                async for _ in frames:
                    pass
        except VoiceModeError as problem:
            tell("lost", code=problem.code, message=str(problem))
    tell("closed")


async def inventory(card: SoundCard) -> None:
    report = await card.inventory()
    tell(
        "inventory",
        library=report.library,
        version=report.version,
        names=[info.name for info in report.devices],
        why_none=report.why_none,
    )


async def refused(card: SoundCard) -> None:
    """What opening raises, for a card that cannot work."""
    try:
        async with card.open_sink(SPEECH, SPEECH.silence, lambda error: None):
            tell("opened")
    except VoiceModeError as problem:
        tell("refused", code=problem.code, message=str(problem))


SCENARIOS: dict[str, Callable[[SoundCard], Awaitable[None]]] = {
    scenario.__name__: scenario
    for scenario in (
        play,
        play_patiently,
        abort,
        until_lost,
        leave,
        record,
        keep,
        listen_until_lost,
        inventory,
        refused,
    )
}


async def main() -> None:
    libraries = sys.argv[2].split("+")
    device = sys.argv[3] if sys.argv[1] not in ("record", "keep") and len(sys.argv) > 3 else None
    card = SoundCard(output_device=device, loaders=[LOADERS[name] for name in libraries])
    await SCENARIOS[sys.argv[1]](card)
    await card.close()


if __name__ == "__main__":
    asyncio.run(main())
