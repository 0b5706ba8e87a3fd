"""Starts voicemode as a coding assistant's host would, lists its tools, lets it say a sentence and tells what happened.

    python scripts/run.py [TEXT]

Exit code 0 when it spoke, or wrote the sound to a file where there is no loudspeaker; 1 when it is broken.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel

MESSAGE = "Hello. This is voice mode. I can speak with you while you work."
LIMIT_SECONDS = 120.0
AUDIO_VARIABLES = ("PULSE_SERVER", "XDG_RUNTIME_DIR", "ALSA_CONFIG_PATH", "OPENAI_API_KEY")
"""Beside VOICEMODE_*: what an MCP client does not pass on by itself, and a person who types `make run` would expect."""


class Spoken(BaseModel):
    """What is read of the `speak` tool's answer."""

    state: str = ""
    outcome: str = ""
    heard: str = ""
    unheard: str = ""
    voice: str = ""
    note: str = ""
    recording: str = ""
    timings: dict[str, float] = {}


def server() -> StdioServerParameters:
    folder = Path(sys.executable).parent
    script = next((path for name in ("voicemode", "voicemode.exe") if (path := folder / name).exists()), None)
    command, arguments = (str(script), []) if script else (sys.executable, ["-m", "voicemode"])
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in AUDIO_VARIABLES or name.startswith("VOICEMODE_")
    }
    return StdioServerParameters(command=command, args=arguments, env=passed_on)


async def demonstrate(message: str) -> int:
    parameters = server()
    print(f"Starting {Path(parameters.command).name} as an MCP server on standard input and output ...")
    async with Client(parameters) as client:
        info = client.server_info
        print(f"Connected: {info.name if info else '?'} {info.version if info else ''}")
        tools = (await client.list_tools()).tools
        print(
            "Tools: "
            + ", ".join(f"{tool.name} ({tool.title})" if tool.title else tool.name for tool in tools)
        )
        print(f"\nSaying: {message}")
        result = await client.call_tool("speak", {"message": message, "wait": "finished"})
    return report(result)


def report(result: CallToolResult) -> int:
    text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    if result.is_error:
        print(f"It could not speak: {text}", file=sys.stderr)
        return 1
    said = Spoken.model_validate(result.structured_content or {})
    outcome = said.outcome or said.state
    print(f"Answer: {text}")
    if outcome == "not_played":
        print("There is no loudspeaker on this machine, so nobody heard it.")
        print(f"The sound is in {said.recording}" if said.recording else "And no file was written.")
        return 0 if said.recording and Path(said.recording).exists() else 1
    ttfa = said.timings.get("ttfa")
    print(f"Heard:   {said.heard or 'nothing'}")
    if said.unheard:
        print(f"Unheard: {said.unheard}")
    print(f"Voice:   {said.voice or 'not said'}")
    if ttfa is not None:
        print(f"First sound {ttfa * 1000:.0f} ms after the call.")
    return 0 if said.heard and not said.unheard else 1


async def within_limit(message: str) -> int:
    try:
        with anyio.fail_after(LIMIT_SECONDS):
            return await demonstrate(message)
    except TimeoutError:
        print(f"No answer within {LIMIT_SECONDS:.0f} s.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(anyio.run(within_limit, " ".join(sys.argv[1:]) or MESSAGE))
