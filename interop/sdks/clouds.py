"""Three emulated clouds, at one address: their token services take a user's token of one issuer, check it, and give what
that cloud gives, which is then all that the cloud itself takes (cloud.py).

    clouds.py ISSUER        prints `listening URL`, and serves until it is ended
"""

import json
import secrets
import sys
import threading
import time
import urllib.parse
import urllib.request

import jwt
from cloud import Cloud

# In everything that is issued here, so that it can be looked for.
MARK = "issued-by-cloud"
SECONDS = 3600


class Clouds(Cloud):
    def __init__(self, issuer, audience):
        super().__init__()
        with urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration", timeout=10) as answer:
            keys = json.load(answer)["jwks_uri"]
        self.issuer, self.audience, self.keys_of_issuer = issuer, audience, jwt.PyJWKClient(keys)

    def user(self, token):
        key = self.keys_of_issuer.get_signing_key_from_jwt(token)
        return jwt.decode(token, key.key, algorithms=["ES256"], audience=self.audience, issuer=self.issuer)["sub"]

    def issue(self, path, body):
        form = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace")))
        services = {"/google/token": self.google, "/aws/": self.amazon, "/tenant/oauth2/v2.0/token": self.microsoft}
        # Signed questions are the cloud's, not its token service's.
        if path not in services or form.get("Action") == "GetCallerIdentity":
            return None
        try:
            return services[path](form)
        except (jwt.PyJWTError, KeyError) as error:
            return 400, json.dumps({"error": "invalid_grant", "error_description": repr(error)}), "application/json"

    def bearer(self, user, **more):
        token = f"{MARK}-{secrets.token_hex(16)}"
        self.tokens[token] = user
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": SECONDS, **more}
        return 200, json.dumps(answer), "application/json"

    def google(self, form):
        return self.bearer(
            self.user(form["subject_token"]), issued_token_type="urn:ietf:params:oauth:token-type:access_token"
        )

    def microsoft(self, form):
        return self.bearer(self.user(form["assertion"]), scope=form["scope"])

    def amazon(self, form):
        user = self.user(form["WebIdentityToken"])
        key_id, secret, session = f"ASIA{secrets.token_hex(8).upper()}", f"{MARK}/{secrets.token_hex(16)}", ""
        session = f"{MARK}/session/{key_id}"
        self.keys[key_id] = (user, secret, session)
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + SECONDS))
        role = form["RoleArn"].replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
        text = (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>{user}</SubjectFromWebIdentityToken>"
            f"<Audience>{self.audience}</Audience><Provider>{self.issuer}</Provider><AssumedRoleUser>"
            f"<Arn>{role}/{form['RoleSessionName']}</Arn><AssumedRoleId>AROA:{form['RoleSessionName']}</AssumedRoleId>"
            f"</AssumedRoleUser><Credentials><AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            f"<SessionToken>{session}</SessionToken><Expiration>{end}</Expiration></Credentials>"
            "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
        return 200, text, "text/xml"


if __name__ == "__main__":
    print(f"listening {Clouds(sys.argv[1], 'mcp-gateway').url}", flush=True)
    threading.Event().wait()
