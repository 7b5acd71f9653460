"""A server that uses Microsoft's libraries as their documentation says. It knows nothing of whoever runs it.

    as_microsoft.py CLOUD LIBRARY      LIBRARY is default, managed or msal; reads what to do from its input, a line each
"""

import json
import sys

import azure.identity
import msal
import requests

CLOUD, LIBRARY = sys.argv[1:]
CREDENTIAL = {
    "default": azure.identity.DefaultAzureCredential,
    "managed": azure.identity.ManagedIdentityCredential,
    "msal": lambda: msal.ManagedIdentityClient(
        msal.SystemAssignedManagedIdentity(), http_client=requests.Session()
    ),
}[LIBRARY]()


def who(resource="https://graph.microsoft.com"):
    if LIBRARY == "msal":
        result = CREDENTIAL.acquire_token_for_client(resource=resource)
        if "access_token" not in result:
            return result
        token = result["access_token"]
    else:
        token = CREDENTIAL.get_token(f"{resource}/.default").token
    answer = requests.get(f"{CLOUD}/who", headers={"authorization": f"Bearer {token}"}, timeout=10)
    return {"who": answer.text}


for line in sys.stdin:
    verb, *arguments = line.split()
    try:
        answer = {"who": who}[verb](*arguments)
    except Exception as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
