"""What happens to a request, top to bottom."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from athanor.engines.needs import without_lacking
from athanor.engines.wrappers import spent
from athanor.errors import EngineError
from athanor.gateway.app import App
from athanor.gateway.router import Target
from athanor.guards.vault import conversation_of
from athanor.types import Context, Event, Finished, Request, Started


async def handle(
    request: Request, ctx: Context, app: App, *, target: Target | None = None
) -> AsyncGenerator[Event, None]:
    """Answer `request` for `ctx.principal`: one `Started`, the answer, one `Finished`.

    Leaves one row in the ledger and one trace behind, whatever happens; `Finished` is given out when they are stored.
    Engines that call engines (knowledge bases, agents, routes) do so under this one hold, and what the inner ones used
    arrives here with their events, so that it is counted once.

    `target` answers in place of what the request's model resolves to.
    """
    end: Finished | None = None
    begun = False
    async with app.ledger.open(request.model, ctx, spent) as entry:
        ctx = replace(entry.ctx, conversation=conversation_of(request))
        target = target or await app.router.resolve(request.model, ctx)
        request, dropped = without_lacking(request, target.engine.profile)
        with app.limits.hold(ctx, request, target.engine.profile) as hold:
            guarded = await app.guards.admit(hold.request, ctx, base=target.base)
            request = guarded.request
            entry.record(request)
            if target.scope is None:
                answer = target.engine.run(request, ctx)
            else:
                scope = await app.recorded.scope(target.scope, request, ctx)
                answer = app.cache.through(target.engine, request, ctx, scope)
            # What is recorded is what was checked; what pseudonyms stand for is for the caller's eyes alone.
            async with aclosing(guarded.revealed(entry.watched(guarded.checked(answer)))) as events:
                async for event in events:
                    if not begun:
                        begun = True
                        yield entry.started(dropped, hold.headers())
                    hold.usage = entry.usage
                    if isinstance(event, Finished):
                        end = event
                    elif not isinstance(event, Started):
                        yield event
        if end is None:
            raise EngineError("The answer broke off.", hint="Ask again. If it recurs, look at the server's log.")
        app.limits.learn(target.engine.profile.name, entry.usage)
    yield end
