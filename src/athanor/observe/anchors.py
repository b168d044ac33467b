"""Heads of the audit chain, noted outside the database: so that it is seen when the chain's end is cut off.

The server notes the head when it starts, every day, and when it stops, as a line of `audit.heads` in the home folder,
with a code (HMAC-SHA-256) under a secret that the master key protects. Who can write the database alone cannot hide a
cut. Who can write the home folder too can remove lines, but not forge them: against that, `athanor audit head` prints a
signed head to be kept on another machine.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from athanor.errors import StoreError
from athanor.store import Store

_FILE = "audit.heads"
_PURPOSE = "audit heads"


class Anchors:
    """The heads that were noted in one home folder."""

    def __init__(self, store: Store, home: Path) -> None:
        self._store = store
        self.file = home / _FILE

    def note(self) -> None:
        """Note the head, where it is not the last one noted. Blocks until it is on disk.

        Raises:
            StoreError: the file cannot be written, or the database failed.
        """
        sequence, hash_ = self._store.audit.head()
        heads = list(self._lines())
        if sequence == 0 or (heads and heads[-1].get("hash") == hash_):
            return
        body = {"sequence": sequence, "hash": hash_, "at": time.time()}
        line = orjson.dumps({**body, "code": self._code(body)}) + b"\n"
        try:
            handle = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "wb") as out:
                out.write(line)
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise StoreError(f"The head of the audit chain cannot be noted: {error}.", where=str(self.file)) from error

    def verify(self) -> tuple[dict[int, str], list[str]]:
        """The heads that were noted (sequence → hash), and one line for each note that was changed.

        Raises:
            StoreError: the file cannot be read.
        """
        heads: dict[int, str] = {}
        problems = []
        for number, line in enumerate(self._lines(), start=1):
            code = line.pop("code", "")
            if isinstance(code, str) and hmac.compare_digest(code.encode(), self._code(line).encode()):
                heads[int(line["sequence"])] = str(line["hash"])
            else:
                problems.append(f"Line {number} of {self.file} was changed.")
        return heads, problems

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            raw = self.file.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"The noted heads cannot be read: {error}.", where=str(self.file)) from error
        for line in raw.splitlines():
            try:
                found = orjson.loads(line)
            except orjson.JSONDecodeError:
                found = {}
            # The very bytes: a flip that JSON does not see is one all the same.
            yield found if isinstance(found, dict) and orjson.dumps(found) == line else {}

    def _code(self, body: dict[str, Any]) -> str:
        return hmac.digest(self._store.cipher.secret(_PURPOSE), orjson.dumps(body), "sha256").hex()
