"""From nothing to a first tool call: `run`, the token that it prints, an official client.

    first.py PROGRAM RUN      IMAGE is in the environment
"""

import asyncio
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

PROGRAM, RUN = sys.argv[1:]
LOG = pathlib.Path(RUN) / "first.log"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def call(url, token):
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http), mode="auto") as client:
            return (await client.call_tool("tell", {})).content[0].text


began = time.monotonic()
command = [
    PROGRAM, "run", os.environ["IMAGE"], "--name", "first", "--listen", f"127.0.0.1:{free_port()}",
    "--", "python3", "/srv/misbehaves.py",
]
with open(LOG, "w") as log:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
try:
    while not (token := re.search(r"TOKEN=(\S+)", LOG.read_text())):
        assert process.poll() is None and time.monotonic() < began + 90, LOG.read_text()
        time.sleep(0.05)
    url = re.search(r"http://127\.0\.0\.1:\d+/first/mcp", LOG.read_text())[0]
    answer = asyncio.run(call(url, token[1]))
    assert '"host"' in answer, answer
    print(f"ok - `run IMAGE`: the first tool call is answered {time.monotonic() - began:.1f} s after it was typed")
finally:
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0, LOG.read_text()
print("ok - and it ends with nothing left" if not subprocess.run(
    ["docker", "ps", "-aq", "--filter", f"ancestor={os.environ['IMAGE']}"], capture_output=True, text=True, check=True
).stdout else "FAILED - something is left")
