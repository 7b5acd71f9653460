"""Faults, with the gateway's own program and real containers: what is killed, full, or too much. Nothing leaks between
callers, nothing is orphaned, the gateway stays up and says what happened.

    faults.py RUN WORK      RUN holds the gateway's file; IMAGE, PROGRAM, IDP_URL and GATEWAY_SECRET are in the environment
"""

import asyncio
import atexit
import base64
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

RUN, WORK = (pathlib.Path(argument) for argument in sys.argv[1:])
FILE = RUN / "safeconduct.yaml"
TEXT = FILE.read_text()
GATEWAY = re.search(r"^listen: (\S+)", TEXT, re.M)[1]
ADMIN = re.search(r"^admin: (\S+)", TEXT, re.M)[1]
PATIENCE = 90
DOCKER = ["docker"]
passed = 0


def holds(fact, what, seen=None):
    global passed
    assert fact, f"{what}: {seen}"
    passed += 1
    print(f"ok - {what}", flush=True)


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not (seen := condition()):
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.1)
    return seen


def token_of(user):
    form = {"grant_type": "password", "username": user, "password": f"{user}-interop"}
    request = urllib.request.Request(f"{os.environ['IDP_URL']}/token", urllib.parse.urlencode(form).encode())
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["access_token"]


def answers(path):
    try:
        with urllib.request.urlopen(f"http://{ADMIN}{path}", timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def containers():
    listed = [*DOCKER, "ps", "-aq", "--no-trunc", "--filter", f"ancestor={os.environ['IMAGE']}"]
    return set(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split())


def owner():
    """The name that the gateway writes on what it makes."""
    label = '{{index .Config.Labels "safeconduct.owner"}}'
    inspect = [*DOCKER, "inspect", "-f", label, *containers()]
    return subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.split()[0]


def networks(whose):
    listed = [*DOCKER, "network", "ls", "-q", "--filter", f"label=safeconduct.owner={whose}"]
    return set(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split())


def files(whose):
    """What is in memory for instances of this gateway."""
    bases = [pathlib.Path(base) / whose for base in ("/run/safeconduct", "/dev/shm/safeconduct")]
    return {path for base in bases if base.is_dir() for path in base.iterdir()}


class Program:
    """The gateway's program, serving."""

    def __init__(self, file=FILE, name="gateway"):
        self.log = RUN / f"{name}-faults.log"
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [os.environ["PROGRAM"], "serve", "--config", str(file)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )

        # Also when a check fails, it does not outlive this program.
        atexit.register(lambda: self.process.poll() is None and self.kill(signal.SIGTERM))

    def ready(self):
        until(lambda: answers("/readyz") == 200 or self.process.poll() is not None, "the gateway to be ready")
        assert self.process.poll() is None, self.log.read_text()
        return self

    def says(self, words):
        until(lambda: words in self.log.read_text(), f"the gateway to say {words!r}")

    def kill(self, how):
        self.process.send_signal(how)
        return self.process.wait(timeout=PATIENCE)

    def resident(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) >> 10


@contextlib.asynccontextmanager
async def client(user, server):
    headers = {"authorization": f"Bearer {token_of(user)}"}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        transport = streamable_http_client(f"http://{GATEWAY}/{server}/mcp", http_client=http)
        async with Client(transport, mode="auto") as connected:
            yield connected


async def call(user, tool, server="misbehaves", **arguments):
    async with client(user, server) as connected:
        answer = await connected.call_tool(tool, arguments)
        return json.loads(answer.content[0].text)


async def refused(user, tool, **arguments):
    """The error that a call ends in: it ends, and not in silence."""
    try:
        answer = await asyncio.wait_for(call(user, tool, **arguments), PATIENCE)
    except MCPError as error:
        return error.error
    except ExceptionGroup as group:
        found = next((one for one in flat(group) if isinstance(one, (MCPError, httpx2.HTTPStatusError))), None)
        assert found is not None, group
        return found.error if isinstance(found, MCPError) else found
    raise AssertionError(f"{tool} was answered: {answer}")


def flat(group):
    for one in group.exceptions:
        if isinstance(one, ExceptionGroup):
            yield from flat(one)
        else:
            yield one


async def again(user, tool="tell"):
    """An answer, as soon as there is one again."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return await call(user, tool)
        except (MCPError, ExceptionGroup, httpx2.HTTPError):
            assert time.monotonic() < end, "it never answered again"
            await asyncio.sleep(0.2)


def subject(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["sub"]


async def crowd():
    users = [f"caller-{number}" for number in range(50)]
    seen = await asyncio.gather(*(call(user, "tell") for user in users))
    holds(len({one["host"] for one in seen}) == 50, "fifty callers at once have fifty containers", seen)
    holds([subject(one["token"]) for one in seen] == users, "each with its own caller's token")
    until(lambda: len(containers()) == 50, "what only found out the era to end")
    holds(True, "and no more are there")
    second = await asyncio.gather(*(call(user, "tell") for user in users[:5]))
    holds([subject(one["token"]) for one in second] == users[:5], "the same for a next call")
    hosts = [[one["host"] for one in some] for some in (seen[:5], second)]
    holds(hosts[0] == hosts[1], "which goes to the same container", (hosts, containers()))


async def bombs(gateway):
    before = await call("bob", "tell")
    forked = await call("alice", "forks")
    holds(0 < forked["got"] < 32, "a fork bomb ends at the bound", forked)
    full = await call("alice", "disk")
    holds(full["mebibytes"] <= 8 and "space" in full["why"], "what fills its disk fills 8 MiB in memory", full)
    was = (await call("alice", "tell"))["host"]
    error = await refused("alice", "memory")
    holds(True, f"a memory bomb ends itself, and its caller is told: {str(error)[:80]}")
    holds((await again("alice"))["host"] != was, "the next call has another container")
    gateway.says("memory")
    size = gateway.resident()
    await call("alice", "flood", mebibytes=200)
    grown = gateway.resident() - size
    holds(grown < 48, "200 MiB of log, and what is no message, are not kept", f"{grown} MiB")
    holds(await call("bob", "tell") == before, "another caller's has noticed nothing of all this")


async def server_is_killed():
    where = (await call("alice", "tell"))["host"]
    asked = asyncio.create_task(refused("alice", "sleep", seconds=600))
    await asyncio.sleep(1)
    subprocess.run([*DOCKER, "kill", where], check=True, capture_output=True)
    error = await asked
    holds(True, f"a call in flight is answered when its server is killed: {str(error)[:80]}")
    holds((await again("alice"))["host"] != where, "and the next one has another container")
    holds((await refused("alice", "die")) is not None, "the same when it ends by itself")
    await again("alice")


async def second_gateway():
    where = (await call("bob", "tell"))["host"]
    other = Program(name="second")
    code = other.process.wait(timeout=PATIENCE)
    told = other.log.read_text()
    holds(code == 1 and "listen" in told, "a second gateway of the same file is refused", told)
    holds((await call("bob", "tell"))["host"] == where, "and takes nothing away from the first")


async def gateway_is_killed(gateway):
    await call("alice", "tell", server="keeps")
    left, whose = containers(), owner()
    kept = files(whose)
    holds(left and kept, "containers run, and have files in memory, when the gateway is killed", (left, kept))
    gateway.kill(signal.SIGKILL)
    again_there = Program().ready()
    again_there.says("removed what an earlier run of this gateway left behind")
    holds(not (left & containers()) and not networks(whose), "the next start removes what the killed one left")
    holds(not kept & files(whose), "and its files in memory", kept)
    holds(subject((await call("alice", "tell"))["token"]) == "alice", "and serves")
    return again_there, whose


async def disk_is_full(gateway):
    """The audit log's disk: nothing that would be on no record is done, and that is said."""
    ballast = WORK / "audit" / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    async def is_refused():
        try:
            await call("alice", "tell")
        except (MCPError, ExceptionGroup, httpx2.HTTPError):
            return True
    end = time.monotonic() + PATIENCE
    while not await is_refused():
        assert time.monotonic() < end, "calls go on without a record"
    holds(True, "with a full disk below the audit log no call is served")
    gateway.says("audit")
    holds(gateway.process.poll() is None and answers("/healthz") == 200, "the gateway stays up")
    holds(answers("/readyz") != 200, "and says that it is not ready", answers("/readyz"))
    ballast.unlink()
    await again("alice")
    until(lambda: answers("/readyz") == 200, "the gateway to be ready again")
    holds(True, "when there is room again it serves")
    lines = [json.loads(line) for line in (WORK / "audit" / "audit.jsonl").read_text().splitlines()]
    holds(all("time" in line for line in lines), "and no line of the log is broken")


async def engine_is_killed():
    """In an engine of its own, which is killed and comes back."""
    socket, pid = os.environ["KILLED_SOCKET"], int(os.environ["KILLED_PID"])
    DOCKER.extend(["--host", f"unix://{socket}"])
    file = RUN / "killed.yaml"
    file.write_text(re.sub(r'socket: "[^"]*"', f'socket: "{socket}"', TEXT))
    gateway = Program(file, "killed").ready()
    first = await call("alice", "tell")
    asked = asyncio.create_task(refused("alice", "sleep", seconds=600))
    await asyncio.sleep(1)
    os.kill(pid, signal.SIGKILL)
    error = await asked
    holds(True, f"a call in flight is answered when the engine is killed: {str(error)[:80]}")
    error = await refused("alice", "tell")
    holds("SC-" in json.dumps(getattr(error, "data", None) or str(error)), "and the next one is told with a code", error)
    holds(gateway.process.poll() is None and answers("/healthz") == 200, "the gateway stays up without an engine")
    (WORK / "engine-killed").touch()
    until(lambda: (WORK / "engine-back").exists(), "the engine to come back")
    holds((await again("alice"))["host"] != first["host"], "when the engine is back it serves")
    until(lambda: len(containers()) == 1, "what the killed engine ran to be removed")
    holds(True, "and what the killed one ran is removed")
    holds(gateway.kill(signal.SIGTERM) == 0, "and ends as it should")
    holds(not containers(), "with nothing left", containers())


async def main():
    if os.environ.get("KILLED_SOCKET"):
        await engine_is_killed()
        return
    gateway = Program().ready()
    await crowd()
    await bombs(gateway)
    await server_is_killed()
    await second_gateway()
    gateway, whose = await gateway_is_killed(gateway)
    await disk_is_full(gateway)
    holds(gateway.kill(signal.SIGTERM) == 0, "told to end, it ends with 0")
    left = containers() | networks(whose) | files(whose)
    holds(not left, "and nothing is left of what it started", left)


asyncio.run(main())
