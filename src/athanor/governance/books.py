"""Reading the ledger and the traces, each by whoever may: one's own, or everybody's with the right to it."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from athanor.errors import InputError, NotFoundError, PermissionDeniedError
from athanor.governance.readers import Readers
from athanor.governance.roles import Right, may
from athanor.store import Store
from athanor.types import Content, Feedback, Principal, RequestRecord, Span

GROUPS = ("day", "model", "target", "key", "team", "principal", "door", "status", "cache")
"""What costs can be grouped by: `day` is UTC, `model` is what was asked for, `target` is the model that answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which requests; what is `None` does not matter."""

    model: str | None = None
    """As it was asked for, or the model that answered."""
    key: str | None = None
    """A key's id, or its name."""
    principal: str | None = None
    """A principal's id, or its name."""
    team: str | None = None
    """A team's id, or its name."""
    status: str | None = None
    """`ok`, `cancelled`, an error's code, or `failed` for every error."""
    trace: str | None = None
    """A part of the trace's id."""
    since: float | None = None
    """Unix seconds."""
    before: float | None = None
    """Unix seconds."""
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the ids in the ledger are called now. What was deleted keeps its id for a name."""

    principals: Mapping[str, str]
    keys: Mapping[str, str]
    teams: Mapping[str, str]

    def of(self, kind: str, id_: str | None) -> str:
        """The name of a `key`, `team` or `principal`; other kinds are their own names."""
        known = {"principal": self.principals, "key": self.keys, "team": self.teams}.get(kind, {})
        return known.get(id_ or "", id_ or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All that is known of one request."""

    request: RequestRecord
    spans: Sequence[Span]
    """The root first; none where they have expired."""
    content: Content | None
    """What was said, where it was recorded and may be read."""
    feedback: Sequence[Feedback]


class Books:
    """What the ledger says, to whom it may say it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers = Readers(store)

    def names(self) -> Names:
        """Names for ids."""
        with self._store.read() as conn:
            return Names(
                principals={found.id: found.name for found in self._store.principals.list(conn=conn)},
                keys={found.id: found.name for found in self._store.keys.list(conn=conn)},
                teams={found.id: found.name for found in self._store.teams.list(conn=conn)},
            )

    def list(self, search: Search, *, by: Principal) -> builtins.list[RequestRecord]:
        """Requests that `by` may see, newest first.

        Raises:
            PermissionDeniedError: the role sees no requests at all.
        """
        own = _own(by, Right.REVIEW, Right.OPERATE)
        names = self.names()
        # One name may be that of several keys.
        principals = _ids(search.principal, names.principals)
        if own is not None:
            principals = [own] if principals is None or own in principals else []
        return self._store.requests.list(
            model=search.model,
            status=search.status,
            trace=search.trace,
            since=search.since,
            before=search.before,
            limit=search.limit,
            principal=principals,
            key=_ids(search.key, names.keys),
            team=_ids(search.team, names.teams),
        )

    def get(self, trace: str, *, by: Principal) -> Trace:
        """One request.

        Raises:
            NotFoundError: there is none, or it is another's and `by` may not see it.
            PermissionDeniedError: the role sees no requests at all.
        """
        own = _own(by, Right.REVIEW, Right.OPERATE)
        with self._store.read() as conn:
            request = self._store.requests.get(trace, conn=conn)
            if own not in {None, request.principal}:
                raise NotFoundError(f"There is no request with trace {trace!r}.")
            said = may(by, Right.REVIEW) or request.principal == by.id
            return Trace(
                request=request,
                spans=self._store.traces.get(trace, conn=conn),
                content=self._content(request, by, conn) if said else None,
                feedback=self._store.feedback.of_trace(trace, conn=conn),
            )

    def _content(self, request: RequestRecord, by: Principal, conn: Connection) -> Content | None:
        """What was said, unless it was said from documents that `by` may not read. One's own one has seen already."""
        content = self._store.contents.get(request.trace, conn=conn)
        if content is None or request.principal == by.id:
            return content
        reader = self._readers.of(by, conn=conn)
        if reader.everything:
            return content
        for cited in content.answer.get("citations", ()):
            try:
                access = self._store.knowledge.document(cited["document"], conn=conn).access
            except NotFoundError:
                return None
            if not reader.may_read(access):
                return None
        if (base := self._store.knowledge.find(request.model, conn=conn)) is not None:
            # What was written may say more than it cites, and an abstention names what is near.
            view = self._store.knowledge.view(base.id, reader, conn=conn)
            if self._store.knowledge.counts(base.id, view, conn=conn)[0] < base.documents:
                return None
        return content

    def costs(
        self, groups: Sequence[str], *, since: float, until: float | None = None, by: Principal
    ) -> builtins.list[dict[str, Any]]:
        """Sums of what `by` may see, for each combination of `groups` (see `GROUPS`), the dearest first.

        Raises:
            InputError: there is no such group.
            PermissionDeniedError: the role sees no costs at all.
        """
        own = _own(by, Right.OPERATE)
        unknown = [name for name in groups if name not in GROUPS]
        if unknown or len(set(groups)) != len(groups):
            raise InputError(
                f"Costs cannot be grouped by {unknown[0]!r}." if unknown else "A group is named twice.",
                where="by",
                hint=f"By any of: {', '.join(GROUPS)}.",
            )
        return self._store.requests.costs(by=groups, since=since, until=until, principal=own)

    def latencies(
        self, group: str, *, since: float, until: float | None = None, by: Principal
    ) -> builtins.list[dict[str, Any]]:
        """Percentiles of what `by` may see, for each value of `group` (see `GROUPS`), the most used first.

        Raises:
            InputError: there is no such group.
            PermissionDeniedError: the role sees no costs at all.
        """
        own = _own(by, Right.OPERATE)
        if group not in GROUPS:
            raise InputError(f"There is no group {group!r}.", where="latency", hint=f"By one of: {', '.join(GROUPS)}.")
        return self._store.requests.latencies(by=group, since=since, until=until, principal=own)


def sees_all(principal: Principal) -> bool:
    """May `principal` see the requests of others."""
    return may(principal, Right.REVIEW) or may(principal, Right.OPERATE)


def _own(by: Principal, *everything: Right) -> str | None:
    """The principal whose requests `by` is kept to; `None` is everybody's."""
    if any(may(by, right) for right in everything):
        return None
    if may(by, Right.ASK):
        return by.id
    raise PermissionDeniedError(f"{by.name} has the role {by.role.value}, which sees no requests.")


def _ids(wanted: str | None, names: Mapping[str, str]) -> builtins.list[str] | None:
    """The ids that are meant by an id or a name; what nobody is called is its own id, because keys are deleted."""
    if wanted is None:
        return None
    return [id_ for id_, name in names.items() if wanted in {id_, name}] or [wanted]
