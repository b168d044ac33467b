"""What happens to a search, and to the reading of a passage: the stages of `pipeline.handle`, without a model."""

from __future__ import annotations

from dataclasses import dataclass

from anyio import to_thread

from athanor.errors import NotFoundError
from athanor.gateway.app import App
from athanor.gateway.limits import estimate
from athanor.governance import opens
from athanor.store.lookup import missing_document
from athanor.types import Context, Document, Hit, KnowledgeBase, Message, Reader, Request, Role, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A document, and the text of one version of it."""

    document: Document
    base: KnowledgeBase
    version: int
    text: str


async def find(
    name: str, query: str, ctx: Context, app: App, *, limit: int
) -> tuple[KnowledgeBase, list[Hit], dict[str, Document]]:
    """The best passages of the base called `name`, and the documents they are from, by id.

    Leaves one row in the ledger and one trace behind.

    Raises:
        NotFoundError: there is no such base, or the key is not for it: in the same words.
        InputError: an empty or overlong query.
        RateLimitError: a limit has no room for it.
    """
    async with app.ledger.open(name, ctx) as entry:
        base, reader = await opened(name, entry.ctx, app)
        entry.ctx.span.set(target=base.name)
        request = Request(model=name, messages=(Message(role=Role.USER, content=query),))
        most = estimate(request)
        with app.limits.reserve(ctx, tokens=most) as hold:
            request = (await app.guards.admit(request, entry.ctx, base=base.name)).request
            entry.record(request)
            with entry.ctx.span.child("retrieve", base=base.name) as span:
                hits = await app.knowledge.search(base, request.question, limit=limit, reader=reader)
                span.set(hits=len(hits))
            hits = await app.guards.screened(hits, entry.ctx, base=base.name)  # they are for a model to read
            documents = {d.id: d for d in await app.knowledge.documents_of(hits, reader=reader)}
            entry.usage = hold.usage = Usage(prompt_tokens=most)
    return base, [hit for hit in hits if hit.chunk.document in documents], documents


async def admitted(query: str, ctx: Context, app: App, *, base: str) -> str:
    """A query to the base called `base`, as the policy lets it in.

    Raises:
        BlockedError: the policy refuses it.
    """
    request = Request(model=base, messages=(Message(role=Role.USER, content=query),))
    return (await app.guards.admit(request, ctx, base=base)).request.question


async def read(document: str, version: int | None, ctx: Context, app: App, *, within: str | None = None) -> Reading:
    """The text of a document as it was at `version` (now).

    Leaves one row in the ledger and one trace behind.

    Args:
        within: the name or id of the base that it has to be in.

    Raises:
        NotFoundError: there is none, or it is closed to the caller or their key, or elsewhere: in the same words.
        RateLimitError: a limit has no room for it.
    """
    async with app.ledger.open(within or "documents", ctx) as entry:
        reader = await app.reader(ctx.principal)
        with app.limits.reserve(ctx, tokens=0):
            found = await app.knowledge.document(document, reader=reader)
            base = await to_thread.run_sync(app.store.knowledge.get, found.knowledge_base)
            if not opens(ctx.key, "knowledge", base.name) or within not in {None, base.name, base.id}:
                raise missing_document(document)
            entry.ctx.span.set(target=base.name)
            at = found.version if version is None else version
            with entry.ctx.span.child("read", document=document):
                text = await app.knowledge.text(document, at, reader=reader)
    return Reading(document=found, base=base, version=at, text=text)


async def opened(name: str, ctx: Context, app: App) -> tuple[KnowledgeBase, Reader]:
    """The base with this name or id as the caller sees it, and who they are to it.

    Raises:
        NotFoundError: there is none, or the key is not for it: in the same words.
    """
    reader = await app.reader(ctx.principal)
    try:
        base = await app.knowledge.base(name, reader=reader)
    except NotFoundError:
        base = None
    if base is None or not opens(ctx.key, "knowledge", base.name):
        raise NotFoundError(f"There is no knowledge base {name!r}.", hint="'athanor kb list' shows them.")
    return base, reader


async def reachable(ctx: Context, app: App) -> list[KnowledgeBase]:
    """The bases that the caller's key is for, by name."""
    reader = await app.reader(ctx.principal)
    return [base for base in await app.knowledge.bases(reader=reader) if opens(ctx.key, "knowledge", base.name)]
