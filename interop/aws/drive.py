"""Asks the gateway, our emulation of AWS, and moto; botocore judges.

    drive.py EQUIPMENT GATEWAY STS TOLD MOTO BETWEEN RUN        (ALICE and BOB: their tokens)

Prints a line for everything that holds and ends with `N passed, M failed`.
"""

from emulation import emulation
from gateway import field_by_field, through_the_gateway
from judging import check, finish
from on_moto import delivered_to_moto, moto
from place import ALICE, BOB, RUN, sessions
from sigv4 import endpoints, limits, signatures


def audit():
    with open(f"{RUN}/audit.jsonl") as file:
        text = file.read()
    issued = [session[name] for session in sessions() for name in ("secret", "token")]
    check(text and not any(secret in text for secret in issued + [ALICE, BOB]), "no key and no token stands in the audit log")


signatures()
endpoints()
limits()
emulation()
field_by_field(through_the_gateway())
moto()
delivered_to_moto()
audit()
finish()
