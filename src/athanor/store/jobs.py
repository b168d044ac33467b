"""Jobs: rows with a lease, so that the work of a killed process is taken up by another."""

from __future__ import annotations

import builtins
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    Update,
    and_,
    case,
    cast,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.types import Job, JobItem, JobState, new_id

_JOB = [column for column in t.jobs.c if column.name != "max_attempts"]
_OPEN = (JobState.QUEUED.value, JobState.RUNNING.value)
MAX_ATTEMPTS = 5
"""Leases without progress after which a job fails."""


class Jobs(Repository):
    """The queue. `owner` names a worker process, and only the holder of a lease can change a running job."""

    def enqueue(
        self,
        kind: str,
        arguments: Mapping[str, Any],
        *,
        total: int = 0,
        max_attempts: int = MAX_ATTEMPTS,
        conn: Connection | None = None,
    ) -> Job:
        """A new job at the end of the queue. `arguments` must be JSON."""
        now = time.time()
        job = Job(
            id=new_id("job"),
            kind=kind,
            arguments=dict(arguments),
            state=JobState.QUEUED,
            created_at=now,
            updated_at=now,
            total=total,
        )
        values = {column.name: getattr(job, column.name) for column in _JOB} | {"state": job.state.value}
        with self._db.writing(conn) as c:
            c.execute(insert(t.jobs), values | {"max_attempts": max_attempts})
        return job

    def lease(
        self, owner: str, *, seconds: float, kinds: Sequence[str] | None = None, conn: Connection | None = None
    ) -> Job | None:
        """Take the oldest job that waits, or whose worker let its lease run out; `None` where there is none.

        `attempts` grows by one, and a job that was leased `max_attempts` times without progress fails instead.
        Of several workers that ask at once, each gets another job.
        """
        now = time.time()
        column = t.jobs.c
        lapsed = and_(column.state == JobState.RUNNING.value, column.lease_until < now)
        wanted = [or_(column.state == JobState.QUEUED.value, lapsed)]
        if kinds is not None:
            wanted.append(column.kind.in_(kinds))
        oldest = select(column.id).where(*wanted, column.attempts < column.max_attempts)
        oldest = oldest.order_by(column.created_at, column.id).limit(1).with_for_update(skip_locked=True)
        take = update(t.jobs).where(column.id == oldest.scalar_subquery())
        with self._db.writing(conn) as c:
            c.execute(_give_up([*wanted, column.attempts >= column.max_attempts], now))
            row = c.execute(
                take.values(
                    state=JobState.RUNNING.value,
                    attempts=column.attempts + 1,
                    lease_owner=owner,
                    lease_until=now + seconds,
                    updated_at=now,
                ).returning(*_JOB)
            ).one_or_none()
        return None if row is None else _job(row)

    def heartbeat(self, job: str, owner: str, *, seconds: float, conn: Connection | None = None) -> bool:
        """Hold the lease for `seconds` from now; False when it was lost or the job was cancelled."""
        return self._change(job, owner, {"lease_until": time.time() + seconds}, conn)

    def progress(
        self,
        job: str,
        owner: str,
        *,
        total: int | None = None,
        done: int | None = None,
        failed: int | None = None,
        message: str | None = None,
        conn: Connection | None = None,
    ) -> bool:
        """Set those that are given; False when the lease was lost or the job was cancelled.

        When `done` or `failed` grows, `attempts` starts again at 1: only leases without progress count.
        """
        given = {"total": total, "done": done, "failed": failed, "message": message}
        values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        column = t.jobs.c
        grown = [column[name] < values[name] for name in ("done", "failed") if name in values]
        if grown:
            values["attempts"] = case((or_(*grown), 1), else_=column.attempts)
        return self._change(job, owner, values, conn)

    def finish(
        self,
        job: str,
        owner: str,
        *,
        result: Mapping[str, Any] | None = None,
        message: str = "",
        conn: Connection | None = None,
    ) -> bool:
        """The job is done; False when the lease was lost or the job was cancelled."""
        values = {"state": JobState.DONE.value, "result": dict(result or {}), "message": message}
        return self._change(job, owner, {**values, **_NO_LEASE}, conn)

    def fail(self, job: str, owner: str, message: str, *, conn: Connection | None = None) -> bool:
        """The job failed for good; False when the lease was lost or the job was cancelled."""
        values = {"state": JobState.FAILED.value, "message": message}
        return self._change(job, owner, {**values, **_NO_LEASE}, conn)

    def cancel(self, job: str, *, message: str = "Cancelled.", conn: Connection | None = None) -> bool:
        """Cancel a job that waits or runs; its worker learns of it from `heartbeat`. False when it had ended."""
        values = {"state": JobState.CANCELLED.value, "message": message, "updated_at": time.time()}
        query = update(t.jobs).where(t.jobs.c.id == job, t.jobs.c.state.in_(_OPEN))
        with self._db.writing(conn) as c:
            return c.execute(query.values(**values, **_NO_LEASE)).rowcount == 1

    def release(self, *, owner: str | None = None, conn: Connection | None = None) -> int:
        """Put running jobs (of one owner, or all) back into the queue at once; how many.

        For a process that stops, or that starts and knows that no other can be alive.
        """
        query = update(t.jobs).where(t.jobs.c.state == JobState.RUNNING.value)
        if owner is not None:
            query = query.where(t.jobs.c.lease_owner == owner)
        values = {"state": JobState.QUEUED.value, "updated_at": time.time()}
        with self._db.writing(conn) as c:
            return c.execute(query.values(**values, **_NO_LEASE)).rowcount

    def get(self, job: str, *, conn: Connection | None = None) -> Job:
        """The job with this id.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.reading(conn) as c:
            row = c.execute(select(*_JOB).where(t.jobs.c.id == job)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no job {job!r}.")
        return _job(row)

    def list(
        self,
        *,
        kind: str | None = None,
        states: Sequence[JobState] | None = None,
        limit: int = 100,
        before: str | None = None,
        conn: Connection | None = None,
    ) -> builtins.list[Job]:
        """Jobs, newest first; `before` is the last id of the page before."""
        column = t.jobs.c
        query = select(*_JOB).order_by(column.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(column.kind == kind)
        if states is not None:
            query = query.where(column.state.in_([state.value for state in states]))
        if before is not None:
            query = query.where(column.id < before)
        with self._db.reading(conn) as c:
            return [_job(row) for row in c.execute(query)]

    def put_items(self, items: Sequence[JobItem], *, conn: Connection | None = None) -> None:
        """Insert items, or replace the state and message of those that exist."""
        if not items:
            return
        make = sqlite.insert if self._db.dialect == "sqlite" else postgresql.insert
        query = make(t.job_items)
        query = query.on_conflict_do_update(
            index_elements=["job", "key"],
            set_={name: query.excluded[name] for name in ("state", "message", "updated_at")},
        )
        now = time.time()
        rows = [
            {"job": i.job, "key": i.key, "state": i.state.value, "message": i.message, "updated_at": now} for i in items
        ]
        with self._db.writing(conn) as c:
            c.execute(query, rows)

    def items(
        self,
        job: str,
        *,
        state: JobState | None = None,
        limit: int = 1000,
        after: str | None = None,
        conn: Connection | None = None,
    ) -> builtins.list[JobItem]:
        """Items of a job in the order of their key; `after` is the last key of the page before."""
        column = t.job_items.c
        query = select(column.job, column.key, column.state, column.message).where(column.job == job)
        if state is not None:
            query = query.where(column.state == state.value)
        if after is not None:
            query = query.where(column.key > after)
        with self._db.reading(conn) as c:
            rows = c.execute(query.order_by(column.key).limit(limit))
            return [JobItem(**{**row._asdict(), "state": JobState(row.state)}) for row in rows]

    def _change(self, job: str, owner: str, values: Mapping[str, Any], conn: Connection | None) -> bool:
        column = t.jobs.c
        held = update(t.jobs).where(
            column.id == job, column.lease_owner == owner, column.state == JobState.RUNNING.value
        )
        with self._db.writing(conn) as c:
            return c.execute(held.values(**values, updated_at=time.time())).rowcount == 1


_NO_LEASE: Mapping[str, Any] = {"lease_owner": None, "lease_until": None}


def _give_up(spent: Sequence[ColumnElement[bool]], now: float) -> Update:
    column = t.jobs.c
    message = literal("Gave up: started ") + cast(column.attempts, Text) + " times without progress. " + column.message
    return (
        update(t.jobs).where(*spent).values(state=JobState.FAILED.value, updated_at=now, message=message, **_NO_LEASE)
    )


def _job(row: Row[Any]) -> Job:
    return Job(**{**row._asdict(), "state": JobState(row.state)})
