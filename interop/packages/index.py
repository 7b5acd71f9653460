"""index.py DIRECTORY PORT: an index of Python packages of its own, on loopback: one with a program that is an MCP server,
and one that comes as source only, whose installation would run code. Says which paths were asked for."""
import base64
import hashlib
import http.server
import io
import pathlib
import sys
import tarfile
import zipfile

SERVER = '''
import json, os, sys

def main():
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        if asked["method"] == "initialize":
            result = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}},
                      "serverInfo": {"name": "own", "version": "1.0"}}
        elif asked["method"] == "tools/list":
            result = {"tools": [{"name": "status", "inputSchema": {"type": "object"}}]}
        elif asked["method"] == "tools/call":
            status = dict(line.split(":", 1) for line in open("/proc/self/status"))
            routes = open("/proc/net/route").read().splitlines()[1:]
            said = {"uid": os.getuid(), "capabilities": int(status["CapEff"], 16), "routes": routes, "environment": dict(os.environ)}
            try:
                open("/app/written", "w")
                said["writes"] = True
            except OSError:
                said["writes"] = False
            result = {"content": [{"type": "text", "text": json.dumps(said)}]}
        else:
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "no such method"}}), flush=True)
            continue
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
'''


def wheel(directory):
    name = "interop_own-1.0"
    files = {
        "interop_own.py": SERVER,
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\nName: interop-own\nVersion: 1.0\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: interop\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}.dist-info/entry_points.txt": "[console_scripts]\ninterop-own = interop_own:main\nother = interop_own:main\n",
    }
    record = ""
    for path, text in files.items():
        hashed = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={hashed},{len(text)}\n"
    files[f"{name}.dist-info/RECORD"] = record + f"{name}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(directory / f"{name}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def source(directory):
    """Its installation says to the index that it runs."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "PKG-INFO": "Metadata-Version: 2.1\nName: interop-source\nVersion: 1.0\n",
        "backend.py": f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{sys.argv[2]}/simple/?code-ran')\n",
    }
    with tarfile.open(directory / "interop_source-1.0.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"interop_source-1.0/{path}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


root = pathlib.Path(sys.argv[1])
for name, make in [("interop-own", wheel), ("interop-source", source)]:
    directory = root / "simple" / name
    directory.mkdir(parents=True)
    make(directory)


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *given):
        super().__init__(*given, directory=root)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
