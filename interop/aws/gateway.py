"""What the gateway does towards AWS: keys for each caller, signatures that botocore computes, too, and the fields that boto3
sends."""

import json
import urllib.request

from judging import Session, check, form, header
from place import ALICE, GATEWAY, requests, sessions
from sigv4 import verified


def signed_headers(seen):
    return (header(seen, "authorization") or "").split("SignedHeaders=")[-1].split(",")[0]


def through_the_gateway():
    before = len(requests("sts"))
    for server, role in [("first", "Mcp"), ("second", "Reports")]:
        session = Session(GATEWAY, server, ALICE)
        check("result" in session.open(), f"{server}: a session opens")
        served = session.call("tools/call", {"name": "read_warehouse", "arguments": {"note": "Grüße, 世界 🙂"}})
        arn = f"assumed-role/{role}/alice"
        check(arn in json.dumps(served), f"{server}: the server sees {arn}", served)
        stream = session.send("GET", accept="text/event-stream")
        check(stream.status == 200 and "event-stream" in stream.headers["content-type"], f"{server}: a stream opens")
        stream.close()
        check(session.send("DELETE").status == 204, f"{server}: the session ends")
    modern = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": {"name": "drive", "version": "1"},
              "io.modelcontextprotocol/clientCapabilities": {}}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "read_warehouse", "arguments": {}, "_meta": modern}}
    headers = {"authorization": f"Bearer {ALICE}", "content-type": "application/json", "accept": "application/json, text/event-stream",
               "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "read_warehouse", "x-amz-date": "19700101T000000Z",
               "x-amz-security-token": "another's"}
    request = urllib.request.Request(f"{GATEWAY}/second/mcp", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        check("assumed-role/Reports/alice" in answer.read().decode(), "a modern call is signed too, whatever the client says of signatures")

    secrets = {session["id"]: session["secret"] for session in sessions()}
    seen = requests("mcp")
    methods = {one["method"] for one in seen}
    good = [verified(one, secrets) for one in seen]
    check(methods == {"POST", "GET", "DELETE"} and all(good), f"botocore computes the signatures of all {len(seen)} requests to the MCP server", good)
    check(not any(ALICE in json.dumps(one["headers"]) or ALICE.encode() in one["body"] for one in seen), "none of them has the caller's token")
    asked = requests("sts")[before:]
    signed = [one for one in asked if header(one, "authorization")]
    check(len(signed) == 1 and verified(signed[0], secrets), "and that of the request for the second role")
    return before


def field_by_field(before):
    """What boto3 sent to our emulation (before) and what the gateway sent there (after)."""
    all_asked = requests("sts")
    boto, ours = all_asked[:before], all_asked[before:]
    def of(asked, action, name):
        return next(one for one in asked if form(one)["Action"] == action and form(one)["RoleSessionName"] == name)
    pairs = [("AssumeRoleWithWebIdentity", of(boto, "AssumeRoleWithWebIdentity", "alice"), of([one for one in ours if "Policy" in form(one)], "AssumeRoleWithWebIdentity", "alice")),
             ("AssumeRole", of(boto, "AssumeRole", "alice"), of(ours, "AssumeRole", "alice"))]
    for action, theirs, our in pairs:
        check(form(theirs) == form(our), f"{action}: the same fields as boto3's", (form(theirs), form(our)))
        same = all(header(theirs, name) == header(our, name) for name in ("content-type", "host"))
        check(same and (theirs["method"], theirs["target"]) == (our["method"], our["target"]), f"{action}: the same method, path and media type")
        check(signed_headers(theirs) == signed_headers(our), f"{action}: the same headers are signed", (signed_headers(theirs), signed_headers(our)))
    issued = [session for session in sessions() if "/Reports/" in session["arn"]]
    tags = [(session["tags"], session["source_identity"]) for session in issued]
    check(len(tags) == 2 and tags[0] == tags[1], "the two sessions of the second role have the same tags and source identity", tags)
