"""Prints the versions in uv.lock as constraints for pip, so that both ways of setting up install the same things."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent.parent / "uv.lock"
PROJECT = "voicemode"
APART = "chatterbox"
"""The extra that has versions of its own (`conflicts` in pyproject.toml). No checkout is set up with it."""
_WITH_IT = f"extra == 'extra-{len(PROJECT)}-{PROJECT}-{APART}'"
_EXTRAS = re.compile(r" and extra [!=]= '[^']*'")


def constraints(lock: str) -> Iterator[str]:
    """One line for each locked package that comes from a registry; the project itself is not one."""
    packages = tomllib.loads(lock)["package"]
    reached = _reached(packages)
    for package in packages:
        if "registry" not in package["source"] or (package["name"], package["version"]) not in reached:
            continue
        forks = [each for each in package.get("resolution-markers", []) if _WITH_IT not in each]
        markers = " or ".join(dict.fromkeys(f"({_EXTRAS.sub('', each)})" for each in forks))
        yield f"{package['name']}=={package['version']}" + (f" ; {markers}" if markers else "")


def _reached(packages: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Names and versions of what the project needs, with every extra but the one apart."""
    found: set[tuple[str, str]] = set()
    wanted: list[dict[str, Any]] = [{"name": PROJECT}]
    while wanted:
        one = wanted.pop()
        for package in packages:
            key = package["name"], package.get("version", "")
            if key[0] == one["name"] and one.get("version", key[1]) == key[1] and key not in found:
                found.add(key)
                wanted += _needs(package)
    return found


def _needs(package: dict[str, Any]) -> Iterator[dict[str, Any]]:
    extras = {**package.get("optional-dependencies", {}), **package.get("dev-dependencies", {})}
    if package["name"] == PROJECT:
        extras.pop(APART, None)
    for needs in (package.get("dependencies", []), *extras.values()):
        yield from (each for each in needs if not _is_apart(each.get("marker", "")))


def _is_apart(marker: str) -> bool:
    """Whether each of the alternatives holds with the extra only."""
    without_groups = re.sub(r"\([^()]*\)", "", marker)
    return all(_WITH_IT in each for each in without_groups.split(" or "))


if __name__ == "__main__":
    print("\n".join(constraints(LOCK.read_text(encoding="utf-8"))))
