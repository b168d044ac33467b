"""What every repository shares, and the port of the text index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy import Connection

from athanor.store.transactions import Database
from athanor.types import View


class Repository:
    """All SQL about one noun.

    The convention of every method: `conn=` joins the transaction that the caller has open
    (`with store.write() as conn`), so that several calls commit as one; without it the call is a
    transaction of its own.
    """

    def __init__(self, database: Database) -> None:
        self._db = database


class TextIndex(Protocol):
    """Word search over the chunks of one knowledge base, changed in the transaction that changes them.

    `base` is the `seq` of the knowledge base. Statistics (N, document frequency, average length) are those of
    that base alone, so that a score says nothing about documents elsewhere.
    """

    def create(self, conn: Connection, base: int) -> None: ...

    def drop(self, conn: Connection, base: int) -> None:
        """Forget the whole base. Its chunks still exist at this moment."""
        ...

    def add(self, conn: Connection, base: int, document: str) -> None:
        """Index the chunks of `document`, just inserted, and count its words in its row."""
        ...

    def remove(self, conn: Connection, base: int, document: str) -> None:
        """Forget the chunks of `document`, about to be deleted."""
        ...

    def search(
        self,
        conn: Connection,
        base: int,
        words: Sequence[str],
        *,
        view: View | None,
        limit: int,
        weights: tuple[float, float],
    ) -> list[tuple[str, float]]:
        """(chunk id, BM25) of the best chunks with any of `words`; `weights` are for text and heading.

        With a `view`, as if its chunks were all there are.
        """
        ...

    def frequencies(
        self, conn: Connection, base: int, terms: Sequence[str], *, view: View | None
    ) -> tuple[int, Mapping[str, int]]:
        """The number of chunks, and for each term how many hold it (a term of several words as a phrase).

        With a `view`, as if its chunks were all there are.
        """
        ...

    def problems(self, conn: Connection, base: int) -> list[str]:
        """One line for each way in which the index differs from the chunks."""
        ...
