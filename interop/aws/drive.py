"""Asks the gateway, our emulation of AWS, and moto; botocore judges.

    drive.py EQUIPMENT GATEWAY STS TOLD MOTO BETWEEN RUN        (ALICE and BOB: their tokens)

Prints a line for everything that holds and ends with `N passed, M failed`.
"""

import base64
import datetime
import json
import os
import random
import re
import subprocess
import sys
import unittest.mock
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree

import boto3
import botocore.auth
import regex
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from between import Between

EQUIPMENT, GATEWAY, STS, TOLD, MOTO, BETWEEN, RUN = sys.argv[1:]
ALICE, BOB = os.environ["ALICE"], os.environ["BOB"]
ROLE = "arn:aws:iam::123456789012:role/{}"
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
RESULTS = []
BORDER = Between(BETWEEN, MOTO)


def check(holds, what, seen=""):
    RESULTS.append(bool(holds))
    print(f"{'ok' if holds else 'FAILED'} - {what}" + (f" ({seen})" if seen and not holds else ""))


# --- botocore's own answer to what we do

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


def verified(seen, host_of, secrets):
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


# --- our emulation, as boto3 finds it

def told(what):
    with urllib.request.urlopen(f"{TOLD}/{what}", timeout=10) as answer:
        told = json.load(answer)
    for seen in told if what in ("sts", "mcp") else []:
        seen["body"] = base64.b64decode(seen["body"])
    return told


def sts(**more):
    return boto3.client("sts", endpoint_url=STS, region_name="eu-central-1", config=Config(retries={"max_attempts": 0}), **more)


def as_keys(credentials):
    return {"aws_access_key_id": credentials["AccessKeyId"], "aws_secret_access_key": credentials["SecretAccessKey"], "aws_session_token": credentials["SessionToken"]}


def code(asking, **arguments):
    try:
        asking(**arguments)
        return "granted"
    except ClientError as error:
        return error.response["Error"]["Code"]


def read(asking, **arguments):
    """What botocore made of a refusal: its class and its code, whether the HTTP status is that of its model, and whether
    it found words and the request's number."""
    try:
        asking(**arguments)
        return "granted"
    except ClientError as error:
        said, about = error.response["Error"], error.response["ResponseMetadata"]
        model = botocore.session.get_session().get_service_model("sts")
        modelled = next((shape for shape in model.error_shapes if shape.error_code == said["Code"]), None)
        status = modelled.metadata["error"]["httpStatusCode"] if modelled else about["HTTPStatusCode"]
        whole = bool(said["Message"] and said["Type"] == "Sender" and about["RequestId"]) and status == about["HTTPStatusCode"]
        return f"{type(error).__name__} {said['Code']}" if whole else error.response


class Elements:
    """Collects the XML elements of a client's answers that botocore's model of the service does not know."""

    def __init__(self, client):
        self.unknown, self.seen = [], 0
        client.meta.events.register("after-call", self.look)

    def look(self, http_response, model, **_):
        def walk(element, shape, path):
            for child in element:
                name = child.tag.split("}")[-1]
                self.seen += 1
                if name == "ResponseMetadata":
                    continue
                if name not in shape.members:
                    self.unknown.append(f"{path}/{name}")
                elif shape.members[name].type_name == "structure":
                    walk(child, shape.members[name], f"{path}/{name}")
        root = xml.etree.ElementTree.fromstring(http_response.content)
        if http_response.status_code == 200:
            walk(root[0], model.output_shape, model.name)


