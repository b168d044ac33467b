"""Documents, what they are cut into, and how an answer points back into them.

All offsets are code points into the *source text*: the text a parser made of one document version, stored
unchanged. `source_text[start:end] == quote` holds for every citation, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from athanor.types.access import OPEN, Access, AccessRule
from athanor.types.filters import Attributes
from athanor.types.retrieval import DEFAULT_RETRIEVAL, RetrievalSettings


class AnswerMode(StrEnum):
    EXTRACTIVE = "extractive"
    GENERATIVE = "generative"


class DocumentStatus(StrEnum):
    READING = "reading"
    """A container that is being read for the first time."""
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeBase:
    """A named set of documents that is searched as one. Its name is also a model name."""

    id: str
    name: str
    embedder: str
    """Id of the only embedder whose vectors this base accepts."""
    dimension: int
    created_at: float
    revision: int = 0
    """Grows by one with every committed change of its documents; derived indexes compare it."""
    documents: int = 0
    chunks: int = 0
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    expires_after: int | None = None
    """Days after its last use on which it is deleted."""
    last_active_at: float | None = None
    version: int = 0
    """Of its settings; 0 is the defaults."""
    settings: RetrievalSettings = DEFAULT_RETRIEVAL
    rules: tuple[AccessRule, ...] = ()
    """Access of documents by their source name, for those to come too."""

    @property
    def expires_at(self) -> float | None:
        """Unix seconds when it is deleted, counted from its last use or else its making; `None` is never."""
        if self.expires_after is None:
            return None
        return (self.last_active_at or self.created_at) + 86_400.0 * self.expires_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A structural piece of a parsed document: source characters `start:end`."""

    kind: str
    """heading, paragraph, list, table, code, quote."""
    start: int
    end: int
    level: int = 0
    """Heading level from 1; 0 for anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """From the source character `start` on, the text stands at `place` in the source document."""

    start: int
    place: str
    """For people, and unambiguous: `Budget!A2:F21`, `slide 4`, `message 12`, `cell 3`, `chapter 2`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image inside a document."""

    start: int
    """Source offset at which it stands."""
    mime: str
    data: bytes
    alt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDocument:
    """What a parser returns. `blocks` are in order, disjoint, and lie inside `text`."""

    text: str
    title: str
    mime: str
    blocks: tuple[Block, ...]
    pages: tuple[int, ...] = ()
    """Start offset of each page, ascending; empty where the format has no pages."""
    warnings: tuple[str, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    """Ascending; for formats that have places other than pages and lines."""
    lines: bool = False
    """The text is the file's own, so that a line number of the one is a line number of the other."""
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One source in a knowledge base, at its current version."""

    id: str
    knowledge_base: str
    source: str
    """Stable name inside the base: a path relative to the folder, or the uploaded file's name. Unique per base."""
    version: int
    sha256: str
    """Of the source bytes."""
    text_sha256: str | None
    """Blob of the source text (UTF-8)."""
    title: str
    mime: str
    size: int
    """Bytes of the source."""
    pages: tuple[int, ...]
    status: DocumentStatus
    error: str | None
    chunks: int
    created_at: float
    updated_at: float
    file: str | None = None
    """Id of the uploaded file, where it came from one."""
    origin: str = "upload"
    """What keeps it in step: `folder:/absolute/path`, or `upload`. A synchronisation deletes only its own."""
    access: Access = OPEN
    attributes: Attributes = field(default_factory=dict)
    """At most 16, for filters."""
    container: str | None = None
    """Source name of the archive or mailbox that it came out of."""
    stamp: str = ""
    """Size, time and inode of its file, by which a synchronisation sees without reading that nothing changed."""
    near: str | None = None
    """Id of an older document of the base whose text is nearly the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A passage that is indexed as one. `text == source_text[start:end]`."""

    id: str
    document: str
    ordinal: int
    start: int
    end: int
    page: int | None
    """From 1, of the first character."""
    heading: str
    """Path of headings above it, joined by ` > `."""
    text: str
    place: str = ""
    """Where it stands in the source, for people: `page 3`, `lines 10–24`, `Budget!A2:F21`."""
    line: int | None = None
    """From 1, of the first character, where the format has lines."""
    context: str = ""
    """What it is about, written by a model or taken from its document; indexed with it, never cited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A chunk found for a query, with every score that led to its place."""

    chunk: Chunk
    document_version: int
    source: str
    title: str
    score: float
    """Calibrated and comparable within one query; higher is better."""
    lexical: float | None = None
    dense: float | None = None
    reranker: float | None = None
    pages: tuple[int, ...] = ()
    """Start offset of each page of the document, ascending; empty where the format has no pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A verbatim span of one document version."""

    document: str
    version: int
    page: int | None
    start: int
    end: int
    quote: str
    score: float
    source: str
    title: str
    chunk: str
    place: str = ""
    """Where it stands in the source, for people: `page 3`, `lines 12–14`, `Budget!A2:F21`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two sources that do not agree."""

    first: Citation
    second: Citation
    reason: str
    """What they differ in, for people: `1,200 against 1,500`."""
