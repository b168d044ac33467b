"""Putting a document's chunks, words and vectors in, and taking them out. Always inside a caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from athanor.errors import ConflictError, InputError
from athanor.store import tables as t
from athanor.store.access import class_of
from athanor.store.base import TextIndex
from athanor.types import Chunk, Document

_FLOAT32 = 4


def insert_chunks(
    conn: Connection,
    index: TextIndex,
    base: Row[Any],
    document: Document,
    chunks: Sequence[Chunk],
    vectors: Sequence[bytes],
) -> None:
    """Insert the chunks of `document`, index their words and keep their vectors.

    They carry the revision that the base will have after this transaction.

    Raises:
        InputError: chunks and vectors differ in number, or a text holds NUL.
        ConflictError: a vector has the wrong size, or a chunk id or ordinal is doubled.
    """
    _check(base, document, chunks, vectors)
    if not chunks:
        return
    access = class_of(conn, base.seq, document.access)
    rows = [
        {
            "base": base.seq,
            "id": chunk.id,
            "document": document.id,
            "ordinal": chunk.ordinal,
            "start": chunk.start,
            "end": chunk.end,
            "page": chunk.page,
            "heading": chunk.heading,
            "text": chunk.text,
            "revision": base.revision + 1,
            "access": access,
            "place": chunk.place,
            "line": chunk.line,
            "context": chunk.context,
        }
        for chunk in chunks
    ]
    conn.execute(insert(t.chunks), rows)
    columns = t.chunks.c
    stored = conn.execute(select(columns.ordinal, columns.seq).where(columns.document == document.id))
    seq = {row.ordinal: row.seq for row in stored}
    conn.execute(
        insert(t.vectors),
        [{"chunk": seq[c.ordinal], "data": v} for c, v in zip(chunks, vectors, strict=True)],
    )
    index.add(conn, base.seq, document.id)


def remove_chunks(conn: Connection, index: TextIndex, base: int, document: str) -> int:
    """Delete the chunks of `document` (by id) with their words and vectors; how many there were."""
    index.remove(conn, base, document)
    members = select(t.chunks.c.seq).where(t.chunks.c.document == document)
    count = conn.scalar(select(func.count()).select_from(members.subquery())) or 0
    conn.execute(delete(t.vectors).where(t.vectors.c.chunk.in_(members)))
    conn.execute(delete(t.chunks).where(t.chunks.c.document == document))
    return count


def _check(base: Row[Any], document: Document, chunks: Sequence[Chunk], vectors: Sequence[bytes]) -> None:
    if len(chunks) != len(vectors):
        raise InputError(f"{len(chunks)} chunks came with {len(vectors)} vectors.", where=document.source)
    width = _FLOAT32 * base.dimension
    wrong = next((len(vector) for vector in vectors if len(vector) != width), None)
    if wrong is not None:
        raise ConflictError(
            f"A vector of {wrong} bytes does not fit knowledge base {base.name!r}, which holds {base.dimension} "
            f"float32 values ({width} bytes).",
            where=document.source,
        )
    if any("\0" in text for chunk in chunks for text in (chunk.text, chunk.heading, chunk.place, chunk.context)):
        raise InputError("A text holds NUL characters.", where=document.source, hint="The parser must take them out.")
    for what, values in (("id", [c.id for c in chunks]), ("ordinal", [c.ordinal for c in chunks])):
        if len(set(values)) != len(values):
            raise ConflictError(f"Two chunks have the same {what}.", where=document.source)
