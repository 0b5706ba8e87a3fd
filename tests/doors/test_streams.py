"""What the shell gives a command: a text whose writer stays, an input that is closed, an output that takes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.battery.wire import events
from tests.live.host import COMMAND, environment
from tests.support.looking import look_for
from tests.support.sound_card import VirtualSoundCard
from tests.support.terminal import at_terminal
from voicemode.cli.exits import DONE, FAILED, INTERRUPTED
from voicemode.cli.streams import PipedText, show
from voicemode.errors import InvalidRequest, VoiceModeError

LIMIT = 30.0
FULL = Path("/dev/full")
END_SECONDS = 0.4
MARGIN_SECONDS = 0.5
"""For a busy machine to reap a process."""


def run(
    folder: Path,
    *arguments: str,
    stdin: int | IO[str] = subprocess.DEVNULL,
    stdout: int | IO[str] = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """A command on a machine without any sound."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(None, folder),
        cwd=folder,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def until_begun(folder: Path) -> None:
    look_for(lambda: any(event.name == "turn_started" for event in events(folder)), LIMIT, lambda: "no turn")


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ours = os.pipe()
    try:
        yield ours
    finally:
        for each in ours:
            with suppress(OSError):
                os.close(each)


# A text that is still being written.


@pytest.mark.timed
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.spec("CLI-8", "CLI-16")
def test_a_writer_that_stays_does_not_keep_a_command_that_is_told_to_stop(
    tmp_path: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [*COMMAND, "speak", "-"],
        env=environment(None, tmp_path),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            until_begun(tmp_path)
            process.send_signal(number)
            assert process.wait(END_SECONDS + MARGIN_SECONDS) == INTERRUPTED
            assert process.stderr is not None
            assert process.stderr.read() == b""
        finally:
            process.kill()


@pytest.mark.spec("CLI-4", "CLI-16")
def test_a_failure_is_told_while_the_writer_stays(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "speak", "-", "--voice", "nobody"],
        env=environment(None, tmp_path),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(b"This sentence has no voice.\n\n")
            process.stdin.flush()
            assert process.wait(LIMIT) == FAILED
            assert process.stderr is not None
            assert b"'nobody'" in process.stderr.read()
        finally:
            process.kill()


@pytest.mark.live
@pytest.mark.timed
@pytest.mark.spec("CLI-9", "CLI-16")
def test_the_key_ends_it_while_the_writer_stays(sound_card: VirtualSoundCard, tmp_path: Path) -> None:
    fifo = tmp_path / "text"
    os.mkfifo(fifo)
    writer = os.open(fifo, os.O_RDWR)
    os.write(writer, b"one two three four five six seven eight nine ten.\n\n")
    piped = ("/bin/sh", "-c", f'exec {sys.executable} -m voicemode "$@" <"{fifo}"', "sh")
    env = environment(sound_card, tmp_path)
    try:
        with (
            sound_card.recording() as heard,
            at_terminal("speak", "-", env=env, cwd=tmp_path, typed="", command=piped) as program,
        ):
            heard.wait_for_sound(LIMIT)
            program.wait_for_keys()
            program.type(" ")
            code, _ = program.ended(END_SECONDS + MARGIN_SECONDS)
            assert program.line_by_line
    finally:
        os.close(writer)
    assert code == DONE, program.screen


@given(st.text(st.characters(codec="utf-8")), st.lists(st.integers(0, 20)))
@pytest.mark.spec("CLI-16")
def test_a_text_comes_whole_however_it_is_written(text: str, cuts: list[int]) -> None:
    async def read(end: int) -> str:
        async with asyncio.timeout(LIMIT):
            return "".join([part async for part in PipedText(end)])

    with pipe() as (end, writer):
        data = text.encode()
        for cut in cuts:
            os.write(writer, data[:cut])
            data = data[cut:]
        os.write(writer, data)
        os.close(writer)
        assert asyncio.run(read(end)) == text


@pytest.mark.spec("CLI-16")
def test_what_is_written_is_given_before_the_writer_ends_even_where_nobody_may_wait() -> None:
    async def read(end: int, writer: int) -> list[str]:
        parts = []
        async with asyncio.timeout(LIMIT):
            asyncio.get_running_loop().call_later(0.01, os.write, writer, b"one")
            text = aiter(PipedText(end))
            parts.append(await anext(text))
            os.write(writer, b"two")
            parts.append(await anext(text))
        return parts

    with pipe() as (end, writer):
        os.set_blocking(end, False)
        assert asyncio.run(read(end, writer)) == ["one", "two"]


# What is no text.


@pytest.mark.parametrize("text", ["---\n", "🎉🎉", " \n", ""])
@pytest.mark.spec("CLI-17", "SPK-14")
def test_a_piped_text_without_words_is_refused(tmp_path: Path, text: str) -> None:
    with (tmp_path / "text").open("w+") as file:
        file.write(text)
        file.seek(0)
        done = run(tmp_path, "speak", "-", "--json", stdin=file)
    assert done.returncode == FAILED
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "invalid_request"
    assert text.strip() in error["message"]
    assert done.stderr == f"voicemode: {error['message']} {error['hint']}\n"


@pytest.mark.spec("CLI-17")
def test_a_standard_input_that_is_closed_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {sys.executable} -m voicemode speak - <&-"],
        env=environment(None, tmp_path), capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == FAILED
    assert done.stderr.startswith("voicemode: Standard input is closed.")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.spec("CLI-17")
def test_a_standard_input_that_cannot_be_read_is_refused() -> None:
    async def read(end: int) -> None:
        async with asyncio.timeout(LIMIT):
            await anext(aiter(PipedText(end)))

    with pipe() as (_, writer), pytest.raises(InvalidRequest, match="cannot be read"):
        asyncio.run(read(writer))


# An output that takes nothing.


@pytest.mark.parametrize("arguments", [["voices"], ["speak", "hello", "--json"], ["--help"]])
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.spec("CLI-18")
def test_an_output_that_is_full_is_a_failure_in_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    with FULL.open("w") as full:
        done = run(tmp_path, *arguments, stdout=full)
    assert done.returncode == FAILED
    assert "voicemode: Standard output cannot be written: " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.spec("CLI-18")
def test_an_output_whose_reader_has_left_ends_the_command_without_a_word(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        os.close(reader)
        done = run(tmp_path, "voices", stdout=writer)
    assert (done.returncode, done.stderr) == (FAILED, "")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.spec("CLI-18")
def test_what_was_heard_is_told_where_it_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with FULL.open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(VoiceModeError, match="Yes, delete it"):
            show("{}", heard="Yes, delete it.")
