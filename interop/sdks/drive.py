"""Plays servers that use the vendors' SDKs, for two callers at once, against our credential endpoints.

    drive.py DELIVER DIRECTORY

DELIVER is the crate's example of that name. Prints a line for everything that holds and ends with
`N passed, M failed`.
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import time

from cloud import Cloud

DELIVER, DIRECTORY = sys.argv[1:]
HERE = pathlib.Path(__file__).parent
RESULTS = []
HOUR = 3600
GRAPH = "https://graph.microsoft.com"


def check(holds, what, seen=None):
    RESULTS.append(bool(holds))
    print(f"{'ok' if holds else 'FAILED'} - {what}" + ("" if holds else f": {seen}"))


class Lines:
    """A process that is spoken to in lines of JSON."""

    def __init__(self, command, environment=None):
        log = open(pathlib.Path(DIRECTORY) / "stderr.log", "a")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, line):
        self.tell(line)
        return self.hear()

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)


class Endpoints(Lines):
    def order(self, do, name, **more):
        answer = self.ask(json.dumps({"do": do, "name": name, **more}))
        assert "error" not in answer, answer
        return answer


class Server(Lines):
    """One vendor's unmodified server, with no environment but what was given and what Python needs."""

    def __init__(self, name, script, environment, *arguments):
        self.name = name
        self.again = lambda: Server(name, script, environment, *arguments)
        # A home without a vendor's configuration, and a proxy that is not there: endpoints are asked without it.
        home = pathlib.Path(DIRECTORY) / "home"
        home.mkdir(exist_ok=True)
        super().__init__(
            [sys.executable, str(HERE / script), CLOUD.url, *arguments],
            {"HOME": str(home), "PATH": os.environ["PATH"], "HTTP_PROXY": "http://127.0.0.1:1", **environment},
        )

    def who(self, *arguments):
        return self.ask(" ".join(["who", *arguments]))


def token(whose, seconds=HOUR, text=None, **more):
    text = text or f"token-of-{whose}-{len(CLOUD.tokens)}"
    CLOUD.tokens[text] = whose
    return {"token": text, "seconds": seconds, **more}


def keys(whose, seconds=HOUR):
    key_id = f"ASIA{whose.upper()}{len(CLOUD.keys)}"
    CLOUD.keys[key_id] = (whose, f"secret/{key_id}", f"session/{key_id}")
    return {"aws": [key_id, f"secret/{key_id}", f"session/{key_id}"], "seconds": seconds}


def secrets(give):
    return [give["token"]] if "token" in give else give["aws"]


def at_once(servers, rounds=5):
    """Every server asks before any of them is heard; [answers of the first, ...]"""
    answers = [[] for _ in servers]
    for _ in range(rounds):
        for server in servers:
            server.tell("who")
        for server, heard in zip(servers, answers):
            heard.append(server.hear())
    return answers


def two_callers(what, deliver, script, give, *arguments):
    """The first acts as the first and the second as the second. Gives both servers, and their environments."""
    environments, servers = {}, {}
    for name in ("alice", "bob"):
        given = give(name)
        served = ENDPOINTS.order("serve", f"{what} {name}", deliver=deliver, give=given)
        environments[name] = served["environment"]
        clean = all(secret not in value for secret in secrets(given) for value in served["environment"].values())
        check(clean, f"{what}: what {name}'s server is started with holds no credential", served)
        servers[name] = Server(f"{what} {name}", script, served["environment"], *arguments)
    answers = at_once(list(servers.values()))
    for name, heard in zip(servers, answers):
        check(all(one.get("who") == name for one in heard), f"{what}: {name}'s server acts as {name}", heard)
    return servers, environments


def changes(what, server, give, refused):
    """A further call's credential is taken up, one that was taken back is gone; afterwards the server is ended."""
    ENDPOINTS.order("update", server.name, give=give("carol", 100))
    ENDPOINTS.order("update", server.name, give=give("dave", 100))
    fresh = server.again()
    heard = fresh.who()
    check(heard.get("who") == "dave", f"{what}: a further call's credential is what is used", heard)
    before = ENDPOINTS.order("asked", server.name)["asked"]
    ENDPOINTS.order("update", server.name, give=give("erin", 100))
    heard = fresh.who()
    check(heard.get("who") == "erin", f"{what}: one that is about to end is fetched anew by the library", heard)
    for _ in range(10):
        heard = fresh.who()
    asked = ENDPOINTS.order("asked", server.name)["asked"] - before
    check(heard.get("who") == "erin" and asked <= 2, f"{what}: ten uses of it do not hammer the issuer", (heard, asked))
    ENDPOINTS.order("clear", server.name)
    began = time.monotonic()
    heard = fresh.who()
    took = time.monotonic() - began
    check(heard.get("error") in refused, f"{what}: one that was taken back is used no more", heard)
    check(took < 10, f"{what}: and the library says so without long waiting", took)
    fresh.end()
    server.end()


def long_call(what, deliver, script, give, *arguments):
    """Nobody calls, the server works on: the library is given a fresh one, bought once."""
    name = f"{what} long"
    served = ENDPOINTS.order("serve", name, deliver=deliver, give=give("old", 100), then=[give("fresh", HOUR)])
    server = Server(name, script, served["environment"], *arguments)
    heard = [server.who() for _ in range(5)]
    asked = ENDPOINTS.order("asked", name)["asked"]
    check(all(one.get("who") == "fresh" for one in heard), f"{what}: a server that works on gets a fresh one", heard)
    check(asked == 1, f"{what}: which is bought once", asked)
    server.end()


