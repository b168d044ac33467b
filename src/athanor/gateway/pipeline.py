"""What happens to a request, top to bottom."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio

from athanor.errors import AthanorError
from athanor.gateway.app import App
from athanor.types import NO_USAGE, Context, Event, Finished, Request, TextDelta


async def handle(request: Request, ctx: Context, app: App) -> AsyncGenerator[Event, None]:
    """Answer `request` for `ctx.principal`, and leave one request row and one trace behind, whatever happens."""
    usage, first, status = NO_USAGE, None, "cancelled"
    started = time.perf_counter()
    with app.spans.open(ctx, "request", model=request.model) as span:
        try:
            engine = await app.router.resolve(request.model)
            async with aclosing(engine.run(request, ctx)) as events:
                async for event in events:
                    if first is None and isinstance(event, TextDelta) and event.text:
                        first = time.perf_counter() - started
                    usage += event.usage
                    if isinstance(event, Finished):
                        status = "ok"
                    yield event
        except AthanorError as error:
            status = error.code
            raise
        finally:
            with anyio.CancelScope(shield=True):  # a closed tab must still be on the books
                await app.spans.settle(span, request, usage, first_token=first, status=status)
