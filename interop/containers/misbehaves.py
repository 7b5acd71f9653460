"""A server over standard streams that says where it runs and what it was given, and misbehaves when asked to."""

import json
import os
import socket
import sys
import time


def tell(_):
    return {"host": socket.gethostname(), "token": os.environ.get("BACKEND_TOKEN", "")}


def die(_):
    os._exit(3)


def sleep(given):
    time.sleep(given["seconds"])
    return {"slept": given["seconds"]}


def forks(_):
    """Children until there may be no more."""
    children = []
    try:
        while True:
            child = os.fork()
            if child == 0:
                time.sleep(600)
                os._exit(0)
            children.append(child)
    except OSError as error:
        why = error.strerror
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return {"got": len(children), "why": why}


def memory(_):
    kept = []
    while True:
        kept.append(bytearray(b"x" * (1 << 20)))


def disk(_):
    """Writes until there is no more room."""
    written = 0
    try:
        with open("/tmp/full", "wb", buffering=0) as file:
            while True:
                written += file.write(b"x" * (1 << 20))
    except OSError as error:
        why = error.strerror
    os.unlink("/tmp/full")
    return {"mebibytes": written >> 20, "why": why}


def flood(given):
    """Error output, and lines that are no messages."""
    line = b"x" * 1023 + b"\n"
    for _ in range(given["mebibytes"]):
        os.write(2, line * 1024)
        os.write(1, b"no message\n" * 1024)
    return {"flooded": given["mebibytes"]}


TOOLS = {action.__name__: action for action in (tell, die, sleep, forks, memory, disk, flood)}


def answer(asked):
    method, params = asked.get("method"), asked.get("params", {})
    if method == "initialize":
        about = {"name": "misbehaves", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": json.dumps(TOOLS[params["name"]](params.get("arguments", {})))}]}
    return {} if method == "ping" else None


for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    result = answer(asked)
    outcome = {"result": result} if result is not None else {"error": {"code": -32601, "message": "no such method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **outcome}), flush=True)
