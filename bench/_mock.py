"""An OpenAI upstream with fixed answers, cheap enough not to be what is measured.

    python bench/_mock.py [--port 0] [--delay MS]

It prints its URL. Words in the request choose what happens: `[fail]` answers HTTP 500, `[paced]` makes a stream of
`PACED` pieces, 5 ms apart, and `[slow]` one of as many, 100 ms apart. Any other stream comes at once, in four pieces.
`GET /count` tells what has been seen.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from typing import Any

import httptools
import uvloop

ANSWER = "Hello from the mock upstream."
USAGE = {"prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16}
PACED = 20
PAUSES = {b"[paced]": 0.005, b"[slow]": 0.1}
"""Seconds between the pieces of a stream."""
_CREATED = 1_780_000_000


def _answer(kind: bytes, body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (status, kind, len(body))
    return head + body


def _chunk(delta: dict[str, Any], reason: str | None = None, **extra: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    body = {
        "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": _CREATED, "model": "gpt-4o-mini",
        "choices": [choice], **extra,
    }  # fmt: skip
    return _framed(b"data: " + json.dumps(body).encode() + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


JSON = b"application/json"
WHOLE = _answer(
    JSON,
    json.dumps(
        {
            "id": "chatcmpl-mock", "object": "chat.completion", "created": _CREATED, "model": "gpt-4o-mini",
            "choices": [
                {
                    "index": 0, "message": {"role": "assistant", "content": ANSWER, "refusal": None},
                    "logprobs": None, "finish_reason": "stop",
                }
            ],
            "usage": USAGE,
        }
    ).encode(),
)  # fmt: skip
FAILED = _answer(
    JSON, b'{"error":{"message":"the mock was asked to fail","type":"server_error"}}', b"500 Internal Server Error"
)
UNKNOWN = _answer(JSON, b'{"error":{"message":"no such path"}}', b"404 Not Found")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST = _chunk({"role": "assistant", "content": ""})
PIECES = [_chunk({"content": piece}) for piece in ("Hello", " from the", " mock", " upstream.")]
END = (
    _chunk({}, "stop")
    + _framed(
        b"data: "
        + json.dumps(
            {
                "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": _CREATED, "model": "gpt-4o-mini",
                "choices": [], "usage": USAGE,
            }
        ).encode()
        + b"\n\n"
    )
    + _framed(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)  # fmt: skip
STREAM = HEAD + FIRST + b"".join(PIECES) + END


class Seen:
    """What has happened so far."""

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self.cut = 0
        """Streams whose reader left before the end."""
        self.open = 0
        self.most = 0
        self.connections = 0


class Mock(asyncio.Protocol):
    """One connection."""

    def __init__(self, seen: Seen, delay: float) -> None:
        self._seen = seen
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._counted = False
        self._left = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._seen.open -= self._counted
        self._seen.cut += self._left > 0

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        url, body = self._url, b"".join(self._body)
        self._url = b""
        self._body.clear()
        if url == b"/count":
            self._transport.write(_answer(JSON, json.dumps(vars(self._seen)).encode()))
            return
        if not self._counted:
            self._counted = True
            self._seen.connections += 1
            self._seen.open += 1
            self._seen.most = max(self._seen.most, self._seen.open)
        if not url.endswith(b"/chat/completions"):
            self._transport.write(UNKNOWN)
            return
        self._seen.requests += 1
        if self._delay:
            self._timer = self._loop.call_later(self._delay, self._reply, body)
        else:
            self._reply(body)

    def _reply(self, body: bytes) -> None:
        if b"[fail]" in body:
            self._seen.failed += 1
            self._transport.write(FAILED)
        elif b'"stream":true' not in body and b'"stream": true' not in body:
            self._transport.write(WHOLE)
        elif pauses := [pause for word, pause in PAUSES.items() if word in body]:
            self._left = PACED
            self._transport.write(HEAD + FIRST)
            self._piece(pauses[0])
        else:
            self._transport.write(STREAM)

    def _piece(self, pause: float) -> None:
        if not self._left:
            self._transport.write(END)
            return
        self._transport.write(PIECES[0 if self._left == PACED else 2])
        self._left -= 1
        self._timer = self._loop.call_later(pause, self._piece, pause)


async def serve(port: int, delay: float) -> None:
    seen = Seen()
    server = await asyncio.get_running_loop().create_server(lambda: Mock(seen, delay), "127.0.0.1", port, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0, help="milliseconds before each answer")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(options.port, options.delay / 1000))


if __name__ == "__main__":
    main()
