"""What the doctor says of the models in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doctor.test_configuration import places
from voicemode.configuration.config import Config
from voicemode.doctor.finding import Finding, State
from voicemode.doctor.models import examine_models
from voicemode.models.catalogue import CATALOGUE
from voicemode.models.store import MANIFEST, Measured, Store, keep_measured

pytestmark = pytest.mark.spec("DOC-12")

VOICE = next(model for model in CATALOGUE if model.speaks)


def found(folder: Path, **variables: str) -> dict[str, Finding]:
    return {each.what: each for each in examine_models(Config.from_sources(variables), places(folder))}


def install(folder: Path) -> Store:
    store = Store(places(folder).models)
    home = store.folder / VOICE.id
    for name in VOICE.files.values():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"x" * 1000)
    (home / MANIFEST).write_text("{}")
    return store


def test_what_comes_along_is_told(tmp_path: Path) -> None:
    told = found(tmp_path)
    assert {told[name].state for name in ("embedded voice", "voice detector", "echo canceller")} == {State.OK}
    assert told["neural models"].state is State.NOTE
    assert "voicemode models" in told["neural models"].mend
    assert "WebRTC" in found(tmp_path, VOICEMODE_VAD="webrtc")["voice detector"].found


@pytest.mark.parametrize(
    ("factor", "state", "words"), [(0.4, State.OK, "0.40 × real time"), (1.7, State.WARN, "1.70 × real time")]
)
def test_an_installed_model_is_told_with_what_was_measured(
    tmp_path: Path, factor: float, state: State, words: str
) -> None:
    (model,) = install(tmp_path).installed()
    assert "not measured" in found(tmp_path)["neural voice"].found
    import os

    cores = os.cpu_count() or 1
    keep_measured(model, Measured(threads=1, factor=factor, first_seconds=0.3, cores=cores))
    told = found(tmp_path)["neural voice"]
    assert told.state is state
    assert VOICE.id in told.found
    assert words in told.found
    assert bool(told.mend) is (state is State.WARN)


@pytest.mark.parametrize(
    ("name", "mend"),
    [(VOICE.id, f"voicemode models install {VOICE.id}"), ("kokoroo", "`voicemode models` lists")],
)
def test_a_model_that_is_named_and_not_here_is_told(tmp_path: Path, name: str, mend: str) -> None:
    told = found(tmp_path, VOICEMODE_NEURAL_VOICE=name)["neural model"]
    assert told.state is State.WARN
    assert name in told.found
    assert mend in told.mend


@pytest.mark.parametrize("fine", ["none", "None", ""])
def test_none_is_no_name(tmp_path: Path, fine: str) -> None:
    assert "neural model" not in found(tmp_path, VOICEMODE_NEURAL_EAR=fine)


def test_a_folder_of_ones_own_is_fine(tmp_path: Path) -> None:
    assert "neural model" not in found(tmp_path, VOICEMODE_NEURAL_VOICE=str(tmp_path))
