"""An MCP server, as small as one can be: it notes with what token it is asked, and sends claims challenges when told to."""

import base64
import http.server
import json
import threading

import jwt


class Backend:
    def __init__(self, address):
        self.tokens = []
        # The context (`acrs`) that a token must have, and the claims that say so.
        self.wants, self.claims = None, None
        host, port = address.split(":")
        self.server = http.server.ThreadingHTTPServer((host, int(port)), self._answers())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def challenge(self, context, claims):
        self.wants, self.claims = context, claims

    def _answers(backend):
        class Answers(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                token = self.headers["authorization"].removeprefix("Bearer ")
                backend.tokens.append(token)
                if backend.wants and backend.wants not in jwt.decode(token, options={"verify_signature": False}).get("acrs", []):
                    claims = base64.b64encode(backend.claims.encode()).decode()
                    return self.answer(401, {}, f'Bearer realm="", error="insufficient_claims", claims="{claims}"')
                result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "backend", "version": "1"}}
                self.answer(200, {"jsonrpc": "2.0", "id": asked.get("id"), "result": result})

            def answer(self, status, body, challenge=None):
                body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                if challenge:
                    self.send_header("www-authenticate", challenge)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Answers
