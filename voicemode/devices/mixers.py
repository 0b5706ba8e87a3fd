"""What stands between a flow and its loudspeaker: each takes an `OpenSink` and gives one.

flow ─> mixed ─> panned ─> teed ─> the loudspeaker
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from voicemode.devices.tee import Listener, Tee
from voicemode.devices.threads import in_thread
from voicemode.errors import DeviceError, NoDevice
from voicemode.pcm import Frame, PcmFormat
from voicemode.ports import Lost, OpenSink, Pull, Sink
from voicemode.sound.mixing import DuckingRules, Mixer, Panner

HANDING_OVER_SECONDS = 0.1
"""How long leaving waits for listeners that have not taken everything yet; they go on by themselves."""


def mixed(
    open_sink: OpenSink, bed: Callable[[PcmFormat], Frame], rules: DuckingRules | None = None
) -> OpenSink:
    """A loudspeaker with a bed under everything that is said. `bed` makes one round of it in a format."""

    @asynccontextmanager
    async def opening(format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        mixer = Mixer(bed(format), rules)
        async with open_sink(format, mixer.over(pull), lost) as sink:
            yield sink

    return opening


def panned(open_sink: OpenSink, position: float, channels: int = 2) -> OpenSink:
    """A loudspeaker on which mono sound stands at `position` (see `mixing.Panner`).

    A device that takes no such number of channels plays the sound as it is; so it does sound that is not mono.
    """

    @asynccontextmanager
    async def opening(format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        async with AsyncExitStack() as stack:
            sink: Sink | None = None
            if format.channels == 1:
                panner = Panner(position, channels)
                wide = PcmFormat(rate=format.rate, channels=channels)
                try:
                    sink = await stack.enter_async_context(open_sink(wide, panner.over(pull), lost))
                except NoDevice:
                    raise
                except DeviceError as problem:
                    if problem.retryable:
                        raise
            if sink is None:
                sink = await stack.enter_async_context(open_sink(format, pull, lost))
            yield sink

    return opening


def teed(open_sink: OpenSink, listeners: Callable[[PcmFormat], Sequence[Listener]]) -> OpenSink:
    """A loudspeaker whose sound goes to further listeners too; `listeners` makes them for each opening."""

    @asynccontextmanager
    async def opening(format: PcmFormat, pull: Pull, lost: Lost) -> AsyncIterator[Sink]:  # noqa: A002
        tee = Tee(pull, format, listeners(format))
        try:
            async with open_sink(format, tee, lost) as sink:
                yield sink
        finally:
            tee.close()
            with anyio.CancelScope(shield=True):
                await in_thread(
                    lambda: tee.wait(HANDING_OVER_SECONDS),
                    what="Handing the sound over",
                    limit_seconds=10 * HANDING_OVER_SECONDS,
                )

    return opening
