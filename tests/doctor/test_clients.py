"""What the doctor says of the assistants on this machine, from files as they write them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from voicemode.doctor.client_files import CLIENTS, Client, places, read
from voicemode.doctor.clients import Around, examine_clients
from voicemode.doctor.finding import Finding, State

pytestmark = pytest.mark.spec("DOC-9")

SECRET = "sk-nobody-may-see-this-key"
OURS = {"command": "uvx", "args": ["voicemode"]}
UVX = "/home/me/.local/bin/uvx"


def found_at(command: str, path: str) -> str | None:
    """A machine on which uvx and voicemode are in the user's own folder, and a full path is right if it is that."""
    return {"uvx": UVX, UVX: UVX, "voicemode": "/usr/bin/voicemode"}.get(command)


class Machine:
    """A home and a project with the files that a test puts there."""

    def __init__(self, folder: Path, platform: str = "linux", **environment: str) -> None:
        self.home = folder / "home"
        self.project = folder / "home" / "code" / "project"
        self.platform = platform
        self.environment: Mapping[str, str] = {"PATH": "/usr/bin", **environment}
        self.limit_s = 55.0
        self.project.mkdir(parents=True)

    def write(self, path: str, content: object, *, project: bool = False) -> Path:
        file = (self.project if project else self.home) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return file

    def look(self) -> list[Finding]:
        around = Around(
            home=self.home,
            project=self.project,
            platform=self.platform,
            environment=self.environment,
            limit_s=self.limit_s,
        )
        return examine_clients(around, which=found_at)

    def wrong(self) -> list[str]:
        return [f"{each.found} → {each.mend}" for each in self.look() if each.state is State.WARN]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_machine_without_assistants_is_told_how_to_tell_one(machine: Machine) -> None:
    (finding,) = machine.look()
    assert finding.state is State.NOTE
    assert "claude mcp add" in finding.mend
    assert [client.name for client in CLIENTS if client.name not in finding.found] == []


AS_THEY_WRITE_IT: list[tuple[str, str, str]] = [
    ("Claude Code", ".claude.json", json.dumps({"numStartups": 3, "mcpServers": {"voicemode": OURS}})),
    (
        "Claude Desktop",
        ".config/Claude/claude_desktop_config.json",
        json.dumps({"mcpServers": {"voicemode": {"command": UVX, "args": ["voicemode"]}}}),
    ),
    ("Cursor", ".cursor/mcp.json", json.dumps({"mcpServers": {"my-voice": {"command": "voicemode"}}})),
    (
        "Codex",
        ".codex/config.toml",
        'model = "gpt-5"\n[mcp_servers.voicemode]\ncommand = "uvx"\nargs = ["voicemode"]\n'
        "startup_timeout_sec = 60\ntool_timeout_sec = 600\n",
    ),
    (
        "VS Code",
        ".config/Code/User/mcp.json",
        '{\n  // the servers\n  "servers": {"voicemode": {"type": "stdio", "command": "voicemode", '
        '"args": [],},},\n}\n',
    ),
    (
        "Windsurf",
        ".codeium/windsurf/mcp_config.json",
        json.dumps({"mcpServers": {"voicemode": {"serverUrl": "http://127.0.0.1:8765/mcp"}}}),
    ),
    (
        "Zed",
        ".config/zed/settings.json",
        '{"theme": "One // Dark", /* mine */ "context_servers": {"voicemode": '
        '{"command": {"path": "voicemode", "args": []}}}}',
    ),
    (
        "Gemini CLI",
        ".gemini/settings.json",
        json.dumps({"mcpServers": {"voicemode": {"command": "uvx", "args": ["voicemode@latest"]}}}),
    ),
]


@pytest.mark.parametrize(
    ("name", "path", "content"), AS_THEY_WRITE_IT, ids=[each[0] for each in AS_THEY_WRITE_IT]
)
def test_voicemode_is_found_in_every_assistants_own_file(
    machine: Machine, name: str, path: str, content: str
) -> None:
    machine.write(path, content)
    (finding,) = machine.look()
    assert (finding.state, finding.what) == (State.OK, name), finding
    assert "(user)" in finding.found


def test_what_is_in_no_list_is_told_with_how_to_add_it(machine: Machine) -> None:
    machine.write(".claude.json", {"mcpServers": {"github": {"command": "docker"}}})
    machine.write(".codex/config.toml", "")
    code, codex = machine.look()
    assert (code.state, codex.state) == (State.NOTE, State.NOTE)
    assert "claude mcp add --scope user" in code.mend
    assert "tool_timeout_sec" in codex.mend
    assert "github" not in code.found + code.mend


