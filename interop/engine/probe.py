"""What runs inside: does what it is told, one JSON object a line, and says what came of it."""

import ctypes
import errno
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.error
import urllib.request


def name_of(error):
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "timeout"
    if isinstance(error, socket.gaierror):
        return "no such name"
    number = getattr(error, "errno", None)
    return errno.errorcode.get(number, type(error).__name__)


def tried(action):
    """What came of it: `ok`, or the name of what stood in the way."""
    try:
        result = action()
        return {"ok": True, "got": result}
    except Exception as error:  # noqa: BLE001: whatever stands in the way is the answer
        return {"ok": False, "why": name_of(error), "text": str(error)}


def status(_):
    fields = dict(line.rstrip("\n").split(":", 1) for line in open("/proc/self/status"))
    wanted = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"]
    return {"got": {name: fields[name].split() for name in wanted}}


def read(order):
    def action():
        with open(order["path"], "rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace")

    return tried(action)


def write(order):
    def action():
        with open(order["path"], "wb") as file:
            file.write(b"x" * order.get("bytes", 1))

    return tried(action)


def listing(order):
    return tried(lambda: sorted(os.listdir(order["path"])))


def stat(order):
    def action():
        found = os.stat(order["path"])
        return {"uid": found.st_uid, "mode": oct(found.st_mode & 0o7777)}

    return tried(action)


def environment(_):
    return {"got": dict(os.environ)}


def mounts(_):
    found = []
    for line in open("/proc/self/mountinfo"):
        left, right = line.rstrip("\n").split(" - ", 1)
        fields = left.split(" ")
        found.append({"at": fields[4], "options": fields[5].split(","), "kind": right.split(" ")[0]})
    return {"got": found}


def interfaces(_):
    return {"got": sorted(os.listdir("/sys/class/net"))}


def run(order):
    """Runs a program; what it wrote and how it ended."""

    def action():
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(into, 1)
            os.dup2(into, 2)
            try:
                os.execv(order.get("file", order["program"][0]), order["program"])
            except OSError as error:
                os.write(1, name_of(error).encode())
            os._exit(127)
        os.close(into)
        with os.fdopen(out, "rb") as file:
            text = file.read().decode("utf-8", "replace")
        return {"text": text.strip(), "code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}

    return tried(action)


def syscall(order):
    """A system call by its number."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(*[ctypes.c_long(number) for number in order["numbers"]])
    return {"ok": result != -1, "why": errno.errorcode.get(ctypes.get_errno(), "") if result == -1 else ""}


def forks(order):
    """As many processes as there can be, up to a bound; they are ended again."""
    children, why = [], ""
    for _ in range(order["most"]):
        try:
            child = os.fork()
        except OSError as error:
            why = name_of(error)
            break
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)
    for child in children:
        os.kill(child, 9)
    for child in children:
        os.waitpid(child, 0)
    return {"got": len(children), "why": why}


def memory(order):
    """Takes memory, and touches it."""
    kept = []
    for _ in range(order["mebibytes"]):
        kept.append(bytearray(b"x" * (1 << 20)))
    return {"ok": True, "got": len(kept)}


def connect(order):
    """A connection; what is read when something was sent, or when the other side speaks first."""

    def action():
        with socket.create_connection((order["host"], order["port"]), timeout=order.get("seconds", 2)) as stream:
            stream.sendall(order.get("send", "").encode())
            return stream.recv(4096).decode("utf-8", "replace") if order.get("reads", True) else ""

    return tried(action)


def datagram(order):
    def action():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
            stream.settimeout(order.get("seconds", 2))
            stream.sendto(order.get("send", "x").encode(), (order["host"], order["port"]))
            return stream.recvfrom(4096)[0].decode("utf-8", "replace")

    return tried(action)


def raw(_):
    return tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close())


def resolve(order):
    return tried(lambda: sorted({found[4][0] for found in socket.getaddrinfo(order["name"], None, socket.AF_INET)}))


def ask(order):
    """A question for a name, sent to one server and no other: its code, and the addresses."""

    def action():
        labels = b"".join(bytes([len(label)]) + label.encode() for label in order["name"].split("."))
        question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
            stream.settimeout(2)
            stream.sendto(question, (order["server"], 53))
            answer = stream.recvfrom(512)[0]
        count = struct.unpack(">H", answer[6:8])[0]
        return {"code": answer[3] & 15, "addresses": [socket.inet_ntoa(answer[-4:])] if count else []}

    return tried(action)


def get(order):
    """A request as an ordinary program makes it: through the proxy that the environment names."""

    def action():
        try:
            with urllib.request.urlopen(order["url"], timeout=order.get("seconds", 5)) as answer:
                return {"status": answer.status, "body": answer.read(4096).decode()}
        except urllib.error.HTTPError as error:
            return {"status": error.code, "body": error.read(4096).decode()}

    return tried(action)


def tls(order):
    """A greeting for one name over a connection to another, and a request inside."""

    def action():
        context = ssl.create_default_context(cadata=order["trust"])
        with socket.create_connection((order["host"], order["port"]), timeout=5) as stream:
            if "through" in order:
                raise NotImplementedError
            with context.wrap_socket(stream, server_hostname=order["name"]) as inner:
                inner.sendall(order["send"].encode())
                return inner.recv(4096).decode()

    return tried(action)


def serve(order):
    """Serves HTTP on a port from now on."""
    listener = socket.create_server((order.get("host", "0.0.0.0"), order["port"]))

    def loop():
        while True:
            stream, _ = listener.accept()
            with stream:
                stream.recv(4096)
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ninside")

    threading.Thread(target=loop, daemon=True).start()
    return {"ok": True}


def flood(order):
    """Writes much to its error output."""
    line = b"x" * 1023 + b"\n"
    for _ in range(order["kibibytes"]):
        os.write(2, line)
    return {"ok": True}


def big(order):
    return {"got": "y" * order["bytes"]}


def end(order):
    os._exit(order.get("code", 0))


ORDERS = {
    action.__name__: action
    for action in [
        status, read, write, listing, stat, environment, mounts, interfaces, run, syscall, forks, memory, connect,
        datagram, raw, resolve, ask, get, tls, serve, flood, big, end,
    ]
}


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:
        print("serving", flush=True)
        serve({"port": int(arguments[1])})
        if arguments[2:] == ["flood"]:
            while True:
                flood({"kibibytes": 1024})
        time.sleep(3600)
    if arguments[:1] == ["say"]:
        print(" ".join(arguments[1:]), flush=True)
        return
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(ORDERS[order["do"]](order)), flush=True)


main()
