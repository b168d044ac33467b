"""What the system keeps of its own work: principals, keys, files, jobs, spans, feedback, audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RoleName(StrEnum):
    """Roles of a principal. What each may do is in `governance.roles`."""

    ADMIN = "admin"
    OPERATOR = "operator"
    REVIEWER = "reviewer"
    DEVELOPER = "developer"
    USER = "user"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a key, a team or the whole system may use. `None` is without a limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Prompt and answer together."""
    concurrency: int | None = None
    """Requests at once."""
    usd_per_day: float | None = None
    """US dollars in one day, UTC."""
    usd_per_month: float | None = None
    """US dollars in one calendar month, UTC."""


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scopes:
    """What a key opens: names with `*` as a wildcard. `None` is everything."""

    models: tuple[str, ...] | None = None
    """Models and routes."""
    knowledge: tuple[str, ...] | None = None
    """Knowledge bases."""
    doors: tuple[str, ...] | None = None
    """Interfaces, such as `chat.completions`, `embeddings`, `messages`."""


ALL_SCOPES = Scopes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Principals that share limits and a budget."""

    id: str
    name: str
    created_at: float
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    id: str
    name: str
    role: RoleName
    created_at: float
    team: Team | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored: never the secret, only its SHA-256 and a hint for people."""

    id: str
    principal: str
    name: str
    hint: str
    """The first characters of the secret, enough to tell keys apart."""
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    scopes: Scopes = ALL_SCOPES
    limits: Limits = NO_LIMITS
    record_content: bool = False
    """Keep the text of requests and answers beside their traces."""
    replaced_by: str | None = None
    """The key that it was rotated into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An uploaded file; its bytes are the blob `sha256`."""

    id: str
    name: str
    size: int
    sha256: str
    purpose: str
    principal: str
    created_at: float
    expires_at: float | None = None


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A unit of long work: a row with a lease, so that a killed worker's job is taken up again."""

    id: str
    kind: str
    arguments: Mapping[str, Any]
    state: JobState
    created_at: float
    updated_at: float
    total: int = 0
    done: int = 0
    failed: int = 0
    attempts: int = 0
    lease_owner: str | None = None
    lease_until: float | None = None
    message: str = ""
    """For people: what it does now, or why it failed."""
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobItem:
    """One piece of a job (a file of an ingestion); the line a person reads about it."""

    job: str
    key: str
    state: JobState
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One timed stage of a request. A span without a parent is the trace's root."""

    id: str
    trace: str
    parent: str | None
    name: str
    started_at: float
    """Unix seconds."""
    duration: float
    """Seconds."""
    status: str = "ok"
    """`ok`, `cancelled`, or an error's code."""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A person's verdict on one answer."""

    id: str
    trace: str
    principal: str
    rating: int
    """+1 or -1."""
    comment: str
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One link of the audit chain: `hash` covers the entry and `previous`."""

    sequence: int
    at: float
    principal: str
    action: str
    subject: str
    details: Mapping[str, Any]
    previous: str
    hash: str
