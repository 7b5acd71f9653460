"""What the drivers of the clouds' judges share: results, what our equipment was asked, and MCP by hand."""

import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

RESULTS = []


def check(holds, what, seen=""):
    RESULTS.append(bool(holds))
    print(f"{'ok' if holds else 'FAILED'} - {what}" + (f" ({seen})" if seen and not holds else ""))


def finish():
    print(f"{sum(RESULTS)} passed, {len(RESULTS) - sum(RESULTS)} failed")
    sys.exit(0 if all(RESULTS) else 1)


def fetched(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def asked(url):
    """The requests that a part of our equipment was asked with, as it tells them."""
    requests = fetched(url)
    for seen in requests:
        seen["body"] = base64.b64decode(seen["body"])
    return requests


def form(seen):
    return dict(urllib.parse.parse_qsl(seen["body"].decode(), keep_blank_values=True))


def header(seen, name):
    return next((value for known, value in seen["headers"] if known == name), None)


class Session:
    """A legacy MCP session, by hand: nothing between the test and the wire."""

    # Of all callers so far.
    tokens = []

    def __init__(self, gateway, server, token):
        self.tokens.append(token)
        self.url, self.token, self.session = f"{gateway}/{server}/mcp", token, None

    def send(self, method, message=None, accept="application/json, text/event-stream"):
        headers = {"authorization": f"Bearer {self.token}", "accept": accept, "mcp-protocol-version": "2025-11-25"}
        if message:
            headers["content-type"] = "application/json"
        if self.session:
            headers["mcp-session-id"] = self.session
        request = urllib.request.Request(self.url, data=json.dumps(message).encode() if message else None, headers=headers, method=method)
        try:
            return urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            return error

    def call(self, method, params=None, id=1):
        answer = self.send("POST", {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}})
        self.session = self.session or answer.headers.get("mcp-session-id")
        return json.load(answer)

    def hello(self):
        return {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "drive", "version": "1"}}

    def open(self):
        return self.call("initialize", self.hello())
