"""How many requests are taken, as replicas come and go."""

from __future__ import annotations

import pytest

from voicemode.cluster.room import Room
from voicemode.speech_server.admission import Full


@pytest.mark.spec("CLU-7")
@pytest.mark.parametrize(
    ("replicas", "ingresses", "most"), [(1, 1, 5), (3, 1, 13), (3, 2, 7), (0, 1, 1), (2, 0, 9), (0, 4, 1)]
)
def test_room_is_what_the_running_replicas_take_and_a_line(replicas: int, ingresses: int, most: int) -> None:
    room = Room(ongoing=4, waiting=1)
    room.told(replicas=replicas, ingresses=ingresses)
    assert room.most == most


@pytest.mark.spec("CLU-7")
def test_who_does_not_fit_is_told_when_one_ends() -> None:
    now = 100.0
    room = Room(ongoing=1, waiting=1, now=lambda: now)
    with room.text(), room.text():
        with pytest.raises(Full, match="2 voices at once") as caught, room.text():
            pass
        assert caught.value.retry_after == 1
        assert room.taken == 2
        now += 800.0
    assert room.taken == 0
    with room.text(), room.text():
        with pytest.raises(Full) as caught, room.text():
            pass
        assert caught.value.retry_after == 30
        room.told(replicas=2, ingresses=1)
        with room.text():
            assert room.taken == 3