def emulation():
    anonymous = sts(aws_access_key_id="x", aws_secret_access_key="x")
    elements = Elements(anonymous)
    granted = anonymous.assume_role_with_web_identity(
        RoleArn=ROLE.format("Mcp"), RoleSessionName="alice", WebIdentityToken=ALICE, DurationSeconds=900, Policy=POLICY,
        PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}])
    first = granted["Credentials"]
    left = (first["Expiration"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    check(granted["SubjectFromWebIdentityToken"] == "alice" and 800 < left <= 900, "boto3 gets keys of our emulation for alice's token")
    identity = sts(**as_keys(first)).get_caller_identity()
    check(identity["Arn"] == "arn:aws:sts::123456789012:assumed-role/Mcp/alice", "our emulation verifies boto3's signature", identity)
    with_keys = sts(**as_keys(first))
    elements_of_keys = Elements(with_keys)
    second = with_keys.assume_role(
        RoleArn=ROLE.format("Reports"), RoleSessionName="alice", DurationSeconds=1200, ExternalId="corp-1", SourceIdentity="alice",
        Tags=[{"Key": "Team", "Value": "alice + söhne"}, {"Key": "Place", "Value": "a/b"}], TransitiveTagKeys=["Team"])["Credentials"]
    identity = sts(**as_keys(second)).get_caller_identity()
    check(identity["Arn"].endswith("assumed-role/Reports/alice"), "and a second role for the keys of the first", identity)
    check(elements.seen > 10 and elements_of_keys.seen > 5 and not elements.unknown + elements_of_keys.unknown,
          "botocore's model knows every element of the answers", elements.unknown + elements_of_keys.unknown)
    asking = anonymous.assume_role_with_web_identity
    many = [{"Key": f"k{number}", "Value": "x" * 250} for number in range(9)] + [{"Key": "Team", "Value": "a"}]
    chained = dict(RoleArn=ROLE.format("Reports"), RoleSessionName="alice", ExternalId="corp-1")
    refused = {
        "InvalidIdentityTokenException InvalidIdentityToken": read(asking, RoleArn=ROLE.format("Mcp"), RoleSessionName="alice", WebIdentityToken="opaque"),
        "ClientError AccessDenied": read(asking, RoleArn=ROLE.format("None"), RoleSessionName="alice", WebIdentityToken=ALICE),
        "MalformedPolicyDocumentException MalformedPolicyDocument": read(asking, RoleArn=ROLE.format("Mcp"), RoleSessionName="alice", WebIdentityToken=ALICE, Policy="{"),
        "PackedPolicyTooLargeException PackedPolicyTooLarge": read(with_keys.assume_role, Tags=many, **chained),
        "ClientError ValidationError": read(with_keys.assume_role, Tags=[{"Key": "Team", "Value": "a & b"}], **chained),
        "ClientError SignatureDoesNotMatch": read(sts(**as_keys(first) | {"aws_secret_access_key": "wrong"}).get_caller_identity),
        "ClientError InvalidClientTokenId": read(sts(aws_access_key_id="ASIAWRONG", aws_secret_access_key="x", aws_session_token="x").get_caller_identity),
    }
    check(all(said == got for said, got in refused.items()), "boto3 reads its refusals, each with its class, status, words and number", refused)
    told("end")
    ended = read(sts(**as_keys(first)).get_caller_identity)
    check(ended == "ClientError ExpiredToken", "and that keys have ended", ended)
    path = os.path.join(RUN, "token")
    with open(path, "w") as file:
        file.write(ALICE)
    environment = {"AWS_WEB_IDENTITY_TOKEN_FILE": path, "AWS_ROLE_ARN": ROLE.format("Mcp"), "AWS_ROLE_SESSION_NAME": "by-file",
                   "AWS_ENDPOINT_URL_STS": STS, "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
    program = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    ran = subprocess.run([sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True, timeout=60)
    check(ran.stdout.strip().endswith("assumed-role/Mcp/by-file"), "a program with nothing but a token file finds its keys there", ran.stderr[-300:])


# --- the gateway

class Session:
    """A legacy MCP session, by hand: nothing between the test and the wire."""

    def __init__(self, server, token):
        self.url, self.token, self.session = f"{GATEWAY}/{server}/mcp", token, None

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

    def open(self):
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "drive", "version": "1"}}
        return self.call("initialize", hello)


def form(seen):
    return dict(urllib.parse.parse_qsl(seen["body"].decode()))


def header(seen, name):
    return next((value for known, value in seen["headers"] if known == name), None)


def signed_headers(seen):
    return (header(seen, "authorization") or "").split("SignedHeaders=")[-1].split(",")[0]


def through_the_gateway():
    before = len(told("sts"))
    for server, role in [("first", "Mcp"), ("second", "Reports")]:
        session = Session(server, ALICE)
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

    secrets = {session["id"]: session["secret"] for session in told("issued")}
    seen = told("mcp")
    methods = {one["method"] for one in seen}
    good = [verified(one, None, secrets) for one in seen]
    check(methods == {"POST", "GET", "DELETE"} and all(good), f"botocore computes the signatures of all {len(seen)} requests to the MCP server", good)
    check(not any(ALICE in json.dumps(one["headers"]) for one in seen), "none of them has the caller's token")
    asked = told("sts")[before:]
    signed = [one for one in asked if header(one, "authorization")]
    check(len(signed) == 1 and verified(signed[0], None, secrets), "and that of the request for the second role")
    return before


def field_by_field(before):
    """What boto3 sent to our emulation (before) and what the gateway sent there (after)."""
    all_asked = told("sts")
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
    issued = [session for session in told("issued") if "/Reports/" in session["arn"]]
    tags = [(session["tags"], session["source_identity"]) for session in issued]
    check(len(tags) == 2 and tags[0] == tags[1], "the two sessions of the second role have the same tags and source identity", tags)


# --- moto, with authentication switched on

def moto_post(path, body):
    request = urllib.request.Request(f"{MOTO}{path}", body.encode(), {"content-type": "text/plain"})
    urllib.request.urlopen(request, timeout=10).close()


def without_signature(actions):
    moto_post("/moto-api/reset-auth", str(actions))


def moto():
    iam = boto3.client("iam", endpoint_url=MOTO, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    trust = lambda principal: json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]})
    iam.create_role(RoleName="Mcp", AssumeRolePolicyDocument=trust({"Federated": "*"}))
    iam.put_role_policy(RoleName="Mcp", PolicyName="on", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}))
    iam.create_role(RoleName="Reports", AssumeRolePolicyDocument=trust({"AWS": "arn:aws:sts::123456789012:assumed-role/Mcp/alice"}))

    iam.put_role_policy(RoleName="Reports", PolicyName="look", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "bedrock-agentcore:ListEvents", "Resource": "*"}]}))

    # The web identity request bears no signature; what comes after it must.
    without_signature(1)
    answer = Session("moto", ALICE).open()
    check("result" in answer, "moto takes the gateway's web identity, verifies its signature and lets alice into the second role", answer)
    without_signature(1)
    refused = Session("moto", BOB).open()
    check(refused.get("error", {}).get("data", {}).get("code") == "SC-C02", "whom the second role's trust policy does not name is refused by moto, and so by the gateway", refused)
    with urllib.request.urlopen(f"{MOTO}/moto-api/data.json", timeout=10) as data:
        roles = json.load(data)["sts"]["AssumedRole"]
    alices = next(role for role in roles if role["role_arn"].endswith("/Reports"))
    keys = {"aws_access_key_id": alices["access_key_id"], "aws_secret_access_key": alices["secret_access_key"], "aws_session_token": alices["session_token"]}
    client = lambda **more: boto3.client("sts", endpoint_url=MOTO, region_name="us-east-1", config=Config(retries={"max_attempts": 0}), **keys | more)
    without_signature(0)
    identity = client().get_caller_identity()
    check(identity["Arn"].endswith("assumed-role/Reports/alice"), "the session is named after alice", identity)
    wrong = code(client(aws_secret_access_key="wrong").get_caller_identity)
    check(wrong == "SignatureDoesNotMatch", "moto's authentication is on", wrong)
    with open(f"{RUN}/backend.jsonl") as record:
        seen = [json.loads(line) for line in record]
    for one in seen:
        one["headers"] = [(name, value) for name, values in one["headers"].items() for value in values]
        one["target"] = one["path"] + (f"?{one['query']}" if one["query"] else "")
        one["body"] = one["body"].encode()
    secrets = {role["access_key_id"]: role["secret_access_key"] for role in roles}
    check(seen and all(verified(one, None, secrets) for one in seen), "the MCP server was asked with signatures by moto's keys, which botocore computes, too")
    check(all(header(one, "x-amz-security-token") == alices["session_token"] for one in seen), "and by nobody's but alice's")


