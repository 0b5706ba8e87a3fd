"""Which models speak and listen: what is installed, what is named, what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.neural import made, put
from voicemode.engines.neural.choice import chosen_ears, chosen_voices
from voicemode.engines.neural.worker import packages
from voicemode.errors import EngineUnavailable
from voicemode.models.catalogue import CATALOGUE
from voicemode.models.store import Store
from voicemode.wiring.status import neural_states


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models", CATALOGUE)


@pytest.mark.spec("NEU-1")
def test_without_a_name_what_is_installed_is_used_in_the_catalogues_order(store: Store) -> None:
    assert chosen_voices(store, "").models == ()
    put(store, "kroko-en", "kokoro-en", "kitten-nano-en")
    voices = chosen_voices(store, "")
    assert [each.id for each in voices.models] == ["kitten-nano-en", "kokoro-en"]
    assert not voices.named
    assert [each.id for each in chosen_ears(store, "").models] == ["kroko-en"]
    assert chosen_voices(store, "NONE").models == ()


@pytest.mark.spec("NEU-1")
def test_the_one_that_is_named_comes_first(store: Store) -> None:
    put(store, "kokoro-en", "kitten-nano-en")
    chosen = chosen_voices(store, "kokoro-en")
    assert [each.id for each in chosen.models] == ["kokoro-en", "kitten-nano-en"]
    assert chosen.named


@pytest.mark.spec("NEU-1", "MOD-10")
def test_a_folder_may_be_named(store: Store) -> None:
    put(store, "kitten-nano-en")
    chosen = chosen_voices(store, str(made("piper").folder))
    assert [each.id for each in chosen.models] == ["piper", "kitten-nano-en"]


@pytest.mark.spec("NEU-1")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("kokoro", "voicemode models install kokoro"),
        ("kokorro", "kokoro"),
        ("/nowhere/at/all", "cannot be read"),
        ("kroko-en", "listens and does not speak"),
    ],
)
def test_what_is_named_and_cannot_be_used_is_told_and_the_rest_is_used(
    store: Store, name: str, says: str
) -> None:
    put(store, "kitten-nano-en", "kroko-en")
    chosen = chosen_voices(store, name)
    assert [each.id for each in chosen.models] == ["kitten-nano-en"]
    assert "VOICEMODE_NEURAL_VOICE" in chosen.problem
    assert says in chosen.problem
    first, second = neural_states(chosen, "voice")
    assert (first.state, second.state) == ("not usable", "ready")
    assert says in first.detail


@pytest.mark.spec("NEU-1")
def test_without_the_library_an_installed_model_says_how_to_get_it(store: Store) -> None:
    put(store, "kitten-nano-en")
    chosen = chosen_voices(store, "", library=lambda: packages("sherpa_onnx_that_nobody_has"))
    assert chosen.models == ()
    assert "voicemode[neural]" in chosen.problem
    with pytest.raises(EngineUnavailable, match="not installed"):
        packages("sherpa_onnx_that_nobody_has")
    assert chosen_voices(Store(store.folder / "empty"), "", library=packages).problem == ""
