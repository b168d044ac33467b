"""One thing that an ingestion reads: a file, an upload, or a member of one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from athanor.data import FileKind
from athanor.types import UNFINISHED, Document, DocumentStatus, SourceState, new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What has to be read, and where it stands."""

    name: str
    path: Path
    """Of the file; of a member, of the outermost container."""
    sha256: str
    size: int
    title: str
    stamp: str = ""
    file: str | None = None
    """Id of the upload."""
    kind: FileKind = FileKind.DOCUMENT
    emptied: bool = False
    """It held members once and is no container any more."""
    member: str | None = None
    """Its key inside the outermost container."""
    outer: Source | None = None
    """The container that it is directly in."""
    document: str | None = None
    """Id of the document that it is already."""

    @property
    def within(self) -> tuple[str, ...]:
        """Names of the containers that it is in, the nearest first."""
        return () if self.outer is None else (self.outer.name, *self.outer.within)

    @property
    def root(self) -> Source:
        """The file or upload."""
        return self if self.outer is None else self.outer.root

    @property
    def opens(self) -> bool:
        """Has it members, or had it."""
        return self.member is None and (self.emptied or self.kind is not FileKind.DOCUMENT)

    @property
    def called(self) -> str:
        """What the parser and its errors call it: the name tells the format."""
        return self.title if self.outer is None else f"{self.root.title}{self.name.removeprefix(self.root.name)}"


def named(name: str) -> Source:
    """A source of which nothing but the name is known."""
    return Source(name=name, path=Path(), sha256="", size=0, title=name)


def held(state: SourceState | None, sha256: str, since: float) -> bool:
    """Is it in the base with these bytes, read at `since` (Unix seconds) or later, and all that it holds too."""
    return (
        state is not None
        and state.status is DocumentStatus.READY
        and state.sha256 == sha256
        and state.stamp != UNFINISHED
        and state.updated_at >= since
    )


def blank(source: Source, base: str, origin: str, arguments: Mapping[str, Any]) -> Document:
    """The document of `source` before it is read, in the base (by id), for a job with these arguments."""
    now = time.time()
    return Document(
        id=source.document or new_id("doc"),
        knowledge_base=base,
        source=source.name,
        origin=origin,
        version=0,
        sha256=source.sha256,
        text_sha256=None,
        title=source.title,
        mime="",
        size=source.size,
        pages=(),
        status=DocumentStatus.FAILED,
        error=None,
        chunks=0,
        created_at=now,
        updated_at=now,
        file=source.file,
        stamp=source.stamp,
        attributes=arguments.get("attributes", {}).get(source.root.file, {}),
        container=None if source.outer is None else source.outer.name,
    )
