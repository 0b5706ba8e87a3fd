"""Prints the versions in uv.lock as constraints for pip, so that both ways of setting up install the same things."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

LOCK = Path(__file__).parent.parent / "uv.lock"


def constraints(lock: str) -> Iterator[str]:
    """One line for each locked package that comes from a registry; the project itself is not one."""
    for package in tomllib.loads(lock)["package"]:
        if "registry" not in package["source"]:
            continue
        markers = " or ".join(f"({marker})" for marker in package.get("resolution-markers", []))
        yield f"{package['name']}=={package['version']}" + (f" ; {markers}" if markers else "")


if __name__ == "__main__":
    print("\n".join(constraints(LOCK.read_text(encoding="utf-8"))))
