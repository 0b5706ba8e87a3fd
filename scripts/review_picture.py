"""A bad turn for the documentation: voicemode talks on the virtual sound card to a server that refuses, then to one
that is slow to begin and stands still in the middle; a user answers. The page is photographed.

    python -m scripts.review_picture [FOLDER]

writes docs/review-bad-turn.png, and with FOLDER other pictures there: light and dark, wide and narrow, days, help.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.host import client, environment
from tests.support.behaviour import Behaviour, Route
from tests.support.browser import Browser, find_browser
from tests.support.looking import look_for
from tests.support.many_turns import write as write_many
from tests.support.room import Room
from tests.support.sound_card import VirtualSoundCard
from tests.support.speakers import flite
from tests.support.speech_server import SpeechServer, closed_port
from voicemode.logs.logbook import Logbook
from voicemode.recording.sound_files import KeptSounds
from voicemode.review.archive import Archive
from voicemode.review.one_file import Caps, one_file

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "review-bad-turn.png"
MESSAGE = "The build is green again and the release notes are ready. Shall I deploy it now?"
ANSWER = "Yes please, deploy it now."
SLOW = Behaviour(time_to_first_byte_s=1.9, pace=1.3, stall_after_bytes=90_000, stall_s=2.2)
LIMIT_S = 60.0
SHOWN = (
    "document.querySelectorAll('canvas.wave').length > 0 && document.querySelector('.timeline').dataset.drawn"
)


async def bad_turn(folder: Path) -> None:
    with VirtualSoundCard() as card, SpeechServer() as server, closed_port() as refusing, Room(card) as room:
        server.then(SLOW)
        server.behave(Behaviour(transcript=ANSWER, time_to_first_byte_s=0.25), Route.TRANSCRIPTIONS)
        variables = environment(
            card,
            folder,
            TTS_BASE_URLS=f"{refusing},{server.base_url}",
            STT_BASE_URLS=server.base_url,
            SAVE_ALL="true",
            VAD="auto",
        )
        async with client(variables) as host:
            call = asyncio.create_task(host.call_tool("converse", {"message": MESSAGE}))
            async with asyncio.timeout(LIMIT_S):
                await asyncio.to_thread(look_for, lambda: _said(folder), LIMIT_S, lambda: "nothing was said")
                await asyncio.to_thread(room.say, flite(ANSWER))
                await call


def _said(folder: Path) -> bool:
    lines = Logbook(folder / "events").lines()
    return any(line.name == "playback_ended" and line.pid != os.getpid() for line in lines)


@contextmanager
def page(folder: Path) -> Iterator[str]:
    archive = Archive(Logbook(folder / "events"), KeptSounds(folder / "recordings"))
    with tempfile.TemporaryDirectory() as there:
        file = Path(there) / "page.html"
        file.write_text(one_file(archive, caps=Caps(turns=300)).html, encoding="utf-8")
        yield file.as_uri()


def photographed(folder: Path, others: Path | None) -> None:
    executable = find_browser()
    if executable is None:
        sys.exit("There is no chromium: scripts/system_packages.sh installs it.")
    with page(folder) as address, Browser(executable) as browser:
        browser.open(address, width=1280, height=1420)
        browser.wait(SHOWN)
        browser.screenshot(PICTURE)
        if others is None:
            return
        for dark in (False, True):
            for width in (1280, 800):
                browser.look(width=width, height=1000, dark=dark)
                browser.run("new Promise((done) => setTimeout(done, 700))")
                browser.screenshot(others / f"turn-{width}-{'dark' if dark else 'light'}.png")
        browser.look()
        for key, name in (("d", "days"), ("d", ""), ("?", "help")):
            browser.press(key)
            browser.run("new Promise((done) => setTimeout(done, 400))")
            if name:
                browser.screenshot(others / f"{name}.png")
        print(browser.seen)


def main() -> None:
    others = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_many(folder, 60, days=6, seed=4)
        asyncio.run(bad_turn(folder))
        photographed(folder, others)


if __name__ == "__main__":
    main()
