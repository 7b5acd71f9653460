"""Where everything is, as `drive.py` was told, and what several parts need of AWS."""

import os
import sys

from botocore.exceptions import ClientError
from judging import asked, fetched

EQUIPMENT, GATEWAY, STS, TOLD, MOTO, BETWEEN, RUN = sys.argv[1:]
ALICE, BOB = os.environ["ALICE"], os.environ["BOB"]
ROLE = "arn:aws:iam::123456789012:role/{}"
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


def requests(what):
    """Those that our token service (`sts`) or our MCP server in AWS (`mcp`) received."""
    return asked(f"{TOLD}/{what}")


def sessions():
    """The sessions that our token service has issued keys for."""
    return fetched(f"{TOLD}/issued")


def as_keys(credentials):
    return {"aws_access_key_id": credentials["AccessKeyId"], "aws_secret_access_key": credentials["SecretAccessKey"], "aws_session_token": credentials["SessionToken"]}


def code(asking, **arguments):
    try:
        asking(**arguments)
        return "granted"
    except ClientError as error:
        return error.response["Error"]["Code"]
