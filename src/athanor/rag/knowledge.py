"""Knowledge bases as a service: make, fill, search, read. What the API, the command line and the console all call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anyio import to_thread

from athanor.engines import Embedder
from athanor.errors import InputError, NotFoundError
from athanor.observe import Action, AuditLog
from athanor.rag.retrieve import Retriever
from athanor.store import Store
from athanor.types import SYSTEM_READER, Document, DocumentStatus, Hit, JobState, KnowledgeBase, Principal, Reader

MAX_QUERY = 8000
"""Characters of a query; more is not a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Documents of a knowledge base by state, and the bytes of their sources."""

    ready: int
    failed: int
    in_progress: int
    size: int


class Knowledge:
    """All knowledge bases of one store."""

    def __init__(self, store: Store, embedder: Embedder, retriever: Retriever) -> None:
        self._store = store
        self._embedder = embedder
        self._retriever = retriever
        self._audit = AuditLog(store)

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

    async def base(self, id_or_name: str) -> KnowledgeBase:
        """The base with this id or name.

        Raises:
            NotFoundError: there is none.
        """
        return await to_thread.run_sync(self._store.knowledge.get, id_or_name)

    async def bases(self) -> list[KnowledgeBase]:
        """All bases, by name."""
        return await to_thread.run_sync(self._store.knowledge.list)

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

    async def delete(self, base: KnowledgeBase, *, by: Principal | None = None) -> None:
        """Delete `base` with everything in it."""

        def delete() -> None:
            with self._store.write() as conn:
                self._store.knowledge.delete(base.id, conn=conn)
                details = {"name": base.name}
                self._audit.record(Action.KNOWLEDGE_DELETED, by=by, subject=base.id, details=details, conn=conn)

        await to_thread.run_sync(delete)

    async def documents(self, base: KnowledgeBase) -> list[Document]:
        """All documents of `base`, by source."""
        return await to_thread.run_sync(lambda: self._store.knowledge.documents(base.id, limit=1_000_000))

    async def document(self, document: str) -> Document:
        """One document.

        Raises:
            NotFoundError: there is none.
        """
        return await to_thread.run_sync(self._store.knowledge.document, document)

    async def documents_of(self, hits: Sequence[Hit]) -> list[Document]:
        """The documents that `hits` come from; those deleted meanwhile are left out."""
        found = []
        for document in dict.fromkeys(hit.chunk.document for hit in hits):
            try:
                found.append(await self.document(document))
            except NotFoundError:
                continue
        return found

    async def remove(self, document: str, *, by: Principal | None = None) -> None:
        """Delete a document, all its versions; from the commit on nothing finds it.

        Raises:
            NotFoundError: there is none.
        """

        def remove() -> None:
            with self._store.write() as conn:
                self._store.knowledge.delete_document(document, conn=conn)
                self._audit.record(Action.DOCUMENT_DELETED, by=by, subject=document, conn=conn)

        await to_thread.run_sync(remove)

    async def text(self, document: str, version: int | None = None) -> str:
        """The source text of one version: what citations count their characters in.

        Raises:
            NotFoundError: no such document or version, or it never could be read.
        """
        return await to_thread.run_sync(self._text, document, version)

    def _text(self, document: str, version: int | None) -> str:
        if version is None:
            version = self._store.knowledge.document(document).version
        state = self._store.knowledge.document_version(document, version)
        return self._store.blobs.read(state.text_sha256).decode("utf-8")

    async def search(
        self, base: KnowledgeBase, query: str, *, limit: int = 10, reader: Reader = SYSTEM_READER
    ) -> list[Hit]:
        """The best passages for `query`.

        Raises:
            InputError: an empty or overlong query.
        """
        return await self._retriever.search(base, checked_query(query), limit=limit)

    async def counts(self, base: KnowledgeBase) -> Counts:
        """Documents by state. Those of jobs that still run count as in progress."""

        def count() -> Counts:
            states = self._store.knowledge.sources(base.id).values()
            jobs = [
                job
                for job in self._store.jobs.list(states=(JobState.QUEUED, JobState.RUNNING), limit=1000)
                if job.arguments.get("knowledge_base") == base.id
            ]
            waiting = sum(max(job.total, len(job.arguments.get("files", ()))) - job.done - job.failed for job in jobs)
            return Counts(
                ready=sum(state.status is DocumentStatus.READY for state in states),
                failed=sum(state.status is DocumentStatus.FAILED for state in states),
                in_progress=max(waiting, len(jobs)),
                size=sum(state.size for state in states),
            )

        return await to_thread.run_sync(count)

    async def suggestions(self, base: KnowledgeBase, *, limit: int = 3) -> list[str]:
        """Questions that the documents are likely to answer, made from their headings."""

        def collect() -> list[str]:
            questions: dict[str, None] = {}
            for document in self._store.knowledge.documents(base.id, status=DocumentStatus.READY, limit=50):
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
