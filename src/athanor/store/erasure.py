"""Everything that the database holds of a document beside the document: found, taken out, and looked for again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Table, delete, func, or_, select, update

from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.blobs import referenced
from athanor.store.crypto import Cipher
from athanor.store.sealed import SEALED, SealedFields
from athanor.store.transactions import Database

Speaks = Callable[[str], bool]
"""Does a text speak of the document: name its id, or repeat a stretch of its words."""
_BLOCK = 1 << 20
_KEYED: Mapping[str, tuple[Table, str, tuple[str, ...]]] = {
    "recorded contents": (t.contents, "trace", ("request", "answer")),
    "traces": (t.traces, "trace", ("spans",)),
    "responses": (t.responses, "id", ("body", "items")),
    "questions": (t.questions, "id", ("id", "text", "relevant", "answer")),
    "comments": (t.feedback, "id", ("comment",)),
}

_SEALED = {fields.table.name: fields for fields in SEALED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What has to go with a document."""

    sha256: frozenset[str]
    """Of the bytes, texts and pictures of all its versions."""
    files: tuple[str, ...]
    """Ids of the uploads that it was made of, where nothing else is made of them."""
    chunks: tuple[str, ...]
    vectors: tuple[bytes, ...]
    """In the order of `chunks`."""


class Erasure(Repository):
    """Reads and writes across the nouns, for the right to erasure only."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        super().__init__(database)
        self._cipher = cipher

    def held(self, document: str, *, conn: Connection | None = None) -> Held:
        """What belongs to a document (by id)."""
        with self._db.reading(conn) as c:
            versions, own = t.document_versions.c, t.documents.c
            names = {*c.scalars(select(own.sha256).where(own.id == document))}
            for column in (versions.sha256, versions.text_sha256):
                names.update(c.scalars(select(column).where(versions.document == document)))
            sources = {*c.scalars(select(versions.sha256).where(versions.document == document))}
            sources.update(c.scalars(select(own.sha256).where(own.id == document)))
            names.update(c.scalars(select(t.pictures.c.sha256).where(t.pictures.c.document == document)))
            elsewhere = select(own.file).where(own.id != document, own.file.is_not(None))
            uploaded = select(own.file).where(own.id == document)
            mine = or_(t.files.c.sha256.in_(sources), t.files.c.id.in_(uploaded))
            files = c.scalars(select(t.files.c.id).where(mine, t.files.c.id.not_in(elsewhere)))
            rows = c.execute(
                select(t.chunks.c.id, t.vectors.c.data)
                .join_from(t.chunks, t.vectors)
                .where(t.chunks.c.document == document)
                .order_by(t.chunks.c.ordinal)
            ).all()
            return Held(
                sha256=frozenset(filter(None, names)),
                files=tuple(files),
                chunks=tuple(row.id for row in rows),
                vectors=tuple(bytes(row.data) for row in rows),
            )

    def purge(
        self, documents: Collection[str], sources: Collection[str], speaks: Speaks, conn: Connection
    ) -> dict[str, int]:
        """Take out whatever speaks of these documents (by id, and by source); how many rows of each kind."""
        gone: dict[str, int] = {}
        for kind, keys in self.speaking(speaks, conn).items():
            table, key, _ = _KEYED[kind]
            column = table.c[key]
            for some in _parts(keys):
                if kind == "comments":  # the verdict stays: it says nothing of the document
                    conn.execute(update(table).where(column.in_(some)).values(comment=""))
                else:
                    conn.execute(delete(table).where(column.in_(some)))
                if kind == "questions":
                    self._unmeasure(conn, set(some))
            gone[kind] = len(keys)
        items = t.job_items.c
        gone["job items"] = conn.execute(delete(t.job_items).where(items.key.in_(sources))).rowcount
        gone["jobs"] = self._unname(conn, set(sources))
        conn.execute(update(t.documents).where(t.documents.c.near.in_(documents)).values(near=None))
        return gone

    def speaking(self, speaks: Speaks, conn: Connection) -> dict[str, list[str]]:
        """The keys of the rows that speak of a document, by kind."""
        found: dict[str, list[str]] = {}
        for kind, (table, key, columns) in _KEYED.items():
            fields = _SEALED.get(table.name)
            names = {key: None, **dict.fromkeys(fields.row if fields else ()), **dict.fromkeys(columns)}
            rows = conn.execute(select(*(table.c[name] for name in names)), execution_options={"yield_per": 500})
            found[kind] = [
                getattr(row, key)
                for row in rows
                if any(speaks(_plain(self._opened(fields, row, name))) for name in columns)
            ]
        return found

    def optimize(self, base: str, conn: Connection) -> None:
        """Rewrite the text index of a base (by id), so that no list of words keeps what was deleted. SQLite only."""
        if self._db.dialect == "sqlite":
            seq = conn.scalar(select(t.knowledge_bases.c.seq).where(t.knowledge_bases.c.id == base))
            conn.exec_driver_sql(f"INSERT INTO fts_{seq}(fts_{seq}) VALUES ('optimize')")  # noqa: S608  an integer

    def settle(self) -> bool:
        """Bring the files of the database to what is committed; False where a reader of an older state hinders it."""
        if self._db.dialect != "sqlite":
            with self._db.engines[0].connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                for table in ("chunks", "vectors", "documents", "document_versions", "contents", "responses", "traces"):
                    conn.exec_driver_sql(f"VACUUM {table}")
            return True
        raw = sqlite3.connect(self.file, timeout=10, isolation_level=None)
        try:
            busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            raw.close()
        return not busy

    @property
    def file(self) -> Path:
        """The database file of SQLite."""
        with self._db.read() as conn:
            return Path(conn.exec_driver_sql("SELECT file FROM pragma_database_list WHERE name = 'main'").scalar_one())

    def grep(self, needles: Sequence[bytes]) -> int | None:
        """How many of `needles` are anywhere in the raw files of the database; `None` where it is no file."""
        if self._db.dialect != "sqlite" or not needles:
            return None if self._db.dialect != "sqlite" else 0
        found: set[bytes] = set()
        for path in (self.file, Path(f"{self.file}-wal")):
            if path.exists():
                found.update(_in_file(path, needles))
        return len(found)

    def repeated(self, needles: Sequence[str], conn: Connection) -> set[str]:
        """Those of `needles` that other documents hold as well."""
        column = t.chunks.c.text
        at = func.instr if self._db.dialect == "sqlite" else func.strpos
        return {one for one in needles if conn.scalar(select(t.chunks.c.seq).where(at(column, one) > 0).limit(1))}

    def texts(self, document: str, conn: Connection) -> set[str]:
        """SHA-256 of the texts of all versions of a document (by id)."""
        versions = t.document_versions.c
        return {*conn.scalars(select(versions.text_sha256).where(versions.document == document))}

    def retext(self, document: str, old: str, new: str, conn: Connection) -> None:
        """Give the versions of a document (by id) that have the text `old` (SHA-256) the text `new`."""
        own, versions = t.documents.c, t.document_versions.c
        held = (versions.document == document, versions.text_sha256 == old)
        conn.execute(update(t.document_versions).where(*held).values(text_sha256=new))
        conn.execute(update(t.documents).where(own.id == document, own.text_sha256 == old).values(text_sha256=new))

    def referenced(self, names: Collection[str], conn: Connection) -> set[str]:
        """Those of the blobs `names` that a row refers to."""
        return referenced(conn, names)

    def _opened(self, fields: SealedFields | None, row: Row[Any], column: str) -> Any:
        sealed = fields is not None and column in fields.columns
        return fields.open(self._cipher, row, column) if fields and sealed else getattr(row, column)

    def _unmeasure(self, conn: Connection, questions: set[str]) -> None:
        for row in conn.execute(select(t.evaluations.c.id, t.evaluations.c.details)).all():
            details = self._cipher.open_json(row.details, "evaluations", row.id, "details")
            kept = [entry for entry in details if entry.get("id", entry.get("question")) not in questions]
            if len(kept) < len(details):
                sealed = self._cipher.seal_json(kept, "evaluations", row.id, "details")
                conn.execute(update(t.evaluations).where(t.evaluations.c.id == row.id).values(details=sealed))

    def _unname(self, conn: Connection, sources: set[str]) -> int:
        changed = 0
        columns = t.jobs.c
        names = {source.rpartition("/")[2] for source in sources}
        query = select(columns.id, columns.arguments, columns.message).where(columns.kind == "ingest")
        for row in conn.execute(query).all():
            values: dict[str, Any] = {}
            files = row.arguments.get("files")
            if files and sources.intersection(files):
                left = {name: file for name, file in files.items() if name not in sources}
                values["arguments"] = {**row.arguments, "files": left}
            if any(name in row.message for name in names):  # how far it was read when the job was cut off
                values["message"] = ""
            if values:
                conn.execute(update(t.jobs).where(columns.id == row.id).values(**values))
                changed += 1
        return changed


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _parts(keys: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _in_file(path: Path, needles: Sequence[bytes]) -> set[bytes]:
    longest = max(map(len, needles))
    found: set[bytes] = set()
    tail = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            window = tail + block
            found.update(needle for needle in needles if needle in window)
            tail = window[-longest:]
    return found
