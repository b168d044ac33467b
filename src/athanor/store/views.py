"""What a view leaves of documents and chunks, as conditions in SQL."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Connection, Select, any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from athanor.store import tables as t
from athanor.store.access import classes
from athanor.types import View


def among(conn: Connection, column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """`column` is one of `values`, however many: they are one parameter."""
    if conn.dialect.name == "sqlite":
        each = func.json_each(orjson.dumps([*values]).decode()).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(literal([*values], ARRAY(column.type)))


def seen_documents(conn: Connection, view: View | None) -> list[ColumnElement[bool]]:
    """Conditions on `documents`."""
    found: list[ColumnElement[bool]] = []
    if view is not None and view.classes is not None:
        found.append(among(conn, t.documents.c.access, view.classes))
    if view is not None and view.documents is not None:
        found.append(among(conn, t.documents.c.id, view.documents))
    return found


def seen_chunks(conn: Connection, view: View | None) -> list[ColumnElement[bool]]:
    """Conditions on `chunks`."""
    found: list[ColumnElement[bool]] = []
    if view is not None and view.classes is not None:
        found.append(among(conn, t.chunks.c.access, view.classes))
    if view is not None and view.documents is not None:
        found.append(among(conn, t.chunks.c.document, view.documents))
    return found


def seen_rows(conn: Connection, base: int, view: View) -> Select[Any]:
    """The `seq` of the chunks of the base (by seq) that `view` leaves; indexes alone answer it."""
    columns = t.chunks.c
    if view.documents is None:
        return select(columns.seq).where(columns.base == base, *seen_chunks(conn, view))
    documents = select(t.documents.c.id).where(t.documents.c.base == base, *seen_documents(conn, view))
    return select(columns.seq).where(columns.document.in_(documents))


def narrowed(conn: Connection, base: Any, view: View | None) -> View | None:
    """`view` where it hides something of the base (whose row is given) as it is now, else `None`.

    Raises:
        ValueError: the view is of another base.
    """
    if view is None:
        return None
    if view.base != base.id:
        raise ValueError(f"The view is of base {view.base!r}, not of {base.id!r}.")
    if view.documents is None and (view.classes is None or view.classes.issuperset(classes(conn, base.seq))):
        return None
    return view


def statistics(conn: Connection, base: int, view: View | None) -> tuple[int, int]:
    """The number of chunks of the base (by seq) that `view` leaves, and how many words they have together."""
    if view is None:
        columns = t.knowledge_bases.c
        found = conn.execute(select(columns.chunks, columns.words).where(columns.seq == base)).one()
    else:
        documents = t.documents.c
        sums = select(func.coalesce(func.sum(documents.chunks), 0), func.coalesce(func.sum(documents.words), 0))
        found = conn.execute(sums.where(documents.base == base, *seen_documents(conn, view))).one()
    return int(found[0]), int(found[1])
