"""The law of every stage: the output is the same however the input is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Protocol, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from voicemode.pcm import Frame
from voicemode.ports import Stage

Piece = TypeVar("Piece", bytes, str)
Out = TypeVar("Out")
Joined = TypeVar("Joined")


class Equal(Protocol):
    def __eq__(self, other: object, /) -> bool: ...


def run(stage: Stage[Piece, Out], pieces: Iterable[Piece]) -> list[Out]:
    """Everything the stage gives for `pieces`, its flush included."""
    out = [item for piece in pieces for item in stage.feed(piece)]
    return out + stage.flush()


def cut(whole: Piece, places: Iterable[int]) -> list[Piece]:
    """`whole` in pieces, cut at `places`. Empty pieces are kept: they happen on a wire."""
    marks = [0, *sorted(places), len(whole)]
    return [whole[start:end] for start, end in pairwise(marks)]


def sound_of(frames: Sequence[Frame]) -> tuple[bytes, frozenset[tuple[int, int]]]:
    """Frames, however they are cut: all their samples, and the formats that came."""
    return (
        b"".join(frame.data for frame in frames),
        frozenset((frame.format.rate, frame.format.channels) for frame in frames),
    )


def assert_cuts_do_not_matter(
    new_stage: Callable[[], Stage[Piece, Out]],
    whole: Piece,
    join: Callable[[list[Out]], Equal],
    *,
    examples: int = 25,
    one_by_one: int | None = None,
) -> Equal:
    """Feeds `whole` at once, one by one and cut at random, and demands the same `join`ed output; gives that output.

    `one_by_one` limits how much of `whole` is fed in single steps where that is slow; the rest follows in one piece.
    """
    expected = join(run(new_stage(), [whole]))
    single = len(whole) if one_by_one is None else min(one_by_one, len(whole))
    assert join(run(new_stage(), cut(whole, range(1, single)))) == expected

    @settings(max_examples=examples, deadline=None, database=None)
    @given(st.lists(st.integers(0, len(whole)), max_size=12))
    def at_random(places: list[int]) -> None:
        assert join(run(new_stage(), cut(whole, places))) == expected

    at_random()
    return expected
