"""How a knowledge base is searched, as a versioned thing, and how well a version did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSettings:
    """Every choice that retrieval leaves open. The defaults are safe for a base that nobody has measured."""

    dense_weight: float = 0.7
    """Share of the dense leg in the fusion, 0 to 1."""
    lexical_lead: float = 0.06
    """What the dense leg's share loses for each deviation by which the best passage by words leads the second."""
    feedback: float = 0.0
    """Weight of the first passage in a second query vector, where the legs disagree; 0 is off, 0.2 was measured."""
    rerank: float = 0.0
    """Weight of the cross-encoder, in deviations for each logit; 0 is off, 0.1 was measured."""
    diversity: float = 0.0
    """Maximal marginal relevance: what likeness to a passage above costs, 0 to 1; 0 is off."""
    per_document: int | None = None
    """Passages of one document among the hits, at most."""
    hops: int = 1
    """Searches for one question: 2 looks again with what the first found."""
    whole_tokens: int = 0
    """A base of which the reader sees at most this many tokens is given to the model whole; 0 is off."""
    expand: int = 0
    """Tokens that a passage may have with its neighbours of the same section when a model reads it; 0 is off."""


DEFAULT_RETRIEVAL = RetrievalSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeVersion:
    """One version of a base's settings. The newest need not be the one in use."""

    base: str
    """Id of the knowledge base."""
    version: int
    """From 1. Version 0 is the defaults and has no row."""
    settings: RetrievalSettings
    note: str
    created_at: float
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What it was chosen by: measure → value, with intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question that a base is measured by."""

    id: str
    base: str
    text: str
    relevant: Mapping[str, float]
    """Source name of a document, or `source#chunk id` of a passage → grade (> 0). Empty: it has no answer here."""
    answer: str = ""
    origin: str = "user"
    """`user`, `synthetic` or `feedback`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One measurement of a base."""

    id: str
    base: str
    version: int
    """Of its settings."""
    revision: int
    """Of its documents."""
    questions: str
    """Where the questions came from: a file's name, a folder's, or `own`."""
    created_at: float
    figures: Mapping[str, Any]
    """Measure → {"value", "low", "high"} (95 % bootstrap interval), `latency` in seconds."""
    details: tuple[Mapping[str, Any], ...] = ()
    """One entry for each question: its id and its value of every measure; what a paired comparison needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSource:
    """Something that a base is kept in step with."""

    base: str
    origin: str
    """`folder:/absolute/path` or `git:URL#branch`; as in `Document.origin`."""
    created_at: float
    every: float | None = None
    """Seconds between synchronisations; `None` only when asked."""
    synced_at: float | None = None
    """When the last synchronisation that went well ended, of those before the last job."""
    state: str = ""
    """What the source was at then: a git commit; empty for folders."""
    job: str | None = None
    """The last job."""
    principal: str | None = None
    """Id of who registered it. Its jobs are theirs, and it rests when they may not make them any more."""
    prefix: str = ""
    """What the names of its documents begin with: empty, or `handbook/`."""
    failures: int = 0
    """Jobs in a row that failed, before the last one."""
    error: str = ""
    """What the last of these said."""
