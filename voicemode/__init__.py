"""voicemode: a voice for a coding assistant, as an MCP server."""

__version__ = "0.1.0"
