"""A process that wants the floor: told line by line what to do, it says line by line what happens.

want NAME   draws a ticket              → `in NAME` when it has the floor
leave       whoever has it gives it up  → `out NAME`
give up NAME  stops waiting             → `gone NAME`
hurry N     N calls at once, each in and out as fast as they can; each looks that nobody else is in → `done`
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from voicemode.errors import Busy
from voicemode.machine.floor import MachineFloor


def say(what: str) -> None:
    os.write(1, f"{what}\n".encode())


class Child:
    def __init__(self, folder: Path, frozen_seconds: float) -> None:
        self.floor = MachineFloor(folder, frozen_seconds=frozen_seconds)
        self.inside = folder / "inside"
        self.leave = asyncio.Event()
        self.calls: dict[str, asyncio.Task[None]] = {}

    async def take(self, name: str) -> None:
        try:
            async with self.floor.hold(name):
                say(f"in {name}")
                await self.leave.wait()
                self.leave.clear()
        except Busy:
            say(f"lost {name}")
        except asyncio.CancelledError:
            say(f"gone {name}")
        else:
            say(f"out {name}")

    async def hurry(self) -> None:
        async with self.floor.hold("hurry"):
            try:
                os.close(os.open(self.inside, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                say("not alone")
                return
            await asyncio.sleep(0)
            self.inside.unlink()

    async def obey(self, line: str) -> None:
        command, _, rest = line.strip().rpartition(" ")
        if command == "want":
            self.calls[rest] = asyncio.create_task(self.take(rest))
        elif command == "give up":
            self.calls[rest].cancel()
        elif command == "hurry":
            await asyncio.gather(*(self.hurry() for _ in range(int(rest))))
            say("done")
        elif rest == "leave":
            self.leave.set()


async def main() -> None:
    child = Child(Path(sys.argv[1]), float(sys.argv[2]))
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        await child.obey(line)
    os._exit(0)  # Tickets are left behind as by a process that dies.


if __name__ == "__main__":
    asyncio.run(main())
