"""What hostile requests do to the server: each gets an answer below 500 or a closed connection, and nothing grows.

    python bench/hostile.py [--quick] [--json] [--rounds N]

Raw sockets, because no HTTP client would send these: floods of heads, 50 MB bodies, broken chunks, requests in each
other, deep JSON, bytes that are no UTF-8, slow and idle clients (500 at once). Every round ends with an ordinary
request, which must be answered in time. Checked: no status of 500 and above, the ordinary answer is right after every
attack, memory after the last round is at most 10 MiB above that after the first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _athanor import SETTINGS, Athanor, mock
from _target import MODEL

IDLE = 500
"""Connections that say nothing."""
GROWTH = 10.0
"""MiB that memory may grow by, from the first round to the last."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """Pieces that are sent one after the other."""

    name: str
    pieces: tuple[bytes, ...]
    pause: float = 0.0
    patience: float = 15.0
    """Seconds that the client waits for the answer; a server that rightly waits for more is left then."""


@dataclass(kw_only=True)
class Outcome:
    """How one attack ended."""

    name: str
    status: int
    """Of the first answer; 0 where the connection was closed, or held open, without one."""
    worst: int
    """The highest status in all that was answered."""
    seconds: float
    resident_mib: float
    alive: bool
    """Was an ordinary request answered right afterwards."""


def attacks(head: bytes) -> Iterator[Attack]:
    """All of them; `head` is the Host and the key's header."""

    def post(body: bytes, *, extra: bytes = b"", length: int | None = None) -> bytes:
        size = len(body) if length is None else length
        line = b"POST /v1/chat/completions HTTP/1.1\r\n"
        kind = b"content-type: application/json\r\ncontent-length: %d\r\n" % size
        return line + head + kind + extra + b"\r\n" + body

    def chat(content: bytes) -> bytes:
        return b'{"model":"' + MODEL.encode() + b'","messages":[{"role":"user","content":' + content + b"}]}"

    def get(path: bytes, extra: bytes = b"") -> bytes:
        return b"GET " + path + b" HTTP/1.1\r\n" + head + extra + b"connection: close\r\n\r\n"

    plain = chat(b'"hi"')
    chunked = b"POST /v1/chat/completions HTTP/1.1\r\n" + head + b"transfer-encoding: chunked\r\n\r\n"
    deep = b"[" * 100_000 + b"]" * 100_000
    yield Attack(name="no HTTP at all", pieces=(b"\x16\x03\x01garbage\r\n\r\n",))
    yield Attack(name="500 headers", pieces=(get(b"/health", b"".join(b"x-%d: 1\r\n" % i for i in range(500))),))
    yield Attack(name="header of 50 MB", pieces=(b"GET /health HTTP/1.1\r\nx: ", *[b"a" * (1 << 20)] * 50))
    yield Attack(name="address of 100 kB", pieces=(get(b"/" + b"a" * 100_000),))
    yield Attack(name="body of 50 MB", pieces=(post(b"", length=50_000_000), *[b"x" * (1 << 20)] * 48))
    yield Attack(name="body of 50 MB, in chunks", pieces=(chunked, *[b"100000\r\n" + b" " * 0x100000 + b"\r\n"] * 50))
    yield Attack(
        name="50 MB promised, none sent",
        pieces=(post(b"", length=50_000_000, extra=b"expect: 100-continue\r\n"),),
        patience=2,
    )
    yield Attack(name="chunk that is none", pieces=(chunked, b"zz\r\nabc"))
    yield Attack(name="chunk extension of 100 kB", pieces=(chunked + b"3;" + b"a" * 100_000,))
    yield Attack(
        name="20,000 trailers",
        pieces=(chunked + b"3\r\nabc\r\n0\r\n" + b"".join(b"a%d: b\r\n" % i for i in range(20_000)),),
    )
    yield Attack(
        name="length and chunks at once",
        pieces=(chunked.replace(b"chunked\r\n", b"chunked\r\ncontent-length: 4\r\n") + b"0\r\n\r\n",),
    )
    yield Attack(name="two lengths", pieces=(post(plain, extra=b"content-length: 3\r\n"),))
    yield Attack(name="length too long", pieces=(post(plain, length=len(plain) + 5),), patience=2)
    yield Attack(name="unknown transfer coding", pieces=(chunked.replace(b"chunked", b"gzip") + b"0\r\n\r\n",))
    yield Attack(
        name="upgrade to HTTP/2", pieces=(post(plain, extra=b"connection: upgrade, close\r\nupgrade: h2c\r\n"),)
    )
    yield Attack(name="HTTP/2 preface", pieces=(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",))
    yield Attack(
        name="5,000 requests in one piece",
        pieces=(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n" * 4999 + get(b"/health"),),
    )
    yield Attack(name="request, then nonsense", pieces=(post(plain) + b"garbage\r\n\r\n",))
    yield Attack(name="deep JSON", pieces=(post(b'{"model":' + deep + b"}", extra=b"connection: close\r\n"),))
    yield Attack(
        name="deep JSON in a schema",
        pieces=(post(plain[:-1] + b',"metadata":' + deep + b"}", extra=b"connection: close\r\n"),),
    )
    yield Attack(
        name="a number of 100,000 digits",
        pieces=(post(plain[:-1] + b',"seed":' + b"9" * 100_000 + b"}", extra=b"connection: close\r\n"),),
    )
    yield Attack(
        name="no UTF-8 in the body", pieces=(post(chat(b'"\xff\xfe\xed\xa0\x80"'), extra=b"connection: close\r\n"),)
    )
    yield Attack(name="half a surrogate", pieces=(post(chat(rb'"\ud800"'), extra=b"connection: close\r\n"),))
    yield Attack(name="NUL in the address", pieces=(get(b"/v1/files/%00"),))
    yield Attack(name="no UTF-8 in the address", pieces=(get(b"/v1/files/%ff?after=%ff%00"),))
    yield Attack(name="up in the address", pieces=(get(b"/console/static/../../../../etc/passwd"),))
    yield Attack(name="TRACE", pieces=(b"TRACE /health HTTP/1.1\r\n" + head + b"connection: close\r\n\r\n",))
    yield Attack(name="CONNECT", pieces=(b"CONNECT a:80 HTTP/1.1\r\n" + head + b"connection: close\r\n\r\n",))
    yield Attack(
        name="head a byte at a time",
        pieces=tuple(bytes([b]) for b in b"GET /health HTTP/1.1\r\nx: "),
        pause=0.05,
        patience=1,
    )
    yield Attack(name="body a byte at a time", pieces=(post(b"", length=1000), *[b"x"] * 20), pause=0.05, patience=1)
    yield Attack(
        name="a thousand messages of nothing",
        pieces=(
            post(b'{"model":"x","messages":[' + b",".join([b"{}"] * 1000) + b"]}", extra=b"connection: close\r\n"),
        ),
    )


class Attacker:
    """Sends attacks to one server."""

    def __init__(self, server: Athanor) -> None:
        self._server = server
        self._port = urlsplit(server.base).port or 0
        self._head = b"host: localhost\r\nauthorization: " + server.plan.headers["authorization"].encode() + b"\r\n"

    async def round(self) -> list[Outcome]:
        """Every attack once, then the idle connections."""
        found = [await self._attack(attack) for attack in attacks(self._head)]
        return [*found, await self._idle()]

    async def _attack(self, attack: Attack) -> Outcome:
        began = time.perf_counter()
        answer = await self._send(attack.pieces, pause=attack.pause, patience=attack.patience)
        return await self._outcome(attack.name, answer, began)

    async def _idle(self) -> Outcome:
        began = time.perf_counter()
        held = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", self._port) for _ in range(IDLE)), return_exceptions=True
        )
        outcome = await self._outcome(f"{IDLE} idle connections", b"", began)
        for connection in held:
            if isinstance(connection, tuple):
                connection[1].close()
        return outcome

    async def _outcome(self, name: str, answer: bytes, began: float) -> Outcome:
        took = time.perf_counter() - began
        statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]
        body = b'{"model":"%s","messages":[{"role":"user","content":"hi"}]}' % MODEL.encode()
        request = b"POST /v1/chat/completions HTTP/1.1\r\n" + self._head
        request += (
            b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )
        after = await self._send((request,), patience=10)
        return Outcome(
            name=name, status=statuses[0] if statuses else 0, worst=max(statuses, default=0), seconds=took,
            resident_mib=self._server.server_resident(), alive=after.startswith(b"HTTP/1.1 200"),
        )  # fmt: skip

    async def _send(self, pieces: tuple[bytes, ...], *, pause: float = 0.0, patience: float) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        answer = bytearray()

        async def read() -> None:
            while data := await reader.read(1 << 16):
                answer.extend(data)

        reading = asyncio.create_task(read())
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), patience)
                if pause:
                    await asyncio.sleep(pause)
                if reading.done():
                    break
            await asyncio.wait({reading}, timeout=patience)
        except (OSError, TimeoutError):
            await asyncio.wait({reading}, timeout=0.5)  # what it said before it hung up
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            writer.close()
        return bytes(answer)


