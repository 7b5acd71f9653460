"""The Python SDK (PyPI mcp), once in each era."""

import asyncio
import json
import os

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

URL = os.environ["INTEROP_URL"]


async def refusal(call):
    """The JSON-RPC error that a call ends in."""
    try:
        await call
    except MCPError as error:
        return error.error
    raise AssertionError("a call that policy denies was answered")


async def connected(token, mode, use):
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=20) as http:
        async with Client(streamable_http_client(URL, http_client=http), mode=mode) as client:
            await use(client)


async def as_alice(client):
    names = sorted(tool.name for tool in (await client.list_tools()).tools)
    assert names == ["greet", "test_simple_text", "whoami"], names
    simple = await client.call_tool("test_simple_text", {})
    assert simple.content[0].text == "This is a simple text response for testing."
    seen = json.loads((await client.call_tool("whoami", {})).content[0].text)
    assert (seen["aud"], seen["azp"], seen["sub"]) == ("interop-backend", "safeconduct", "alice"), seen
    assert (await client.call_tool("greet", {"name": "Ada"})).content[0].text == "Hello, Ada!"

    by_argument = await refusal(client.call_tool("greet", {"name": "Mallory"}))
    assert by_argument.code == -31403, by_argument
    assert by_argument.data["code"].startswith("SC-"), by_argument
    hidden = await refusal(client.call_tool("delete_everything", {}))
    assert hidden.code == -32602, hidden


async def as_bob(client):
    assert (await client.list_tools()).tools == []
    denied = await refusal(client.call_tool("whoami", {}))
    assert denied.code in (-31403, -32602), denied


async def main():
    for mode in ("auto", "legacy"):
        await connected(os.environ["INTEROP_ALICE"], mode, as_alice)
        await connected(os.environ["INTEROP_BOB"], mode, as_bob)
        print(f"ok - Python SDK, {mode}")


asyncio.run(main())
