"""The server's own page in a real browser: what is typed there is spoken over the streaming WebSocket."""

from __future__ import annotations

import asyncio

import pytest

from tests.serve.house import WordVoice, house
from tests.support.browser import Browser, find_browser
from voicemode.events import SpeechServed

pytestmark = pytest.mark.anyio


@pytest.mark.spec("SRV-43")
@pytest.mark.parametrize("token", ["", "a secret/token"])
async def test_what_is_typed_is_spoken_to_its_last_sample(token: str) -> None:
    executable = find_browser()
    if executable is None:
        pytest.skip("no browser (scripts/system_packages.sh installs it)")
    engine = WordVoice()

    def visit(url: str) -> tuple[int, int, list[str], list[str], int]:
        with Browser(executable) as browser:
            browser.open(url)
            if token:
                browser.run(f"document.getElementById('token').value = {token!r}")
                browser.run("document.getElementById('token').onchange()")
                browser.wait("document.getElementById('voice').options.length > 2")
                browser.run("document.getElementById('token').onchange()")  # Nothing is listed twice.
            browser.wait("document.getElementById('voice').options.length > 2")
            browser.run(
                "document.getElementById('text').value = 'Alpha bravo charlie delta. Echo foxtrot golf.'"
            )
            browser.click("#speak")
            browser.wait("document.body.dataset.played !== undefined")
            played, samples = (
                int(browser.run(f"document.body.dataset.{name}")) for name in ("played", "samples")
            )
            voices = int(browser.run("document.getElementById('voice').options.length"))
            return played, samples, browser.seen.complaints, browser.seen.beyond_loopback(), voices

    async with house(engine, token=token) as server:
        played, samples, complaints, strangers, voices = await asyncio.to_thread(visit, server.url)
    assert played == samples > 24_000
    assert [each for each in complaints if "401" not in each] == []
    assert strangers == []
    assert voices == 3
    (served,) = server.of(SpeechServed)
    assert isinstance(served, SpeechServed)
    assert (served.route, served.outcome) == ("/ws/synthesize-stream", "finished")


@pytest.mark.spec("SRV-43")
async def test_where_the_browser_lets_no_page_play_the_page_says_where_it_can() -> None:
    executable = find_browser()
    if executable is None:
        pytest.skip("no browser (scripts/system_packages.sh installs it)")

    def visit(url: str) -> str:
        with Browser(executable) as browser:
            browser.open(url)
            browser.run(
                "Object.defineProperty(BaseAudioContext.prototype, 'audioWorklet', { value: undefined }); 1"
            )
            browser.click("#speak")
            browser.wait("document.getElementById('told').textContent !== ''")
            return str(browser.run("document.getElementById('told').textContent"))

    async with house() as server:
        told = await asyncio.to_thread(visit, server.url)
    assert "https" in told
    assert "Error" not in told
