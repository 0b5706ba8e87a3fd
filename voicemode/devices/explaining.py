"""Errors of devices with the way out: put together from what is known when they are raised, and not before."""

from __future__ import annotations

from collections.abc import Callable

from voicemode.devices.diagnosis import Place, Trouble, advice, trouble_of
from voicemode.devices.place import Defaults
from voicemode.devices.threads import in_thread
from voicemode.errors import DeviceError, MicrophoneSilent

ASK_SECONDS = 1.5
"""An error is not to come later than two seconds after its cause."""


class Explaining:
    """`ask_server` (blocking) tells what is wrong with the sound server's default devices; whoever has named a device
    (`named`) does not use those."""

    def __init__(self, place: Place, ask_server: Callable[[], Defaults]) -> None:
        self._place = place
        self._ask_server = ask_server

    async def explain(self, error: DeviceError, *, output: bool, named: bool) -> None:
        """A hint for an error that has none."""
        if not error.hint:
            trouble = trouble_of(error) or await self._wrong(output=output, named=named) or Trouble.BUSY
            error.hint = advice(trouble, self._place, output=output)

    async def dead(self, name: str, *, seconds: float, named: bool) -> MicrophoneSilent:
        """The error for a microphone that gave nothing but zeros for so long."""
        trouble = await self._wrong(output=False, named=named) or Trouble.ZEROS
        return MicrophoneSilent(
            f"{name} was open for {seconds:.1f} s and delivered nothing but zeros.",
            hint=advice(trouble, self._place, output=False),
        )

    async def _wrong(self, *, output: bool, named: bool) -> Trouble | None:
        if named:
            return None
        try:
            found = await in_thread(self._ask_server, what="The sound server", limit_seconds=ASK_SECONDS)
        except DeviceError:
            return None
        return found.output if output else found.input
