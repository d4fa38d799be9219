"""An S3-compatible server behind a proxy that answers some requests wrongly."""

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
FAULTS = ("dropped", "503", "503, retry after", "short", "whole", "wrong", "stalled", "slow")
STALL = 1.5  # seconds, longer than the client waits
RETRY_AFTER = 1  # seconds


class Proxy(ThreadingHTTPServer):
    """Forwards to a server; while `every` is set, one of so many reads of a file that ends as `spoilt` gets the next fault."""

    daemon_threads = True

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.url = target, f"http://127.0.0.1:{self.server_port}"
        self.every, self.alive_for, self.reads, self.spoilt = 0, None, 0, (".tar", ".json")
        self.made, self.too_early, self._left_alone = Counter(), 0, {}
        self._lock = threading.Lock()

    def fault(self, method, path, part):
        """What happens to this request for a part of a file; other parts of it may be asked for meanwhile."""
        with self._lock:
            if method != "GET" or not path.endswith((".tar", ".json")):
                return "gone" if self.alive_for == 0 else None
            if time.monotonic() < self._left_alone.pop((path, part), 0):
                self.too_early += 1
            if self.alive_for is not None:
                self.alive_for = max(0, self.alive_for - 1)
                if not self.alive_for:
                    return "gone"
            if not path.endswith(self.spoilt):
                return None
            self.reads += 1
            if not self.every or self.reads % self.every:
                return None
            fault = FAULTS[self.reads // self.every % len(FAULTS)]
            self.made[fault] += 1
            if fault == "503, retry after":
                self._left_alone[path, part] = time.monotonic() + RETRY_AFTER
            return fault

    def handle_error(self, request, client_address):
        """A client that hangs up is not our concern."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *what):
        pass

    def answer(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault(self.command, self.path.split("?")[0], self.headers.get("Range"))
        if fault == "gone":
            self.reset()
        elif fault in ("503", "503, retry after"):
            self.reply(503, {"Retry-After": RETRY_AFTER} if fault != "503" else {}, SLOW_DOWN)
        else:
            self.forward(sent, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def forward(self, sent, fault):
        """What the server says, spoilt by a fault."""
        headers = {k: v for k, v in self.headers.items() if not (fault == "whole" and k.lower() == "range")}
        connection = http.client.HTTPConnection(*self.server.target)
        connection.request(self.command, self.path, sent, headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        kept = {k: v for k, v in response.getheaders() if k.lower() not in ("connection", "date", "server")}
        if fault == "short":
            body = body[: len(body) // 2]
        if fault == "wrong":
            body = bytes([body[0] ^ 255]) + body[1:]
        if self.command != "HEAD":
            kept["Content-Length"] = len(body)
        self.reply(response.status, kept, body, {"stalled": STALL, "slow": 0.05}.get(fault, 0), fault == "dropped")

    def reply(self, status, headers, body, pause=0.0, dropped=False):
        """Half of an answer, and after a pause the other half."""
        self.send_response(status)
        for name, value in ({"Content-Length": len(body)} | headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        if dropped:
            self.reset()
            return
        time.sleep(pause)
        self.wfile.write(body[half:])

    def reset(self):
        """The connection breaks."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


@contextmanager
def faulty_store(target):
    """The proxy before a server at (host, port)."""
    with Proxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()
