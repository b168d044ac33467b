"""What happens to a request, top to bottom."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from athanor.engines.needs import without_lacking
from athanor.engines.wrappers import spent
from athanor.errors import EngineError
from athanor.gateway.app import App
from athanor.gateway.router import Target
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
    async with app.ledger.open(request.model, ctx, spent) as entry:
        ctx = entry.ctx
        target = target or await app.router.resolve(request.model, ctx)
        request, dropped = without_lacking(request, target.engine.profile)
        with app.limits.hold(ctx, request, target.engine.profile) as hold:
            request = await app.guards.check_input(hold.request, ctx)
            entry.record(request)
            if target.scope is None:
                answer = target.engine.run(request, ctx)
            else:
                answer = app.cache.through(target.engine, request, ctx, target.scope)
            async with aclosing(app.guards.check_output(answer, ctx)) as events:
                async for event in events:
                    if entry.first_token is None:
                        yield entry.started(dropped, hold.headers())
                    entry.add(event)
                    hold.usage = entry.usage
                    if isinstance(event, Finished):
                        end = event
                    elif not isinstance(event, Started):
                        yield event
        if end is None:
            raise EngineError("The answer broke off.", hint="Ask again. If it recurs, look at the server's log.")
        app.limits.learn(target.engine.profile.name, entry.usage)
    yield end
