"""The catalogue holds together, and folders that a user names are known by their files."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from voicemode.errors import InvalidRequest, ModelError
from voicemode.models.catalogue import CATALOGUE, find
from voicemode.models.model import RELEASES, ROLES, Family, Model
from voicemode.models.store import Measured, Store, at, keep_measured, measured


@pytest.mark.spec("MOD-1")
@pytest.mark.parametrize("model", CATALOGUE, ids=lambda model: model.id)
def test_every_model_says_all_that_a_user_has_to_know(model: Model) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", model.id)
    assert model.bytes > 1_000_000
    assert re.fullmatch(r"[0-9a-f]{64}|", model.sha256)
    assert set(model.files) == set(ROLES[model.family])
    assert model.licence
    assert model.languages
    assert model.about
    assert model.url().startswith(f"{RELEASES}/")
    assert model.url("http://mirror.example/m/") == f"http://mirror.example/m/{model.path}"


@pytest.mark.spec("MOD-1")
def test_names_are_names_of_one_model_and_voices_of_one_speaker() -> None:
    assert len({model.id for model in CATALOGUE}) == len(CATALOGUE)
    assert len({model.archive for model in CATALOGUE}) == len(CATALOGUE)
    for model in CATALOGUE:
        assert bool(model.speakers) == model.speaks
        for each in ("id", "number"):
            values = [getattr(speaker, each) for speaker in model.speakers]
            assert len(set(values)) == len(values)
        assert {speaker.language for speaker in model.speakers} <= set(model.languages)


@pytest.mark.spec("MOD-1")
def test_kokoros_voices_have_the_numbers_of_the_model() -> None:
    """Three that its authors name: the numbers of the rest follow from the order."""
    known = {speaker.id: speaker for speaker in find("kokoro").speakers}
    assert (known["af_heart"].number, known["bm_fable"].number, known["em_santa"].number) == (3, 25, 53)
    assert known["bm_fable"].espeak == "en-gb"
    assert "jf_alpha" not in known


@pytest.mark.spec("MOD-1")
def test_an_unknown_name_is_refused_with_the_near_ones() -> None:
    with pytest.raises(InvalidRequest) as caught:
        find("kokorro")
    assert "kokoro" in caught.value.hint


def filled(folder: Path, *names: str, word: bytes = b"") -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"some weights " + word)
    return folder


@pytest.mark.spec("MOD-10")
def test_a_named_folder_is_known_by_its_files(tmp_path: Path) -> None:
    ears = ("encoder.onnx", "encoder.int8.onnx", "decoder.onnx", "joiner.int8.onnx", "tokens.txt")
    ear = at(filled(tmp_path / "ear", *ears))
    assert ear.family is Family.ZIPFORMER
    assert ear.files["encoder"].name == "encoder.int8.onnx"
    assert not ear.speaks
    assert at(filled(tmp_path / "p", "x.onnx", "tokens.txt")).family is Family.PIPER
    styled = ("model.onnx", "voices.bin", "tokens.txt")
    assert at(filled(tmp_path / "kokoro", *styled)).family is Family.KOKORO
    assert at(filled(tmp_path / "kitten", *styled, word=b"kitten-tts")).family is Family.KITTEN


@pytest.mark.spec("MOD-10")
def test_a_folder_with_the_files_of_a_known_model_has_its_voices(tmp_path: Path) -> None:
    model = find("piper-de-thorsten")
    there = at(filled(tmp_path / "mine", *model.files.values()))
    assert there.speakers == model.speakers
    assert there.languages == model.languages


@pytest.mark.spec("MOD-10")
def test_a_folder_without_a_model_says_what_one_is_made_of(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model") as caught:
        at(filled(tmp_path / "empty", "README.md"))
    assert "tokens.txt" in caught.value.hint
    with pytest.raises(ModelError, match="cannot be read"):
        at(tmp_path / "nowhere")


@pytest.mark.spec("MOD-11")
def test_what_was_measured_is_kept_and_counts_for_this_machine_only(tmp_path: Path) -> None:
    model = at(filled(tmp_path / "p", "x.onnx", "tokens.txt"))
    assert measured(model) is None
    here = Measured(threads=2, factor=0.25, first_seconds=0.1, cores=os.cpu_count() or 1)
    keep_measured(model, here)
    assert measured(model) == here
    keep_measured(model, replace(here, cores=here.cores + 1))
    assert measured(model) is None
    (model.folder / "measured.json").write_text("{not json")
    assert measured(model) is None


@pytest.mark.spec("MOD-1")
def test_nothing_is_installed_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert Store(tmp_path / "nowhere").installed() == []
