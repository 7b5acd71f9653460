"""Writes crates/core/src/sigv4/botocore.txt: requests as MCP has them, signed by botocore. Run it anew when cases are added:

    python vectors.py > ../../crates/core/src/sigv4/botocore.txt
"""
import datetime
import sys

import botocore
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJH+/=="
CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup","arguments":{"q":"Grüße, 世界 🙂"}}}'
HOST = "aws-mcp.us-east-1.api.aws"

# name, service, region, method, target, headers, body, whether there is a session token
CASES = [
    ("a call of the modern revision", "aws-mcp", "us-east-1", "POST", "/mcp", [
        ("Content-Type", "application/json"), ("Mcp-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"), ("Mcp-Name", "lookup"), ("Mcp-Param-Region", "  eu   west "),
    ], CALL, True),
    ("a legacy stream", "aws-mcp", "us-east-1", "GET", "/mcp", [
        ("Mcp-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", "s-1.2_3~4"),
    ], "", True),
    ("the end of a session", "aws-mcp", "us-east-1", "DELETE", "/mcp", [("Mcp-Session-Id", "s")], "", True),
    ("keys that do not end", "aws-mcp", "us-east-1", "POST", "/mcp", [("Content-Type", "application/json")], CALL, False),
    ("an agent runtime, whose path holds an encoded arn", "bedrock-agentcore", "eu-central-1", "POST",
     "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aeu-central-1%3A123456789012%3Aruntime%2Fmine-x1/invocations?qualifier=DEFAULT",
     [("Content-Type", "application/json")], CALL, True),
    ("a query that is not in order", "execute-api", "us-gov-west-1", "POST",
     "/prod/mcp?b=2&a=2&a=1&A=0&empty=&bare&tilde=~&slash=%2F&space=%20", [("Content-Type", "application/json")], "{}", True),
    ("a path with double slashes and dots", "execute-api", "cn-north-1", "POST", "//prod/./x/../mcp//", [
        ("Content-Type", "application/json")], "{}", True),
    ("a port in the host", "execute-api", "us-east-1", "POST", "/mcp", [("Content-Type", "application/json")], "{}", True),
]


def signed(service, region, method, target, headers, body, token, host):
    moment = datetime.datetime(2026, 11, 22, 23, 59, 59)
    botocore.auth.get_current_datetime = lambda *_, **__: moment
    request = AWSRequest(method, f"https://{host}{target}", data=body.encode())
    request.headers["Host"] = host
    for name, value in headers:
        request.headers[name] = value
    auth = botocore.auth.SigV4Auth(Credentials(KEY, SECRET, TOKEN if token else None), service, region)
    auth.add_auth(request)
    return auth.canonical_request(without_authorization(request)), request.headers["Authorization"]


def without_authorization(request):
    copy = AWSRequest(request.method, request.url, data=request.body)
    for name, value in request.headers.items():
        if name.lower() != "authorization":
            copy.headers[name] = value
    return copy


def main():
    out = [f"# Made by interop/aws/vectors.py with botocore {botocore.__version__}. Key id {KEY}, secret {SECRET}, 20261122T235959Z.\n"]
    for name, service, region, method, target, headers, body, token in CASES:
        host = f"{HOST}:8443" if "port" in name else HOST
        canonical, authorization = signed(service, region, method, target, headers, body, token, host)
        out.append(f"\n=== {name}\n--- scope\n{region} {service}\n")
        if token:
            out.append(f"--- token\n{TOKEN}\n")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"] + [f"{name}: {value}" for name, value in headers]
        out.append("--- request\n" + "\n".join(lines) + "\n\n" + body + "\n")
        out.append(f"--- canonical\n{canonical}\n--- authorization\n{authorization}\n")
    sys.stdout.write("".join(out))


if __name__ == "__main__":
    main()
