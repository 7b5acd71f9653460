"""MSAL and azure-identity ask our emulation of Entra for the same as the gateway does; they judge both."""

import base64
import json
import re
import urllib.parse

import azure.core.exceptions
import azure.identity
import jwt
import msal
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from judging import Session, asked, check, fetched, form, header

SCOPE = "https://graph.microsoft.com/User.Read"
MAIL = "https://graph.microsoft.com/Mail.Read"
IDS = {name: f"2f1e7d7a-0f5c-4c5e-9a53-d2b6d7a3c00{number}" for number, name in enumerate(["secret", "certificate", "assertion"], 1)}
# What only Microsoft's libraries send, besides the scopes: they want the account in the answer, for their own cache.
ONLY_THEIRS = {"client_info": "1"}
SCOPES_OF_THEIRS = {"openid", "profile", "offline_access"}


class Entra:
    def __init__(self, gateway, equipment, run, backend):
        self.gateway, self.equipment, self.run, self.backend = gateway, equipment, run, backend
        self.authority = equipment["authority"]
        self.pem = self.file("key.pem") + self.file("certificate.pem")
        self.certificate = x509.load_pem_x509_certificate(self.file("certificate.pem").encode())

    def file(self, name):
        with open(f"{self.run}/{name}") as file:
            return file.read()

    def login(self, user, application, acrs=None):
        query = {"user": user, "application": application} | ({"acrs": acrs} if acrs else {})
        return fetched(f"{self.equipment['told']}/login?{urllib.parse.urlencode(query)}")

    def protect(self, acrs=None):
        fetched(f"{self.equipment['told']}/protect" + (f"?acrs={acrs}" if acrs else ""))

    def requests(self):
        return [seen for seen in asked(f"{self.equipment['told']}/entra") if seen["method"] == "POST"]

    def noted(self, ask):
        """What came of it, and the requests for tokens meanwhile."""
        before = len(self.requests())
        answer = ask()
        return answer, self.requests()[before:]

    def msal(self, application, credential, **more):
        return msal.ConfidentialClientApplication(
            application, credential, authority=f"{self.authority}/{self.equipment['tenant']}", instance_discovery=False, **more)

    def azure(self, application, token, **credential):
        return azure.identity.OnBehalfOfCredential(
            self.equipment["tenant"], application, user_assertion=token, authority=self.authority, disable_instance_discovery=True,
            **credential)

    def ours(self, server, token):
        return self.noted(lambda: Session(self.gateway, server, token).open())

    def judge(self):
        thumbprint = self.certificate.fingerprint(hashes.SHA1()).hex()
        key, assertion = self.file("key.pem"), self.file("assertion")
        proofs = [
            ("secret", self.file("secret"), {"client_secret": self.file("secret")}),
            ("certificate", {"private_key": key, "thumbprint": thumbprint}, {"client_certificate": self.pem.encode()}),
            ("assertion", {"client_assertion": lambda: assertion}, {"client_assertion_func": lambda: assertion}),
        ]
        for name, credential, of_azure in proofs:
            self.same(name, credential, of_azure)
        self.by_sha256(key)
        self.challenges()
        self.refusals()

    def same(self, name, credential, of_azure):
        token = self.login("alice", IDS[name])
        answer, ours = self.ours(name, token)
        self.arrived(name, answer)
        got, theirs = self.noted(lambda: self.msal(IDS[name], credential).acquire_token_on_behalf_of(token, [SCOPE]))
        self.acts(f"MSAL ({name})", got.get("access_token"), got)
        self.compared(f"MSAL ({name})", theirs, ours)
        got, theirs = self.noted(lambda: self.azure(IDS[name], token, **of_azure).get_token(SCOPE))
        self.acts(f"azure-identity ({name})", got.token, got)
        self.compared(f"azure-identity ({name})", theirs, ours)

    def claims(self, token):
        """As an API behind would check them."""
        keys = jwt.PyJWKClient(f"{self.authority}/{self.equipment['tenant']}/discovery/v2.0/keys")
        key = keys.get_signing_key_from_jwt(token).key
        return jwt.decode(token, key, algorithms=["RS256"], audience="https://graph.microsoft.com")

    def arrived(self, name, answer):
        good = "result" in answer and self.claims(self.backend.tokens[-1])
        check(good and good["oid"] == "oid-of-alice" and good["appid"] == IDS[name], f"the gateway ({name}) acts for alice at the API behind", answer)

    def acts(self, who, token, seen):
        good = token and self.claims(token)
        check(good and good["oid"] == "oid-of-alice", f"{who} gets a token for the same", seen)

    def compared(self, who, theirs, ours):
        """One request each, the same field by field, up to the differences that are named here."""
        if not check_one(who, theirs, ours):
            return
        (theirs,), (ours,) = theirs, ours
        line = [(seen["method"], seen["target"], header(seen, "content-type").split(";")[0], header(seen, "authorization")) for seen in (theirs, ours)]
        check(line[0] == line[1], f"{who}: method, path and media type are ours", line)
        theirs, ours = form(theirs), form(ours)
        extra = set(theirs.pop("scope").split()) - set(ours["scope"].split())
        check(extra == SCOPES_OF_THEIRS and ours.pop("scope") == SCOPE, f"{who}: the scope is ours, and those of OpenID beside it", extra)
        shown = [fields.pop("client_assertion", None) for fields in (theirs, ours)]
        only = {name: theirs.pop(name) for name in set(theirs) - set(ours)}
        check(only == ONLY_THEIRS and theirs == ours, f"{who}: every other field is ours, but for client_info", (only, theirs, ours))
        if "client_assertion_type" in ours:
            self.proven(who, *shown)

    def proven(self, who, theirs, ours):
        if theirs == ours:
            return check(True, f"{who}: the client's assertion is ours")
        head = [jwt.get_unverified_header(assertion) for assertion in (theirs, ours)]
        thumbprint = "x5t" if "x5t" in head[0] else "x5t#S256"
        check(head[0]["typ"] == head[1]["typ"] and head[0][thumbprint].rstrip("=") == head[1][thumbprint], f"{who}: the certificate has the same {thumbprint} in ours, without padding (RFC 7515)", head)
        key = self.certificate.public_key()
        said = [jwt.decode(assertion, key, algorithms=["RS256", "PS256"], audience=f"{self.authority}/{self.equipment['tenant']}/oauth2/v2.0/token")
                for assertion in (theirs, ours)]
        same = all(said[0][name] == said[1][name] for name in ("aud", "iss", "sub"))
        lifetimes = [claims["exp"] - claims["iat"] for claims in said]
        check(same and set(said[0]) <= set(said[1]), f"{who}: ours claims the same, verified by PyJWT", said)
        check(lifetimes[1] <= lifetimes[0], f"{who}: ours lives no longer", lifetimes)

    def by_sha256(self, key):
        token = self.login("alice", IDS["certificate"])
        credential = {"private_key": key, "public_certificate": self.file("certificate.pem")}
        got, theirs = self.noted(lambda: self.msal(IDS["certificate"], credential).acquire_token_on_behalf_of(token, [SCOPE]))
        self.acts("MSAL (certificate, SHA-256)", got.get("access_token"), got)
        # A login of its own, or the gateway would have the token still.
        _, ours = self.ours("certificate", self.login("carol", IDS["certificate"]))
        if check_one("MSAL (certificate, SHA-256)", theirs, ours):
            self.proven("MSAL (certificate, SHA-256)", form(theirs[0])["client_assertion"], form(ours[0])["client_assertion"])

    def challenges(self):
        """Claims that the API behind wants: the gateway asks for what MSAL asks for."""
        wanted = '{"access_token":{"acrs":{"essential":true,"value":"c2"}}}'
        token = self.login("alice", IDS["secret"], "c2")
        app = self.msal(IDS["secret"], self.file("secret"), client_capabilities=["cp1"])
        _, first = self.noted(lambda: app.acquire_token_on_behalf_of(token, [SCOPE]))
        got, second = self.noted(lambda: app.acquire_token_on_behalf_of(token, [SCOPE], claims_challenge=wanted))
        self.backend.challenge("c2", wanted)
        answer, ours = self.ours("capable", token)
        self.backend.challenge(None, None)
        check("result" in answer and self.claims(self.backend.tokens[-1])["acrs"] == ["c2"], "the gateway meets a claims challenge of the API behind", answer)
        theirs = [json.loads(form(seen)["claims"]) for seen in first + second]
        ours = [json.loads(form(seen)["claims"]) for seen in ours]
        check(len(ours) == 2 and theirs == ours, "and says in `claims` what MSAL says, before it and after it", (theirs, ours))
        check("access_token" in got and got["expires_in"] == 86400, "which takes the day-long token of continuous evaluation", got)

    def refusals(self):
        token = self.login("bob", IDS["secret"])
        app = self.msal(IDS["secret"], self.file("secret"))
        good = app.acquire_token_on_behalf_of(token, [SCOPE])
        check("access_token" in good, "bob is acted for, too", good)
        self.protect("c1")
        refused = app.acquire_token_on_behalf_of(token, [SCOPE])
        sent = Session(self.gateway, "secret", token)
        answer = sent.send("POST", {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": sent.hello()})
        challenge = answer.headers["www-authenticate"] or ""
        told = re.search(r'claims="([^"]+)"', challenge)
        claims = refused.get("claims")
        read = (refused.get("error"), refused.get("suberror"), refused.get("error_codes"))
        check(read == ("interaction_required", "basic_action", [50076]) and claims, "MSAL reads that a better login is wanted", refused)
        same = told and json.loads(base64.b64decode(told[1])) == json.loads(claims or "null")
        check(answer.status == 401 and 'error="insufficient_claims"' in challenge and same, "and the gateway's caller is told the same claims", (answer.status, challenge))
        try:
            seen = self.azure(IDS["secret"], token, client_secret=self.file("secret")).get_token(SCOPE)
        except azure.core.exceptions.ClientAuthenticationError as error:
            seen = error.message
        check("AADSTS50076" in str(seen), "azure-identity raises it as a ClientAuthenticationError", seen)
        self.protect()

        refused = app.acquire_token_on_behalf_of(token, [MAIL])
        read = (refused.get("error"), refused.get("suberror"), refused.get("error_codes"))
        check(read == ("invalid_grant", "consent_required", [65001]), "MSAL reads that consent is wanted", refused)
        self.refused("unconsented", token, "SC-C02", "AADSTS65001")
        refused = self.msal(IDS["secret"], "not-the-secret").acquire_token_on_behalf_of(token, [SCOPE])
        check((refused.get("error"), refused.get("error_codes")) == ("invalid_client", [7000215]), "MSAL reads that the secret is wrong", refused)
        self.refused("mistaken", token, "SC-C05", "AADSTS7000215")

    def refused(self, server, token, code, number):
        answer = Session(self.gateway, server, token).open()
        with open(f"{self.run}/audit.jsonl") as file:
            detail = next((line for line in map(json.loads, file) if line["server"] == server), {}).get("detail", "")
        check(answer.get("error", {}).get("data", {}).get("code") == code and number in detail, f"and so does the gateway: {code}, {number} in the log", (answer, detail))


def check_one(who, theirs, ours):
    if len(theirs) == len(ours) == 1:
        return True
    return check(False, f"{who}: one request each", (theirs, ours))
