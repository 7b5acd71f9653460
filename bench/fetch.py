"""Fetches from an origin, and says how fast: as an MCP server over its standard streams, or by hand.

    fetch.py [URL BYTES]
"""

import json
import sys
import time
import urllib.request


def fetched(url, count, proxied):
    handlers = [] if proxied else [urllib.request.ProxyHandler({})]
    began, got = time.monotonic(), 0
    with urllib.request.build_opener(*handlers).open(f"{url}/{count}", timeout=60) as answer:
        while part := answer.read(1 << 20):
            got += len(part)
    assert got == count, (got, count)
    return got / (time.monotonic() - began) / (1 << 20)


def answer(asked):
    method, params = asked.get("method"), asked.get("params", {})
    if method == "initialize":
        about = {"name": "fetch", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [{"name": "fetch", "inputSchema": {"type": "object"}}]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": str(fetched(**params["arguments"]))}]}
    return {} if method == "ping" else None


if len(sys.argv) > 1:
    print(fetched(sys.argv[1], int(sys.argv[2]), False))
    sys.exit()
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        result = answer(asked)
        outcome = {"result": result} if result is not None else {"error": {"code": -32601, "message": "no such method"}}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **outcome}), flush=True)
