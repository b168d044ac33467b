"""The least that a Python gateway on our libraries can do: pass bytes on. No keys, no ledger, no JSON.

python bench/_bare.py UPSTREAM PORT
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

Message = MutableMapping[str, Any]


class Bare:
    def __init__(self, upstream: str) -> None:
        self._url = f"{upstream}/chat/completions"
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        async with self._session.post(self._url, data=body, headers={"content-type": "application/json"}) as reply:
            kind = reply.headers["content-type"].encode()
            start: Message = {
                "type": "http.response.start", "status": reply.status, "headers": [(b"content-type", kind)],
            }  # fmt: skip
            if length := reply.headers.get("content-length"):
                whole = await reply.read()
                start["headers"].append((b"content-length", length.encode()))
                await send(start)
                await send({"type": "http.response.body", "body": whole})
                return
            await send(start)
            async for piece in reply.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        Bare(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), loop="uvloop", http="httptools",
        log_level="warning", access_log=False, lifespan="off", server_header=False, ws="none",
    )  # fmt: skip
