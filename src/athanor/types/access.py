"""Who may read which document, and who reads.

A document is seen by a reader when the reader is one of its `readers` (or it names none) *and* is cleared for every
one of its `labels`. Nothing else opens it: not the knowledge base's name, not a cached answer, not a count.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a document asks of its readers."""

    readers: tuple[str, ...] | None = None
    """Identities, sorted: `principal:<id>`, `team:<id>`, `group:<id>`. `None` is everybody; empty is nobody."""
    labels: tuple[str, ...] = ()
    """Sorted. A reader must be cleared for all of them."""


OPEN = Access()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who reads knowledge: identities and clearances as of now."""

    identities: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    """Labels that the reader is cleared for."""
    everything: bool = False
    """Administrators and the system's own jobs: no document is closed to them."""

    def may_read(self, access: Access) -> bool:
        """Is a document with this `access` visible."""
        if self.everything:
            return True
        named = access.readers is None or not self.identities.isdisjoint(access.readers)
        return named and self.labels.issuperset(access.labels)


SYSTEM_READER = Reader(everything=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Principals that may read the same documents."""

    id: str
    name: str
    created_at: float
    labels: tuple[str, ...] = ()
    """What its members are cleared for, sorted."""
    members: tuple[str, ...] = ()
    """Ids of principals, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRule:
    """The access of the documents of a base whose source matches `pattern`; the last matching rule counts."""

    pattern: str
    """Shell pattern over the source name: `hr/*`."""
    access: Access


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one reader, with one filter, sees of one knowledge base at one revision. Both legs search only this."""

    base: str
    """Id of the knowledge base."""
    revision: int
    classes: frozenset[int] | None = None
    """Access classes (see `store.access`) that are visible; `None` is all."""
    documents: frozenset[str] | None = None
    """Ids of the documents that the filter leaves; `None` is all."""

    @property
    def whole(self) -> bool:
        """Is nothing hidden."""
        return self.classes is None and self.documents is None
