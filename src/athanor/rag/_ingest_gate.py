"""What every commit of an ingestion asks first, inside its own transaction.

Between the planning of a run and a commit of it a document may be deleted or erased. That was acknowledged, so nothing
of it may come back until somebody asks again: a job that was asked for before the deletion does not bring it back,
neither as a document nor as a name in its items.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection

from athanor.rag._ingest_source import Source, blank
from athanor.rag.listing import Listing, paths
from athanor.rag.origins import origin_of
from athanor.rag.permissions import access_for
from athanor.store import Store
from athanor.types import Access, Document, Job, KnowledgeBase


class Gate:
    """Knows when its job was asked for."""

    def __init__(self, base: KnowledgeBase, store: Store, job: Job) -> None:
        self.base = base.id
        """Id."""
        self._store = store
        self._job = job
        self.origin = origin_of(job.arguments)
        self.asked: int = job.arguments.get("revision", base.revision)
        """Revision of the base at which the job was asked for."""

    def blank(self, source: Source) -> Document:
        """The document of `source` before it is read."""
        return blank(source, self.base, self.origin, self._job.arguments)

    def gone(self, sources: Iterable[Source], conn: Connection) -> set[str]:
        """Names of those of `sources` that were deleted since the job was asked for, or a container that they are in.

        Locks the base until the commit.
        """
        every = {source.name: source.within for source in sources}
        asked = {*every, *(name for within in every.values() for name in within)}
        deleted = self._store.knowledge.deleted_since(self.base, asked, self.asked, conn=conn)
        return {name for name, within in every.items() if name in deleted or not deleted.isdisjoint(within)}

    def access(self, source: Source, conn: Connection) -> Access:
        """What the rules say now: one that was made while the file was read counts already."""
        return access_for(self._store.knowledge.get(self.base, conn=conn), source.name, *source.within)

    def hold(self, source: Source, conn: Connection) -> None:
        """Let the containers that `source` is in have rows, the outermost first: a member is never without."""
        if source.outer is None:
            return
        self.hold(source.outer, conn)
        if self._store.knowledge.document_by_source(self.base, source.outer.name, conn=conn) is None:
            self.begin(source.outer, conn)

    def begin(self, source: Source, conn: Connection) -> None:
        """Record that a container is being read."""
        document = replace(self.blank(source), access=self.access(source, conn))
        self._store.knowledge.begin_document(document, conn=conn)

    def put_listing(self, source: Source, listing: Listing | None, conn: Connection) -> str | None:
        """Keep the listing of the container `source`, without what was deleted meanwhile; the SHA-256 of its text.

        In the transaction, unlike other texts, because it names documents that may be erased until then.
        """
        if listing is None:
            return None
        names = {path for name in listing.names() for path in paths(name)}
        full = {f"{source.name}/{name}": name for name in names}
        deleted = self._store.knowledge.deleted_since(self.base, full, self.asked, conn=conn)
        return self._store.blobs.put(listing.text({full[name] for name in deleted}).encode("utf-8"))
