"""The page in a real browser: what is shown, what keys do, and that nothing is asked of anybody else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.host import environment
from tests.review.material import archive, record, wall, write
from tests.support import voice
from tests.support.browser import Browser, find_browser
from tests.support.encoding import encode
from tests.support.many_turns import write as write_many
from tests.turn_story.test_turn_story import GOOD
from voicemode.events import PlaybackResumed, Transcribed, Underrun
from voicemode.pcm import LISTENING, SPEECH, Frame
from voicemode.review.one_file import Caps, one_file
from voicemode.speech import AudioFormat

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="needs chromium: scripts/system_packages.sh"),
    # One browser for all of them.
    pytest.mark.xdist_group("browser"),
]

TURNS = 10_000
MARKUP = "<b>Yes</b> <img src=http://example.com/x onerror=alert(1)>"
DRAWN = "document.querySelector('.timeline').dataset.drawn"
POSITION = "Number(document.querySelector('.timeline').getAttribute('aria-valuenow'))"
CHOSEN = "document.querySelector('#turn').dataset.turn"
ROWS = "document.querySelectorAll('.turn-row').length"
COUNT = "document.getElementById('count').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = find_browser()
    assert executable is not None
    with Browser(executable) as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred turns of today, and a last one whose sound was kept and ran dry, with markup for an answer."""
    made = tmp_path_factory.mktemp("review")
    write_many(made, 300, days=4, until=wall(0.0))
    hostile = [replace(event, text=MARKUP) if isinstance(event, Transcribed) else event for event in GOOD]
    dry = [
        Underrun(at=101.0, turn="t1", position=16_000, refill=0.3),
        PlaybackResumed(at=101.6, turn="t1", position=16_000),
    ]
    write(made, sorted([*hostile, *dry], key=lambda event: event.at))
    record(made, kind="tts", turn="t1", data=voice.speak("Deploy now", SPEECH.rate), at=100.3, fmt=SPEECH)
    record(made, kind="stt", turn="t1", data=voice.speak("Yes please", LISTENING.rate), at=102.9)
    return made


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "voicemode", "review", "--no-browser", "--json"],
        env=environment(None, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder) as url:
        yield url


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Browser]:
    """The page with all of its rows, the turn `t1` chosen and drawn; at the end nobody has complained."""
    browser.open(f"{address}#t1")
    browser.wait("document.documentElement.dataset.loaded === '301'")
    browser.wait(f"{CHOSEN} === 't1' && document.querySelectorAll('canvas.wave').length === 2 && {DRAWN}")
    yield browser
    assert browser.seen.complaints == []
    assert browser.seen.beyond_loopback() == []


@pytest.mark.spec("REV-1", "REV-7", "REV-9")
def test_it_opens_without_the_token_in_its_address_and_asks_nobody_else(page: Browser) -> None:
    assert "token" not in page.run("location.href")
    assert page.run("document.cookie") == ""
    assert page.run(COUNT) == "301 turns"
    assert page.seen.requests
    refused = page.run("fetch('http://localhost:1/').then(() => 'loaded', () => 'refused')")
    assert refused == "refused"
    assert any("Content Security Policy" in told for told in page.seen.complaints)
    page.seen.complaints.clear()
    page.seen.requests.clear()


