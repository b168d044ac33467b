"""Which columns are sealed: the one list that encryption, rotation and erasure go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Table

from athanor.store import tables as t

if TYPE_CHECKING:
    from athanor.store.crypto import Cipher


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFields:
    """The sealed columns of one table."""

    table: Table
    row: tuple[str, ...]
    """Columns that name a row in a seal: never changed, and unique together."""
    text: tuple[str, ...] = ()
    json: tuple[str, ...] = ()
    """Columns of JSON: sealed, they hold one string."""
    secret: bool = False
    """Sealed also where contents are not."""

    @property
    def columns(self) -> tuple[str, ...]:
        return self.text + self.json

    def place(self, row: Row[Any], column: str) -> tuple[str, str, str]:
        """What `Cipher` calls a place."""
        return self.table.name, "/".join(str(getattr(row, name)) for name in self.row), column

    def open(self, cipher: Cipher, row: Row[Any], column: str) -> Any:
        """The plain value of `column` of `row`."""
        value = getattr(row, column)
        place = self.place(row, column)
        return cipher.open_json(value, *place) if column in self.json else cipher.open(value, *place)


SEALED: tuple[SealedFields, ...] = (
    SealedFields(table=t.contents, row=("trace",), text=("request", "answer")),
    SealedFields(table=t.responses, row=("id",), json=("body", "items")),
    # A verdict that is replaced keeps its id, and who replaces it does not know it.
    SealedFields(table=t.feedback, row=("trace", "principal"), text=("comment",)),
    SealedFields(table=t.questions, row=("id",), text=("text", "answer")),
    SealedFields(table=t.evaluations, row=("id",), json=("details",)),
    SealedFields(table=t.pseudonyms, row=("vault", "pseudonym"), text=("value",), secret=True),
)
"""All of them. A table with sealed columns is not read or written but by a repository that knows it."""
