"""The ways that were found, kept from one process to the next."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from voicemode.ears.blocks import BLOCK
from voicemode.ears.ways import KEPT_BLOCKS, Way
from voicemode.pcm import LISTENING, Frame
from voicemode.sound.sweep import sweep
from voicemode.wiring.known_ways import FILE, KnownWays

pytestmark = pytest.mark.spec("LSN-93")

LIMIT_SECONDS = 10.0


def way(loudness: float = 0.5) -> Way:
    response = np.zeros(KEPT_BLOCKS * BLOCK)
    response[80] = loudness
    return Way(response)


def until_written() -> None:
    for thread in threading.enumerate():
        if thread.name == "keeping the way of echo":
            thread.join(LIMIT_SECONDS)
            assert not thread.is_alive()


def test_what_one_process_has_found_the_next_knows(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    KnownWays(folder).open().remember(way(0.25))
    until_written()
    (known,) = KnownWays(folder).open().known
    assert known.response[80] == 0.25


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        KnownWays(tmp_path).open().remember(way())
        until_written()
    finally:
        os.umask(before)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_within_a_process_it_is_read_once_and_known_to_every_opening(tmp_path: Path) -> None:
    ways = KnownWays(tmp_path)
    ways.open().remember(way())
    assert len(ways.open().known) == 1
    until_written()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"ways": ["AAAA"]}'])
def test_a_file_that_is_damaged_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert KnownWays(tmp_path).open().known == ()


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    ways = KnownWays(tmp_path / "file")
    ways.open().remember(way())
    until_written()
    assert len(ways.open().known) == 1


def test_what_another_process_has_found_meanwhile_is_known_with_the_next_opening(tmp_path: Path) -> None:
    running = KnownWays(tmp_path)
    assert running.open().known == ()
    KnownWays(tmp_path).open().remember(way(0.25))
    until_written()
    (known,) = running.open().known
    assert known.response[80] == 0.25


@pytest.mark.spec("LSN-101")
def test_the_way_of_one_sound_is_on_disk_when_it_has_been_added(tmp_path: Path) -> None:
    ways, played = KnownWays(tmp_path), sweep(LISTENING)
    silence = LISTENING.silence(LISTENING.samples(0.5))
    heard = Frame(data=silence + played.data + silence, format=LISTENING)
    assert ways.add(played, heard, 0.5)
    assert len(KnownWays(tmp_path).open().known) == len(ways.open().known) == 1
    assert not ways.add(played, Frame(data=bytes(len(heard.data)), format=LISTENING), 0.5)
    assert len(KnownWays(tmp_path).open().known) == 1
