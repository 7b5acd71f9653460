"""Our emulation of AWS, as boto3 finds it."""

import datetime
import os
import subprocess
import sys
import xml.etree.ElementTree

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from judging import check, fetched
from place import ALICE, POLICY, ROLE, RUN, STS, TOLD, as_keys


def sts(**more):
    return boto3.client("sts", endpoint_url=STS, region_name="eu-central-1", config=Config(retries={"max_attempts": 0}), **more)


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
    fetched(f"{TOLD}/end")
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
