"""A model behind a URL that writes slowly and without end, and knows when nobody listens any more."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class SlowModel(ThreadingHTTPServer):
    """`hung_up` is set when a client left in the middle of an answer. `broken` makes every answer an error."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hung_up = threading.Event()
        self.broken = False

    @property
    def settings(self) -> str:
        return f'[models.slow]\nsource = "http://127.0.0.1:{self.server_port}/v1"\nbackend = "openai"\n'


class _Handler(BaseHTTPRequestHandler):
    server: SlowModel

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.server.broken:
            self.send_response(400)
            body = b'{"error": {"message": "The lamp is out of oil."}}'
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            for number in range(1200):
                chunk = {"choices": [{"index": 0, "delta": {"content": f"word{number} "}, "finish_reason": None}]}
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            self.server.hung_up.set()

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@contextmanager
def slow_model() -> Iterator[SlowModel]:
    server = SlowModel()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
