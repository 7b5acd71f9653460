"""Lets the vendors' own libraries and the gateway ask our emulations of Entra and Google for the same, and compares.

    drive.py GATEWAY BACKEND EQUIPMENT RUN        (EQUIPMENT: what the example `vendors` printed)

Prints a line for everything that holds and ends with `N passed, M failed`.
"""

import logging
import sys

from backend import Backend
from entra import Entra
from google_sts import GoogleSts
from judging import Session, check, finish

GATEWAY, BACKEND, EQUIPMENT, RUN = sys.argv[1:]

# Refusals are looked at here; azure-identity need not print them.
logging.getLogger("azure").setLevel(logging.CRITICAL)
with open(EQUIPMENT) as file:
    equipment = dict(line.split() for line in file)
backend = Backend(BACKEND)
Entra(GATEWAY, equipment, RUN, backend).judge()
GoogleSts(GATEWAY, equipment, RUN, backend).judge()
with open(f"{RUN}/audit.jsonl") as file:
    text = file.read()
with open(f"{RUN}/secret") as file:
    secrets = [file.read(), *backend.tokens, *Session.tokens]
check(len(secrets) > 20 and text and not any(secret in text for secret in secrets), "no secret and no token stands in the audit log")
finish()
