"""A loopback upstream that speaks server-sent events, well or badly, as the question asks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from athanor.engines.schema import smallest_instance

TOKEN = re.compile(r"\s*\S+|\s+")
STORY = "Once there was a lighthouse on a rock in the sea, and the people who lived there told stories. " * 30
KEY = "sk-secret-0123456789"


class FakeUpstream:
    def __init__(self) -> None:
        self.url = ""
        self.open = 0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.context = 4096

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[FakeUpstream]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()
            server.close_clients() if hasattr(server, "close_clients") else None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.headers.append(head)
            length = int(re.search(r"content-length: (\d+)", head, re.IGNORECASE).group(1))
            body = orjson.loads(await reader.readexactly(length))
            self.bodies.append(body)
            self.open += 1
            try:
                if "/embeddings" in head:
                    await self._embed(writer, body)
                else:
                    await self._chat(writer, body)
            finally:
                self.open -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _plain(self, writer: asyncio.StreamWriter, status: str, body: Any, extra: str = "") -> None:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-length: {len(raw)}\r\nconnection: close\r\n{extra}\r\n".encode() + raw
        )
        await writer.drain()

    async def _embed(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        rows = [{"index": i, "embedding": [3.0, 4.0, float(len(t))]} for i, t in enumerate(body["input"])]
        if body["input"][0].startswith("short"):
            rows = [{"index": 0, "embedding": [1.0, 2.0]}]
        await self._plain(writer, "200 OK", {"data": rows[::-1], "usage": {"total_tokens": 7}})

    async def _chat(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        question = body["messages"][-1]["content"]
        match = re.match(r"status (\d+)", question)
        if match:
            said = {"error": {"message": f"no, and your key is {KEY}"}}
            await self._plain(writer, f"{match[1]} Whatever", said, "retry-after: 7\r\n")
            return
        if len(question.split()) >= self.context:
            said = {"error": {"message": f"maximum context length is {self.context} tokens"}}
            await self._plain(writer, "400 Bad Request", said)
            return
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        await (self._bad if question.startswith("bad ") else self._stream)(writer, body, question)

    async def _stream(self, writer: asyncio.StreamWriter, body: dict[str, Any], question: str) -> None:
        answer = STORY if "story" in question or "stories" in question else f"You said: {question} 🌍"
        if schema := body.get("response_format", {}).get("json_schema", {}).get("schema"):
            answer = orjson.dumps(smallest_instance(schema)).decode()
        for stop in body.get("stop", ()):
            answer = answer.split(stop)[0]
        tokens = TOKEN.findall(answer)
        used = tokens[: body["max_tokens"]]
        reason = "length" if len(tokens) > len(used) else "stop"
        writer.write(b": a comment\r\n\r\n")
        for token in used:
            raw = b"data: " + orjson.dumps({"choices": [{"delta": {"content": token}, "finish_reason": None}]})
            raw += b"\r\n\r\n"
            # Cut anywhere, also inside a character and between CR and LF.
            cut = len(raw) // 2
            writer.write(raw[:cut])
            await writer.drain()
            await asyncio.sleep(0.001)
            writer.write(raw[cut:-1])
            await writer.drain()
            writer.write(raw[-1:])
            await writer.drain()
        last = {"choices": [{"delta": {}, "finish_reason": reason}]}
        prompt = sum(len(m["content"].split()) for m in body["messages"]) + 5
        usage = {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": len(used)}}
        writer.write(b"data: " + orjson.dumps(last) + b"\n\ndata:" + orjson.dumps(usage) + b"\n\ndata: [DONE]\n\n")
        await writer.drain()

    async def _bad(self, writer: asyncio.StreamWriter, body: dict[str, Any], question: str) -> None:
        piece = b'data: {"choices":[{"delta":{"content":"half"}}]}\n\n'
        match question.split()[1]:
            case "json":
                writer.write(piece + b"data: {nonsense " + KEY.encode() + b"\n\n")
            case "drop":
                writer.write(piece)
            case "error":
                writer.write(piece + b'data: {"error": {"message": "out of memory"}}\n\n')
            case "array":
                writer.write(b"data: [1, 2]\n\n")
            case "shapes":
                writer.write(b'data: {"choices": "x"}\n\ndata: {"choices": [{"delta": null}]}\n\n' + piece)
                writer.write(b'data: {"usage": {"prompt_tokens": "many"}}\n\ndata: [DONE]\n\n')
            case "endless":
                for _ in range(80):
                    writer.write(b"data: " + b"x" * 65536)
                    await writer.drain()
            case "slow":
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(5)
            case "silent":
                await asyncio.sleep(5)
        await writer.drain()
