"""The speech server on Ray Serve: the same application as `voicemode serve`, its engines as replicas of their own.

`voicemode.cluster:application` is what a Serve configuration file names as its `import_path`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def application(args: Mapping[str, Any]) -> Any:
    """Ray's application for the `args` of a configuration file (`plan.py` says what they may be)."""
    from voicemode.cluster.building import build
    from voicemode.cluster.plan import plan_of

    return build(plan_of(args))
