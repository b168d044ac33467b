"""`/api/traces` and `/api/costs`: what was asked, how it went, and what it cost.

Everybody sees their own requests; those of others take the right to review or to operate. What may not be seen is not
there.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from athanor.gateway import App
from athanor.governance import Books, Search
from athanor.governance.books import Names
from athanor.observe import Action
from athanor.observe.retention import DAY, Expired, expire_before
from athanor.server.auth import application, principal
from athanor.server.sse import JSON
from athanor.types import Principal, RequestRecord

router = APIRouter(prefix="/api", tags=["traces"])

_Seconds = Annotated[float | None, Field(ge=0, allow_inf_nan=False)]
_Name = Annotated[str | None, Field(max_length=200, pattern="^[^\\x00]*$")]  # no database has a word for NUL


class SearchQuery(BaseModel):
    """Which requests. Names and ids both work for `key`, `principal` and `team`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: _Name = None
    """As it was asked for, or the model that answered."""
    key: _Name = None
    principal: _Name = None
    team: _Name = None
    status: _Name = None
    """`ok`, `cancelled`, an error's code, or `failed` for every error."""
    trace: _Name = None
    """A part of the trace's id."""
    since: _Seconds = None
    """Unix seconds."""
    before: _Seconds = None
    """Unix seconds."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class ExpireBody(BaseModel):
    """What to delete now, instead of when its time is over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    before: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Unix seconds."""
    ledger: bool = False
    """Rows of the ledger too."""


async def books(app: App = Depends(application)) -> Books:
    """The books of the application."""
    return Books(app.store)


@router.get("/traces", summary="Requests, newest first")
async def list_traces(
    search: Annotated[SearchQuery, Query()], books: Books = Depends(books), who: Principal = Depends(principal)
) -> JSON:
    def read() -> dict[str, Any]:
        names = books.names()
        return {"data": [_row(row, names) for row in books.list(Search(**search.model_dump()), by=who)]}

    return JSON(await to_thread.run_sync(read))


@router.get("/traces/{trace}", summary="One request: its spans, its verdicts, and its texts where they were recorded")
async def get_trace(
    trace: Annotated[str, Path(max_length=200, pattern="^[^\\x00]*$")],
    books: Books = Depends(books),
    who: Principal = Depends(principal),
) -> JSON:
    def read() -> dict[str, Any]:
        found, names = books.get(trace, by=who), books.names()
        said = found.content
        return {
            **_row(found.request, names),
            "spans": [asdict(span) for span in found.spans],
            "content": None if said is None else {"request": said.request, "answer": said.answer},
            "feedback": [
                {
                    "principal": names.of("principal", verdict.principal),
                    "rating": verdict.rating,
                    "comment": verdict.comment,
                    "created_at": verdict.created_at,
                }
                for verdict in found.feedback
            ],
        }

    return JSON(await to_thread.run_sync(read))


@router.post("/traces/expire", summary="Delete traces and recorded texts from before a time")
async def expire_traces(
    body: ExpireBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    def expire() -> Expired:
        # First the note of it: what was deleted without one would be a hole that nobody can explain.
        app.audit.record(Action.TRACES_EXPIRED, by=who, subject="traces", details=body.model_dump())
        return expire_before(app.store, body.before, ledger=body.ledger, now=time.time())

    return asdict(await to_thread.run_sync(expire))


@router.get("/costs", summary="What was spent and used, by day, model, key, team, …")
async def costs(
    by: Annotated[str, Query(max_length=200)] = "target",
    since: _Seconds = None,
    until: _Seconds = None,
    latency: Annotated[str | None, Query(max_length=20)] = None,
    books: Books = Depends(books),
    who: Principal = Depends(principal),
) -> JSON:
    """`by` is a list with commas; `since` is 30 days ago if not named; `latency` adds percentiles by one group."""
    groups = [name.strip() for name in by.split(",") if name.strip()]
    begin = time.time() - 30 * DAY if since is None else since

    def read() -> dict[str, Any]:
        names = books.names()
        rows = books.costs(groups, since=begin, until=until, by=who)
        answer: dict[str, Any] = {
            "by": groups,
            "since": begin,
            "until": until,
            "data": [_named(r, names) for r in rows],
        }
        if latency is not None:
            found = books.latencies(latency, since=begin, until=until, by=who)
            answer["latency"] = [_named(row, names) for row in found]
        return answer

    return JSON(await to_thread.run_sync(read))


def _row(row: RequestRecord, names: Names) -> dict[str, Any]:
    facts = asdict(row)
    usage = facts.pop("usage")
    return {
        **facts,
        "principal_name": names.of("principal", row.principal),
        "key_name": names.of("key", row.key),
        "team_name": names.of("team", row.team),
        "usage": usage,
    }


def _named(row: dict[str, Any], names: Names) -> dict[str, Any]:
    called = {f"{kind}_name": names.of(kind, row[kind]) for kind in ("principal", "key", "team") if kind in row}
    return {**row, **called}
