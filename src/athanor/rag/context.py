"""Contexts that a model writes: one or two sentences that place a passage in its document, indexed with it.

"The increase was 3 %" is found by nobody who asks about the harbour's tolls in 1992. What a model says the passage is
about, from reading the document, goes into both legs of the search (Anthropic, "Introducing Contextual Retrieval",
2024). It is never shown and never cited, and no prompt holds it: it is a model's text, made of a document's text, and
so it is data.

A request for each passage is what it costs, so it is off until somebody asks for it. The prompt begins with the
document, the same for all of its passages, so that an engine reads that part once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from athanor.engines import Embedder
from athanor.errors import ConflictError, EngineError, InputError, JobError, NotFoundError
from athanor.governance import Right, require
from athanor.guards.spotlight import Spotlight
from athanor.observe import Action, AuditLog
from athanor.rag.situate import READ, cleaned, contextual_text, request
from athanor.store import Store
from athanor.types import (
    Chunk,
    Document,
    Job,
    JobItem,
    JobState,
    KnowledgeBase,
    Principal,
    Request,
)

Ask = Callable[[Job, Request], Awaitable[str]]
"""Has a model answer for whoever asked for the job, on their account: the text of its answer."""

TOGETHER = 4
"""Requests at once; engines read the document that they share only once."""
BATCH = 16
"""Passages that are embedded and committed together: what a kill costs."""
PATIENCE = 5
"""Passages in a row that a model may fail at before the job does."""


class Contexts:
    """Does jobs of the kind `context`."""

    KIND = "context"

    def __init__(self, store: Store, embedder: Embedder, *, spotlight: Spotlight | None = None) -> None:
        self._store = store
        self._embedder = embedder
        self._spotlight = spotlight or Spotlight()
        self._audit = AuditLog(store)
        self._ask: Ask | None = None

    def speak(self, how: Ask) -> None:
        """Have models write by `how`, which meters and limits them."""
        self._ask = how

    async def enqueue(
        self,
        base: KnowledgeBase,
        *,
        model: str | None,
        room: int = READ,
        key: str | None = None,
        limit: int | None = None,
        by: Principal | None = None,
    ) -> Job:
        """Queue a job that gives passages of `base` their contexts, at most `limit` of those that have none.

        Args:
            model: that writes; `None` takes all contexts away instead.
            room: characters of a document that fit into the model's context.
            key: id of the key that the requests are billed to; `None` is the principal alone.

        Raises:
            InputError: `limit` is under 1.
        """
        if limit is not None and limit < 1:
            raise InputError("The limit is 1 or more.", where="limit")
        arguments: dict[str, Any] = {"knowledge_base": base.id, "model": model, "limit": limit}
        arguments |= {"room": max(0, min(READ, room)), "key": key} if model else {}
        arguments |= {} if by is None else {"principal": by.id}

        def enqueue() -> Job:
            with self._store.write() as conn:
                job = self._store.jobs.enqueue(self.KIND, arguments, total=0, conn=conn)
                details = {"job": job.id, "model": model}
                self._audit.record(Action.CONTEXTS_CHANGED, by=by, subject=base.id, details=details, conn=conn)
            return job

        return await to_thread.run_sync(enqueue)

    async def run(self, job: Job) -> Mapping[str, object]:
        """Do the job. What is written stays written: taken up again, it goes on with the passages that have none.

        Raises:
            PermissionDeniedError: who asked may no longer administer.
            JobError: there is no way to a model here, or it fails at one passage after the other.
            ConflictError: the base's vectors are another embedder's.
        """
        await to_thread.run_sync(self._check, job)
        if job.arguments["model"] is not None and self._ask is None:
            raise JobError("This process asks no models: it has no doors.")
        base = await to_thread.run_sync(self._store.knowledge.get, job.arguments["knowledge_base"])
        run = _Run(job, base, self._store, self._embedder, self._ask, self._spotlight)
        return await run.run()

    def _check(self, job: Job) -> None:
        """The model reads documents that are closed to others."""
        who = self._store.principals.find(str(job.arguments.get("principal", "")))
        if who is not None:
            require(who, Right.ADMINISTER)


class _Run:
    """One taking up of a job."""

    def __init__(
        self,
        job: Job,
        base: KnowledgeBase,
        store: Store,
        embedder: Embedder,
        ask: Ask | None,
        spotlight: Spotlight,
    ) -> None:
        self._spotlight = spotlight
        self._job = job
        self._base = base
        self._store = store
        self._embedder = embedder
        self._ask = ask
        self._removing = job.arguments["model"] is None
        # What an earlier taking up has done counts.
        self._written, self._failed = job.done, job.failed
        self._total = self._changed = self._astray = 0

    async def run(self) -> Mapping[str, object]:
        find = partial(self._store.contexts.documents, self._base.id, written=self._removing)
        waiting = await to_thread.run_sync(find)
        tried = await to_thread.run_sync(self._tried)
        limit: int | None = self._job.arguments["limit"]
        left = max(0, sum(waiting.values()) - len(tried))
        if limit is not None:
            left = min(left, max(0, limit - self._written - self._failed))
        self._total = self._written + self._failed + left
        for document in waiting:
            if left <= 0:
                break
            left -= await self._document(document, tried, left)
        await self._tell("")
        name = "removed" if self._removing else "written"
        return {name: self._written, "failed": self._failed, "changed": self._changed}

    async def _document(self, name: str, tried: set[str], left: int) -> int:
        """How many of its passages were dealt with."""
        try:
            document, text, chunks = await to_thread.run_sync(self._read, name)
        except NotFoundError:
            return 0
        wanted = [c for c in chunks if bool(c.context) == self._removing and c.id not in tried][:left]
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            contexts = dict.fromkeys((c.id for c in batch), "")
            if not self._removing:
                contexts = await self._contexts(document, text, batch)
            if not await self._keep(document, [c for c in batch if c.id in contexts], contexts):
                self._changed += 1  # its new version has passages of its own, for another job
                return start
            await self._tell("Removing contexts" if self._removing else f"Writing contexts: {document.source}")
        return len(wanted)

    def _read(self, name: str) -> tuple[Document, str, list[Chunk]]:
        with self._store.read() as conn:
            document = self._store.knowledge.document(name, conn=conn)
            chunks = self._store.chunks.of_document(name, conn=conn)
        if self._removing or document.text_sha256 is None:
            return document, "", chunks
        return document, self._store.blobs.read(document.text_sha256).decode("utf-8"), chunks

    async def _contexts(self, document: Document, text: str, batch: Sequence[Chunk]) -> dict[str, str]:
        """Chunk id → context, of those that the model wrote one for."""
        found: dict[str, str] = {}
        limiter = anyio.CapacityLimiter(TOGETHER)

        async def write(passage: Chunk) -> None:
            async with limiter:
                problem = "The model wrote nothing."
                try:
                    assert self._ask is not None
                    asked = request(document, text, passage, self._job.arguments, self._spotlight)
                    said = cleaned(self._spotlight.read(await self._ask(self._job, asked)))
                except EngineError as error:
                    said, problem = "", error.message
                if said:
                    found[passage.id] = said
                    self._astray = 0
                    return
                self._astray += 1
                self._failed += 1
                item = JobItem(
                    job=self._job.id, key=f"{document.source}#{passage.id}", state=JobState.FAILED, message=problem
                )
                await to_thread.run_sync(self._store.jobs.put_items, [item])
                if self._astray >= PATIENCE:
                    raise JobError(f"The model failed at {self._astray} passages in a row: {problem}")

        first, *others = batch
        await write(first)  # alone, so that the others find the document in the engine's prefix cache
        try:
            async with anyio.create_task_group() as group:
                for passage in others:
                    group.start_soon(write, passage)
        except* Exception as errors:
            raise errors.exceptions[0] from None
        return found

    async def _keep(self, document: Document, batch: Sequence[Chunk], contexts: Mapping[str, str]) -> bool:
        """Embed and store; `False` where the document was replaced meanwhile."""
        if not batch:
            return True
        texts = [contextual_text(document.title, passage, contexts[passage.id]) for passage in batch]
        rows = (await self._embedder.embed(texts, kind="document")).rows()
        vectors = {passage.id: row for passage, row in zip(batch, rows, strict=True)}
        put = partial(self._store.contexts.put, embedder=self._embedder.profile.id)
        try:
            self._written += await to_thread.run_sync(
                lambda: put(document.id, document.version, {c.id: contexts[c.id] for c in batch}, vectors)
            )
        except ConflictError:
            if self._base.embedder != self._embedder.profile.id:
                raise
            return False
        return True

    def _tried(self) -> set[str]:
        """Passages that this job has failed at before it was taken up again."""
        return {item.key.rpartition("#")[2] for item in self._store.jobs.items(self._job.id, limit=1_000_000)}

    async def _tell(self, message: str) -> None:
        tell = partial(
            self._store.jobs.progress,
            self._job.id,
            self._job.lease_owner or "",
            total=self._total,
            done=self._written,
            failed=self._failed,
            message=message,
        )
        await to_thread.run_sync(tell)
