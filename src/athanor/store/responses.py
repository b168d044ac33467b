"""Answers that are kept for `previous_response_id` (OpenAI's Responses API)."""

from __future__ import annotations

import time

import orjson
from sqlalchemy import Connection, delete, insert, select

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.crypto import Cipher
from athanor.store.tombstones import Tombstones
from athanor.store.transactions import Database
from athanor.types import StoredResponse


class Responses(Repository):
    """Stored responses; each belongs to one principal, and to others it does not exist."""

    def __init__(self, database: Database, tombstones: Tombstones, cipher: Cipher) -> None:
        super().__init__(database)
        self._tombstones = tombstones
        self._cipher = cipher

    def insert(self, response: StoredResponse, *, conn: Connection | None = None) -> None:
        """Keep a response; one that names a document that was erased while it was made is not kept.

        Raises:
            ConflictError: its id is taken.
            EncryptionError: the store was opened without its master key.
        """
        values = {column.name: getattr(response, column.name) for column in t.responses.c}
        if self._tombstones and self._tombstones.named(orjson.dumps([values["items"], values["body"]]).decode()):
            return
        plain = {"items": list(response.items), "body": dict(response.body)}
        sealed = {name: self._cipher.seal_json(plain[name], "responses", response.id, name) for name in plain}
        with self._db.writing(conn) as c:
            c.execute(insert(t.responses), values | sealed)

    def get(self, response: str, *, principal: str, conn: Connection | None = None) -> StoredResponse:
        """A response of `principal` (by id).

        Raises:
            NotFoundError: there is none, it has expired, or it belongs to another.
            EncryptionError: the key is missing, or what is stored was changed.
        """
        column = t.responses.c
        query = select(t.responses).where(
            column.id == response, column.principal == principal, column.expires_at > time.time()
        )
        with self._db.reading(conn) as c:
            row = c.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no response {response!r}.", where="response_id")
        values = row._asdict()
        opened = {name: self._cipher.open_json(values[name], "responses", row.id, name) for name in ("items", "body")}
        return StoredResponse(**values | opened | {"items": tuple(opened["items"])})

    def delete(self, response: str, *, principal: str, conn: Connection | None = None) -> None:
        """Forget a response of `principal` (by id).

        Raises:
            NotFoundError: there is none, or it belongs to another.
        """
        column = t.responses.c
        with self._db.writing(conn) as c:
            query = delete(t.responses).where(column.id == response, column.principal == principal)
            if c.execute(query).rowcount == 0:
                raise NotFoundError(f"There is no response {response!r}.", where="response_id")

    def expire(self, *, conn: Connection | None = None) -> int:
        """Delete what has expired; how many there were."""
        with self._db.writing(conn) as c:
            return c.execute(delete(t.responses).where(t.responses.c.expires_at <= time.time())).rowcount
