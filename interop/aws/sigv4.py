"""botocore's own answer to what we do: signatures, endpoints, and what the service takes."""

import base64
import datetime
import json
import random
import subprocess
import unittest.mock
import urllib.parse

import botocore.auth
import botocore.session
import regex
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from judging import check
from place import EQUIPMENT


def signature(method, url, headers, body, region, service, keys, moment):
    """`Authorization` as botocore computes it over exactly these headers."""
    request = AWSRequest(method, url, data=body)
    for name, value in headers:
        request.headers[name] = value
    with unittest.mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: moment):
        botocore.auth.SigV4Auth(Credentials(*keys), service, region).add_auth(request)
    return request.headers["Authorization"]


def equipment(mode, lines):
    ran = subprocess.run([EQUIPMENT, mode], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def verified(seen, secrets):
    """Whether botocore computes the signature that a recorded request bears."""
    headers = {}
    for name, value in seen["headers"]:
        headers.setdefault(name, []).append(value)
    authorization = headers["authorization"][0]
    scope = authorization.split("Credential=")[1].split(",")[0].split("/")
    names = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    signed = [(name, value) for name in names for value in headers[name] if name not in ("x-amz-date", "x-amz-security-token")]
    moment = datetime.datetime.strptime(headers["x-amz-date"][0], "%Y%m%dT%H%M%SZ")
    token = headers["x-amz-security-token"][0]
    keys = (scope[0], secrets[scope[0]], token)
    ours = signature(seen["method"], f"http://{headers['host'][0]}{seen['target']}", signed, seen["body"], scope[2], scope[3], keys, moment)
    return ours == authorization


def signatures():
    draw = random.Random(20261122)
    unreserved = "abcXYZ019-._~"
    path = unreserved + "/%@:!$'()*,;=&+ü世"
    lines, expected = [], []
    for number in range(1000):
        target = "/" + "".join(draw.choice(path) for _ in range(draw.randrange(12))).replace("%", "%2F")
        query = []
        for _ in range(draw.randrange(4)):
            value = urllib.parse.quote("".join(draw.choice("ab /&=ü+") for _ in range(draw.randrange(4))), safe="-_.~")
            query.append(draw.choice("abA") + draw.choice(["", "=", f"={value}"]))
        # What cannot stand in a request line is written as it is sent.
        target = urllib.parse.quote(target, safe="/%@:!$'()*,;=&+~") + ("?" + "&".join(query) if query else "")
        headers = [("host", draw.choice(["api.example.com", "api.example.com:8443"]))]
        if draw.random() < 0.8:
            headers.append(("content-type", "application/json"))
        for name in draw.sample(["mcp-method", "mcp-name", "mcp-session-id", "mcp-param-x", "x-amz-meta"], draw.randrange(4)):
            headers.append((name, " ".join(draw.choice(["a", "b  c", "=?base64?4pi6?=", "x;y,z"]) for _ in range(draw.randrange(1, 3)))))
        body = draw.choice([b"", b"{}", "Grüße, 世界".encode(), draw.randbytes(300)])
        moment = datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=draw.randrange(40_000_000))
        token = draw.choice(["", "IQoJb3JpZ2lu//+=="])
        asked = {
            "method": draw.choice(["POST", "GET", "DELETE"]), "url": "https://" + headers[0][1] + target,
            "headers": headers, "body": base64.b64encode(body).decode(), "region": draw.choice(["us-east-1", "cn-north-1"]),
            "service": draw.choice(["aws-mcp", "bedrock-agentcore"]), "id": "ASIAEXAMPLE", "secret": "s/+" + "x" * draw.randrange(40),
            "token": token, "now": moment.isoformat() + "Z",
        }
        lines.append(json.dumps(asked | {"headers": headers + [("accept", "*/*"), ("traceparent", "00-1-2-01")]}))
        keys = (asked["id"], asked["secret"], token or None)
        expected.append(signature(asked["method"], asked["url"], headers, body, asked["region"], asked["service"], keys, moment))
    ours = equipment("sign", lines)
    wrong = [line for line, one, other in zip(lines, ours, expected) if one != other]
    check(len(ours) == 1000 and not wrong, "1000 drawn requests are signed as botocore signs them", wrong[:1])


def endpoints():
    session = botocore.session.get_session()
    regions = [region for partition in session.get_available_partitions()
               for region in session.get_available_regions("sts", partition, allow_non_regional=True)]
    regions = sorted({region for region in regions if not region.endswith("-fips")})
    pairs = [(region, fips) for region in regions for fips in (False, True) if not (fips and region == "aws-global")]
    expected = []
    for region, fips in pairs:
        client = session.create_client("sts", region, config=Config(use_fips_endpoint=fips), aws_access_key_id="a", aws_secret_access_key="b")
        operation = client.meta.service_model.operation_model("GetCallerIdentity")
        endpoint = client._ruleset_resolver.construct_endpoint(operation, {}, {"client_config": client.meta.config})
        expected.append(endpoint.url.rstrip("/") + "/")
    ours = equipment("endpoints", [f"{region} {str(fips).lower()}" for region, fips in pairs])
    wrong = [(pair, one, other) for pair, one, other in zip(pairs, ours, expected) if one != other]
    check(len(pairs) > 60 and not wrong, f"{len(pairs)} endpoints of all partitions are botocore's", wrong[:3])


def limits():
    """What we take for valid in a configuration is valid in botocore's model of the service, and the other way round."""
    model = botocore.session.get_session().get_service_model("sts")
    shapes = {"name": "roleSessionNameType", "identity": "sourceIdentityType", "external_id": "externalIdType", "tag_key": "tagKeyType",
              "tag_value": "tagValueType"}
    draw, asked = random.Random(7), []
    for limit, shape in shapes.items():
        bounds = model.shape_for(shape).metadata
        low, high = bounds.get("min", 0), bounds["max"]
        for length in [0, 1, 2, 3, low, high, high + 1] + [draw.randrange(1, 20) for _ in range(200)]:
            alphabet = draw.choice(["aZ09_", "aZ0_+=,.@-", "aZ :/", "aü世é", "a\u0345\u24b6\u093f", "a|&#", "a\u00a0\u3000", "a١½"])
            asked.append((limit, shape, "".join(draw.choice(alphabet) for _ in range(length))))
    ours = equipment("limits", [json.dumps([limit, text]) for limit, _, text in asked])
    broad, narrow = [], []
    for (limit, shape, text), taken in zip(asked, ours):
        bounds = model.shape_for(shape).metadata
        # The service reads its patterns as Java does: \\w is ASCII.
        pattern = bounds["pattern"].replace("\\w", "a-zA-Z0-9_")
        valid = bounds.get("min", 0) <= len(text) <= bounds["max"] and regex.fullmatch(pattern, text) is not None
        broad += [(limit, text)] if taken == "true" and not valid else []
        # Spaces other than the one are not taken: nobody sees them.
        narrow += [(limit, text)] if valid and taken != "true" and not set(text) & set("\u00a0\u3000") else []
    check(len(ours) == len(asked) and not broad, f"of {len(asked)} names, tags and identifiers we take none that AWS's model does not", broad[:3])
    check(not narrow, "and refuse none that it takes, but for invisible spaces", narrow[:3])