def test_the_projects_own_lists_count_for_the_project_alone(machine: Machine) -> None:
    machine.write(".mcp.json", {"mcpServers": {"voicemode": OURS}}, project=True)
    projects = {
        str(machine.project): {"mcpServers": {"voice": OURS}},
        str(machine.home / "other"): {"mcpServers": {"spoken": OURS}},
    }
    machine.write(".claude.json", {"projects": projects})
    told = [each.found for each in machine.look() if each.state is State.OK]
    assert len(told) == 3
    assert "'voice' (this project)" in " ".join(told)
    assert "'spoken' (another project)" in " ".join(told)
    assert str(machine.home / "other") not in " ".join(told)
    (twice,) = machine.wrong()
    assert "more than once" in twice


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        (
            ".claude.json",
            '{"mcpServers": {\n  "voicemode": {"env": {"OPENAI_API_KEY": "%s"},}}',
            "line 2, column",
        ),
        (".config/Claude/claude_desktop_config.json", '{"mcpServers": {} // %s\n}', "not JSON: line 1"),
        (".codex/config.toml", 'a = "%s"\n[mcp_servers\n', "not TOML: line 2"),
        (".cursor/mcp.json", '["%s"]', "not what this client reads"),
        (".gemini/settings.json", '{"a": "%s", "b": ' + "[" * 100_000, "is not"),
    ],
)
def test_a_file_that_does_not_parse_is_told_with_its_place_and_not_its_text(
    machine: Machine, path: str, content: str, words: str
) -> None:
    file = machine.write(path, content.replace("%s", SECRET))
    told = machine.look()
    assert [each.state for each in told] == [State.WARN]
    assert words in told[0].found
    assert str(file) in told[0].found
    assert SECRET not in told[0].found + told[0].mend


@pytest.mark.parametrize(
    "content",
    [
        {"mcpServers": []},
        {"mcpServers": {"voicemode": "uvx voicemode"}},
        {"mcpServers": {"voicemode": {"command": ["uvx"], "args": "voicemode", "env": 5, "timeout": "long"}}},
        {"projects": ["a"], "mcpServers": None},
        {"projects": {"/x": 3}},
        "",
    ],
)
def test_odd_content_breaks_nothing(machine: Machine, content: object) -> None:
    machine.write(".claude.json", content)
    (finding,) = machine.look()
    assert finding.state is State.NOTE


@pytest.mark.skipif(os.name == "nt", reason="no named pipes there")
def test_what_is_no_file_is_told_and_waited_for_by_nobody(machine: Machine) -> None:
    (machine.home / ".cursor").mkdir()
    os.mkfifo(machine.home / ".cursor" / "mcp.json")
    (machine.home / ".claude.json").mkdir()
    assert len(machine.wrong()) == 2


@pytest.mark.parametrize(
    "old",
    [
        {"command": "uvx", "args": ["voice-mode"]},
        {"command": "python", "args": ["-m", "voice_mode.server"]},
        {"command": "/opt/voice-mode/bin/voice-mode"},
        {"command": "uvx", "args": ["--from", "voice-mode==9.0.1", "voicemode"]},
    ],
)
def test_an_old_voice_mode_beside_it_is_to_be_taken_out(machine: Machine, old: dict[str, object]) -> None:
    machine.write(".claude.json", {"mcpServers": {"voice-mode": old, "voicemode": OURS}})
    (wrong,) = machine.wrong()
    assert "old voice-mode server" in wrong
    assert "claude mcp remove voice-mode" in wrong


@pytest.mark.parametrize(
    ("command", "words"),
    [("/nowhere/uvx", "no program at /nowhere/uvx"), ("voicemodee", "`voicemodee` is not found")],
)
def test_a_command_that_is_not_there_is_told(machine: Machine, command: str, words: str) -> None:
    machine.write(".claude.json", {"mcpServers": {"v": {"command": command, "args": ["voicemode"]}}})
    (wrong,) = machine.wrong()
    assert words in wrong
    assert "full path" in wrong


@pytest.mark.parametrize(
    ("client", "path", "platform", "told"),
    [
        ("Claude Desktop", "Library/Application Support/Claude/claude_desktop_config.json", "darwin", True),
        ("Cursor", ".cursor/mcp.json", "darwin", True),
        ("Cursor", ".cursor/mcp.json", "linux", True),
        ("Cursor", ".cursor/mcp.json", "win32", False),
        ("Claude Code", ".claude.json", "darwin", False),
    ],
)
def test_a_program_of_the_desktop_needs_the_full_path(
    tmp_path: Path, client: str, path: str, platform: str, told: bool
) -> None:
    machine = Machine(tmp_path, platform)
    machine.write(path, {"mcpServers": {"voicemode": OURS}})
    wrong = machine.wrong()
    assert bool(wrong) is told
    assert all(f'"command": "{UVX}"' in each for each in wrong)


def test_on_windows_the_roaming_folder_is_looked_into(tmp_path: Path) -> None:
    roaming = tmp_path / "Roaming"
    machine = Machine(tmp_path, "win32", APPDATA=str(roaming))
    (roaming / "Claude").mkdir(parents=True)
    (roaming / "Claude" / "claude_desktop_config.json").write_text(json.dumps({"mcpServers": {"v": OURS}}))
    (finding,) = machine.look()
    assert (finding.what, finding.state) == ("Claude Desktop", State.OK)


