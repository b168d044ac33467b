"""Vectors in PostgreSQL by pgvector: for each knowledge base a table beside the BLOBs, which stay the truth.

The table `chunk_vectors_<base>` is derived and outside the schema's history, because the extension may be missing. Its
rows go with their chunks (a foreign key), so that a deleted passage is out of it in the same commit; new rows are
copied by `forward`. Permissions are read from `chunks` by each search, never from a copy.
"""

from __future__ import annotations

import array
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from athanor.errors import StoreError
from athanor.store.base import Repository
from athanor.store.bases import base_row
from athanor.types import View

EXACT = 20_000
"""Visible rows up to which all of them are compared; above, the graph is scanned until enough are visible."""
_BATCH = 2000
_COPY_HEAD = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_COPY_END = struct.pack(">h", -1)
_SEEN = (
    "(CAST(:classes AS bigint[]) IS NULL OR c.access = ANY(:classes)) "
    "AND (CAST(:documents AS text[]) IS NULL OR c.document = ANY(:documents)) "
    "AND (CAST(:revision AS bigint) IS NULL OR c.revision <= :revision)"
)
_TYPES = (
    bindparam("classes", type_=ARRAY(BigInteger)),
    bindparam("documents", type_=ARRAY(Text)),
    bindparam("revision", type_=BigInteger),
)


