"""Knowledge bases as a service: make, fill, search, read. What the API, the command line and the console all call."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from anyio import to_thread

from athanor.engines import Embedder
from athanor.errors import InputError
from athanor.guards import Chain
from athanor.guards.spotlight import Spotlight
from athanor.observe import Action, AuditLog
from athanor.rag.expand import Grown, expand
from athanor.rag.listing import listing_for
from athanor.rag.near import tell_near
from athanor.rag.permissions import ALL, Permissions
from athanor.rag.retrieve import Explanation, Retriever
from athanor.store import Store
from athanor.store.lookup import missing_document
from athanor.types import (
    SYSTEM_READER,
    Document,
    DocumentStatus,
    Filter,
    Hit,
    Job,
    JobState,
    KnowledgeBase,
    Principal,
    Reader,
    View,
)

MAX_QUERY = 8000
"""Characters of a query; more is not a question."""
USED_SECONDS = 60.0
"""Between two notes that a base is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Documents of a knowledge base by state, and the bytes of their sources."""

    ready: int
    failed: int
    in_progress: int
    size: int


class Knowledge:
    """All knowledge bases of one store.

    Whoever reads says so: what a `reader` may not read does not exist for them, and every number is as if it did not.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        retriever: Retriever,
        *,
        spotlight: Spotlight | None = None,
        guards: Chain | None = None,
    ) -> None:
        self.spotlight = spotlight or Spotlight()
        """How passages are put into prompts."""
        self.guards = guards
        """What looks at passages before a model reads them."""
        self._store = store
        self._embedder = embedder
        self._retriever = retriever
        self._audit = AuditLog(store)
        self.permissions = Permissions(store)
        self._used: dict[str, float] = {}
        """Base → when its use was last noted, by the monotonic clock."""

    async def create(self, name: str, *, by: Principal | None = None) -> KnowledgeBase:
        """A new, empty base whose vectors are the current embedder's.

        Raises:
            InputError: the name is empty or longer than 100 characters.
            ConflictError: the name is taken.
        """
        profile = self._embedder.profile
        checked = _checked(name)

        def create() -> KnowledgeBase:
            with self._store.write() as conn:
                made = self._store.knowledge.create(
                    checked, embedder=profile.id, dimension=profile.dimension, conn=conn
                )
                self._audit.record(
                    Action.KNOWLEDGE_CREATED, by=by, subject=made.id, details={"name": checked}, conn=conn
                )
            return made

        return await to_thread.run_sync(create)

    async def ensure(self, name: str, *, by: Principal | None = None) -> KnowledgeBase:
        """The base called `name`, made if it is not there."""
        found = await to_thread.run_sync(self._store.knowledge.find, name)
        return found or await self.create(name, by=by)

    async def base(self, id_or_name: str, *, reader: Reader) -> KnowledgeBase:
        """The base with this id or name, with the counts that the reader sees.

        Raises:
            NotFoundError: there is none.
        """
        return await to_thread.run_sync(lambda: self._seen(self._store.knowledge.get(id_or_name), reader))

    async def bases(self, *, reader: Reader) -> list[KnowledgeBase]:
        """All bases, by name, with the counts that the reader sees."""
        return await to_thread.run_sync(lambda: [self._seen(b, reader) for b in self._store.knowledge.list()])

    def _seen(self, base: KnowledgeBase, reader: Reader) -> KnowledgeBase:
        """`base` without what says something of hidden documents: its rules, and the number of its changes."""
        if reader.everything:
            return base
        with self._store.read() as conn:
            view = self._store.knowledge.view(base.id, reader, conn=conn)
            documents, chunks = self._store.knowledge.counts(base.id, view, conn=conn)
        return replace(base, documents=documents, chunks=chunks, rules=(), revision=0, last_active_at=None)

    async def view(self, base: KnowledgeBase, *, reader: Reader, filter: Filter | None = None) -> View:  # noqa: A002
        """What the reader sees of `base` now: what an answer is made from, and what it may be kept for.

        Raises:
            NotFoundError: the base is gone.
        """
        return await to_thread.run_sync(lambda: self._store.knowledge.view(base.id, reader, filter))

    async def rename(self, base: KnowledgeBase, name: str, *, by: Principal | None = None) -> KnowledgeBase:
        """Give `base` another name.

        Raises:
            InputError, ConflictError: as `create`.
        """
        checked = _checked(name)

        def rename() -> KnowledgeBase:
            with self._store.write() as conn:
                details = {"from": base.name, "to": checked}
                self._audit.record(Action.KNOWLEDGE_RENAMED, by=by, subject=base.id, details=details, conn=conn)
                return self._store.knowledge.rename(base.id, checked, conn=conn)

        return await to_thread.run_sync(rename)

    async def delete(self, base: KnowledgeBase, *, reader: Reader = SYSTEM_READER, by: Principal | None = None) -> None:
        """Delete `base` with everything in it.

        Raises:
            PermissionDeniedError: see `Permissions.check_deletion`.
        """

        def delete() -> None:
            with self._store.write() as conn:
                self.permissions.check_deletion(base, reader, conn)
                self._store.knowledge.delete(base.id, conn=conn)
                details = {"name": base.name}
                self._audit.record(Action.KNOWLEDGE_DELETED, by=by, subject=base.id, details=details, conn=conn)
            self._retriever.indexes.drop(base.id)

        await to_thread.run_sync(delete)

    def used(self, base: str) -> None:
        """Note that a base (by id) is in use, which puts its end off. Writes at most once a minute. Blocks."""
        now = time.monotonic()
        if now - self._used.get(base, -math.inf) > USED_SECONDS:
            self._used[base] = now
            self._store.knowledge.touch(base)

    async def documents(self, base: KnowledgeBase, *, reader: Reader, filter: Filter | None = None) -> list[Document]:  # noqa: A002
        """The documents of `base` that the reader may read, by source."""
        return await to_thread.run_sync(self._documents, base, reader, filter)

    def _documents(self, base: KnowledgeBase, reader: Reader, filter: Filter | None = None) -> list[Document]:  # noqa: A002
        with self._store.read() as conn:
            view = self._store.knowledge.view(base.id, reader, filter, conn=conn)
            found = self._store.knowledge.documents(base.id, view=view, limit=ALL, conn=conn)
            return tell_near(self._store, found, reader, conn)

    async def document(self, document: str, *, reader: Reader) -> Document:
        """One document.

        Raises:
            NotFoundError: there is none, or it is closed to the reader: in the same words.
        """
        return await to_thread.run_sync(self._document, document, reader)

    def _document(self, document: str, reader: Reader) -> Document:
        with self._store.read() as conn:
            found = self._store.knowledge.document(document, conn=conn)
            if not reader.may_read(found.access):
                raise missing_document(document)
            return tell_near(self._store, [found], reader, conn)[0]

    async def documents_of(self, hits: Sequence[Hit], *, reader: Reader) -> list[Document]:
        """The documents that `hits` come from; those deleted or closed meanwhile are left out. `near` is not told."""
        wanted = dict.fromkeys(hit.chunk.document for hit in hits)
        found = await to_thread.run_sync(self._store.knowledge.documents_of, wanted)
        return [
            replace(document, near=None)
            for one in wanted
            if (document := found.get(one)) is not None and reader.may_read(document.access)
        ]

    async def remove(self, document: str, *, reader: Reader, by: Principal | None = None) -> None:
        """Delete a document, all its versions; from the commit on nothing finds it.

        Raises:
            NotFoundError: there is none, or it is closed to the reader.
        """

        def remove() -> None:
            with self._store.write() as conn:
                if not reader.may_read(self._store.knowledge.document(document, conn=conn).access):
                    raise missing_document(document)
                self._store.knowledge.delete_document(document, conn=conn)
                self._audit.record(Action.DOCUMENT_DELETED, by=by, subject=document, conn=conn)

        await to_thread.run_sync(remove)

    async def text(self, document: str, version: int | None = None, *, reader: Reader) -> str:
        """The source text of one version: what citations count their characters in. Of a container, what the reader may
        know of it.

        Raises:
            NotFoundError: no such document or version, it never could be read, or it is closed to the reader.
        """
        return await to_thread.run_sync(self._text, document, version, reader)

    def _text(self, document: str, version: int | None, reader: Reader) -> str:
        found = self._document(document, reader)
        state = self._store.knowledge.document_version(document, found.version if version is None else version)
        text = self._store.blobs.read(state.text_sha256).decode("utf-8")
        return listing_for(self._store.knowledge.get(found.knowledge_base), found, text, reader)

    async def search(
        self,
        base: KnowledgeBase,
        query: str,
        *,
        reader: Reader,
        limit: int = 10,
        filter: Filter | None = None,  # noqa: A002
        view: View | None = None,
        whole: bool = False,
    ) -> list[Hit]:
        """The best passages for `query`, of those that the reader may read.

        Args:
            whole: all of them, whatever `limit`, where the base's settings let one of its size be read whole.
            view: what the reader saw at an earlier moment, where the answer is kept for all who saw the same; what was
                closed since is left out.

        Raises:
            InputError: an empty or overlong query.
        """
        question = checked_query(query)
        if view is None:
            view = await self.view(base, reader=reader, filter=filter)
        hits = await self._retriever.search(base, question, view=view, limit=limit, whole=whole)

        def read() -> list[Hit]:
            self.used(base.id)
            return self._still(hits, reader)

        return await to_thread.run_sync(read)

    async def grown(
        self,
        base: KnowledgeBase,
        hits: Sequence[Hit],
        *,
        tokens: int,
        room: int,
        reader: Reader,
        view: View | None = None,
    ) -> Grown:
        """`hits` with what the reader may read around them; see `athanor.rag.expand`.

        Raises:
            NotFoundError: the base is gone.
        """
        if view is None:
            view = await self.view(base, reader=reader)
        return await to_thread.run_sync(lambda: expand(self._store, base, hits, tokens=tokens, room=room, view=view))

    async def explain(self, base: KnowledgeBase, query: str, *, reader: Reader, limit: int = 10) -> Explanation:
        """As `search`, with what every stage made of the candidates. Raises as `search`."""
        view = await self.view(base, reader=reader)
        return await self._retriever.explain(base, checked_query(query), view=view, limit=limit)

    def _still(self, hits: list[Hit], reader: Reader) -> list[Hit]:
        """`hits` without those whose document was closed to the reader while the search ran."""
        if reader.everything:
            return hits
        found = self._store.knowledge.documents_of({hit.chunk.document for hit in hits})
        allowed = {one for one, document in found.items() if reader.may_read(document.access)}
        return [hit for hit in hits if hit.chunk.document in allowed]

    async def counts(self, base: KnowledgeBase, *, reader: Reader) -> Counts:
        """Documents by state, of those that the reader may read. Those of jobs that still run count as in progress."""

        def count() -> Counts:
            with self._store.read() as conn:
                view = self._store.knowledge.view(base.id, reader, conn=conn)
                states = self._store.knowledge.tally(base.id, view, conn=conn)
            jobs = [
                job
                for job in self._store.jobs.list(states=(JobState.QUEUED, JobState.RUNNING), limit=1000)
                if job.arguments.get("knowledge_base") == base.id and self._counts(job, base, reader)
            ]
            waiting = sum(max(job.total, len(job.arguments.get("files", ()))) - job.done - job.failed for job in jobs)
            return Counts(
                ready=states.get(DocumentStatus.READY, (0, 0))[0],
                failed=states.get(DocumentStatus.FAILED, (0, 0))[0],
                in_progress=max(waiting, len(jobs)),
                size=sum(size for _, size in states.values()),
            )

        return await to_thread.run_sync(count)

    def _counts(self, job: Job, base: KnowledgeBase, reader: Reader) -> bool:
        own = f"principal:{job.arguments.get('principal')}" in reader.identities
        return own or self.permissions.sees_all(self._store.knowledge.get(base.id), reader=reader)

    async def suggestions(self, base: KnowledgeBase, *, reader: Reader, limit: int = 3) -> list[str]:
        """Questions that the documents which the reader may read are likely to answer, made from their headings."""

        def collect() -> list[str]:
            questions: dict[str, None] = {}
            view = self._store.knowledge.view(base.id, reader)
            ready = self._store.knowledge.documents(base.id, status=DocumentStatus.READY, view=view, limit=50)
            for document in ready:
                longest = max(self._store.chunks.of_document(document.id), key=lambda c: len(c.text), default=None)
                if longest is not None:
                    questions[_question_about(longest.heading.rpartition(" > ")[2] or document.title)] = None
                if len(questions) >= limit:
                    break
            return list(questions)

        return await to_thread.run_sync(collect)


def checked_query(query: str) -> str:
    """`query` without surrounding white space.

    Raises:
        InputError: it is empty or longer than `MAX_QUERY` characters.
    """
    query = query.strip()
    if not query:
        raise InputError("The question is empty.", where="query")
    if len(query) > MAX_QUERY:
        raise InputError(f"The question has {len(query)} characters; {MAX_QUERY} are the most.", where="query")
    return query


def _question_about(heading: str) -> str:
    """A heading as a question: as it stands where it is one, else a request to hear about it."""
    heading = " ".join(heading.split())[:80].strip("#:.* ")
    return heading if heading.endswith("?") else f"Tell me about {heading}."


def _checked(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= 100 or "/" in name or not name.isprintable():
        raise InputError("A name has 1 to 100 printable characters and no slash.", where="name")
    return name
