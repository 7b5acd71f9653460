"""A server that uses Amazon's library as its documentation says. It knows nothing of whoever runs it.

    as_amazon.py CLOUD      reads what to do from its input, a line each
"""

import json
import sys

import boto3

CLOUD = sys.argv[1]
STATE = {}


def who():
    if "sts" not in STATE:
        STATE["session"] = boto3.Session()
        STATE["sts"] = STATE["session"].client("sts", endpoint_url=CLOUD)
    return {"who": STATE["sts"].get_caller_identity()["Arn"], "region": STATE["session"].region_name}


def holds():
    """How many seconds the library thinks that its keys hold."""
    credentials = STATE["session"].get_credentials()
    credentials.get_frozen_credentials()
    return {"method": credentials.method, "seconds": credentials._seconds_remaining()}


for line in sys.stdin:
    try:
        answer = {"who": who, "holds": holds}[line.strip()]()
    except Exception as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