def ended(what, deliver, script, give, refused, *arguments):
    served = ENDPOINTS.order("serve", f"{what} ended", deliver=deliver, give=give("late", 0))
    server = Server(f"{what} ended", script, served["environment"], *arguments)
    heard = server.who()
    check(heard.get("error") in refused, f"{what}: one that has ended is never given", heard)
    server.end()


def stranger(what, deliver, script, give, refused, *arguments):
    """The very environment of another instance is of no use at another address."""
    served = ENDPOINTS.order("serve", f"{what} far", deliver=deliver, give=give("far"), source="127.0.0.2")
    server = Server(f"{what} far", script, served["environment"], *arguments)
    heard = server.who()
    check(heard.get("error") in refused, f"{what}: from another address nothing is given", heard)
    server.end()


def everything(what, deliver, script, give, refused, *arguments):
    servers, environments = two_callers(what, deliver, script, give, *arguments)
    ended(what, deliver, script, give, refused, *arguments)
    long_call(what, deliver, script, give, *arguments)
    changes(what, servers["alice"], give, refused)
    stranger(what, deliver, script, give, refused, *arguments)
    return servers["bob"], environments


def google():
    deliver = {"gcp_metadata": {"project": "analysis", "email": "analyst@analysis.iam.gserviceaccount.com"}}
    refused = ("RefreshError", "TransportError", "DefaultCredentialsError")
    bob, _ = everything("google-auth", deliver, "as_google.py", token, refused)
    heard = bob.who()
    expected = ("bob", "analysis", "analyst@analysis.iam.gserviceaccount.com", "googleapis.com")
    told = tuple(heard.get(name) for name in ("who", "project", "account", "universe"))
    check(told == expected, "google-auth: project, account and universe are those that are configured", heard)

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"aud": "https://orders.example.com", "sub": "bob", "exp": int(time.time()) + HOUR}
    own = f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2ln"
    ENDPOINTS.order("update", bob.name, give=token("bob", text=own))
    heard = bob.ask("identity https://orders.example.com")
    check(heard.get("token") == own, "google-auth: an ID token is given for its own audience", heard)
    heard = bob.ask("identity https://elsewhere.example.com")
    check("error" in heard and own not in str(heard), "google-auth: and for no other", heard)
    bob.end()


def amazon():
    refused = ("CredentialRetrievalError", "MetadataRetrievalError", "NoCredentialsError")
    for what, machine, method in (
        ("boto3, container", False, "container-role"),
        ("boto3, instance metadata", True, "iam-role"),
    ):
        deliver = {"aws_container": {"region": "eu-central-1", "machine": machine}}
        bob, environments = everything(what, deliver, "as_amazon.py", keys, refused)
        heard = bob.who()
        check(heard == {"who": "bob", "region": "eu-central-1"}, f"{what}: the region is the configured one", heard)
        bob.ask("holds")
        ENDPOINTS.order("update", bob.name, give=keys("bob", 420))
        again = bob.again()
        again.who()
        heard = again.ask("holds")
        told = heard.get("method") == method and 360 < heard.get("seconds", 0) <= 420
        check(told, f"{what}: the library believes the true end", heard)
        again.end()
        bob.end()
        if not machine:
            mixed = {**environments["bob"]}
            name = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
            mixed[name] = environments["alice"][name]
            other = Server("mixed", "as_amazon.py", mixed)
            heard = other.who()
            check(heard.get("error") in refused, f"{what}: another instance's secret opens nothing", heard)
            other.end()


def microsoft():
    deliver = {"azure_identity": {"resources": [GRAPH]}}
    for what, library, refused in (
        (
            "azure-identity, ManagedIdentityCredential",
            "managed",
            ("CredentialUnavailableError", "ServiceRequestError", "ServiceResponseError"),
        ),
        (
            "azure-identity, DefaultAzureCredential",
            "default",
            ("ClientAuthenticationError", "CredentialUnavailableError"),
        ),
        ("msal", "msal", ("invalid_scope", "ConnectionError")),
    ):
        bob, environments = everything(what, deliver, "as_microsoft.py", token, refused, library)
        heard = bob.who("https://vault.azure.net")
        check(heard.get("error") in refused, f"{what}: a token for another resource is not given", heard)
        heard = bob.who(GRAPH)
        check(heard.get("who") == "bob", f"{what}: and its own is, still", heard)
        bob.end()
        mixed = {**environments["bob"], "IDENTITY_HEADER": environments["alice"]["IDENTITY_HEADER"]}
        other = Server("mixed", "as_microsoft.py", mixed, library)
        heard = other.who()
        check(heard.get("error") in refused, f"{what}: another instance's secret opens nothing", heard)
        other.end()


CLOUD = Cloud()
ENDPOINTS = Endpoints([DELIVER])
google()
amazon()
microsoft()
ENDPOINTS.end()
passed = sum(RESULTS)
print(f"{passed} passed, {len(RESULTS) - passed} failed")
sys.exit(0 if passed == len(RESULTS) else 1)
