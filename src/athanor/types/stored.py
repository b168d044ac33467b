"""Rows that only the store and its readers speak of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
class StoredPicture:
    """An image inside one version of a document; its bytes are the blob `sha256`."""

    sha256: str
    mime: str
    start: int
    """Source offset at which it stands."""
    alt: str = ""


UNFINISHED = "unfinished"
"""The stamp of a container while its members are brought in step; no stamp of a file is like it."""


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
    stamp: str = ""
    container: str | None = None
    updated_at: float = 0.0
    """Unix seconds when it was last read, well or not."""


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
    documents: tuple[str, ...] = ()
    """Id of the document of each of `added`."""
    classes: tuple[int, ...] = ()
    """Access class of each of `added`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One row of the ledger: a request, who is billed for it, and what it used."""

    trace: str
    at: float
    """Unix seconds when it arrived."""
    door: str
    principal: str
    model: str
    """As it was asked for."""
    status: str = "ok"
    """`ok`, `cancelled`, or an error's code."""
    usage: Usage = NO_USAGE
    first_token: float | None = None
    """Seconds until the first piece of the answer, where there was any."""
    duration: float = 0.0
    """Seconds from the request to the end of its answer."""
    key: str | None = None
    team: str | None = None
    target: str = ""
    """The model that answered, which routing may have chosen."""
    cache: str = ""
    """`exact` or `semantic` where the answer came from the cache."""
    saved: float = 0.0
    """US dollars that the cache saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """An answer kept for `previous_response_id` and for reading again (OpenAI's Responses API)."""

    id: str
    principal: str
    previous: str | None
    created_at: float
    expires_at: float
    body: Mapping[str, Any]
    """The response as it was sent."""
    items: tuple[Mapping[str, Any], ...]
    """The input items of this turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The text of one request and its answer, kept only where recording is switched on, after redaction."""

    trace: str
    at: float
    request: Mapping[str, Any]
    answer: Mapping[str, Any]
