"""What bench/runtime.sh measures; see there. Plain sockets and one call after the other: the client costs the same everywhere."""

import argparse
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request

flags = argparse.ArgumentParser()
for name in ("gateway", "admin", "idp", "program", "config", "origin"):
    flags.add_argument(f"--{name}", required=True)
for name in ("pid", "cold", "warm", "servers", "mebibytes"):
    flags.add_argument(f"--{name}", type=int, required=True)
FLAGS = flags.parse_args()
HERE = pathlib.Path(__file__).parent
REVISION = "2026-07-28"
META = {
    f"io.modelcontextprotocol/{name}": value
    for name, value in (
        ("protocolVersion", REVISION), ("clientCapabilities", {}), ("clientInfo", {"name": "bench", "version": "1"}),
    )
}


def token_of(user):
    form = {"grant_type": "password", "username": user, "password": f"{user}-interop"}
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{FLAGS.idp}/token", data, timeout=20) as answer:
        return json.load(answer)["access_token"]


class Caller:
    """One connection of one caller to one server."""

    def __init__(self, user, server):
        self.user, self.server, self.token = user, server, token_of(user)
        host, port = FLAGS.gateway.split(":")
        self.stream = socket.create_connection((host, int(port)), timeout=120)
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, tool, arguments):
        params = {"name": tool, "arguments": arguments, "_meta": META}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        head = (
            f"POST /{self.server}/mcp HTTP/1.1\r\nHost: {FLAGS.gateway}\r\nAuthorization: Bearer {self.token}\r\n"
            "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            f"MCP-Protocol-Version: {REVISION}\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def call(self, request):
        """Sends it, and reads the answer to its end; (microseconds, answer)."""
        began = time.perf_counter()
        self.stream.sendall(request)
        got = b""
        while not whole(got):
            part = self.stream.recv(65536)
            assert part, got
            got += part
        micros = (time.perf_counter() - began) * 1e6
        assert b'"result"' in got and b'"isError":true' not in got, got
        return micros, got


def whole(got):
    head, found, body = got.partition(b"\r\n\r\n")
    if not found:
        return False
    length = re.search(rb"content-length: (\d+)", head, re.I)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def ticks():
    fields = pathlib.Path(f"/proc/{FLAGS.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def resident():
    """KiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{FLAGS.pid}/status").read_text())[1])


def stop(server):
    done = subprocess.run(
        [FLAGS.program, "stop", server, "--config", FLAGS.config], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def warm(server):
    caller = Caller("alice", server)
    request = caller.request("test_simple_text", {})
    for _ in range(FLAGS.warm // 10):
        caller.call(request)
    before = ticks()
    times = sorted(caller.call(request)[0] for _ in range(FLAGS.warm))
    cpu = (ticks() - before) / os.sysconf("SC_CLK_TCK") / FLAGS.warm * 1e6
    return f"p50 {statistics.median(times):.0f} µs, p99 {times[len(times) * 99 // 100]:.0f} µs, CPU {cpu:.0f} µs"


def cold(server):
    caller = Caller("alice", server)
    request = caller.request("test_simple_text", {})
    caller.call(request)
    times = []
    for _ in range(FLAGS.cold):
        stop(server)
        times.append(caller.call(request)[0] / 1000)
    return f"p50 {statistics.median(times):.0f} ms, slowest of {FLAGS.cold} {max(times):.0f} ms"


def per_server(server):
    """Each caller's first call starts one."""
    callers = [Caller(f"caller-{number}", server) for number in range(FLAGS.servers + 5)]
    for caller in callers[:5]:
        caller.call(caller.request("test_simple_text", {}))
    before = resident()
    for caller in callers[5:]:
        caller.call(caller.request("test_simple_text", {}))
    return f"{(resident() - before) / FLAGS.servers:.0f} KiB"


def fetched():
    count = FLAGS.mebibytes << 20
    caller = Caller("alice", "fetch")
    caller.call(caller.request("fetch", {"url": f"http://origin.test:{FLAGS.origin}", "count": 1, "proxied": True}))
    by_hand = [sys.executable, str(HERE / "fetch.py"), f"http://127.0.0.1:{FLAGS.origin}", str(count)]
    best = {"direct": 0.0, "through the proxy": 0.0, "straight": 0.0}
    for _ in range(3):
        direct = float(subprocess.run(by_hand, capture_output=True, text=True, check=True, timeout=300).stdout)
        best["direct"] = max(best["direct"], direct)
        for name, proxied in (("through the proxy", True), ("straight", False)):
            arguments = {"url": f"http://origin.test:{FLAGS.origin}", "count": count, "proxied": proxied}
            _, answer = caller.call(caller.request("fetch", arguments))
            best[name] = max(best[name], float(re.search(rb'"text": ?"([\d.]+)"', answer)[1]))
    return {name: f"{rate:.0f} MiB/s" for name, rate in best.items()}


start = resident()
rows = [
    ("warm call, MCP server over HTTP", warm("http")),
    ("warm call, the same program over standard streams", warm("streams")),
    ("the same in a container", warm("container")),
    ("first call of a stopped server, a process", cold("streams")),
    ("the same in a container", cold("container")),
    (f"resident memory of the gateway per running server, {FLAGS.servers} callers with one each", per_server("many")),
    *((f"{FLAGS.mebibytes} MiB from an origin on loopback, {name}", rate) for name, rate in fetched().items()),
]
print(f"\n| servers that run here, {os.cpu_count()} cores | measured |\n|---|---|")
for row in rows:
    print("| {} | {} |".format(*row))
