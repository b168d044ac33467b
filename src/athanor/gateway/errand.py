"""Requests that a job sends for whoever asked for it: through the whole gateway, on their account."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import anyio
from anyio import to_thread

from athanor.errors import BudgetError, EngineTimeoutError, EngineUnavailableError, InputError, RateLimitError
from athanor.gateway.app import App
from athanor.gateway.pipeline import handle
from athanor.gateway.router import Target
from athanor.rag.evaluation.scores import Given
from athanor.types import (
    ApiKey,
    CacheUse,
    Cited,
    Context,
    Event,
    Finished,
    Job,
    KnowledgeBase,
    Message,
    Principal,
    Request,
    Role,
    TextDelta,
    new_id,
)

TRIES = 4
"""Of a request whose engine is out of reach."""
LONGEST_WAIT = 120.0
"""Seconds that a limit may ask a job to wait before the next request."""


async def run_errand(app: App, job: Job, request: Request) -> str:
    """The text of the answer to `request`. Raises as `asked`."""
    return "".join([event.text for event in await asked(app, job, request) if isinstance(event, TextDelta)])


async def answer_errand(app: App, job: Job, base: KnowledgeBase, question: str) -> Given:
    """The answer of `base`, by the settings that it is given with. Raises as `asked`."""
    request = Request(
        model=base.name,
        messages=(Message(role=Role.USER, content=question),),
        stream=False,
        cache=CacheUse(read=False, write=False),
    )
    began = time.perf_counter()

    async def again(ctx: Context) -> Target:
        nonlocal began
        began = time.perf_counter()  # what a limit made us wait is not the answer's
        return await app.router.measured(base, ctx)

    events = await asked(app, job, request, again)
    seconds = time.perf_counter() - began
    ended = next(event for event in reversed(events) if isinstance(event, Finished))
    return Given(
        text="".join([event.text for event in events if isinstance(event, TextDelta)]),
        citations=tuple(event.citation for event in events if isinstance(event, Cited)),
        finished=ended,
        seconds=seconds,
    )


async def asked(
    app: App, job: Job, request: Request, target: Callable[[Context], Awaitable[Target]] | None = None
) -> list[Event]:
    """What is answered to `request`. Waits where a limit asks for it, and asks again.

    `job.arguments` name the `principal`, and the `key` where there was one. It is a request as any other: metered,
    limited, in the ledger and traced, with the job's kind as its door.

    Raises:
        InputError: the key was revoked or has expired meanwhile.
        NotFoundError, PermissionDeniedError: there is no such model, or it is not for this key.
        RateLimitError, BudgetError: a limit that waiting does not lift.
        EngineError: the model failed.
    """
    tries = 0
    while True:
        who, key = await to_thread.run_sync(_caller, app, job)
        ctx = Context(principal=who, key=key, trace=new_id("tr"), door=job.kind)
        try:
            found = None if target is None else await target(ctx)
            async with aclosing(handle(request, ctx, app, target=found)) as events:
                return [event async for event in events]
        except BudgetError:
            raise  # money that is spent does not come back soon
        except RateLimitError as error:
            wait = error.retry_after
            if wait is None or wait > LONGEST_WAIT:
                raise
        except (EngineUnavailableError, EngineTimeoutError):
            tries += 1
            if tries >= TRIES:
                raise
            wait = 2.0**tries
        await anyio.sleep(wait)


def _caller(app: App, job: Job) -> tuple[Principal, ApiKey | None]:
    name = job.arguments.get("key")
    if name is None:
        return app.store.principals.get(job.arguments["principal"]), None
    key, who = app.keys.get(name)
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= time.time()):
        raise InputError("The key that asked for this is revoked or has expired.", where="key")
    return who, key
