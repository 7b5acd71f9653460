"""Logs two users in at a real Keycloak and calls tools through the gateway with their tokens.

    drive.py KEYCLOAK GATEWAY RECORD

Prints a line for everything that holds and ends with `N passed, M failed`.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

KEYCLOAK, GATEWAY, RECORD = sys.argv[1:]
ISSUER = f"{KEYCLOAK}/realms/interop"
ENDPOINT = f"{GATEWAY}/everything/mcp"
RESULTS = []


def check(holds, what):
    RESULTS.append(bool(holds))
    print(f"{'ok' if holds else 'FAILED'} - {what}")


def fetch(url, data=None, headers=None, method=None):
    """(status, headers, body text), error statuses included."""
    request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def audiences(token_claims):
    aud = token_claims.get("aud", [])
    return aud if isinstance(aud, list) else [aud]


def log_in(user, client="cli"):
    return tokens_of(user, client)["access_token"]


def tokens_of(user, client="cli"):
    form = {
        "grant_type": "password",
        "client_id": client,
        "username": user,
        "password": f"{user}-interop",
        "scope": "openid",
    }
    data = urllib.parse.urlencode(form).encode()
    status, _, body = fetch(f"{ISSUER}/protocol/openid-connect/token", data)
    assert status == 200, f"Keycloak refused {user}: {status} {body}"
    return json.loads(body)


def register_logout():
    """Keycloak tells the gateway of each session of the client `cli` that ends."""
    headers = {"authorization": f"Bearer {os.environ['ADMIN_TOKEN']}", "content-type": "application/json"}
    clients = f"{KEYCLOAK}/admin/realms/interop/clients"
    client = json.loads(fetch(f"{clients}?clientId=cli", headers=headers)[2])[0]
    client["attributes"] |= {
        "backchannel.logout.url": f"{GATEWAY}/backchannel-logout/corp",
        "backchannel.logout.session.required": "true",
    }
    status, _, body = fetch(f"{clients}/{client['id']}", json.dumps(client).encode(), headers, "PUT")
    assert status == 204, f"{status} {body}"


class Session:
    """A legacy MCP session, by hand: nothing between the test and the wire."""

    def __init__(self, token):
        self.headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        self.number = 0
        hello = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "interop-keycloak", "version": "1"},
        }
        answer = self.post("initialize", hello)
        assert "result" in answer, f"initialize failed: {answer}"
        self.headers["mcp-protocol-version"] = answer["result"]["protocolVersion"]
        self.post("notifications/initialized", None)

    def post(self, method, params):
        message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            self.number += 1
            message |= {"id": self.number, "params": params}
        status, headers, body = fetch(ENDPOINT, json.dumps(message).encode(), self.headers)
        if "mcp-session-id" in headers:
            self.headers["mcp-session-id"] = headers["mcp-session-id"]
        if params is None:
            return None
        assert status == 200, f"{method}: HTTP {status} {body}"
        if headers.get_content_type() == "text/event-stream":
            lines = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
            messages = [json.loads(line) for line in lines if line]
            return next(one for one in messages if one.get("id") == self.number)
        return json.loads(body)

    def tools(self):
        return sorted(tool["name"] for tool in self.post("tools/list", {})["result"]["tools"])

    def call(self, tool):
        return self.post("tools/call", {"name": tool, "arguments": {}})


def refused(token):
    """Whether a plain request with this token ends in a 401 with a challenge."""
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    status, answer, _ = fetch(ENDPOINT, json.dumps(message).encode(), headers)
    challenge = answer.get("www-authenticate", "")
    return status == 401 and challenge.startswith("Bearer "), challenge


def the_allowed_group(alice):
    session = Session(alice)
    check(session.tools() == ["test_simple_text", "whoami"], "alice is shown the tools of her group")
    answer = session.call("test_simple_text")
    text = answer["result"]["content"][0]["text"] if "result" in answer else answer
    check(text == "This is a simple text response for testing.", "alice's call is answered")
    answer = session.call("whoami")
    seen = json.loads(answer["result"]["content"][0]["text"])
    check(audiences(seen) == ["backend"], "the backend's token is for the backend only")
    check(seen.get("azp") == "gateway", "Keycloak issued it to the gateway")
    check(seen.get("iss") == ISSUER, "Keycloak issued it itself")
    check(seen.get("sub") == claims(alice)["sub"], "it still says that alice is calling")
    denied = session.call("delete_everything")
    check("error" in denied, "a tool that no rule permits is not called, even by alice")


def the_other_group(bob):
    session = Session(bob)
    check(session.tools() == [], "bob is shown nothing")
    for tool in ("test_simple_text", "whoami"):
        denied = session.call(tool)
        check(denied.get("error", {}).get("code") in (-31403, -32602), f"bob may not call {tool}")


def tokens_that_are_not_good(alice):
    yes, challenge = refused(None)
    check(yes and "resource_metadata=" in challenge and "error=" not in challenge, "no token: 401, how to get one")
    metadata = challenge.partition('resource_metadata="')[2].partition('"')[0]
    status, _, body = fetch(metadata) if metadata else (0, None, "{}")
    named = json.loads(body).get("authorization_servers") if status == 200 else None
    check(named == [ISSUER], "the metadata names Keycloak")

    stranger = log_in("alice", client="stranger")
    assert "gateway" not in audiences(claims(stranger))
    check(refused(stranger)[0], "a token of the same Keycloak for somebody else: 401")

    head, payload, signature = alice.split(".")
    forged = claims(alice) | {"groups": ["support", "admins"]}
    payload = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
    yes, challenge = refused(f"{head}.{payload}.{signature}")
    check(yes and 'error="invalid_token"' in challenge, "a changed token: 401 invalid_token")


def a_logout_at_keycloak(bob):
    """Alice logs out at Keycloak; Keycloak tells the gateway, whose clients are told to log in again."""
    register_logout()
    tokens, other = tokens_of("alice"), tokens_of("alice")
    alice = tokens["access_token"]
    check(claims(alice).get("sid"), "Keycloak's tokens name the session")
    session, second = Session(alice), Session(other["access_token"])
    check("result" in session.call("whoami"), "alice's call is answered before")
    form = urllib.parse.urlencode({"client_id": "cli", "refresh_token": tokens["refresh_token"]}).encode()
    status, _, body = fetch(f"{ISSUER}/protocol/openid-connect/logout", form)
    assert status == 204, f"{status} {body}"
    began = time.monotonic()
    while not refused(alice)[0] and time.monotonic() < began + 5:
        time.sleep(0.02)
    took = time.monotonic() - began
    check(took < 1, f"her token is refused {took:.2f} s after the logout, with {claims(alice)['exp'] - time.time():.0f} s to go")
    check('error="invalid_token"' in refused(alice)[1], "as one that is not valid any more")
    check("result" in second.call("whoami"), "her other login goes on")
    check(Session(bob).tools() == [], "and so does bob's")
    again = Session(log_in("alice"))
    check("result" in again.call("whoami"), "a new login is let in")
    stale = {**again.headers, "mcp-session-id": session.headers["mcp-session-id"]}
    message = {"jsonrpc": "2.0", "id": 9, "method": "tools/list"}
    status, _, _ = fetch(ENDPOINT, json.dumps(message).encode(), stale)
    check(status == 404, "the MCP session of the login that ended is unknown to it")


def what_the_backend_saw(*users_tokens):
    with open(RECORD, encoding="utf-8") as file:
        record = file.read()
    requests = [json.loads(line) for line in record.splitlines()]
    check(requests, "the backend was asked at all")
    check(
        all(audiences(one["claims"] or {}) == ["backend"] for one in requests),
        f"each of {len(requests)} requests carried a token for the backend only",
    )
    check(all((one["claims"] or {}).get("azp") == "gateway" for one in requests), "issued to the gateway")
    check(not any(token in record for token in users_tokens), "no byte of a user's token is in them")
    signatures = [token.rsplit(".", 1)[1] for token in users_tokens]
    check(not any(signature in record for signature in signatures), "not even a signature")
    check("delete_everything" not in record, "no denied call is in them")


def part(run, *arguments):
    """Runs one part; what breaks it is one failure, and the parts after it still run."""
    try:
        run(*arguments)
    except (AssertionError, KeyError, ValueError, OSError, StopIteration) as error:
        check(False, f"{run.__name__}: {type(error).__name__}: {error}")


def main():
    alice, bob = log_in("alice"), log_in("bob")
    check("gateway" in audiences(claims(alice)), "Keycloak's token for alice is for the gateway")
    check(claims(alice)["groups"] == ["support"] and claims(bob)["groups"] == ["guests"], "and names the groups")
    part(the_allowed_group, alice)
    part(the_other_group, bob)
    part(tokens_that_are_not_good, alice)
    part(a_logout_at_keycloak, bob)
    part(what_the_backend_saw, alice, bob)
    failed = RESULTS.count(False)
    print(f"{len(RESULTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
