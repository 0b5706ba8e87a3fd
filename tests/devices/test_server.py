"""Finding the audio server from an almost empty environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voicemode.devices.server import audio_server_variables

BARE = {
    "HOME": "/home/a",
    "LOGNAME": "a",
    "PATH": "/usr/bin",
    "SHELL": "/bin/sh",
    "TERM": "xterm",
    "USER": "a",
}


def there(*paths: str) -> Callable[[Path], bool]:
    return lambda path: str(path) in paths


def test_the_users_own_server_is_found_by_its_runtime_folder() -> None:
    exists = there("/run/user/1000", "/run/user/1000/pulse/native", "/mnt/wslg/PulseServer")
    assert audio_server_variables(BARE, uid=1000, exists=exists) == {"XDG_RUNTIME_DIR": "/run/user/1000"}


def test_under_wsl_the_server_of_windows_is_found() -> None:
    exists = there("/run/user/1000", "/mnt/wslg/PulseServer")
    assert audio_server_variables(BARE, uid=1000, exists=exists) == {
        "XDG_RUNTIME_DIR": "/run/user/1000",
        "PULSE_SERVER": "unix:/mnt/wslg/PulseServer",
    }


def test_a_server_for_the_whole_machine_is_found() -> None:
    exists = there("/run/pulse/native")
    assert audio_server_variables(BARE, uid=0, exists=exists) == {"PULSE_SERVER": "unix:/run/pulse/native"}


def test_nothing_is_added_that_is_not_there() -> None:
    assert audio_server_variables(BARE, uid=1000, exists=there()) == {}


@pytest.mark.parametrize("name", ["XDG_RUNTIME_DIR", "PULSE_SERVER"])
def test_what_is_set_is_never_changed(name: str) -> None:
    added = audio_server_variables({**BARE, name: "/elsewhere"}, uid=1000, exists=lambda path: True)
    assert name not in added


def test_an_empty_variable_counts_as_missing() -> None:
    environment = {**BARE, "XDG_RUNTIME_DIR": "", "PULSE_SERVER": ""}
    exists = there("/run/user/5", "/mnt/wslg/PulseServer")
    assert set(audio_server_variables(environment, uid=5, exists=exists)) == {
        "XDG_RUNTIME_DIR",
        "PULSE_SERVER",
    }
