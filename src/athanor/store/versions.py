"""Versions of how a knowledge base is searched, and which one is in use."""

from __future__ import annotations

import builtins
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.bases import base_row
from athanor.types import KnowledgeVersion, RetrievalSettings


class Versions(Repository):
    """Settings of bases (by id), numbered from 1. Nothing is ever changed or taken away, so every one can come back."""

    def add(
        self,
        knowledge_base: str,
        settings: RetrievalSettings,
        *,
        note: str = "",
        figures: Mapping[str, Any] | None = None,
        conn: Connection | None = None,
    ) -> KnowledgeVersion:
        """A new version, one above the newest. It is not in use until `use` says so.

        Raises:
            NotFoundError: no such base.
        """
        columns = t.knowledge_versions.c
        with self._db.writing(conn) as c:
            base = base_row(c, knowledge_base, lock=True)
            newest = c.scalar(select(func.max(columns.version)).where(columns.base == base.seq)) or 0
            made = KnowledgeVersion(
                base=knowledge_base,
                version=newest + 1,
                settings=settings,
                note=note,
                created_at=time.time(),
                figures=dict(figures or {}),
            )
            values = {name: getattr(made, name) for name in ("version", "note", "created_at", "figures")}
            c.execute(insert(t.knowledge_versions).values(**values, base=base.seq, settings=asdict(settings)))
        return made

    def list(self, knowledge_base: str, *, conn: Connection | None = None) -> builtins.list[KnowledgeVersion]:
        """All versions, newest first; version 0, the defaults, is none of them.

        Raises:
            NotFoundError: no such base.
        """
        columns = t.knowledge_versions.c
        with self._db.reading(conn) as c:
            query = select(t.knowledge_versions).where(columns.base == base_row(c, knowledge_base).seq)
            return [_version(row, knowledge_base) for row in c.execute(query.order_by(columns.version.desc()))]

    def get(self, knowledge_base: str, version: int, *, conn: Connection | None = None) -> KnowledgeVersion:
        """One version from 1.

        Raises:
            NotFoundError: no such base or version.
        """
        columns = t.knowledge_versions.c
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            query = select(t.knowledge_versions).where(columns.base == base.seq, columns.version == version)
            row = c.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"Knowledge base {base.name!r} has no version {version} of its settings.")
        return _version(row, knowledge_base)

    def use(self, knowledge_base: str, version: int, *, conn: Connection | None = None) -> None:
        """Search the base by this version from now on; 0 is the defaults.

        Raises:
            NotFoundError: no such base or version.
        """
        with self._db.writing(conn) as c:
            base = base_row(c, knowledge_base, lock=True)
            if version:
                self.get(knowledge_base, version, conn=c)
            c.execute(update(t.knowledge_bases).where(t.knowledge_bases.c.seq == base.seq).values(version=version))


def _version(row: Row[Any], knowledge_base: str) -> KnowledgeVersion:
    settings = RetrievalSettings(**row.settings)
    return KnowledgeVersion(**{**row._asdict(), "base": knowledge_base, "settings": settings})
