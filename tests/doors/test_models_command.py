"""`voicemode models`, as a user types it: in a process of its own, against a server of ours."""

from __future__ import annotations

import json
import subprocess
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engines.neural import put
from tests.support.command import ran
from tests.support.file_server import FileServer, Manner
from tests.support.looking import look_for
from tests.support.speech_server import closed_port
from tests.support.terminal import at_terminal
from voicemode.models.catalogue import CATALOGUE, find
from voicemode.models.store import Store

LIMIT_SECONDS = 50.0
CTRL_C_SECONDS = 10.0


def typed(
    folder: Path, *words: str, mirror: str = "", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return command(folder, "models", *words, mirror=mirror, more=more)


def command(
    folder: Path, *words: str, mirror: str = "", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return ran(*words, variables=environment(folder, mirror, more), folder=folder, limit_s=LIMIT_SECONDS)


def environment(folder: Path, mirror: str = "", more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "VOICEMODE_BASE_DIR": str(folder / "data"),
        **({"VOICEMODE_MODELS_MIRROR": mirror} if mirror else {}),
        **(more or {}),
    }


@pytest.mark.spec("MOD-1", "CLI-3")
def test_it_lists_what_can_be_had_and_fetches_nothing(tmp_path: Path) -> None:
    shown = typed(tmp_path)
    assert shown.returncode == 0
    for model in CATALOGUE:
        assert model.id in shown.stdout
        assert model.licence in shown.stdout
    assert "None is installed" in shown.stdout
    told = json.loads(typed(tmp_path, "--json").stdout)
    assert [row["model"] for row in told] == [model.id for model in CATALOGUE]
    assert not any(row["installed"] for row in told)


@pytest.mark.spec("MOD-5", "CLI-3", "CLI-4")
def test_offline_it_fails_with_one_sentence_and_in_json_too(tmp_path: Path) -> None:
    with closed_port() as nobody:
        failed = typed(tmp_path, "install", "kitten-nano-en", "--json", mirror=nobody)
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["error"]["code"] == "model"
    assert "Traceback" not in failed.stderr
    assert "nothing listens there" in failed.stderr
    assert "VOICEMODE_MODELS_MIRROR" in failed.stderr


@pytest.mark.spec("NEU-1")
def test_a_named_model_that_cannot_be_used_is_told_in_one_line_and_the_rest_speaks(tmp_path: Path) -> None:
    named = {"VOICEMODE_NEURAL_VOICE": "kitten-nano-en", "VOICEMODE_NEURAL_EAR": "none"}
    done = command(tmp_path, "voices", more=named)
    assert done.returncode == 0
    assert "en-us" in done.stdout
    told = [line for line in done.stderr.splitlines() if "VOICEMODE_NEURAL" in line]
    assert len(told) == 1
    assert told[0].startswith("voicemode: VOICEMODE_NEURAL_VOICE is 'kitten-nano-en': ")
    assert "voicemode models install kitten-nano-en" in told[0]
    assert "VOICEMODE_NEURAL" not in command(tmp_path, "voices").stderr


@pytest.mark.spec("MOD-12")
def test_a_licence_with_a_condition_is_told_and_has_to_be_agreed_to_before_anything_is_fetched(
    tmp_path: Path,
) -> None:
    with FileServer({}) as server:
        refused = typed(tmp_path, "install", "piper-en-lessac", mirror=server.url)
        assert refused.returncode == 2
        assert "research" in refused.stderr
        assert "--accept-licence" in refused.stderr
        assert server.asked == []
        agreed = typed(tmp_path, "install", "piper-en-lessac", "--accept-licence", mirror=server.url)
        assert "HTTP 404" in agreed.stderr
        assert len(server.asked) == 1


@pytest.mark.spec("MOD-12")
def test_at_a_terminal_who_is_there_is_asked_for_consent(tmp_path: Path) -> None:
    with FileServer({}) as server:
        for answer, asked in (("n\n", 0), ("y\n", 1)):
            env = environment(tmp_path, server.url)
            with at_terminal("models", "install", "piper-en-lessac", env=env, cwd=tmp_path) as program:
                look_for(lambda: "[y/N]" in program.screen, LIMIT_SECONDS, lambda: program.screen)
                program.type(answer)
                program.ended()
            assert len(server.asked) == asked


@pytest.mark.spec("MOD-12", "CLI-3")
@pytest.mark.parametrize("model", ["piper-en-lessac", "kitten-nano-en"])
def test_ctrl_c_ends_the_question_and_the_download_at_once(tmp_path: Path, model: str) -> None:
    files = {f"/{find(model).path}": bytes(find(model).bytes)}
    with FileServer(files, manners=deque([Manner(stall_after=1_000_000)])) as server:
        env = environment(tmp_path, server.url)
        with at_terminal("models", "install", model, env=env, cwd=tmp_path) as program:
            under_way = "[y/N]" if find(model).consent else "1.0/"
            look_for(lambda: under_way in program.screen, LIMIT_SECONDS, lambda: program.screen)
            program.type("\x03")
            code, _ = program.ended(CTRL_C_SECONDS)
    assert code == 130
    assert "Traceback" not in program.screen


@pytest.mark.spec("MOD-2", "MOD-4")
def test_progress_is_drawn_at_a_terminal_and_told_by_the_step_elsewhere(tmp_path: Path) -> None:
    """Of the right size and the wrong content: it comes to the checksum, and no further."""
    model = find("kitten-nano-en")
    with FileServer({f"/{model.path}": bytes(model.bytes)}) as server:
        env = environment(tmp_path, server.url)
        with at_terminal("models", "install", model.id, env=env, cwd=tmp_path) as program:
            code, _ = program.ended()
        elsewhere = typed(tmp_path, "install", model.id, mirror=server.url)
    assert code == elsewhere.returncode == 1
    assert "[####" in program.screen
    assert "26.6/26.6 MB" in program.screen
    assert f"{model.id}: fetching …\n{model.id}: proving …\n" in elsewhere.stderr
    assert "\x1b" not in elsewhere.stderr
    for told in (program.screen, elsewhere.stderr):
        assert model.sha256 in told.replace("\r\n", "")


@pytest.mark.spec("MOD-9")
def test_path_and_remove_say_where_and_what(tmp_path: Path) -> None:
    assert typed(tmp_path, "path").stdout.strip() == str(tmp_path / "data" / "models")
    missing = typed(tmp_path, "path", "kokoro")
    assert missing.returncode == 1
    assert "voicemode models install kokoro" in missing.stderr
    assert typed(tmp_path, "remove", "kokoro").stdout.strip() == "kokoro was not installed"
    elsewhere = typed(tmp_path, "path", more={"VOICEMODE_MODELS_DIR": str(tmp_path / "weights")})
    assert elsewhere.stdout.strip() == str(tmp_path / "weights")


@pytest.mark.spec("MOD-11", "NEU-1")
def test_an_installed_voice_is_measured_listed_and_speaks(tmp_path: Path) -> None:
    """With tiny models in the place of real ones: in a container without sound the voice goes into a file."""
    put(Store(tmp_path / "data" / "models"), "kitten-nano-en", "kroko-en")
    measured = json.loads(typed(tmp_path, "measure", "--json").stdout)
    assert [row["model"] for row in measured] == ["kitten-nano-en", "kroko-en"]
    assert all(row["measured"]["threads"] >= 1 for row in measured)
    assert "a second of speech takes" in typed(tmp_path).stdout
    voices = json.loads(command(tmp_path, "voices", "--json").stdout)
    assert {voice["name"] for voice in voices if voice["engine"] == "neural kitten-nano-en"} == {
        "kitten-nano-en"
    }
    said = json.loads(command(tmp_path, "speak", "All of it is done.", "--json").stdout)
    assert said["spoken"]["engine"] == "neural kitten-nano-en"
    assert said["spoken"]["voice"] == "expr-voice-2-m"
    told = json.loads(command(tmp_path, "doctor", "--json", more={"VOICEMODE_NEURAL_VOICE": "kokoro"}).stdout)
    states = {finding["what"]: finding["found"] for finding in told["findings"]}
    assert "kokoro is not installed" in states["speech: neural voice"]
    assert any("voicemode models install kokoro" in finding["mend"] for finding in told["findings"])
    assert states["speech: neural voice kitten-nano-en"].startswith("ready")
    assert states["transcription: neural ear kroko-en"].startswith("ready")
