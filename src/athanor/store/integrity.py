"""The check that a knowledge base is whole: nothing missing, doubled, or counted wrong."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, exists, func, or_, select

from athanor.store import tables as t
from athanor.store.base import TextIndex

_FLOAT32 = 4


def problems(conn: Connection, index: TextIndex, base: Row[Any]) -> list[str]:
    """One line for each kind of disagreement in the base, whose row is given; empty when it is sound."""
    found = [f"{count} {what}." for what, query in _checks(base).items() if (count := _count(conn, query))]
    documents = _count(conn, select(t.documents.c.id).where(t.documents.c.base == base.seq, t.documents.c.version > 0))
    chunks = _count(conn, select(t.chunks.c.seq).where(t.chunks.c.base == base.seq))
    if (documents, chunks) != (base.documents, base.chunks):
        found.append(
            f"The base counts {base.documents} documents and {base.chunks} chunks, and holds {documents} and {chunks}."
        )
    return found + index.problems(conn, base.seq)


def _checks(base: Row[Any]) -> dict[str, Select[Any]]:
    chunks, documents, versions, vectors = t.chunks.c, t.documents.c, t.document_versions.c, t.vectors.c
    ours = chunks.base == base.seq
    held = select(func.count()).select_from(t.chunks).where(chunks.document == documents.id).scalar_subquery()
    newest = select(func.max(versions.version)).where(versions.document == documents.id).scalar_subquery()
    same_span = (chunks.document, chunks.start, chunks.end)
    holder = t.documents.alias("holder").c
    outer = exists().where(holder.base == documents.base, holder.source == documents.container)
    stray = or_(documents.id.is_(None), documents.base != chunks.base)
    return {
        "chunks have no vector": select(chunks.seq)
        .outerjoin(t.vectors, vectors.chunk == chunks.seq)
        .where(ours, vectors.chunk.is_(None)),
        "vectors have no chunk": select(vectors.chunk)
        .outerjoin(t.chunks, vectors.chunk == chunks.seq)
        .where(chunks.seq.is_(None)),
        f"vectors are not of {base.dimension} float32 values": select(chunks.seq)
        .join_from(t.chunks, t.vectors)
        .where(ours, func.length(vectors.data) != _FLOAT32 * base.dimension),
        "chunks are doubled": select(*same_span).where(ours).group_by(*same_span).having(func.count() > 1),
        "chunks have no document in this base": select(chunks.seq)
        .outerjoin(t.documents, chunks.document == documents.id)
        .where(ours, stray),
        "documents count their chunks wrong": select(documents.id).where(
            documents.base == base.seq, documents.chunks != held
        ),
        "members have no container": select(documents.id).where(
            documents.base == base.seq, documents.container.is_not(None), ~outer
        ),
        "documents lack the row of their version": select(documents.id).where(
            documents.base == base.seq, func.coalesce(newest, 0) != documents.version
        ),
    }


def _count(conn: Connection, query: Select[Any]) -> int:
    return conn.scalar(select(func.count()).select_from(query.subquery())) or 0
