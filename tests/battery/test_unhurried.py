"""Standard error that nobody reads, and what is written to it all the same."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import IO

import pytest

from voicemode.machine.background import Unhurried

Pipe = tuple[IO[bytes], Unhurried]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """The end that may be read, and a stream that writes to the other one."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader:
        yield reader, Unhurried(theirs, capacity=50)
    # The thread that writes sees a broken pipe now.


@pytest.mark.spec("BAT-21")
def test_what_is_written_arrives_in_order_and_half_a_character_cannot_break_it(pipe: Pipe) -> None:
    reader, stream = pipe
    for number in range(20):
        print(f"line {number} \ud800 ✓", file=stream)
    stream.flush()
    expected = "".join(f"line {number} \\ud800 ✓\n" for number in range(20)).encode()
    assert reader.read(len(expected)) == expected


@pytest.mark.spec("BAT-21")
def test_a_pipe_that_is_full_holds_no_writer_up_and_goes_on_when_it_is_read(pipe: Pipe) -> None:
    reader, stream = pipe
    log = logging.Logger("full")
    log.addHandler(logging.StreamHandler(stream))
    for _ in range(300):
        log.warning("x" * 9_999)
    kept = b"x" * 9_999 + b"\n"
    for _ in range(30):
        assert reader.read(len(kept)) == kept
