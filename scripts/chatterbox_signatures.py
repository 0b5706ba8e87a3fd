"""Writes down the signatures of what the engine and its stand-in use of chatterbox-tts, so that the stand-in can be
held against them where the package is not installed.

`python scripts/chatterbox_signatures.py` with a Python that has the package.
"""

from __future__ import annotations

import importlib
import inspect
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent.parent / "tests" / "support" / "chatterbox_signatures.json"
NAMES = (
    "chatterbox.tts:ChatterboxTTS",
    "chatterbox.tts:ChatterboxTTS.from_local",
    "chatterbox.tts:ChatterboxTTS.from_pretrained",
    "chatterbox.tts:ChatterboxTTS.prepare_conditionals",
    "chatterbox.tts:ChatterboxTTS.generate",
    "chatterbox.tts:Conditionals",
    "chatterbox.models.t3:T3",
    "chatterbox.models.t3:T3.inference",
    "chatterbox.models.t3.modules.cond_enc:T3Cond",
    "chatterbox.models.s3gen:S3Gen",
    "chatterbox.models.s3gen:S3Gen.inference",
    "perth:PerthImplicitWatermarker.apply_watermark",
)


def signatures() -> dict[str, list[str]]:
    """Of each name the parameters, as `name=default`; behind `*` they are given by name only."""
    return {name: [*_parameters(_named(name))] for name in NAMES}


def _named(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _parameters(called: Any) -> list[str]:
    made: list[str] = []
    for each in inspect.signature(called).parameters.values():
        if each.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in made:
            made.append("*")
        name = f"**{each.name}" if each.kind is inspect.Parameter.VAR_KEYWORD else each.name
        made.append(name if each.default is inspect.Parameter.empty else f"{name}={each.default!r}")
    return made


def main() -> None:
    packages = {name: version(name) for name in ("chatterbox-tts", "resemble-perth")}
    table = {"packages": packages, "signatures": signatures()}
    TABLE.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
