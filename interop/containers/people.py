"""Two people at the same time, with the official client, at servers in containers that use the clouds' own libraries.

    people.py GATEWAY       INTEROP_ALICE and INTEROP_BOB hold their tokens
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

GATEWAY = sys.argv[1]
PEOPLE = {name: os.environ[f"INTEROP_{name.upper()}"] for name in ("alice", "bob")}
ROUNDS = 4
passed = 0


def holds(fact, what, seen=None):
    global passed
    assert fact, f"{what}: {seen}"
    passed += 1
    print(f"ok - {what}", flush=True)


async def with_client(server, name, use):
    headers = {"authorization": f"Bearer {PEOPLE[name]}"}
    async with httpx2.AsyncClient(headers=headers, timeout=90) as http:
        transport = streamable_http_client(f"http://{GATEWAY}/{server}/mcp", http_client=http)
        async with Client(transport, mode="auto") as client:
            return await use(client)


async def text(client, tool, **arguments):
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    return answer.content[0].text


async def at_once(server, use):
    """What each of them sees, all asking together."""
    seen = await asyncio.gather(*(with_client(server, name, use) for name in PEOPLE))
    return dict(zip(PEOPLE, seen))


async def main():
    for server, tool, others in (
        ("google", "as_google", ("as_amazon", "as_microsoft")),
        ("amazon", "as_amazon", ("as_google", "as_microsoft")),
        ("microsoft", "as_microsoft", ("as_google", "as_amazon")),
    ):
        async def asks(client):
            return [await text(client, tool) for _ in range(ROUNDS)]

        for name, heard in (await at_once(server, asks)).items():
            holds(heard == [name] * ROUNDS, f"{server}: who {name}'s server acts as is {name}", heard)
        # What was delivered is not in the image, the environment, the command or a file.
        for name, held in (await at_once(server, lambda client: text(client, "holdings"))).items():
            environment, _, _ = json.loads(held)
            clean = "issued-by-cloud" not in held and not any(token in held for token in PEOPLE.values())
            holds(clean and environment["PYTHONPATH"] == "/opt/site", f"{server}: {name}'s server holds no credential", held)
        away = await with_client(server, "alice", lambda client: text(client, "elsewhere", url="http://example.com/"))
        holds("not in network.allow" in away, f"{server}: no other place is reached", away)
    print(f"{passed} passed, 0 failed")


asyncio.run(main())
