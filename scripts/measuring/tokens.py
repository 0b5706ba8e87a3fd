"""How many tokens a text costs, counted with the public o200k tables.

They come with js-tiktoken, which lies beside the conformance tools (scripts/node_tools.py). Other models cut a little
differently; the rule is the same for every contender, so the ratio holds better than the figure.
"""

from __future__ import annotations

import json
import subprocess

from pydantic import JsonValue

from scripts import node_tools

_LIMIT_SECONDS = 60.0
_COUNT = """
import { Tiktoken } from "js-tiktoken/lite";
import ranks from "js-tiktoken/ranks/o200k_base";
let text = "";
process.stdin.setEncoding("utf8");
for await (const part of process.stdin) text += part;
process.stdout.write(String(new Tiktoken(ranks).encode(text, "all").length));
"""
GIVEN_TO_A_MODEL = ("name", "description", "inputSchema")


def count_tokens(text: str) -> int:
    """RuntimeError when Node or the tables are not there."""
    if problem := node_tools.install():
        raise RuntimeError(problem)
    found = node_tools.node_and_npm()
    assert found is not None
    done = subprocess.run(
        [str(found[0]), "--input-type=module", "--eval", _COUNT],
        cwd=node_tools.FOLDER,
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"counting tokens failed: {done.stderr.strip()[-400:]}")
    return int(done.stdout)


def as_listed(tools: list[JsonValue]) -> str:
    """Everything in the answer to `tools/list`."""
    return json.dumps(tools, ensure_ascii=False, separators=(",", ":"))


def as_given(tools: list[JsonValue]) -> str:
    """What a host hands to its model: no titles, annotations, output schemas."""
    given: list[JsonValue] = [
        {key: tool[key] for key in GIVEN_TO_A_MODEL if key in tool}
        for tool in tools
        if isinstance(tool, dict)
    ]
    return as_listed(given)
