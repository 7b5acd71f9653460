"""google-auth asks our emulation of Google for the same as the gateway does; it judges both."""

import json
import unittest.mock
import urllib.parse

import google.auth.exceptions
import google.auth.transport.requests
import jwt
from google.auth import identity_pool, impersonated_credentials
from judging import Session, asked, check, fetched, form, header

POOL = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/corp/providers/idp"
WORKFORCE = "//iam.googleapis.com/locations/global/workforcePools/corp/providers/idp"
ACCOUNT = "analyst@p.iam.gserviceaccount.com"
BIGQUERY = "https://www.googleapis.com/auth/bigquery"
PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
SERVICE = "https://service.run.app"
# google-auth's own account of itself.
ONLY_THEIRS = {"x-goog-api-client", "x-allowed-locations"}


class GoogleSts:
    def __init__(self, gateway, equipment, run, backend):
        self.gateway, self.equipment, self.run, self.backend = gateway, equipment, run, backend
        self.request = google.auth.transport.requests.Request()

    def token(self, user):
        return fetched(f"{self.equipment['told']}/token?user={user}")

    def noted(self, ask, where="google"):
        before = len(asked(f"{self.equipment['told']}/{where}"))
        answer = ask()
        return answer, asked(f"{self.equipment['told']}/{where}")[before:]

    def file(self, user, **more):
        """An ADC file for a caller, and credentials of it."""
        subject = f"{self.run}/subject-{user}"
        with open(subject, "w") as file:
            file.write(self.token(user))
        info = {
            "type": "external_account", "audience": POOL, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.equipment['google']}/v1/token", "credential_source": {"file": subject},
        }
        return identity_pool.Credentials.from_info(info | more, scopes=[BIGQUERY])

    def impersonated(self, user):
        url = f"{self.equipment['google']}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
        return self.file(user, service_account_impersonation_url=url, service_account_impersonation={"token_lifetime_seconds": 900})

    def ours(self, server, user, where="google"):
        # The token that google-auth reads from its file is another one, of the same person.
        return self.noted(lambda: Session(self.gateway, server, self.token(user)).open(), where)

    def judge(self):
        self.federation()
        self.impersonation()
        self.id_tokens()
        self.workforce()
        self.refusals()

    def federation(self):
        credentials = self.file("alice")
        _, theirs = self.noted(lambda: credentials.refresh(self.request))
        check(self.principal(credentials.token).endswith("/corp/subject/alice") and credentials.valid, "google-auth gets a token of the pool for alice, and believes it for an hour", credentials.expiry)
        answer, ours = self.ours("federated", "alice")
        check("result" in answer and self.principal(self.backend.tokens[-1]).endswith("/corp/subject/alice"), "the gateway gets one for the same principal", answer)
        self.exchanged("federated", theirs, ours)

    def impersonation(self):
        credentials = self.impersonated("alice")
        _, theirs = self.noted(lambda: credentials.refresh(self.request))
        check(self.principal(credentials.token) == ACCOUNT, "google-auth acts as the service account", self.principal(credentials.token))
        answer, ours = self.ours("impersonated", "alice")
        check("result" in answer and self.principal(self.backend.tokens[-1]) == ACCOUNT, "and so does the gateway", answer)
        self.exchanged("impersonated, first", theirs[:1], ours[:1])
        self.called("generateAccessToken", theirs[1:], ours[1:], {"scope": [BIGQUERY], "lifetime": "900s"})

    def id_tokens(self):
        source = impersonated_credentials.Credentials(self.file("alice"), ACCOUNT, [BIGQUERY])
        credentials = impersonated_credentials.IDTokenCredentials(source, target_audience=SERVICE, include_email=True)
        # Its address is fixed.
        endpoint = self.equipment["google"] + "/v1/projects/-/serviceAccounts/{}:generateIdToken"
        with unittest.mock.patch("google.auth.iam._IAM_IDTOKEN_ENDPOINT", endpoint):
            _, theirs = self.noted(lambda: credentials.refresh(self.request))
        answer, ours = self.ours("identified", "alice")
        tokens = [credentials.token, self.backend.tokens[-1]]
        said = [jwt.decode(token, jwt.PyJWKClient(f"{self.equipment['google']}/certs").get_signing_key_from_jwt(token).key, algorithms=["ES256"], audience=SERVICE)
                for token in tokens]
        check(said[0]["email"] == said[1]["email"] == ACCOUNT, "google-auth and the gateway get ID tokens of the service account for the same audience", (answer, said))
        last = [[seen for seen in seen_by if seen["target"].endswith(":generateIdToken")] for seen_by in (theirs, ours)]
        self.called("generateIdToken", *last, {"audience": SERVICE, "includeEmail": True})

    def workforce(self):
        more = {"audience": WORKFORCE, "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
                "token_url": f"{self.equipment['workforce']}/v1/token", "workforce_pool_user_project": "123"}
        credentials = self.file("alice", **more).with_scopes([PLATFORM])
        _, theirs = self.noted(lambda: credentials.refresh(self.request), "workforce")
        answer, ours = self.ours("workforce", "alice", "workforce")
        check("result" in answer and credentials.valid, "both get a token of a workforce pool", answer)
        self.exchanged("workforce", theirs, ours)

    def refusals(self):
        credentials = self.file("bob")
        try:
            credentials.refresh(self.request)
            seen = "granted"
        except google.auth.exceptions.OAuthError as error:
            seen = str(error)
        check("unauthorized_client" in seen and "attribute condition" in seen, "google-auth reads why the pool does not let bob in", seen)
        self.refused("federated", "bob", "unauthorized_client")
        credentials = self.impersonated("carol")
        try:
            credentials.refresh(self.request)
            seen = "granted"
        except google.auth.exceptions.RefreshError as error:
            seen = str(error)
        check("iam.serviceAccounts.getAccessToken" in seen and "PERMISSION_DENIED" in seen, "google-auth reads that carol may not act as the service account", seen)
        self.refused("impersonated", "carol", "PERMISSION_DENIED")

    def refused(self, server, user, word):
        answer = Session(self.gateway, server, self.token(user)).open()
        with open(f"{self.run}/audit.jsonl") as file:
            details = [line.get("detail", "") for line in map(json.loads, file) if line["server"] == server and line["principal"]["subject"] == user]
        code = answer.get("error", {}).get("data", {}).get("code")
        check(code == "SC-C02" and details and word in details[-1], f"and so does the gateway: {code}, with {word} in the log", (answer, details))

    def principal(self, token):
        """Whom Google's APIs take the bearer for."""
        query = urllib.parse.urlencode({"access_token": token})
        return fetched(f"{self.equipment['google']}/tokeninfo?{query}")["sub"]

    def exchanged(self, who, theirs, ours):
        if len(theirs) != 1 or len(ours) != 1:
            return check(False, f"{who}: one exchange each", (theirs, ours))
        self.line(who, theirs[0], ours[0])
        theirs, ours = form(theirs[0]), form(ours[0])
        # google-auth encodes `options` once more than Google's other libraries and we do; Google reads both.
        options = [json.loads(urllib.parse.unquote(fields.pop("options", "null"))) for fields in (theirs, ours)]
        check(options[0] == options[1], f"{who}: the options are ours" if options[0] else f"{who}: no options, as ours", options)
        subjects = [jwt.decode(fields.pop("subject_token"), options={"verify_signature": False}) for fields in (theirs, ours)]
        check(subjects[0]["sub"] == subjects[1]["sub"] and theirs == ours, f"{who}: every other field is ours", (theirs, ours))

    def called(self, method, theirs, ours, expected):
        if len(theirs) != 1 or len(ours) != 1:
            return check(False, f"{method}: one call each", (theirs, ours))
        self.line(method, theirs[0], ours[0])
        theirs, ours = (json.loads(seen["body"]) for seen in (theirs[0], ours[0]))
        # No delegates are an empty list, null, or nothing at all.
        check(not theirs.pop("delegates", None) and not ours.pop("delegates", None) and theirs == ours == expected, f"{method}: the same body as ours", (theirs, ours))

    def line(self, who, theirs, ours):
        lines = [(seen["method"], seen["target"], header(seen, "content-type"), (header(seen, "authorization") or "").split(" ")[0]) for seen in (theirs, ours)]
        check(lines[0] == lines[1], f"{who}: method, path, media type and scheme are ours", lines)
        names = [{name for name, _ in seen["headers"] if name.startswith("x-")} for seen in (theirs, ours)]
        check(names[0] <= ONLY_THEIRS and not names[1], f"{who}: only google-auth tells what it is", names)
