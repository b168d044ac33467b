"""What was deleted, for work that began before: it must not bring a document back that nobody asked for again.

A deletion is known by its source and by the revision that it made. Who reads a source says at which revision of the
base that was asked for; what was deleted after it stays deleted.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select, update

from athanor.store import tables as t

KEPT_SECONDS = 30 * 86_400.0
"""No work goes on for longer."""
_PART = 500


def mark(conn: Connection, base: int, source: str, revision: int) -> None:
    """Remember that `source` of the base (by seq) is gone from `revision` on. Forgets what is old."""
    columns, now = t.deletions.c, time.time()
    ours = (columns.base == base, columns.source_sha256 == _hash(source))
    before = conn.scalar(select(columns.revision).where(*ours))
    if before is None:
        conn.execute(insert(t.deletions).values(base=base, source_sha256=_hash(source), revision=revision, at=now))
    else:
        conn.execute(update(t.deletions).where(*ours).values(revision=max(before, revision), at=now))
    conn.execute(delete(t.deletions).where(columns.base == base, columns.at < now - KEPT_SECONDS))


def deleted(conn: Connection, base: int, sources: Collection[str], since: int) -> set[str]:
    """Those of `sources` of the base (by seq) that were deleted after the revision `since`."""
    columns = t.deletions.c
    names = {_hash(source): source for source in sources}
    found: set[str] = set()
    for start in range(0, len(names), _PART):
        some = [*names][start : start + _PART]
        query = select(columns.source_sha256).where(columns.base == base, columns.revision > since)
        found.update(names[row] for row in conn.scalars(query.where(columns.source_sha256.in_(some))))
    return found


def _hash(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
