"""Reads what the official suite found in one client scenario.

    judge.py SCENARIO FOLDER HELD

HELD is a file that the driver writes last, when all calls went as they must. Everything that the suite marks as a failure or a warning is one, and the checks that are the scenario's point must be
there, each a success. Ends with `RESULT PASSED FAILED`.
"""

import glob
import json
import os
import sys

SCENARIO, FOLDER, HELD = sys.argv[1:]

# The point of each scenario: without these it passes for a client that does nothing.
POINT = {
    "auth/client-credentials-basic": ["client-credentials-basic-auth", "token-request"],
    "auth/client-credentials-jwt": ["client-credentials-jwt-verified", "token-request"],
    "auth/enterprise-managed-authorization": [
        "complete-flow-token-exchange",
        "complete-flow-jwt-bearer",
        "valid-bearer-token",
    ],
    "auth/wif-jwt-bearer": ["wif-assertion-verified", "valid-bearer-token"],
    "auth/dpop": ["sep-1932-client-dpop-auth-scheme", "sep-1932-client-fresh-proof"],
    "auth/dpop-nonce": [
        "sep-1932-client-dpop-auth-scheme",
        "sep-1932-client-fresh-proof",
        "sep-1932-client-rs-nonce",
    ],
}

# Checks that look at `grant_type=authorization_code` and at nothing else: the gateway has no browser and never asks for
# a code, so they cannot be met, and are neither passed nor failed. What they stand for is looked at below: the suite's
# server issues a bound token for a good proof only (and, with nonces, for one that holds its nonce), and
# `sep-1932-client-fresh-proof` compares the token's key with that of the proofs.
BLIND = {
    "auth/dpop": ["sep-1932-client-token-request-proof"],
    "auth/dpop-nonce": ["sep-1932-client-token-request-proof", "sep-1932-client-as-nonce"],
}


def answers_of_the_token_endpoint(checks):
    """(status, body) of each answer that the suite's authorization server logged for /token, in order."""
    answers = []
    for check in checks:
        details = check.get("details") or {}
        if check["id"] == "outgoing-auth-response" and details.get("path") == "/token":
            body = details.get("body") or {}
            answers.append((details.get("statusCode"), json.loads(body) if isinstance(body, str) else body))
    return answers


def main():
    files = glob.glob(f"{FOLDER}/**/checks.json", recursive=True)
    if len(files) != 1:
        print(f"FAILED - {SCENARIO}: the suite wrote {len(files)} results")
        print("RESULT 0 1")
        return
    with open(files[0], encoding="utf-8") as file:
        checks = json.load(file)
    passed, failed = 0, []
    blind = BLIND.get(SCENARIO, [])
    for check in checks:
        if check["id"] in blind:
            print(f"not judged - {SCENARIO}: {check['id']} looks at authorization_code only")
        elif check["status"] == "SUCCESS":
            passed += 1
        elif check["status"] in ("FAILURE", "WARNING"):
            failed.append(f"{check['id']}: {check.get('errorMessage') or check.get('description')}")
    found = {check["id"] for check in checks if check["status"] == "SUCCESS"}
    failed += [f"{point}: not among the successes" for point in POINT[SCENARIO] if point not in found]
    if not os.path.exists(HELD):
        failed.append("the driver did not come to its end")
    if blind:
        seen = [(status, body.get("error") or body.get("token_type")) for status, body in answers_of_the_token_endpoint(checks)]
        wanted = [(200, "DPoP")]
        if SCENARIO == "auth/dpop-nonce":
            wanted.insert(0, (400, "use_dpop_nonce"))
        if seen == wanted:
            passed += 1
            print(f"ok - {SCENARIO}: the token endpoint answered {seen}")
        else:
            failed.append(f"the token endpoint answered {seen}, not {wanted}")
    for why in failed:
        print(f"FAILED - {SCENARIO}: {why}")
    if not failed:
        print(f"ok - {SCENARIO}: {passed} checks, among them {', '.join(POINT[SCENARIO])}")
    print(f"RESULT {passed} {len(failed)}")


main()
