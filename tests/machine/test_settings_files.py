"""The files that settings come from, and the folders they decide."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.configuration.config import Config
from voicemode.machine.settings_files import (
    MOST_BYTES,
    find_project_file,
    folders,
    load_config,
    parse_env,
    read_env_file,
    user_file,
)

KEY = "sk-" + "a1b2c3d4e5f6"


@pytest.mark.spec("CFG-12")
def test_a_file_is_read_with_comments_export_quotes_and_lines() -> None:
    text = (
        "\ufeff# a comment\r\n"
        "export A=1\n"
        "  B = two words # and a comment\n"
        "C='single # \\n'\n"
        'D="line\\none \\"quoted\\"" # said\n'
        'E="over\n  two lines"\n'
        "F=\n"
        "G=#nothing\n"
        "H=a#b\n"
    )
    values, problems = parse_env(text, "file")
    assert values == {
        "A": "1",
        "B": "two words",
        "C": "single # \\n",
        "D": 'line\none "quoted"',
        "E": "over\n  two lines",
        "F": "",
        "G": "",
        "H": "a#b",
    }
    assert problems == []


@pytest.mark.spec("CFG-12")
def test_a_line_that_is_none_is_named_by_number_and_not_repeated() -> None:
    values, problems = parse_env(f"A=1\n{KEY}\nB='never closed\nC=3\n", "the file")
    assert values == {"A": "1", "C": "3"}
    assert ["line 2" in problems[0].says, "line 3" in problems[1].says] == [True, True]
    assert KEY not in repr(problems)


@pytest.mark.spec("CFG-12")
@given(st.text())
def test_any_text_can_be_read_as_a_file(text: str) -> None:
    values, _ = parse_env(text, "file")
    assert all(name.isidentifier() for name in values)


@pytest.mark.spec("CFG-12")
def test_what_cannot_be_read_as_a_file_is_a_problem_and_no_error(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / "missing").problems == ()
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"A=1\n" * MOST_BYTES)
    (tmp_path / "binary").write_bytes(b"\xff\xfeA=1\nB=2\n")
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "large", "pipe", "nul\0"):
        read = read_env_file(tmp_path / name)
        assert (read.values, len(read.problems)) == ({}, 1)
    assert read_env_file(tmp_path / "binary").values == {"B": "2"}


@pytest.mark.spec("CFG-13")
def test_the_nearest_project_file_upwards_is_the_one(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    (tmp_path / ".voicemode.env").write_text("VOICEMODE_VOICES=outer\n")
    (tmp_path / "a" / "b" / ".voicemode.env").write_text("VOICEMODE_VOICES=inner\n")
    (inner / ".voicemode.env").mkdir()
    assert find_project_file(inner) == tmp_path / "a" / "b" / ".voicemode.env"
    config = load_config({"HOME": str(tmp_path / "home")}, inner)
    assert config.speech.voices == ("inner",)


@pytest.mark.spec("CFG-13")
def test_the_file_of_voice_mode_is_read_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".voicemode").mkdir()
    peers = tmp_path / ".voicemode" / "voicemode.env"
    peers.write_text(f"OPENAI_API_KEY={KEY}\n")
    environment = {"HOME": str(tmp_path)}
    assert user_file(environment) == peers
    assert load_config(environment, tmp_path).endpoints.api_key == KEY


@pytest.mark.spec("CFG-13")
def test_a_file_in_the_home_itself_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "voicemode").mkdir(parents=True)
    (tmp_path / ".voicemode.env").write_text(f"OPENAI_API_KEY={KEY}\nVOICEMODE_VOICES=home\n")
    (tmp_path / "project").mkdir()
    environment = {"HOME": str(tmp_path)}
    config = load_config(environment, tmp_path / "project")
    assert (config.endpoints.api_key, config.speech.voices, config.problems) == (KEY, ("home",), ())
    user_file(environment).write_text("VOICEMODE_VOICES=mine\n")
    assert load_config(environment, tmp_path).speech.voices == ("mine",)


@pytest.mark.spec("CFG-14")
def test_an_empty_environment_without_a_home_still_has_absolute_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    config = load_config({}, tmp_path)
    where = folders(config, {})
    for each in (where.data, where.events, where.recordings, where.user_file):
        assert each.is_absolute()


@pytest.mark.spec("CFG-14")
def test_the_base_folder_decides_where_everything_is_kept(tmp_path: Path) -> None:
    environment = {"VOICEMODE_BASE_DIR": "~/voice", "HOME": str(tmp_path)}
    where = folders(Config.from_sources(environment), environment)
    assert where.data == tmp_path / "voice"
    assert where.events == tmp_path / "voice" / "events"
    assert where.recordings == tmp_path / "voice" / "recordings"
    environment["VOICEMODE_EVENT_LOG_DIR"] = str(tmp_path / "log")
    assert folders(Config.from_sources(environment), environment).events == tmp_path / "log"


def test_a_file_of_something_else_is_not_told_line_by_line() -> None:
    junk = "\n".join(f"~{number}~" for number in range(90))
    _, problems = parse_env(junk, "some.env")
    assert [str(each) for each in problems[:2]] == [
        "some.env: line 1 is not NAME=value; it is skipped.",
        "some.env: line 2 is not NAME=value; it is skipped.",
    ]
    assert "85 more" in str(problems[-1])
    assert len(problems) == 6
    values, problems = parse_env("A=1\n\0\1", "some.env")
    assert (values, len(problems)) == ({}, 1)
    assert "no text file" in str(problems[0])