@pytest.mark.parametrize(
    ("variable", "file", "client"),
    [("CLAUDE_CONFIG_DIR", ".claude.json", "Claude Code"), ("CODEX_HOME", "config.toml", "Codex")],
)
def test_a_folder_that_was_moved_is_followed(tmp_path: Path, variable: str, file: str, client: str) -> None:
    moved = tmp_path / "moved"
    machine = Machine(tmp_path, **{variable: str(moved)})
    moved.mkdir()
    (moved / file).write_text("{" if file.endswith("json") else "[")
    (finding,) = machine.look()
    assert (finding.what, finding.state) == (client, State.WARN)
    assert str(moved) in finding.found


def test_limits_that_are_too_short_are_told_with_longer_ones(machine: Machine) -> None:
    machine.write(
        ".codex/config.toml",
        '[mcp_servers.voicemode]\ncommand = "uvx"\nargs = ["voicemode"]\ntool_timeout_sec = 30\n',
    )
    machine.write(".claude.json", {"mcpServers": {"voicemode": {**OURS, "timeout": 20_000}}})
    call, start = (each for each in machine.wrong() if "tool_timeout" in each or "startup_timeout" in each)
    assert "gives up on a call after 30 s" in call
    assert "VOICEMODE_CLIENT_LIMIT_S=25" in call
    assert "waits 10 s for the start" in start
    assert any("after 20 s" in each and '"timeout": 600000' in each for each in machine.wrong())


@pytest.mark.parametrize(("limit", "told"), [(55.0, False), (300.0, True), (0.0, True)])
def test_a_limit_of_ours_that_a_client_does_not_wait_for_is_told(
    machine: Machine, limit: float, told: bool
) -> None:
    machine.limit_s = limit
    machine.write(".cursor/mcp.json", {"mcpServers": {"v": {"command": "voicemode"}}})
    assert bool(machine.wrong()) is told
    # Where the client's own entry sets it, that counts.
    own = {"command": "voicemode", "env": {"VOICEMODE_CLIENT_LIMIT_S": "50"}}
    machine.write(".cursor/mcp.json", {"mcpServers": {"v": own}})
    assert machine.wrong() == []


@pytest.mark.parametrize("ignored", [500, 0, -1, True, "600", None])
def test_a_limit_that_no_client_takes_seriously_is_none(machine: Machine, ignored: object) -> None:
    machine.write(".claude.json", {"mcpServers": {"voicemode": {**OURS, "timeout": ignored}}})
    assert machine.wrong() == []


def test_of_what_a_client_passes_on_names_are_told_and_no_value(machine: Machine) -> None:
    environment = {
        "OPENAI_API_KEY": SECRET,
        "VOICEMODE_TTS_SPED": SECRET,
        "VOICEMODE_AUTO_START_KOKORO": SECRET,
        "MY_TOKEN": SECRET,
    }
    arguments = ["--token", SECRET, "voicemode"]
    machine.write(
        ".claude.json",
        {"mcpServers": {"voicemode": {"command": "uvx", "args": arguments, "env": environment}}},
    )
    told = machine.look()
    idle, typo = machine.wrong()
    assert "VOICEMODE_AUTO_START_KOKORO is voice-mode's" in idle
    assert "Did you mean VOICEMODE_TTS_SPEED?" in typo
    assert SECRET not in str(told)
    machine.write(".claude.json", {"mcpServers": {"voicemode": {"command": "uvx", "args": arguments}}})
    (fine,) = machine.look()
    assert "`uvx voicemode …`" in fine.found
    assert SECRET not in str(fine)


@pytest.mark.parametrize("off", [{"disabled": True}, {"enabled": False}])
def test_one_that_is_switched_off_is_told(machine: Machine, off: dict[str, bool]) -> None:
    machine.write(".gemini/settings.json", {"mcpServers": {"voicemode": {**OURS, **off}}})
    (finding,) = machine.look()
    assert finding.state is State.NOTE
    assert "switched off" in finding.found


def test_a_value_never_shows_in_a_repr(machine: Machine) -> None:
    file = machine.write(
        ".cursor/mcp.json",
        {"mcpServers": {"voicemode": {"command": SECRET, "url": SECRET, "env": {"A": SECRET}}}},
    )
    client = next(each for each in CLIENTS if each.name == "Cursor")
    assert SECRET not in repr(read(client, file, "user", machine.project))


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32", "freebsd14"])
def test_every_assistant_has_a_place_on_every_platform(tmp_path: Path, client: Client, platform: str) -> None:
    found = places(client, home=tmp_path, project=tmp_path / "p", platform=platform, environment={})
    assert found[0][1] == "user"
    assert all(path.is_relative_to(tmp_path) for path, _ in found)
