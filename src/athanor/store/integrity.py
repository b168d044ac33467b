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
    return found + _strays(conn) + index.problems(conn, base.seq)


def blob_names(conn: Connection, base: int) -> dict[str, str]:
    """SHA-256 of every text and picture that versions of the base's documents (base by seq) have → what it is."""
    documents, versions, pictures = t.documents.c, t.document_versions.c, t.pictures.c
    found: dict[str, str] = {}
    for noun, table, column in (("text", versions, versions.text_sha256), ("picture", pictures, pictures.sha256)):
        query = select(documents.source, table.version, column.label("sha256")).where(
            documents.base == base, table.document == documents.id
        )
        for row in conn.execute(query.order_by(documents.source, table.version)):
            found.setdefault(row.sha256, f"A {noun} of version {row.version} of {row.source!r}")
    return found


def _checks(base: Row[Any]) -> dict[str, Select[Any]]:
    chunks, documents, versions, vectors = t.chunks.c, t.documents.c, t.document_versions.c, t.vectors.c
    classes, pictures = t.access_classes.c, t.pictures.c
    bases, settings = t.knowledge_bases.c, t.knowledge_versions.c
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
        "chunks are closed otherwise than their document": select(chunks.seq)
        .join_from(t.chunks, t.documents, chunks.document == documents.id)
        .where(ours, chunks.access != documents.access),
        "documents are of an access class that is not there": select(documents.id)
        .outerjoin(t.access_classes, (classes.seq == documents.access) & (classes.base == documents.base))
        .where(documents.base == base.seq, documents.access != 0, classes.seq.is_(None)),
        "pictures are of a version that is not there": select(pictures.sha256)
        .join_from(t.pictures, t.documents, pictures.document == documents.id)
        .outerjoin(
            t.document_versions,
            (versions.document == pictures.document) & (versions.version == pictures.version),
        )
        .where(documents.base == base.seq, versions.document.is_(None)),
        "versions of the settings are in use and not there": select(bases.seq)
        .outerjoin(t.knowledge_versions, (settings.base == bases.seq) & (settings.version == bases.version))
        .where(bases.seq == base.seq, bases.version != 0, settings.version.is_(None)),
        "documents lack the row of their version": select(documents.id).where(
            documents.base == base.seq, func.coalesce(newest, 0) != documents.version
        ),
    }


def _strays(conn: Connection) -> list[str]:
    """Rows that belong to no base at all, whichever it was."""
    found = []
    tables = (t.access_classes, t.documents, t.knowledge_versions, t.questions, t.evaluations, t.sync_sources)
    for table in tables:
        query = select(table.c.base).outerjoin(t.knowledge_bases, t.knowledge_bases.c.seq == table.c.base)
        if count := _count(conn, query.where(t.knowledge_bases.c.seq.is_(None))):
            found.append(f"{count} rows of {table.name} belong to a base that is gone.")
    return found


def _count(conn: Connection, query: Select[Any]) -> int:
    return conn.scalar(select(func.count()).select_from(query.subquery())) or 0
