"""Near-duplicates: the signatures of documents, and which older document each is nearly the same as.

A signature is a MinHash (Broder, "On the resemblance and containment of documents", 1997): `VALUES` numbers of 32 bits,
little-endian, and the share of equal numbers estimates the Jaccard similarity of what was signed. To find candidates
without comparing all with all, the numbers are cut into bands of `ROWS`; documents that have a band in common are
compared (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4). At a similarity of .65 a band is shared in
997 of 1,000 cases, at .2 in 47.

Older is who was signed first: a document whose text changes is the youngest from then on. So what a document is near to
depends on older documents alone, each compared by itself, and leaving some of them out (a view) changes nothing else.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from athanor.errors import InputError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.views import among, seen_documents
from athanor.types import View

VALUES, ROWS = 120, 4
ALIKE = 0.65
"""Share of equal numbers from which on two documents are near-duplicates (`design/ingest.md` has how it was chosen)."""


class Near(Repository):
    """Signatures of documents, and what they say. A part of the repository of documents."""

    def sign(self, document: str, signature: bytes | None, *, conn: Connection | None = None) -> str | None:
        """Keep the signature of a document (by id), and give its `near`: the oldest older document that is nearly the
        same. `None` takes a signature away. What was near to another text of this document is looked up anew. Nothing
        happens where there is no such document.

        Raises:
            InputError: the signature has another size.
        """
        if signature is not None and len(signature) != 4 * VALUES:
            raise InputError(f"A signature has {4 * VALUES} bytes, not {len(signature)}.", where=document)
        with self._db.writing(conn) as c:
            query = select(t.documents.c.base.label("owner"), *t.signatures.c).outerjoin_from(t.documents, t.signatures)
            row = c.execute(query.where(t.documents.c.id == document)).one_or_none()
            if row is None:
                return None
            base, old = row.owner, None if row.seq is None else row
            own: Row[Any] | None = old
            if old is None or old.data != signature:
                if old is not None:
                    _drop(c, old)
                own = None if signature is None else _insert(c, base, document, signature)
                if old is not None:
                    renew(c, base, [document])
            found = None if own is None else _older(c, own, None)
            if found is not None or old is not None:
                c.execute(update(t.documents).where(t.documents.c.id == document).values(near=found))
        return found

    def near_of(
        self, documents: Collection[str], view: View | None, *, conn: Connection | None = None
    ) -> Mapping[str, str | None]:
        """What each of `documents` (by id) is near to, as if what `view` hides did not exist."""
        with self._db.reading(conn) as c:
            return {document: older(c, document, view) for document in documents}


def older(conn: Connection, document: str, view: View | None) -> str | None:
    """The oldest of the older documents, of those that `view` shows, that `document` (by id) is nearly the same as."""
    own = _signature(conn, document)
    return None if own is None else _older(conn, own, view)


def _older(conn: Connection, own: Row[Any], view: View | None) -> str | None:
    bands, signed = t.signature_bands.c, t.signatures
    candidates = select(bands.signature).where(
        bands.base == own.base, bands.band.in_(_bands(own.data)), bands.signature < own.seq
    )
    query = (
        select(signed.c.document, signed.c.data)
        .join_from(signed, t.documents)
        .where(signed.c.seq.in_(candidates), *seen_documents(conn, view))
        .order_by(signed.c.seq)
    )
    ours = _numbers(own.data)
    with conn.execute(query) as rows:
        for row in rows:
            if sum(a == b for a, b in zip(ours, _numbers(row.data), strict=True)) >= ALIKE * VALUES:
                found: str = row.document
                return found
    return None


def forget(conn: Connection, document: str) -> None:
    """Drop the signature of `document` (by id). Those that are near to it are told by `renew`."""
    own = _signature(conn, document)
    if own is not None:
        _drop(conn, own)


def _drop(conn: Connection, own: Row[Any]) -> None:
    bands = t.signature_bands.c
    ours = (bands.base == own.base, bands.band.in_(_bands(own.data)), bands.signature == own.seq)
    conn.execute(delete(t.signature_bands).where(*ours))
    conn.execute(delete(t.signatures).where(t.signatures.c.seq == own.seq))


def renew(conn: Connection, base: int, gone: Collection[str]) -> None:
    """Find for the documents of the base (by seq) that are near to one of `gone` what else they are near to."""
    columns = t.documents.c
    for document in conn.scalars(select(columns.id).where(columns.base == base, among(conn, columns.near, gone))).all():
        conn.execute(update(t.documents).where(columns.id == document).values(near=older(conn, document, None)))


def _insert(conn: Connection, base: int, document: str, signature: bytes) -> Row[Any]:
    values = {"base": base, "document": document, "data": signature}
    own = conn.execute(insert(t.signatures).values(**values).returning(*t.signatures.c)).one()
    rows = [{"base": base, "band": band, "signature": own.seq} for band in _bands(signature)]
    conn.execute(insert(t.signature_bands), rows)
    return own


def _signature(conn: Connection, document: str) -> Row[Any] | None:
    return conn.execute(select(t.signatures).where(t.signatures.c.document == document)).one_or_none()


def _bands(signature: bytes) -> list[int]:
    """A number of 64 bits, signed, for each band; its place is in it."""
    size = 4 * ROWS
    return sorted(
        {
            int.from_bytes(
                hashlib.blake2b(signature[at : at + size], digest_size=8, salt=at.to_bytes(2, "little")).digest(),
                "little",
                signed=True,
            )
            for at in range(0, len(signature), size)
        }
    )


def _numbers(signature: bytes) -> array[int]:
    found = array("I")
    found.frombytes(signature)
    return found
