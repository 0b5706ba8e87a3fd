"""The command line in a process of its own, run to its end with nobody at its input."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

VOICEMODE = (sys.executable, "-m", "voicemode")


def ran(
    *arguments: str,
    variables: Mapping[str, str],
    limit_s: float,
    folder: Path | None = None,
    program: Sequence[str] = VOICEMODE,
) -> subprocess.CompletedProcess[str]:
    """In `folder`, where one is given."""
    return subprocess.run(
        [*program, *arguments],
        env=variables,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
