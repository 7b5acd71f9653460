"""Sends as much as is asked for: `GET /BYTES`."""

import http.server

PART = b"x" * (1 << 20)


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        left = int(self.path.rsplit("/", 1)[1])
        self.send_response(200)
        self.send_header("content-length", str(left))
        self.end_headers()
        while left > 0:
            left -= self.wfile.write(PART[:left])

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
print(f"listening http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
