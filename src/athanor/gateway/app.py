"""Everything that a request can need, opened once and passed along."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

import anyio
from anyio import to_thread

from athanor.config import Settings
from athanor.data import ParserLimits, ParserPool
from athanor.engines import Embedder, LocalSettings, Reranker
from athanor.engines.adapters.onnx import OnnxEmbedder, OnnxReranker, onnx_process
from athanor.engines.missing import MissingEmbedder
from athanor.errors import AthanorError
from athanor.gateway.batches import Batches
from athanor.gateway.cache import Cache
from athanor.gateway.limits import Limiter
from athanor.gateway.models import Models
from athanor.gateway.router import Router
from athanor.governance import Groups, Keys, Links, Readers, Right, Sessions, Users, may
from athanor.guards import Chain, DryRuns, Guard, Parts, secret_of
from athanor.guards.private import Privacy
from athanor.guards.recorded import Recorded
from athanor.models import resolve_embedder, resolve_reranker
from athanor.observe import Action, AuditLog, Ledger, Metrics
from athanor.rag import Indexes, Ingestion, Knowledge, Retriever
from athanor.rag.context import Contexts
from athanor.rag.erase import Eraser
from athanor.rag.evaluation.questions import Questions
from athanor.rag.evaluation.run import Evaluations
from athanor.rag.evaluation.tune import Tuning
from athanor.rag.expiry import Expiry
from athanor.rag.origins import Origins
from athanor.rag.sync import Sources
from athanor.store import Store
from athanor.store.requests import missing_request
from athanor.types import File, Job, Limits, Principal, Reader, RoleName, new_id

Handler = Callable[[Job], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The parts of a running system. Made by `open_app`; nothing of it is global."""

    settings: Settings
    instance: str
    """Differs at every start; tells a client that it reached the server it looked for."""
    store: Store
    keys: Keys
    links: Links
    sessions: Sessions
    users: Users
    readers: Readers
    groups: Groups
    audit: AuditLog
    ledger: Ledger
    metrics: Metrics
    models: Models
    embedder: Embedder
    reranker: Reranker | None
    knowledge: Knowledge
    eraser: Eraser
    expiry: Expiry
    ingestion: Ingestion
    sources: Sources
    contexts: Contexts
    questions: Questions
    tuning: Tuning
    evaluations: Evaluations
    batches: Batches
    router: Router
    limits: Limiter
    cache: Cache
    guards: Chain
    privacy: Privacy
    recorded: Recorded
    dry_runs: DryRuns
    handlers: Mapping[str, Handler]
    """Job kind → what does it."""

    async def start(self) -> None:
        """Begin loading the models of the default set-up. What cannot be loaded says so in its state."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.embedder.start)
            if self.reranker is not None:
                group.start_soon(self.reranker.start)
            group.start_soon(self.models.start_default)

    async def add_file(
        self, name: str, stream: BinaryIO, *, purpose: str, by: Principal, seconds: float | None = None
    ) -> File:
        """Keep an uploaded file, for so many `seconds` or for good: its bytes as a blob, its facts as a row."""

        def add() -> File:
            sha256 = self.store.blobs.put(stream)
            now = time.time()
            file = File(
                id=new_id("file"),
                name=name,
                size=self.store.blobs.size(sha256),
                sha256=sha256,
                purpose=purpose,
                principal=by.id,
                created_at=now,
                expires_at=None if seconds is None else now + seconds,
            )
            with self.store.write() as conn:
                self.store.files.insert(file, conn=conn)
                self.audit.record(Action.FILE_UPLOADED, by=by, subject=file.id, details={"sha256": sha256}, conn=conn)
            return file

        return await to_thread.run_sync(add)

    async def delete_file(self, file: File, *, by: Principal) -> None:
        """Forget an uploaded file. Documents made of it stay."""

        def delete() -> None:
            with self.store.write() as conn:
                self.store.files.delete(file.id, conn=conn)
                self.audit.record(Action.FILE_DELETED, by=by, subject=file.id, conn=conn)

        await to_thread.run_sync(delete)

    async def reader(self, principal: Principal) -> Reader:
        """What `principal` may read, as of now."""
        return await to_thread.run_sync(self.readers.of, principal)

    async def cancel(self, job: str, *, by: Principal) -> None:
        """Stop a job that waits or runs; one that has ended stays as it is."""

        def cancel() -> None:
            with self.store.write() as conn:
                if self.store.jobs.cancel(job, conn=conn):
                    self.audit.record(Action.JOB_CANCELLED, by=by, subject=job, conn=conn)

        await to_thread.run_sync(cancel)

    async def rate(self, principal: Principal, trace: str, rating: int, comment: str = "") -> None:
        """Store a verdict on an answer; the last one of each principal counts.

        Raises:
            NotFoundError: no request of theirs left this trace, nor any that they may review: in the same words.
            InputError: `rating` is neither 1 nor -1.
        """

        def put() -> None:
            found = self.store.requests.get(trace)
            if found.principal != principal.id and not may(principal, Right.REVIEW):
                raise missing_request(trace)
            self.store.feedback.put(trace=trace, principal=principal.id, rating=rating, comment=comment)

        await to_thread.run_sync(put)


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    embedder: Embedder | None = None,
    reranker: Reranker | None = None,
    guards: Sequence[Guard] | None = None,
) -> AsyncIterator[App]:
    """Open the store and build everything on it; close all of it in order at the end.

    Models are not loaded here (see `App.start`), so that a server answers at once.

    Args:
        embedder, reranker: used instead of those of the settings; for tests and for embedding in other programs.
        guards: instead of those that are installed.
    """
    home = settings.home
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        store = await to_thread.run_sync(Store.of, settings)
        stack.callback(store.close)
        if embedder is None:
            used, reranker = await to_thread.run_sync(_onnx, settings)
        else:
            used = embedder
        stack.push_async_callback(used.aclose)
        if reranker is not None:
            stack.push_async_callback(reranker.aclose)
        models = Models(settings)
        stack.push_async_callback(models.aclose)
        limits = ParserLimits(
            seconds=settings.ingest.timeout_s,
            memory_bytes=settings.ingest.memory_mb << 20,
            file_bytes=settings.ingest.max_file_mb << 20,
            members=settings.ingest.max_members,
            unpacked_bytes=settings.ingest.max_unpacked_mb << 20,
            parser="" if settings.knowledge.parser == "own" else settings.knowledge.parser,
            ocr=settings.knowledge.ocr == "auto",
            ocr_languages=settings.knowledge.ocr_languages,
        )
        parsers = await stack.enter_async_context(ParserPool(size=settings.ingest.workers, limits=limits))
        indexes = await to_thread.run_sync(
            lambda: Indexes(store, home / "vectors", pgvector=settings.knowledge.pgvector)
        )
        stack.callback(indexes.close)
        app = await to_thread.run_sync(_compose, settings, store, models, used, reranker, parsers, indexes, guards)
        stack.push_async_callback(app.router.aclose)
        stack.push_async_callback(app.cache.aclose)
        for guard in app.guards.guards:
            close = getattr(guard, "aclose", None)  # of those that keep a model's process
            if close is not None:
                stack.push_async_callback(close)
        await to_thread.run_sync(app.eraser.resume)
        await to_thread.run_sync(_first_key, app)
        yield app


def _compose(
    settings: Settings,
    store: Store,
    models: Models,
    embedder: Embedder,
    reranker: Reranker | None,
    parsers: ParserPool,
    indexes: Indexes,
    guards: Sequence[Guard] | None,
) -> App:
    metrics = Metrics()
    keys = Keys(store)
    sessions = Sessions(store, settings.access)
    batches = Batches(store, keys, settings.home / "batches")
    limits = _limiter(settings, store)
    retriever = Retriever(store, embedder, reranker, indexes=indexes)
    secret = secret_of(settings.home)
    chain = Chain.make(Parts(settings=settings, store=store, embedder=embedder, metrics=metrics, secret=secret), guards)
    knowledge = Knowledge(store, embedder, retriever, guards=chain, spotlight=chain.spotlight)
    cache = Cache(settings, embedder=embedder, shadows=store.shadows)
    origins = Origins(home=settings.home / "git", limits=parsers.limits, settings=settings.git)
    ingestion = Ingestion(
        store,
        parsers,
        embedder,
        chunk_tokens=settings.knowledge.chunk_tokens,
        workers=settings.ingest.workers,
        origins=origins,
    )
    contexts = Contexts(store, embedder, spotlight=chain.spotlight)
    questions = Questions(store, embedder, retriever, spotlight=chain.spotlight)
    tuning = Tuning(store, retriever.indexes, embedder=embedder, reranker=reranker)
    evaluations = Evaluations(store, retriever)
    dry_runs = DryRuns(store, chain)
    privacy = Privacy(chain)
    models.keep(privacy)
    recorded = Recorded(chain)
    return App(
        settings=settings,
        instance=new_id("run"),
        store=store,
        keys=keys,
        links=Links(store, sessions),
        sessions=sessions,
        users=Users(store, keys, sessions, settings.access),
        readers=Readers(store),
        groups=Groups(store),
        audit=AuditLog(store),
        ledger=Ledger(store, metrics, content=settings.traces.content, clean=recorded.cleaned),
        metrics=metrics,
        models=models,
        embedder=embedder,
        reranker=reranker,
        knowledge=knowledge,
        expiry=Expiry(store, retriever.indexes),
        eraser=Eraser(store, retriever.indexes, cache.erase, settings.home / "batches", origins.forget),
        ingestion=ingestion,
        sources=Sources(store, ingestion, origins),
        contexts=contexts,
        questions=questions,
        tuning=tuning,
        evaluations=evaluations,
        batches=batches,
        router=Router(settings, store, models, knowledge, embedder, reranker, metrics=metrics, limits=limits),
        cache=cache,
        limits=limits,
        guards=chain,
        privacy=privacy,
        recorded=recorded,
        handlers=_handlers(ingestion, contexts, questions, tuning, evaluations, batches, dry_runs),
        dry_runs=dry_runs,
    )


class _Work(Protocol):
    """A part that does jobs of one kind."""

    KIND: str

    async def run(self, job: Job, /) -> Mapping[str, object]: ...


def _handlers(*parts: _Work) -> Mapping[str, Handler]:
    return {part.KIND: part.run for part in parts}


def _limiter(settings: Settings, store: Store) -> Limiter:
    """The limits, with what the ledger says was spent before this start."""
    limiter = Limiter(Limits(**settings.limits.model_dump()))
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    successors = {key.id: key.replaced_by for key in store.keys.list() if key.replaced_by is not None}
    spent = store.requests.spent
    limiter.restore(spent(today.timestamp()), spent(today.replace(day=1).timestamp()), successors)
    return limiter


def _onnx(settings: Settings) -> tuple[Embedder, Reranker | None]:
    cache = settings.home / "verified.json"
    name = settings.knowledge.reranker
    try:
        found = resolve_embedder(settings.knowledge.embedder, cache=cache)
        second = resolve_reranker(name, cache=cache) if name else None
    except AthanorError as error:
        # Chat works without knowledge; whoever asks for knowledge is told what is missing.
        return MissingEmbedder(error), None
    process = onnx_process(
        found, second, LocalSettings(wait=settings.processor_wait, encoder=settings.knowledge.runtime)
    )
    return OnnxEmbedder(process, found.profile), OnnxReranker(process, second.profile) if second else None


def _first_key(app: App) -> None:
    """Make the key of whoever owns the home folder, for the command line. Only the owner can read its file."""
    path: Path = app.settings.home / "local.key"
    if path.exists():
        return
    _, secret = app.keys.create("local", RoleName.ADMIN)
    path.touch(mode=0o600)
    path.write_text(secret.reveal())
