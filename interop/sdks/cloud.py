"""An emulated cloud that looks at what it is sent: whose bearer token, whose signature.

`GET /who` says whose token came along. Anything that is signed is answered as AWS STS answers GetCallerIdentity, after the
signature was made again with botocore and compared.
"""

import http.server
import re
import threading

import botocore.auth
import botocore.awsrequest
import botocore.credentials


class Cloud:
    def __init__(self):
        self.tokens = {}  # token -> whose
        self.keys = {}  # access key id -> (whose, secret key, session token)
        outer = self

        class Request(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                scheme, _, token = self.headers.get("authorization", "").partition(" ")
                whose = outer.tokens.get(token) if scheme == "Bearer" else None
                self.answer(200 if whose else 401, whose or "nobody", "text/plain")

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if (given := outer.issue(self.path, body)) is not None:
                    self.answer(*given)
                    return
                whose = outer.signer(self, body)
                if whose is None:
                    text = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>"
                    self.answer(403, text, "text/xml")
                    return
                text = (
                    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                    f"<GetCallerIdentityResult><Arn>{whose}</Arn><UserId>u</UserId><Account>123456789012</Account>"
                    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
                )
                self.answer(200, text, "text/xml")

            def answer(self, status, text, kind):
                body = text.encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def issue(self, path, body):
        """What a token service answers; None for whatever is no question to one."""
        return None

    def signer(self, request, body):
        """Whose keys signed this; None when nobody's did, or not this."""
        sent = request.headers.get("authorization", "")
        parts = re.match(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, "
            r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$",
            sent,
        )
        if not parts or parts[1] not in self.keys:
            return None
        whose, secret, session = self.keys[parts[1]]
        if request.headers.get("x-amz-security-token") != session:
            return None
        auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials(parts[1], secret, session), parts[3], parts[2])
        headers = {name: request.headers[name] for name in parts[4].split(";")}
        again = botocore.awsrequest.AWSRequest("POST", self.url + request.path, headers=headers, data=body)
        again.context["timestamp"] = request.headers["x-amz-date"]
        signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
        return whose if signature == parts[5] else None
