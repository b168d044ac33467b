"""Access classes: each different way in which documents of a base are closed, as a small integer.

Class 0 is open to everybody and has no row. A document and its chunks carry the class, so that both legs of a search
filter by a handful of integers, however many documents and readers there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, delete, exists, insert, select

from athanor.store import tables as t
from athanor.types import OPEN, Access, AccessRule, Reader


def class_of(conn: Connection, base: int, access: Access) -> int:
    """The class of `access` in the base (by seq), made where it is new."""
    if access == OPEN:
        return 0
    columns = t.access_classes.c
    key = orjson.dumps(access_row(access)).decode()
    found: int | None = conn.scalar(select(columns.seq).where(columns.base == base, columns.access == key))
    if found is None:
        found = conn.scalar(insert(t.access_classes).values(base=base, access=key).returning(columns.seq))
    assert found is not None
    return found


def classes(conn: Connection, base: int) -> dict[int, Access]:
    """Every class of the base (by seq), class 0 included."""
    columns = t.access_classes.c
    rows = conn.execute(select(columns.seq, columns.access).where(columns.base == base))
    return {0: OPEN} | {row.seq: access_of(orjson.loads(row.access)) for row in rows}


def visible(conn: Connection, base: int, reader: Reader) -> frozenset[int] | None:
    """The classes of the base (by seq) that `reader` may read; `None` for a reader of everything.

    The classes are named also when they are all, so that what is closed after this look stays closed to the view.
    """
    if reader.everything:
        return None
    return frozenset(seq for seq, access in classes(conn, base).items() if reader.may_read(access))


def collect_classes(conn: Connection, base: int) -> None:
    """Forget the classes of the base (by seq) that no document has. Their numbers are not given again."""
    columns = t.access_classes.c
    used = exists().where(t.documents.c.base == base, t.documents.c.access == columns.seq)
    conn.execute(delete(t.access_classes).where(columns.base == base, ~used))


def access_row(access: Access) -> dict[str, Any]:
    """`access` as JSON, in one form only."""
    readers = None if access.readers is None else sorted(set(access.readers))
    return {"labels": sorted(set(access.labels)), "readers": readers}


def access_of(row: Mapping[str, Any]) -> Access:
    """Access from its JSON."""
    readers = row["readers"]
    return Access(readers=None if readers is None else tuple(readers), labels=tuple(row["labels"]))


def rules_row(rules: tuple[AccessRule, ...]) -> list[dict[str, Any]]:
    """Rules as JSON."""
    return [{"pattern": rule.pattern, **access_row(rule.access)} for rule in rules]


def rules_of(row: list[Mapping[str, Any]]) -> tuple[AccessRule, ...]:
    """Rules from their JSON."""
    return tuple(AccessRule(pattern=entry["pattern"], access=access_of(entry)) for entry in row)
