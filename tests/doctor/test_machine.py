"""What the doctor says of Python, the packages and the machine."""

from __future__ import annotations

import re
import tomllib
from datetime import date

import pytest

from tests.test_architecture import ROOT
from voicemode.devices.diagnosis import Place
from voicemode.doctor.finding import Finding, State
from voicemode.doctor.machine import LIBRARIES, Library, examine_machine, installed, place, python

TODAY = date(2026, 11, 28)


def missing(*names: str) -> dict[str, Finding]:
    def version(library: Library) -> str | None:
        return None if library.name in names else "1.0"

    return {each.what: each for each in examine_machine(today=TODAY, version=version)}


@pytest.mark.spec("DOC-3")
def test_every_package_that_voicemode_is_built_on_is_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[^\w-]", each)[0] for each in project["dependencies"]}
    assert {library.name for library in LIBRARIES} == wanted


@pytest.mark.spec("DOC-3")
def test_the_name_of_a_package_fits_the_name_it_is_imported_by() -> None:
    here = [library for library in LIBRARIES if library.wanted()]
    assert [library.name for library in here if installed(library) in (None, "of unknown version")] == []
    assert installed(Library(name="none-such", module="none_such", purpose="", lost="")) is None


@pytest.mark.spec("DOC-3")
def test_what_python_itself_brings_is_no_package_of_ours() -> None:
    (audioop,) = (library for library in LIBRARIES if library.name == "audioop-lts")
    assert (installed(audioop) is not None) == audioop.wanted()


@pytest.mark.parametrize(
    ("name", "state", "lost"),
    [
        ("webrtcvad-wheels", State.FAIL, "nobody can be listened to"),
        ("av", State.FAIL, "only pcm and wav"),
        ("livekit", State.WARN, "nobody can talk over a message"),
        ("espeakng-loader", State.WARN, "nothing can be said"),
    ],
)
@pytest.mark.spec("DOC-3")
def test_a_package_that_is_missing_is_told_with_what_is_lost_and_how_to_get_it(
    name: str, state: State, lost: str
) -> None:
    finding = missing(name)[name]
    assert finding.state is state
    assert lost in finding.found
    assert f"pip install {name}" in finding.mend


@pytest.mark.spec("DOC-3")
def test_what_nobody_has_to_have_is_told_only_where_it_is() -> None:
    assert "sherpa-onnx" not in missing("sherpa-onnx")
    assert missing()["sherpa-onnx"].state is State.OK


@pytest.mark.parametrize(
    ("running", "today", "state", "word"),
    [
        ((3, 13), TODAY, State.OK, "voicemode"),
        ((3, 11), date(2027, 12, 1), State.WARN, "no security fixes since 2027-10"),
        ((3, 15), TODAY, State.WARN, "tested on 3.11 to 3.14"),
    ],
)
@pytest.mark.spec("DOC-3")
def test_a_python_that_is_too_new_or_too_old_is_told(
    running: tuple[int, int], today: date, state: State, word: str
) -> None:
    finding = python(running, today)
    assert finding.state is state
    assert word in finding.found
    assert ("uvx --python" in finding.mend) is (state is State.WARN)


@pytest.mark.parametrize(
    ("here", "state", "words"),
    [
        (Place(platform="darwin"), State.OK, ("macOS",)),
        (Place(platform="linux"), State.OK, ("Linux", "there is a sound server")),
        (Place(platform="linux", server=False), State.OK, ("a sound card and no sound server",)),
        (
            Place(platform="linux", wsl=True, server=False, hardware=False),
            State.WARN,
            ("under WSL", "wsl --update"),
        ),
        (
            Place(platform="linux", container=True, server=False, hardware=False),
            State.WARN,
            ("in a container", "docker run --user"),
        ),
        (
            Place(platform="linux", remote=True, server=False, hardware=False),
            State.WARN,
            ("over SSH", "ssh -R"),
        ),
    ],
)
@pytest.mark.spec("DOC-4")
def test_where_the_sound_is_elsewhere_the_way_out_is_told(
    here: Place, state: State, words: tuple[str, ...]
) -> None:
    finding = place(here)
    assert finding.state is state
    assert [word for word in words if word not in f"{finding.found} {finding.mend}"] == []
