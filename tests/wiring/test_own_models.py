"""Where the user's own models stand among the engines, and when they are loaded before anybody asks."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from tests.engines.neural import put
from voicemode.configuration.config import Config
from voicemode.models.store import Store, measured
from voicemode.wiring.own_models import OwnModels
from voicemode.wiring.status import EngineStatus

pytestmark = pytest.mark.spec("NEU-1", "NEU-4")
SERVER = (EngineStatus(name="127.0.0.1:8880", kind="server", state="not asked"),)


async def unread(voice: str, text: str) -> str:
    raise AssertionError("nothing is said here")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return put(Store(tmp_path / "models"), "kitten-nano-en", "kokoro-en", "kroko-en")


def own(store: Store, **variables: str) -> OwnModels:
    return OwnModels(Config.from_sources(variables), store, unread)


def spoken_by(models: OwnModels) -> list[str]:
    return [state.name.removeprefix("neural voice ") for state in models.with_voices(SERVER)]


def test_they_come_after_servers_and_the_named_one_before_a_server_that_nobody_named(store: Store) -> None:
    assert spoken_by(own(store)) == ["127.0.0.1:8880", "kitten-nano-en", "kokoro-en"]
    named = own(store, VOICEMODE_NEURAL_VOICE="kokoro-en")
    assert spoken_by(named) == ["kokoro-en", "kitten-nano-en", "127.0.0.1:8880"]
    both = own(store, VOICEMODE_NEURAL_VOICE="kokoro-en", VOICEMODE_TTS_BASE_URLS="http://127.0.0.1:9999/v1")
    assert spoken_by(both)[0] == "127.0.0.1:8880"
    assert spoken_by(own(store, VOICEMODE_NEURAL_VOICE="none")) == ["127.0.0.1:8880"]
    assert own(store, VOICEMODE_NEURAL_EAR="none").ear is None
    assert own(store, VOICEMODE_NEURAL_EAR="kroko-en").ear_first


def loaded_first(models: OwnModels) -> list[str]:
    return [step.__qualname__ for step in models.warming() if inspect.ismethod(step)]


def test_what_would_be_used_first_is_loaded_at_start_and_nothing_else(store: Store) -> None:
    both = ["NeuralVoice.warm", "NeuralEar.warm"]
    assert loaded_first(own(store)) == both
    assert loaded_first(own(store, OPENAI_API_KEY="k")) == []
    named = own(store, OPENAI_API_KEY="k", VOICEMODE_NEURAL_VOICE="kitten-nano-en")
    assert loaded_first(named) == both[:1]
    assert own(store, VOICEMODE_NEURAL_VOICE="none", VOICEMODE_NEURAL_EAR="none").warming() == []
    assert own(Store(store.folder / "nothing")).warming() == []


@pytest.mark.anyio
@pytest.mark.spec("NEU-6")
async def test_what_nobody_has_measured_is_measured_once_in_the_background(store: Store) -> None:
    models = own(store, VOICEMODE_NEURAL_VOICE="none")
    assert models.ear is not None
    (model,) = models.ear.models
    assert measured(model) is None
    for step in models.warming():
        await step()
    found = measured(model)
    assert found is not None
    written = (model.folder / "measured.json").stat().st_mtime_ns
    for step in models.warming():
        await step()
    assert (model.folder / "measured.json").stat().st_mtime_ns == written
    await models.ear.close()
