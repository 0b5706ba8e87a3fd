"""What is known of the ways between loudspeakers and microphones: kept, fetched, and what it means."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from voicemode.machine.echo_path import FILE, MOST_KEPT, EchoPath, load, save, sounds_like_headphones

pytestmark = pytest.mark.spec("CLI-15")

TODAY = date(2026, 11, 21)


def path(attenuation_db: float, delay: float | None = 0.06) -> EchoPath:
    return EchoPath(delay=delay, attenuation_db=attenuation_db, measured_on=TODAY)


def test_what_was_measured_is_known_for_these_two_devices_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    save(folder, path(20.0), output="Speaker", input="Microphone")
    save(folder, path(70.0, None), output="Headphones", input="Microphone")
    assert load(folder, output="Speaker", input="Microphone") == path(20.0)
    assert load(folder, output="Headphones", input="Microphone") == path(70.0, None)
    assert load(folder, output="Speaker", input="Webcam") is None
    save(folder, path(12.0), output="Speaker", input="Microphone")
    assert load(folder, output="Speaker", input="Microphone") == path(12.0)


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        save(tmp_path, path(20.0), output="Speaker", input="Microphone")
    finally:
        os.umask(before)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[1, 2]",
        b'{"Speaker -> Microphone": 3}',
        b'{"Speaker -> Microphone": {"delay": 0.1}}',
        b'{"Speaker -> Microphone": {"delay": "x", "attenuation_db": 3, "measured_on": "2026-11-21"}}',
        b'{"Speaker -> Microphone": {"delay": 0.1, "attenuation_db": true, "measured_on": "2026-11-21"}}',
        b'{"Speaker -> Microphone": {"delay": 0.1, "attenuation_db": 3, "measured_on": "yesterday"}}',
    ],
)
def test_a_damaged_file_is_no_knowledge_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert load(tmp_path, output="Speaker", input="Microphone") is None
    save(tmp_path, path(20.0), output="Speaker", input="Microphone")
    assert load(tmp_path, output="Speaker", input="Microphone") == path(20.0)


def test_the_oldest_of_too_many_is_forgotten(tmp_path: Path) -> None:
    for number in range(MOST_KEPT + 1):
        save(tmp_path, path(20.0), output=f"Speaker {number}", input="Microphone")
    assert load(tmp_path, output="Speaker 0", input="Microphone") is None
    assert load(tmp_path, output="Speaker 1", input="Microphone") == path(20.0)


@pytest.mark.parametrize(
    ("attenuation_db", "delay", "is_open", "safe"),
    [
        (70.0, None, True, True),
        (50.0, 0.06, True, True),
        (20.0, 0.06, False, True),
        (9.5, 0.06, False, True),
        (5.0, 0.06, False, False),
        (20.0, 0.4, False, False),
        (30.0, None, False, False),
    ],
)
def test_what_it_means(attenuation_db: float, delay: float | None, is_open: bool, safe: bool) -> None:
    """Nothing heard in a loud room proves nothing."""
    assert (path(attenuation_db, delay).open, path(attenuation_db, delay).safe) == (is_open, safe)


@pytest.mark.parametrize(
    ("name", "headphones"),
    [
        ("USB Headset", True),
        ("Headphones (Realtek(R) Audio)", True),
        ("Maria's AirPods Pro", True),
        ("Galaxy Buds2 Pro", True),
        ("Pixel Buds", True),
        ("Sony WH-1000XM5 Hands-Free AG Audio", True),
        ("alsa_output.pci-0000_00_1f.3.analog-stereo analog-output-headphones", True),
        ("alsa_output.pci-0000_00_1f.3.analog-stereo analog-output-speaker", False),
        ("MacBook Pro Speakers", False),
        ("HDMI", False),
        ("Budapest Speaker", False),
        ("default", False),
        ("", False),
    ],
)
def test_a_name_may_say_headphones(name: str, headphones: bool) -> None:
    assert sounds_like_headphones(name) is headphones
