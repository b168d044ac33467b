"""Erasing a member of a container: its name leaves the listings of those that it was in."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from athanor.errors import ConflictError
from athanor.rag.listing import LISTING, struck
from athanor.store import Store
from athanor.types import Document


def outer_of(store: Store, member: Document, conn: Connection) -> Iterator[Document]:
    """The containers that `member` is in, the nearest first."""
    at: Document | None = member
    while at is not None and at.container is not None:
        at = store.knowledge.document_by_source(member.knowledge_base, at.container, conn=conn)
        if at is not None:
            yield at


def check_alone(store: Store, member: Document, conn: Connection) -> None:
    """Refuse to erase what an upload holds that stays.

    Raises:
        ConflictError: the bytes of `member` are part of an upload that is kept as it came.
    """
    for outer in outer_of(store, member, conn):
        if outer.file is not None:
            raise ConflictError(
                "It is part of an upload, which is kept as it came.",
                where=outer.source,
                hint="Erase the upload, and add it again without this part.",
            )


def strike(store: Store, member: Document, conn: Connection) -> set[str]:
    """Take `member` out of the listings of its containers; the SHA-256 of the texts that are replaced."""
    replaced = set()
    for outer, sha256, text in _listings(store, member, conn):
        less = struck(text, {_inside(outer, member)})
        if less != text:
            store.erasure.retext(outer.id, sha256, store.blobs.put(less.encode("utf-8")), conn)
            replaced.add(sha256)
    return replaced


def still_listed(store: Store, member: Document, conn: Connection) -> list[bool]:
    """Of each listing of its containers, whether it names `member`."""
    return [struck(text, {_inside(outer, member)}) != text for outer, _, text in _listings(store, member, conn)]


def _listings(store: Store, member: Document, conn: Connection) -> Iterator[tuple[Document, str, str]]:
    for outer in outer_of(store, member, conn):
        if outer.mime == LISTING:
            for sha256 in store.erasure.texts(outer.id, conn):
                yield outer, sha256, store.blobs.read(sha256).decode("utf-8")


def _inside(outer: Document, member: Document) -> str:
    return member.source.removeprefix(f"{outer.source}/")
