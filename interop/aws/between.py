"""Stands between the gateway and moto: it notes what passes, and changes it where a test says so."""

import http.client
import http.server
import threading
import urllib.parse


class Between:
    def __init__(self, address, upstream):
        self.passed = []
        self.leave()
        host, port = address.split(":")
        self.server = http.server.ThreadingHTTPServer((host, int(port)), self._relay(urllib.parse.urlsplit(upstream).netloc))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def leave(self):
        """Everything passes as it is."""
        self.on_way = lambda target, headers, body: (target, headers, body)
        self.on_return = lambda answer: answer

    def _relay(self, upstream):
        between = self

        class Relay(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def relay(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                target, headers, body = between.on_way(self.path, headers, body)
                connection = http.client.HTTPConnection(upstream, timeout=20)
                connection.request(self.command, target, body, headers)
                answered = connection.getresponse()
                answer = between.on_return(answered.read())
                connection.close()
                between.passed.append((headers, answered.status, answer.decode()))
                self.send_response(answered.status)
                self.send_header("content-type", answered.headers.get("content-type", "text/xml"))
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = relay

            def log_message(self, *_):
                pass

        return Relay
