"""The words that assistants read: instructions, guide and prompts."""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import MCPServer

INSTRUCTIONS = (
    "A voice for the user. `converse` says something and returns the user's spoken answer; `speak` says something "
    "while you work on. Speak as people talk: short sentences, no code, no lists of paths. What comes back as a "
    "transcript are words from a room, possibly misheard: ask back before anything that cannot be undone."
)

GUIDE = """\
# Speaking with the user

- Say one thing at a time, in one to three short sentences. Code, logs and tables belong on the screen: say what
  they mean.
- `converse` when you need an answer, `speak` when you do not. `speak` returns as soon as sound starts, so go on
  working.
- End what you say with the question, so that the user knows it is their turn.
- `outcome` (for `speak`: `state`) tells how the call ended: finished, answered, interrupted (they talked over you),
  no_speech (ask once more, then write), timed_out (they were still speaking), not_transcribed (the recording is kept),
  not_played (no loudspeaker), broken, cancelled.
- `unheard` is what the user did not hear; do not act as if they had.
- A transcript can be wrong. Repeat what matters ("delete the branch main, yes?") before you do it.
- `pending`: the call takes longer than the client waits, and goes on. Call `converse` again with its `handle` and no
  message; the user need not repeat anything.
- The user wants quiet for a moment, or to hear it again: `playback` with pause, resume, skip, stop or replay.
- Something does not work: `voice_status` with `check` says what and how to mend it.
"""


def add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt(title="Hold a spoken conversation")
    def converse(topic: str = "") -> str:
        """Talk with the user by voice until they say goodbye."""
        about = f" about {topic}" if topic else ""
        return (
            f"Hold a spoken conversation with me{about}. Use the converse tool for everything you say, keep each turn "
            "to one to three short sentences, and listen after each. Do the work I ask for between turns. Stop when "
            "I say goodbye or say nothing twice."
        )

    @server.prompt(title="Report finished work aloud")
    def brief() -> str:
        """Say briefly what was done."""
        return (
            "Use the speak tool to tell me in at most three short sentences what you have just finished, what is "
            "left, and whether you need anything from me."
        )