def delivered_to_moto():
    """A service of moto in the place of the MCP server: whether what we sign arrives is said by the one who checks it."""
    def asked(server, on_way=None, on_return=None):
        BORDER.leave()
        BORDER.on_way, BORDER.on_return = on_way or BORDER.on_way, on_return or BORDER.on_return
        BORDER.passed.clear()
        Session(server, ALICE).open()
        BORDER.leave()
        return [(status, answer) for headers, status, answer in BORDER.passed if "/bedrock-agentcore/" in headers.get("authorization", "")]

    def refused(answers, word):
        return answers and all(status == 403 and word in answer for status, answer in answers)

    # Keys first: from here on every request must be signed by somebody with the right to make it.
    for server in ("list", "create"):
        without_signature(1)
        asked(server)
    without_signature(0)
    good = asked("list")
    check([status for status, _ in good] == [200] and "events" in good[0][1], "moto verifies what we deliver, and alice's role may", good)
    other = asked("create")
    check(refused(other, "AccessDenied") and "assumed-role/Reports/alice" in other[0][1], "what her role may not, moto refuses her, by name", other)
    tampered = {
        "a body": lambda target, headers, body: (target, headers, body.replace(b"initialize", b"initialise")),
        "a query": lambda target, headers, body: (target.replace("b=2", "b=3"), headers, body),
        "a header that is signed": lambda target, headers, body: (target, headers | {"content-type": "application/json; x=y"}, body),
        "a signature": lambda target, headers, body: (target, headers | {"authorization": headers["authorization"][:-1] + "x"}, body),
    }
    for what, change in tampered.items():
        seen = asked("list", on_way=change)
        check(refused(seen, "SignatureDoesNotMatch"), f"{what} that was changed on its way is refused by moto", seen)
    good = asked("list")
    check([status for status, _ in good] == [200], "and one that was not is still taken", good)
    token = asked("list", on_way=lambda target, headers, body: (target, headers | {"x-amz-security-token": "another"}, body))
    check(refused(token, "InvalidClientTokenId"), "another session token is refused by moto", token)
    without_signature(1)
    mangled = asked("altered", on_return=lambda answer: re.sub(rb"(<SecretAccessKey>).", rb"\1_", answer) if b"role/Reports" in answer or b"assumed-role/Reports" in answer else answer)
    check(refused(mangled, "SignatureDoesNotMatch"), "with another secret than moto issued, nothing is taken", mangled)


def audit():
    with open(f"{RUN}/audit.jsonl") as file:
        text = file.read()
    issued = [session[name] for session in told("issued") for name in ("secret", "token")]
    check(text and not any(secret in text for secret in issued + [ALICE, BOB]), "no key and no token stands in the audit log")


signatures()
endpoints()
limits()
emulation()
field_by_field(through_the_gateway())
moto()
delivered_to_moto()
audit()
print(f"{sum(RESULTS)} passed, {len(RESULTS) - sum(RESULTS)} failed")
sys.exit(0 if all(RESULTS) else 1)
