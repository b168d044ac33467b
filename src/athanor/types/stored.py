"""Rows that only the store and its readers speak of."""

from __future__ import annotations

from dataclasses import dataclass

from athanor.types.chat import NO_USAGE, Usage
from athanor.types.knowledge import DocumentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersion:
    """One version of a document, kept so that old citations can be opened."""

    document: str
    version: int
    sha256: str
    """Of the source bytes."""
    text_sha256: str
    """Blob of the source text (UTF-8)."""
    title: str
    pages: tuple[int, ...]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What an ingestion compares a source with, to know whether it changed."""

    document: str
    sha256: str
    """Of the bytes that are served; of the bytes that failed where no version was ever good."""
    version: int
    """The version that is served; 0 where none was ever good."""
    status: DocumentStatus
    size: int
    """Bytes of the source."""
    origin: str = "upload"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorChanges:
    """What to do to an index of one knowledge base so that it equals `revision`."""

    revision: int
    added: tuple[str, ...]
    """Ids of chunks whose vectors are new or replaced, in the order of `matrix`."""
    matrix: bytes
    """float32, little-endian, one row for each of `added`."""
    present: tuple[str, ...]
    """Ids of all chunks that exist. What an index holds beyond them was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request as it is metered: the row that a cost ledger is made of."""

    trace: str
    at: float
    """Unix seconds when it arrived."""
    door: str
    principal: str
    model: str
    status: str = "ok"
    """`ok`, `cancelled`, or an error's code."""
    usage: Usage = NO_USAGE
    first_token: float | None = None
    """Seconds until the first text, where there was any."""
    cost: float = 0.0
    """US dollars by the model's profile."""
