"""The servers that are measured side by side: voicemode, its closest peer, and a bare server on the MCP SDK."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import Parser
from pathlib import Path

from pydantic import JsonValue

ROOT = Path(__file__).resolve().parent.parent.parent
PEER_VERSION = "9.0.1"
PEER_FOLDER = ROOT / "build" / "peer"
USERS_FOLDER = ROOT / "build" / "users"
"""Only what a user of this checkout has installed, without what tests need: some of that is loaded by the SDK where it
is there."""
USERS_PYTHON = str(USERS_FOLDER / "venv" / "bin" / "python")
INSTALL_LIMIT_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Contender:
    """`tool` and `arguments` say a message and return when it has been said; `asks` and `asking` also listen to the
    answer. A bare server can neither."""

    name: str
    command: tuple[str, ...]
    tool: str = ""
    arguments: Mapping[str, JsonValue]
    text_argument: str = "message"
    asks: str = ""
    asking: Mapping[str, JsonValue] = field(default_factory=dict)

    def question(self, text: str, **more: JsonValue) -> dict[str, JsonValue]:
        return {**self.asking, self.text_argument: text, **more}

    def saying(self, text: str) -> dict[str, JsonValue]:
        return {**self.arguments, self.text_argument: text}


OURS = Contender(
    name="voicemode",
    command=(USERS_PYTHON, "-m", "voicemode"),
    tool="speak",
    arguments={"wait": "finished"},
    asks="converse",
)
PEER = Contender(
    name="voice-mode",
    command=(str(PEER_FOLDER / "venv" / "bin" / "voice-mode"),),
    tool="converse",
    arguments={"wait_for_response": False, "chime_enabled": False},
    asks="converse",
    asking={"wait_for_response": True, "chime_enabled": False},
)
BARE = Contender(name="bare SDK", command=(USERS_PYTHON, "-m", "scripts.measuring.bare_server"), arguments={})


def environment(base: Mapping[str, str], home: Path, *, base_url: str, audio_format: str) -> dict[str, str]:
    """What both speaking servers need: the same variables mean the same to both."""
    return {
        **base,
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT),
        "OPENAI_API_KEY": "not-a-key",
        "VOICEMODE_BASE_DIR": str(home / "data"),
        # What is measured is the way from a server: nothing may come from a store of phrases.
        "VOICEMODE_PHRASE_CACHE_MB": "0",
        "VOICEMODE_TTS_BASE_URLS": base_url,
        "VOICEMODE_STT_BASE_URLS": base_url,
        "VOICEMODE_VOICES": "alloy",
        "VOICEMODE_TTS_MODELS": "tts-1",
        "VOICEMODE_TTS_AUDIO_FORMAT": audio_format,
        "VOICEMODE_AUDIO_FEEDBACK": "false",
    }


def ours_runs() -> bool:
    """Whether the package has its entry point."""
    return (ROOT / "voicemode" / "__main__.py").exists() or (ROOT / "voicemode" / "cli").exists()


def install_ours() -> str:
    """Empty when voicemode is installed as a user has it, in the versions of uv.lock, else why not."""
    wanted = hashlib.sha256(
        (ROOT / "pyproject.toml").read_bytes() + (ROOT / "uv.lock").read_bytes()
    ).hexdigest()
    done = USERS_FOLDER / f"installed-{wanted[:16]}"
    if done.exists():
        return ""
    shutil.rmtree(USERS_FOLDER, ignore_errors=True)
    try:
        _run(sys.executable, "-m", "venv", str(USERS_FOLDER / "venv"))
        versions = USERS_FOLDER / "constraints.txt"
        versions.write_text(_run(sys.executable, str(ROOT / "scripts" / "constraints.py")))
        _run(USERS_PYTHON, "-m", "pip", "install", "-q", "-c", str(versions), "-e", str(ROOT))
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return f"voicemode could not be installed: {error}"
    done.touch()
    return ""


def install_peer() -> str:
    """Empty when the peer is there, else why not. Its requirements first, then its wheel alone: its pin on certifi
    may be newer than an index has. `simpleaudio` is built from source and wants a compiler and ALSA's headers."""
    if lacking := [tool for tool in ("ffmpeg", "ffprobe") if shutil.which(tool) is None]:
        return f"voice-mode speaks only where {' and '.join(lacking)} can be found (apt-get install ffmpeg)"
    done = PEER_FOLDER / f"installed-{PEER_VERSION}"
    if done.exists():
        return ""
    shutil.rmtree(PEER_FOLDER, ignore_errors=True)
    wheels = PEER_FOLDER / "wheels"
    wheels.mkdir(parents=True)
    python = str(PEER_FOLDER / "venv" / "bin" / "python")
    try:
        _run(sys.executable, "-m", "venv", str(PEER_FOLDER / "venv"))
        _run(
            python,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            str(wheels),
            f"voice-mode=={PEER_VERSION}",
        )
        wheel = next(wheels.glob("*.whl"))
        _run(python, "-m", "pip", "install", "-q", *_requirements(wheel))
        _run(python, "-m", "pip", "install", "-q", "--no-deps", str(wheel))
    except (RuntimeError, OSError, subprocess.TimeoutExpired, StopIteration) as error:
        return f"voice-mode {PEER_VERSION} could not be installed: {error}"
    done.touch()
    return ""


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    needed = [line for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line]
    return ["certifi" if line.startswith("certifi") else line for line in needed]


def _run(*command: str) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:5])} …: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout
