"""What happens to texts that become vectors, and to passages that are ranked: the stages of `pipeline.handle`."""

from __future__ import annotations

from collections.abc import Sequence

from athanor.gateway.app import App
from athanor.gateway.limits import estimate
from athanor.gateway.models import leaves
from athanor.models import listing
from athanor.types import FREE, Context, Embeddings, Message, Price, Request, Role, Started, Usage


async def embed(model: str, texts: Sequence[str], ctx: Context, app: App) -> tuple[Started, Embeddings]:
    """Unit vectors of `texts`, and what there is to tell of them. Leaves one row in the ledger and one trace behind.

    Raises:
        NotFoundError: no embedder has this name.
        PermissionDeniedError: the key is not for it.
        RateLimitError: a limit or a budget has no room for it.
    """
    async with app.ledger.open(model, ctx) as entry:
        embedder = app.router.embedder(model, entry.ctx)
        entry.ctx.span.set(target=model)
        request = _asked(model, texts)
        price = _price(model, app)
        most = estimate(request)
        with app.limits.reserve(ctx, tokens=most, usd=price.of(Usage(prompt_tokens=most))) as hold:
            request = (await app.guards.admit(request, entry.ctx)).request
            texts = [message.content for message in request.messages]
            entry.record(request)
            settings = app.settings.models.get(model)
            if settings is not None and leaves(settings):
                texts = await app.privacy.texts(texts, entry.ctx, model=model)
            with entry.ctx.span.child("embed", texts=len(texts)):
                found = await embedder.embed(texts, kind="document")
            usage = Usage(prompt_tokens=found.tokens)
            usage += Usage(cost=price.of(usage))
            entry.usage = hold.usage = usage
            started = entry.started((), hold.headers())
    return started, found


async def rerank(
    model: str, query: str, passages: Sequence[str], ctx: Context, app: App
) -> tuple[Started, list[float], int]:
    """A logit for each passage, what there is to tell of them, and the tokens they took, which are an estimate.

    Leaves one row in the ledger and one trace behind. Raises as `embed`.
    """
    async with app.ledger.open(model, ctx) as entry:
        reranker = app.router.reranker(model, entry.ctx)
        entry.ctx.span.set(target=model)
        request = _asked(model, [query, *passages])
        most = estimate(request) + len(query) // 3 * len(passages)  # the query is read with every passage
        with app.limits.reserve(ctx, tokens=most) as hold:
            request = (await app.guards.admit(request, entry.ctx)).request
            query, *passages = [message.content for message in request.messages]
            entry.record(request)
            with entry.ctx.span.child("rerank", passages=len(passages)):
                scores = await reranker.score(query, passages)
            entry.usage = hold.usage = Usage(prompt_tokens=most)
            started = entry.started((), hold.headers())
    return started, scores, most


def _asked(model: str, texts: Sequence[str]) -> Request:
    """The texts as a request, to be estimated and recorded like one."""
    return Request(model=model, messages=tuple(Message(role=Role.USER, content=text) for text in texts))


def _price(model: str, app: App) -> Price:
    settings = app.settings.models.get(model)
    if settings is None:  # our own, which runs here
        return FREE
    if settings.price is not None:
        return Price(**settings.price.model_dump())
    known = listing(settings.upstream or model)
    return known.price if known is not None else FREE
