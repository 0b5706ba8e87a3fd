"""Errors of devices with the way out: put together from what is known when they are raised, and not before."""

from __future__ import annotations

from collections.abc import Callable

from voicemode.devices.diagnosis import Place, Trouble, advice, trouble_of
from voicemode.devices.place import Defaults
from voicemode.devices.threads import in_thread
from voicemode.errors import DeviceError, MicrophoneSilent, NoDevice

ASK_SECONDS = 1.5
"""An error is not to come later than two seconds after its cause."""


class Explaining:
    """`ask_server` (blocking) tells what is wrong with the sound server's default devices; whoever has named a device
    (`named`) does not use those."""

    def __init__(self, place: Place, ask_server: Callable[[], Defaults]) -> None:
        self._place = place
        self._ask_server = ask_server

    async def explained(self, error: DeviceError, *, output: bool, named: bool) -> DeviceError:
        """The error with a hint, where it has none: `NoDevice` where the sound server says that it has no such device,
        for which libraries have words of their own."""
        if error.hint:
            return error
        trouble = trouble_of(error)
        if trouble in (None, Trouble.NONE) and not named:
            trouble = await self._wrong(trouble, output=output)
        error.hint = advice(trouble or Trouble.BUSY, self._place, output=output)
        if trouble is Trouble.NONE and not isinstance(error, NoDevice):
            return NoDevice(error.message, hint=error.hint, retryable=error.retryable)
        return error

    async def dead(self, name: str, *, seconds: float, named: bool) -> MicrophoneSilent:
        """The error for a microphone that gave nothing but zeros for so long."""
        found = None if named else await self._asked()
        trouble = (found.input if found is not None else None) or Trouble.ZEROS
        return MicrophoneSilent(
            f"{name} was open for {seconds:.1f} s and delivered nothing but zeros.",
            hint=advice(trouble, self._place, output=False),
        )

    async def _wrong(self, known: Trouble | None, *, output: bool) -> Trouble | None:
        found = await self._asked()
        if found is None or not self._place.platform.startswith("linux"):
            return known
        return (found.output if output else found.input) or (known if found.answers else Trouble.SERVER)

    async def _asked(self) -> Defaults | None:
        try:
            return await in_thread(self._ask_server, what="The sound server", limit_seconds=ASK_SECONDS)
        except DeviceError:
            return None
