"""A server that uses Google's library as its documentation says. It knows nothing of whoever runs it.

    as_google.py CLOUD      reads what to do from its input, a line each
"""

import json
import sys

import google.auth
import google.oauth2.id_token
from google.auth.transport.requests import AuthorizedSession, Request

CLOUD = sys.argv[1]
STATE = {}


def who():
    if "session" not in STATE:
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        STATE["credentials"], STATE["project"] = google.auth.default(scopes=scopes)
        STATE["session"] = AuthorizedSession(STATE["credentials"])
    answer = STATE["session"].get(f"{CLOUD}/who", timeout=10)
    return {
        "who": answer.text,
        "project": STATE["project"],
        "account": STATE["credentials"].service_account_email,
        "universe": STATE["credentials"].universe_domain,
    }


def identity(audience):
    return {"token": google.oauth2.id_token.fetch_id_token(Request(), audience)}


for line in sys.stdin:
    verb, *arguments = line.split()
    try:
        answer = {"who": who, "identity": identity}[verb](*arguments)
    except Exception as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