@pytest.mark.spec("REV-2", "REV-3")
def test_a_turn_tells_what_went_wrong_and_shows_it_on_one_axis(page: Browser) -> None:
    told = page.run("document.querySelector('.findings').innerText")
    assert "The sound ran dry for 0.6 s" in told
    labels = page.run("[...document.querySelectorAll('.moment')].map((each) => each.textContent)")
    assert {
        "request",
        "first byte",
        "first audio",
        "underrun",
        "voice onset",
        "end of turn",
        "transcript",
    } <= set(labels)
    lefts = page.run(
        "Object.fromEntries([...document.querySelectorAll('.bar')].reverse().map("
        "(bar) => [bar.span.name, bar.getBoundingClientRect().left]))"
    )
    mark = page.run("document.querySelector('.mark.bad').getBoundingClientRect().left")
    assert lefts["underrun"] == pytest.approx(mark, abs=2)
    # The wave begins where the span does: the first column with ink in it.
    ink = (
        "(() => { const wave = document.querySelectorAll('canvas.wave')[0]; const pen = wave.getContext('2d');"
        "const data = pen.getImageData(0, 0, wave.width, wave.height).data;"
        "for (let x = 0; x < wave.width; x += 1) for (let y = 0; y < wave.height; y += 1)"
        " if (data[(y * wave.width + x) * 4 + 3]) return x + wave.getBoundingClientRect().left; })()"
    )
    assert page.run(ink) == pytest.approx(lefts["speaking"], abs=3)


