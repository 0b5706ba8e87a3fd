"""A server on the MCP SDK with one tool and nothing else: what start-up and memory cost before anything of ours."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer


def main() -> None:
    server = MCPServer("bare")

    @server.tool()
    async def echo(text: str) -> str:
        """Gives back what it got."""
        return text

    server.run("stdio")


if __name__ == "__main__":
    main()
