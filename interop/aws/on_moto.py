"""moto with authentication switched on: it verifies the gateway's signatures, and the rights of the roles."""

import json
import re
import urllib.request

import boto3
from between import Between
from botocore.config import Config
from judging import Session, check, header
from place import ALICE, BETWEEN, BOB, GATEWAY, MOTO, RUN, code
from sigv4 import verified

BORDER = Between(BETWEEN, MOTO)


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
    answer = Session(GATEWAY, "moto", ALICE).open()
    check("result" in answer, "moto takes the gateway's web identity, verifies its signature and lets alice into the second role", answer)
    without_signature(1)
    refused = Session(GATEWAY, "moto", BOB).open()
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
    check(seen and all(verified(one, secrets) for one in seen), "the MCP server was asked with signatures by moto's keys, which botocore computes, too")
    check(all(header(one, "x-amz-security-token") == alices["session_token"] for one in seen), "and by nobody's but alice's")


def delivered_to_moto():
    """A service of moto in the place of the MCP server: whether what we sign arrives is said by the one who checks it."""
    def asked(server, on_way=None, on_return=None):
        BORDER.leave()
        BORDER.on_way, BORDER.on_return = on_way or BORDER.on_way, on_return or BORDER.on_return
        BORDER.passed.clear()
        Session(GATEWAY, server, ALICE).open()
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