@pytest.mark.spec("REV-2", "REV-14")
@pytest.mark.parametrize("whole", [False, True])
def test_streams_are_drawn_as_they_came_and_an_underrun_is_the_hole_in_the_loudspeakers_sound(
    browser: Browser, tmp_path: Path, whole: bool
) -> None:
    """Whole or torn: of what broke off there is what came, but for Ogg, of which Chromium wants the end."""
    dry = [
        Underrun(at=101.0, turn="t1", position=16_000, refill=0.3),
        PlaybackResumed(at=101.6, turn="t1", position=16_000),
    ]
    write(tmp_path, sorted([*GOOD, *dry], key=lambda event: event.at))
    said = voice.speak("Deploy now", SPEECH.rate)
    tone = b"\x00\x20\x00\xe0" * (SPEECH.samples(0.7) // 2)
    hole = tone + SPEECH.silence(SPEECH.samples(0.6)) + tone
    record(tmp_path, kind="sink", turn="t1", data=hole, at=100.3, fmt=SPEECH)
    record(tmp_path, kind="mic", turn="t1", data=voice.speak("Yes please", LISTENING.rate), at=102.9)
    (month,) = (tmp_path / "recordings").glob("*/*")
    formats = ("mp3", "opus", "flac", "aac")
    for number, name in enumerate(formats):
        data = encode(Frame(data=said, format=SPEECH), AudioFormat(name))
        kept = data if whole else data[: len(data) * 2 // 3]
        (month / f"20261128-100000-30{number}_t1_stream-{number}.{name}").write_bytes(kept)
    (month / "20261128-100000-309_t1_stream-9.bin").write_bytes(b"no sound at all" * 40)
    with served(tmp_path) as address:
        browser.open(f"{address}#t1")
        browser.wait(f"{CHOSEN} === 't1' && {DRAWN} && document.querySelector('.state').textContent === ''")
        names = browser.run("[...document.querySelectorAll('.track strong')].map((each) => each.textContent)")
        drawn = [number for number, name in enumerate(formats, 1) if whole or name != "opus"]
        assert names == ["loudspeaker", *(f"stream, piece {each}" for each in drawn), "microphone"]
        lengths = browser.run(
            "[...document.querySelectorAll('.track .kind')].map((each) => parseFloat(each.textContent.split(' · ')[1]))"
        )
        seconds = len(said) / 2 / SPEECH.rate
        assert [length for length in lengths[1:-1] if not seconds * 0.5 <= length <= seconds + 0.15] == []
        assert "stream-9.bin. This browser cannot decode it." in browser.run(
            "document.querySelector('.notes').textContent"
        )
        holes = browser.run(
            "(() => { const wave = document.querySelector('canvas.wave'); const { width, height } = wave;"
            "const data = wave.getContext('2d').getImageData(0, 0, width, height).data;"
            "const inked = (x) => { let count = 0;"
            " for (let y = 0; y < height; y += 1) count += data[(y * width + x) * 4 + 3] > 0; return count > 2; };"
            "const left = wave.getBoundingClientRect().left;"
            "const bar = [...document.querySelectorAll('.bar')].find((each) => each.span.name === 'underrun');"
            "const { left: from, right: to } = bar.getBoundingClientRect();"
            "return { inside: [0.2, 0.5, 0.8].map((share) => inked(Math.round(from + (to - from) * share - left))),"
            " before: inked(Math.round(from - left) - 4), after: inked(Math.round(to - left) + 4) }; })()"
        )
        assert holes == {"inside": [False] * 3, "before": True, "after": True}
        assert browser.seen.complaints == []


@pytest.mark.spec("REV-9")
def test_words_from_the_room_are_text(page: Browser) -> None:
    assert page.run("document.querySelector('.words .theirs p').textContent") == MARKUP
    assert page.run("document.querySelectorAll('#turn img, #turn b, #list b').length") == 0


@pytest.mark.spec("REV-11")
def test_the_cursor_moves_while_it_plays_and_stops_when_it_does(page: Browser) -> None:
    before = page.run(POSITION)
    page.press(" ")
    page.wait(f"{POSITION} > {before} + 0.5")
    assert page.run("document.querySelector('.play').getAttribute('aria-label')") == "Pause"
    cursor = page.run("document.querySelector('.cursor').getBoundingClientRect().left")
    line = page.run("document.querySelector('.grid.zero').getBoundingClientRect().left")
    assert cursor > line
    page.press(" ")
    stopped = page.run(POSITION)
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.run(POSITION) == stopped
    page.press("2")
    boxes = "[...document.querySelectorAll('.hear input')].map((box) => box.checked)"
    assert page.run(boxes) == [True, False]
    page.click(".play")
    page.wait(f"{POSITION} > {stopped} + 0.1")
    page.press(" ")


@pytest.mark.spec("REV-10")
def test_everything_is_done_with_keys(page: Browser) -> None:
    page.run("document.getElementById('list').focus()")
    outline = "getComputedStyle(document.querySelector('.turn-row.chosen')).outlineStyle"
    page.press("j")
    page.wait(f"{CHOSEN} !== 't1'")
    assert page.run(outline) == "solid"
    page.press("k")
    page.wait(f"{CHOSEN} === 't1' && {DRAWN}")
    page.press("End")
    page.wait(f"{CHOSEN} !== 't1'")
    page.press("Home")
    page.wait(f"{CHOSEN} === 't1'")
    page.press("End")
    page.wait("document.querySelector('#list').scrollTop > 1000")
    page.wait(DRAWN)  # What has the focus in a turn that is being drawn loses it.
    page.press("Enter")
    assert page.run("document.activeElement.id") == "turn"
    page.press("Tab")
    page.press("Tab")
    page.wait("getComputedStyle(document.activeElement).outlineStyle === 'solid'")
    page.press("Escape")
    assert page.run("document.activeElement.id") == "list"
    page.press("?")
    assert page.run("document.getElementById('help').open") is True
    page.press("Escape")
    assert page.run("document.getElementById('help').open") is False
    page.press("d")
    page.wait("document.querySelectorAll('#days-view svg').length === 6")
    page.press("Escape")
    assert page.run("document.getElementById('days-view').hidden") is True


@pytest.mark.spec("REV-10", "REV-11")
def test_in_a_turn_keys_seek_and_zoom(page: Browser) -> None:
    page.press("Enter")
    page.run("document.getElementById('turn').focus()")
    page.press("ArrowRight")
    assert page.run(POSITION) == pytest.approx(0.5)
    page.press("ArrowLeft")
    assert page.run(POSITION) == pytest.approx(0.0)
    page.press("n")
    assert page.run(POSITION) == pytest.approx(0.01)
    width = "document.querySelector('.bar.loudspeaker.good').getBoundingClientRect().width"
    before = page.run(width)
    page.press("+")
    assert page.run(width) > before * 1.4
    page.press("0")
    assert page.run(width) == pytest.approx(before)


@pytest.mark.spec("REV-4")
def test_filters_and_the_search_leave_what_was_asked_for(page: Browser) -> None:
    kinds = []
    for _ in range(4):
        page.press("f")
        kinds.append(
            (
                page.run("document.querySelector('[data-filter][aria-pressed=true]').dataset.filter"),
                page.run(COUNT),
            )
        )
    assert [name for name, _ in kinds] == ["slow", "interrupted", "failed", "all"]
    counts = [int(told.split()[0]) for _, told in kinds]
    assert 0 < counts[2] < 301
    assert 0 < counts[0] < 301
    assert counts[3] == 301
    page.press("/")
    page.type("MIGRATION four")
    page.wait(f"{COUNT}.includes(' of 301')")
    said = page.run("[...document.querySelectorAll('.turn-row .said')].map((each) => each.textContent)")
    assert said
    assert all("migration took four" in each for each in said)
    page.press("Escape")
    assert page.run("document.activeElement.id") == "list"
    page.press("/")
    page.type(" nothing like it")
    page.wait("document.querySelector('#turn').textContent.includes('No turn passes the filters.')")


@pytest.mark.spec("REV-12")
def test_light_and_dark_follow_the_system(page: Browser) -> None:
    colours = []
    for dark in (False, True):
        page.look(dark=dark)
        colours.append(
            page.run(
                "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color].map("
                "(colour) => colour.match(/\\d+/g).map(Number).reduce((sum, each) => sum + each))"
            )
        )
    (light, dark_text), (dark, light_text) = colours
    assert light > 600 > 200 > dark
    assert light_text > 600 > 200 > dark_text


@pytest.mark.spec("REV-10")
@pytest.mark.parametrize("width", [1280, 800, 480])
def test_nothing_is_cut_off_at_any_width(page: Browser, width: int) -> None:
    page.look(width=width, height=800)
    page.wait(f"innerWidth === {width}")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert (
        page.run("document.getElementById('turn').scrollWidth - document.getElementById('turn').clientWidth")
        <= 0
    )


@pytest.mark.spec("REV-14")
def test_the_page_in_a_file_shows_and_plays_without_a_server(
    browser: Browser, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    file.write_text(one_file(archive(folder), caps=Caps(turns=400, sound_bytes=10**7)).html, encoding="utf-8")
    browser.open(f"{file.as_uri()}#t1")
    browser.wait("document.documentElement.dataset.loaded === '301'")
    browser.wait(f"{CHOSEN} === 't1' && document.querySelectorAll('canvas.wave').length === 2 && {DRAWN}")
    browser.press(" ")
    browser.wait(f"{POSITION} > 0.4")
    browser.press(" ")
    browser.press("d")
    browser.wait("document.querySelectorAll('#days-view svg').length === 6")
    assert browser.seen.complaints == []
    assert [url for url in browser.seen.requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.spec("REV-13")
def test_of_ten_thousand_turns_only_those_in_sight_are_in_the_document(
    browser: Browser, tmp_path: Path
) -> None:
    write(tmp_path, [replace(event, turn="t0000") for event in (GOOD[0], GOOD[4], GOOD[-1])])
    (log,) = (tmp_path / "events").iterdir()
    one = log.read_text()
    log.write_text("".join(one.replace("t0000", f"t{turn}") for turn in range(TURNS)))
    with served(tmp_path) as address:
        browser.open(address)
        browser.wait(f"{ROWS} > 5")
        known = int(browser.run(COUNT).split()[0].replace(",", ""))
        assert known < TURNS or browser.run("document.documentElement.dataset.loaded")
        browser.wait(f"document.documentElement.dataset.loaded === '{TURNS}'")
        assert browser.run(ROWS) < 60
        browser.press("End")
        browser.wait(f"document.querySelector('.turn-row[aria-posinset=\"{TURNS}\"].chosen') !== null")
        assert browser.run(ROWS) < 60
        assert browser.seen.complaints == []