def measure(rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with mock(folder / "mock") as upstream:
            server = Athanor(folder / "home", SETTINGS % upstream.base)
            server.start()
            try:
                attacker = Attacker(server)
                found = [asyncio.run(attacker.round()) for _ in range(rounds)]
            finally:
                server.stop()
    ends = [outcomes[-1].resident_mib for outcomes in found]
    every = [outcome for outcomes in found for outcome in outcomes]
    checks = {
        "no status of 500 and above": all(outcome.worst < 500 for outcome in every),
        "an ordinary request is answered after every attack": all(outcome.alive for outcome in every),
        f"memory grows by less than {GROWTH:g} MiB after the first round": ends[-1] - ends[0] < GROWTH,
    }
    return {"rounds": rounds, "resident_mib": ends, "attacks": [asdict(o) for o in found[-1]], "checks": checks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    found = measure(2 if options.quick else options.rounds)
    if options.json:
        print(json.dumps(found))
    else:
        for outcome in found["attacks"]:
            ended = f"{outcome['status'] or 'closed':>7} {outcome['seconds']:6.2f} s"
            print(f"{outcome['name']:36} {ended} {outcome['resident_mib']:6.1f} MiB")
        print("memory after each round:", ", ".join(f"{mib:.1f}" for mib in found["resident_mib"]), "MiB")
        for check, passed in found["checks"].items():
            print("ok  " if passed else "FAIL", check)
    sys.exit(not all(found["checks"].values()))


if __name__ == "__main__":
    main()
