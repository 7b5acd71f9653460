"""A server on the Python SDK: both eras, a tool that reports progress, structured results."""

import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("interop-python", instructions="Equipment for interoperability tests.")


class Sum(BaseModel):
    total: int
    parts: list[int]


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def add(a: int, b: int) -> Sum:
    """Adds two numbers."""
    return Sum(total=a + b, parts=[a, b])


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Counts, and reports every step."""
    for step in range(to):
        await ctx.report_progress(step + 1, to)
    return f"counted to {to}"


@server.resource("interop://note")
def note() -> str:
    """A note."""
    return "Ünïcödé, and a quote: \""


@server.prompt()
def greet(name: str) -> str:
    """Greets."""
    return f"Greet {name}"


server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
