"""Runs leased jobs, one at a time. A killed runner's job is leased again by the next one."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import anyio
from anyio import to_thread

from athanor.errors import AthanorError, JobError
from athanor.store import Store
from athanor.types import Job, new_id

log = logging.getLogger(__name__)

Handler = Callable[[Job], Awaitable[Mapping[str, object]]]

LEASE_SECONDS = 15.0
POLL_SECONDS = 0.25


class Runner:
    """Takes jobs whose kind it has a handler for.

    Args:
        handlers: job kind → coroutine function that does the work and returns the result.
    """

    def __init__(self, store: Store, handlers: Mapping[str, Handler]) -> None:
        self._store = store
        self._handlers = handlers
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{new_id('run')}"

    async def run_forever(self) -> None:
        """Lease, run, settle, again; until cancelled."""
        while True:
            if not await self.run_once():
                await anyio.sleep(POLL_SECONDS)

    async def run_once(self) -> bool:
        """Run one job if there is one; says whether there was."""
        kinds = tuple(self._handlers)
        job = await to_thread.run_sync(lambda: self._store.jobs.lease(self._owner, seconds=LEASE_SECONDS, kinds=kinds))
        if job is None:
            return False
        result: Mapping[str, object] | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep, job, group.cancel_scope)
                result = await self._handlers[job.kind](job)
                group.cancel_scope.cancel()
        except* AthanorError as errors:
            await self._fail(job, str(_first(errors)))
        except* Exception as errors:
            log.exception("job %s failed", job.id, exc_info=_first(errors))
            await self._fail(job, str(JobError("The job failed unexpectedly; the server's log has the details.")))
        if result is not None:  # else it failed, was cancelled, or belongs to another worker by now
            await to_thread.run_sync(partial(self._store.jobs.finish, job.id, self._owner, result=result))
        return True

    async def _keep(self, job: Job, scope: anyio.CancelScope) -> None:
        while True:
            await anyio.sleep(LEASE_SECONDS / 3)
            beat = partial(self._store.jobs.heartbeat, job.id, self._owner, seconds=LEASE_SECONDS)
            if not await to_thread.run_sync(beat):
                scope.cancel()  # cancelled by a person, or taken over after a stall

    async def _fail(self, job: Job, message: str) -> None:
        await to_thread.run_sync(self._store.jobs.fail, job.id, self._owner, message)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """The first error in a group of groups: what happened first is what a person wants to read."""
    error: Exception = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
