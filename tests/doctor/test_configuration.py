"""What the doctor says of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicemode.configuration.config import Config
from voicemode.doctor.configuration import RULES, examine_configuration, useless
from voicemode.doctor.finding import Finding, State
from voicemode.machine.settings_files import Folders

SECRET = "sk-nobody-may-see-this-key"


def places(folder: Path) -> Folders:
    return Folders(
        data=folder / "data",
        events=folder / "data" / "events",
        recordings=folder / "data" / "recordings",
        models=folder / "data" / "models",
        user_file=folder / "voicemode.env",
    )


def found(folder: Path, config: Config, project: Path | None = None) -> list[Finding]:
    return examine_configuration(config, places(folder), project=project)


@pytest.mark.spec("DOC-8")
def test_files_and_settings_are_told_with_their_source_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "voicemode.env").write_text("VOICEMODE_TTS_SPEED=1.5")
    config = Config.from_sources(
        {"OPENAI_API_KEY": SECRET}, {"VOICEMODE_STT_LANGUAGE": "de"}, {"VOICEMODE_TTS_SPEED": "1.5"}
    )
    told = {each.what: each for each in found(tmp_path, config, tmp_path)}
    assert told["your file"].found == f"{tmp_path / 'voicemode.env'}, 1 setting"
    assert told["project file"].found.endswith(", 1 setting")
    assert "VOICEMODE_TTS_SPEED=1.5 (user file)" in told["settings"].found
    assert "OPENAI_API_KEY=(set) (environment)" in told["settings"].found
    assert SECRET not in str(told)


@pytest.mark.spec("DOC-8")
def test_a_file_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    told = {each.what: each for each in found(tmp_path, Config.from_sources({}))}
    assert told["your file"].state is State.NOTE
    assert told["settings"].found == "everything is as it comes"


@pytest.mark.spec("DOC-8")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in its place")
    told = {each.what: each for each in found(tmp_path, Config.from_sources({}))}
    assert told["data"].state is State.WARN
    assert "VOICEMODE_BASE_DIR" in told["data"].mend


@pytest.mark.spec("DOC-8")
def test_words_of_the_users_own_are_not_shown(tmp_path: Path) -> None:
    config = Config.from_sources({"VOICEMODE_STT_PROMPT": "Marie Curie"})
    told = {each.what: each for each in found(tmp_path, config)}
    assert told["settings"].found == "VOICEMODE_STT_PROMPT=(set) (environment)"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"VOICEMODE_TTS_SPEED": "fast"}, ("VOICEMODE_TTS_SPEED", "'fast'", "allowed")),
        ({"VOICEMODE_TTS_SPED": "1"}, ("VOICEMODE_TTS_SPED", "Did you mean VOICEMODE_TTS_SPEED?")),
        ({"VOICEMODE_AUTO_START_KOKORO": "1"}, ("VOICEMODE_AUTO_START_KOKORO", "no effect here")),
    ],
)
@pytest.mark.spec("DOC-8")
def test_bad_values_and_unknown_names_are_told(
    tmp_path: Path, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    (wrong,) = [each for each in found(tmp_path, Config.from_sources(variables)) if each.state is State.WARN]
    assert [word for word in words if word not in f"{wrong.found} {wrong.mend}"] == []
    assert wrong.mend


URL = "http://192.0.2.7:9000/v1"
IN_VAIN: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("VOICEMODE_KOKORO_PORT", {"VOICEMODE_KOKORO_PORT": "8000"}, {"VOICEMODE_TTS_BASE_URLS": URL}),
    ("VOICEMODE_WHISPER_PORT", {"VOICEMODE_WHISPER_PORT": "8000"}, {"VOICEMODE_STT_BASE_URLS": URL}),
    (
        "VOICEMODE_STREAM_BUFFER_MS",
        {"VOICEMODE_STREAM_BUFFER_MS": "90"},
        {"VOICEMODE_STREAMING_ENABLED": "0"},
    ),
    (
        "VOICEMODE_SILENCE_MIN_MS",
        {"VOICEMODE_SILENCE_MIN_MS": "400"},
        {"VOICEMODE_DISABLE_SILENCE_DETECTION": "true"},
    ),
    ("VOICEMODE_VAD_AGGRESSIVENESS", {"VOICEMODE_VAD_AGGRESSIVENESS": "3"}, {"VOICEMODE_VAD": "neural"}),
    (
        "VOICEMODE_CHIME_LEADING_SILENCE",
        {"VOICEMODE_CHIME_LEADING_SILENCE": "1"},
        {"VOICEMODE_AUDIO_FEEDBACK": "false"},
    ),
    ("VOICEMODE_EVENT_LOG_TEXT", {"VOICEMODE_EVENT_LOG_TEXT": "no"}, {"VOICEMODE_EVENT_LOG_ENABLED": "no"}),
    ("VOICEMODE_SAVE_AUDIO", {"VOICEMODE_SAVE_AUDIO": "yes"}, {"VOICEMODE_SAVE_ALL": "yes"}),
    (
        "OPENAI_API_KEY",
        {"OPENAI_API_KEY": SECRET},
        {"VOICEMODE_TTS_BASE_URLS": URL, "VOICEMODE_STT_BASE_URLS": URL},
    ),
    (
        "OPENAI_BASE_URL",
        {"OPENAI_BASE_URL": "https://api.example.com/v1"},
        {"VOICEMODE_TTS_BASE_URLS": URL, "VOICEMODE_STT_BASE_URLS": URL},
    ),
]


@pytest.mark.parametrize(("name", "setting", "beside"), IN_VAIN, ids=[each[0] for each in IN_VAIN])
@pytest.mark.spec("DOC-8")
def test_a_setting_that_does_nothing_beside_the_others_is_told_with_the_reason(
    tmp_path: Path, name: str, setting: dict[str, str], beside: dict[str, str]
) -> None:
    both = Config.from_sources({**setting, **beside})
    (line,) = [each for each in found(tmp_path, both) if each.found.startswith(f"{name} has no effect")]
    assert line.state is State.WARN
    assert SECRET not in line.found + line.mend
    # Nobody is told of what is as it comes, whatever else is set.
    assert name not in [each for each, _, _ in useless(Config.from_sources(beside))]


@pytest.mark.spec("DOC-8")
def test_a_setting_that_has_its_effect_is_not_told() -> None:
    working = {
        "VOICEMODE_KOKORO_PORT": "8000",
        "VOICEMODE_STREAM_BUFFER_MS": "90",
        "VOICEMODE_SILENCE_MIN_MS": "400",
        "VOICEMODE_VAD_AGGRESSIVENESS": "3",
        "VOICEMODE_VAD": "webrtc",
        "VOICEMODE_CHIME_LEADING_SILENCE": "1",
        "VOICEMODE_EVENT_LOG_TEXT": "no",
        "VOICEMODE_SAVE_AUDIO": "yes",
        "VOICEMODE_PREFER_LOCAL": "false",
        "VOICEMODE_REALTIME_MODEL": "gpt-realtime",
        "OPENAI_API_KEY": SECRET,
        "OPENAI_BASE_URL": "https://api.openai.com/v1",
    }
    assert useless(Config.from_sources(working)) == []


@pytest.mark.spec("DOC-8")
def test_without_a_key_what_is_said_about_the_cloud_is_in_vain() -> None:
    config = Config.from_sources(
        {"VOICEMODE_PREFER_LOCAL": "false", "VOICEMODE_REALTIME_MODEL": "gpt-realtime"}
    )
    assert {name for name, _, _ in useless(config)} == {"VOICEMODE_PREFER_LOCAL", "VOICEMODE_REALTIME_MODEL"}


@pytest.mark.spec("DOC-8")
def test_every_variable_of_the_rules_exists() -> None:
    known = {row.name for row in Config.from_sources({}).rows}
    assert {name for names, _, _ in RULES for name in names} - known == set()
