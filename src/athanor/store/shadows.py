"""Comparisons of cached answers with new ones: what the semantic cache's thresholds rest on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.types import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """One question that the cache could have answered, and that was answered anew. No text is kept."""

    route: str
    embedder: str
    """Id: similarities by different embedders are never mixed."""
    similarity: float
    """Cosine of the two questions."""
    same: bool
    """Would the cached answer have been right?"""
    at: float
    """Unix seconds."""


class Shadows(Repository):
    """Shadow comparisons, by route and embedder."""

    def add(
        self, *, route: str, embedder: str, similarity: float, same: bool, conn: Connection | None = None
    ) -> Shadow:
        """Record one comparison."""
        shadow = Shadow(route=route, embedder=embedder, similarity=similarity, same=same, at=time.time())
        self.insert([shadow], conn=conn)
        return shadow

    def insert(self, shadows: Sequence[Shadow], *, conn: Connection | None = None) -> None:
        """Record comparisons in order."""
        if not shadows:
            return
        rows = [
            {
                "id": new_id("shadow"),
                "route": shadow.route,
                "embedder": shadow.embedder,
                "similarity": shadow.similarity,
                "same": int(shadow.same),
                "at": shadow.at,
            }
            for shadow in shadows
        ]
        with self._db.writing(conn) as c:
            c.execute(insert(t.cache_shadows), rows)

    def latest(self, *, route: str, embedder: str, limit: int, conn: Connection | None = None) -> list[Shadow]:
        """The last `limit` comparisons, oldest first."""
        column = t.cache_shadows.c
        query = (
            select(column.route, column.embedder, column.similarity, column.same, column.at)
            .where(column.route == route, column.embedder == embedder)
            .order_by(column.at.desc(), column.id.desc())
            .limit(limit)
        )
        with self._db.reading(conn) as c:
            rows = [row._asdict() for row in c.execute(query)]
        return [Shadow(**(row | {"same": bool(row["same"])})) for row in reversed(rows)]

    def forget(self, *, route: str, conn: Connection | None = None) -> int:
        """Delete what is known about `route`, such as after its model changed; how many rows that were."""
        with self._db.writing(conn) as c:
            return c.execute(delete(t.cache_shadows).where(t.cache_shadows.c.route == route)).rowcount

    def delete_older(self, at: float, *, conn: Connection | None = None) -> int:
        """Delete comparisons from before `at` (Unix seconds); how many that were."""
        with self._db.writing(conn) as c:
            return c.execute(delete(t.cache_shadows).where(t.cache_shadows.c.at < at)).rowcount
