"""Requests that a job sends for whoever asked for it: through the whole gateway, on their account."""

from __future__ import annotations

import time
from contextlib import aclosing

import anyio
from anyio import to_thread

from athanor.errors import BudgetError, EngineTimeoutError, EngineUnavailableError, InputError, RateLimitError
from athanor.gateway.app import App
from athanor.gateway.pipeline import handle
from athanor.types import ApiKey, Context, Job, Principal, Request, TextDelta, new_id

TRIES = 4
"""Of a request whose engine is out of reach."""
LONGEST_WAIT = 120.0
"""Seconds that a limit may ask a job to wait before the next request."""


async def run_errand(app: App, job: Job, request: Request) -> str:
    """The text of the answer to `request`. Waits where a limit asks for it, and asks again.

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
            return await _text(request, ctx, app)
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


async def _text(request: Request, ctx: Context, app: App) -> str:
    async with aclosing(handle(request, ctx, app)) as events:
        return "".join([event.text async for event in events if isinstance(event, TextDelta)])


def _caller(app: App, job: Job) -> tuple[Principal, ApiKey | None]:
    name = job.arguments.get("key")
    if name is None:
        return app.store.principals.get(job.arguments["principal"]), None
    key, who = app.keys.get(name)
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= time.time()):
        raise InputError("The key that asked for this is revoked or has expired.", where="key")
    return who, key