class PostgreSQLVectors(Repository):
    """The copies of all bases. Bases are named by id."""

    def available(self) -> bool:
        """Is pgvector (0.8 or newer, for iterative scans) in this database, or can it be put there now."""
        if self._db.dialect != "postgresql":
            return False
        try:
            with self._db.write() as conn:
                conn.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
                found = conn.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
        except StoreError:  # not on the server, or this user may not
            return False
        return tuple(int(part) for part in str(found).split(".")[:2]) >= (0, 8)

    def forward(self, knowledge_base: str) -> int:
        """Copy the vectors that the table lacks, make its graph once it is large, and return the base's revision.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.write() as conn:
            base = base_row(conn, knowledge_base, lock=True)
            table = _table(base.seq)
            conn.execute(
                text(
                    f"CREATE TABLE IF NOT EXISTS {table} (chunk bigint PRIMARY KEY REFERENCES chunks (seq) "
                    f"ON DELETE CASCADE, data vector({base.dimension}) NOT NULL)"
                )
            )
            _copy(conn, base.seq, table)
            if base.chunks > EXACT:
                conn.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
                conn.execute(text(f"CREATE INDEX IF NOT EXISTS ix_{table} ON {table} USING hnsw (data vector_ip_ops)"))
            revision: int = base.revision
        return revision

    def search(
        self,
        knowledge_base: str,
        query: Sequence[float],
        limit: int,
        also: Iterable[str] = (),
        view: View | None = None,
    ) -> tuple[int, list[tuple[str, bytes]], list[tuple[str, bytes]]]:
        """The base's revision, and (chunk id, BLOB) of about the `limit` nearest and of the visible ones in `also`.

        The caller takes the cosines of the BLOBs. `forward` must have been called once.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.read() as conn:
            base = base_row(conn, knowledge_base)
            given = {"base": base.seq, **_view(view)}
            table = _table(base.seq)
            ids = self._nearest(conn, table, given, query, limit)
            return base.revision, _blobs(conn, given, ids), _blobs(conn, given, list(also))

    def problems(self, knowledge_base: str) -> list[str]:
        """One line for each way in which the table differs from the BLOBs; every number is compared.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.read() as conn:
            base = base_row(conn, knowledge_base)
            table = _table(base.seq)
            if conn.scalar(text("SELECT to_regclass(:name)"), {"name": table}) is None:
                return []
            rows = conn.execute(
                text(
                    "SELECT v.data AS blob, vector_send(p.data) AS copied FROM chunks c "  # noqa: S608
                    f"JOIN vectors v ON v.chunk = c.seq LEFT JOIN {table} p ON p.chunk = c.seq WHERE c.base = :base"
                ),
                {"base": base.seq},
                execution_options={"yield_per": _BATCH},
            )
            missing = different = 0
            for row in rows:
                missing += row.copied is None
                different += row.copied is not None and bytes(row.copied) != _sent(bytes(row.blob))
        found = [f"{missing} chunks are not in the table of pgvector."] if missing else []
        return found + ([f"{different} rows of pgvector differ from their vectors."] if different else [])

    def drop(self, base: int) -> None:
        """Forget the copy of a base (by seq)."""
        with self._db.write() as conn:
            conn.execute(text(f"DROP TABLE IF EXISTS {_table(base)}"))

    @staticmethod
    def _nearest(conn: Connection, table: str, given: dict[str, Any], query: Sequence[float], limit: int) -> list[str]:
        if limit < 1:
            return []
        nearest = "ORDER BY p.data <#> CAST(:query AS vector) LIMIT :limit"
        joined = f"FROM {table} p JOIN chunks c ON c.seq = p.chunk WHERE {_SEEN}"
        whole = all(given[name] is None for name in ("classes", "documents", "revision"))
        some = f"SELECT count(*) FROM (SELECT 1 FROM chunks c WHERE c.base = :base AND {_SEEN} LIMIT {EXACT + 1}) AS x"  # noqa: S608
        if not whole and (conn.scalar(text(some).bindparams(*_TYPES), given) or 0) <= EXACT:
            statement = f"WITH p AS MATERIALIZED (SELECT c.id, p.data {joined}) SELECT p.id FROM p {nearest}"  # noqa: S608
        elif whole:  # no join before the limit, or the planner prefers one to the graph
            statement = (
                f"WITH p AS MATERIALIZED (SELECT p.chunk FROM {table} p {nearest}) "  # noqa: S608
                "SELECT c.id FROM p JOIN chunks c ON c.seq = p.chunk"
            )
        else:
            statement = f"SELECT c.id {joined} {nearest}"
        conn.execute(text("SET LOCAL hnsw.iterative_scan = relaxed_order"))
        conn.execute(text(f"SET LOCAL hnsw.ef_search = {min(1000, max(100, 2 * limit))}"))
        told = {**given, "query": "[" + ",".join(map(repr, query)) + "]", "limit": limit}
        prepared = text(statement) if whole else text(statement).bindparams(*_TYPES)
        return [*conn.scalars(prepared, told)]


def _table(base: int) -> str:
    return f"chunk_vectors_{int(base)}"


def _view(view: View | None) -> dict[str, Any]:
    if view is None:
        return {"classes": None, "documents": None, "revision": None}
    return {
        "classes": None if view.classes is None else sorted(view.classes),
        "documents": None if view.documents is None else sorted(view.documents),
        "revision": view.revision,
    }


def _blobs(conn: Connection, given: dict[str, Any], ids: list[str]) -> list[tuple[str, bytes]]:
    if not ids:
        return []
    statement = text(
        "SELECT c.id, v.data FROM chunks c JOIN vectors v ON v.chunk = c.seq "  # noqa: S608
        f"WHERE c.base = :base AND c.id = ANY(:ids) AND {_SEEN}"
    ).bindparams(bindparam("ids", type_=ARRAY(Text)), *_TYPES)
    return [(row.id, bytes(row.data)) for row in conn.execute(statement, {**given, "ids": ids})]


def _copy(conn: Connection, base: int, table: str) -> None:
    """Send the BLOBs that `table` lacks in pgvector's binary form."""
    rows = conn.execute(
        text(
            "SELECT c.seq, v.data FROM chunks c JOIN vectors v ON v.chunk = c.seq WHERE c.base = :base "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM {table} p WHERE p.chunk = c.seq)"
        ),
        {"base": base},
    ).all()
    if not rows:
        return
    raw: Any = conn.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f"COPY {table} (chunk, data) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_COPY_HEAD)
        for row in rows:
            sent = _sent(bytes(row.data))
            copy.write(struct.pack(">hiqi", 2, 8, row.seq, len(sent)) + sent)
        copy.write(_COPY_END)


def _sent(blob: bytes) -> bytes:
    """A BLOB (little-endian float32) as pgvector sends it: the dimension, a zero, big-endian float32."""
    numbers = array.array("I", blob)
    numbers.byteswap()  # whatever this machine's order is: the bytes of each number are turned round
    return struct.pack(">hh", len(blob) // 4, 0) + numbers.tobytes()
