"""The text index on SQLite: one FTS5 table for each knowledge base.

The table holds no text of its own: its content is a view on the chunks of the base (external content), so the
text is stored once and FTS5's `integrity-check` can compare the two word by word. Tables of their own, because
FTS5's BM25 takes N, lengths and document frequencies from the whole table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnClause,
    Connection,
    TableClause,
    bindparam,
    column,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.exc import DatabaseError

from athanor.store import tables as t
from athanor.store.text_narrow import TOKENIZER, NarrowText, length_of
from athanor.store.views import seen_rows, statistics
from athanor.store.words import split
from athanor.types import View

_HEADING = "heading || ' ' || context"

# Every name below is made of an integer, hence the silenced S608.


class SQLiteText:
    """Satisfies `TextIndex` with FTS5."""

    def __init__(self) -> None:
        self._narrow = NarrowText()

    def create(self, conn: Connection, base: int) -> None:
        conn.exec_driver_sql(
            f"CREATE VIEW fts_{base}_rows AS SELECT seq, text, {_HEADING} AS heading "  # noqa: S608
            f"FROM chunks WHERE base = {base}"
        )
        conn.exec_driver_sql(
            f"CREATE VIRTUAL TABLE fts_{base} USING fts5(text, heading, content='fts_{base}_rows', "
            f"content_rowid='seq', tokenize='{TOKENIZER}')"
        )
        conn.exec_driver_sql(f"CREATE VIRTUAL TABLE fts_{base}_terms USING fts5vocab(fts_{base}, instance)")

    def drop(self, conn: Connection, base: int) -> None:
        conn.exec_driver_sql(f"DROP TABLE fts_{base}_terms")
        conn.exec_driver_sql(f"DROP TABLE fts_{base}")
        conn.exec_driver_sql(f"DROP VIEW fts_{base}_rows")

    def add(self, conn: Connection, base: int, document: str) -> None:
        conn.execute(
            text(
                f"INSERT INTO fts_{base}(rowid, text, heading) "  # noqa: S608
                f"SELECT seq, text, {_HEADING} FROM chunks WHERE document = :document ORDER BY seq"
            ),
            {"document": document},
        )
        sizes = conn.execute(
            text(f"SELECT sz FROM fts_{base}_docsize WHERE id IN (SELECT seq FROM chunks WHERE document = :document)"),  # noqa: S608
            {"document": document},
        )
        _count(conn, document, sum(length_of(size) for (size,) in sizes))

    def remove(self, conn: Connection, base: int, document: str) -> None:
        # FTS5 reads the old words back through the view, so the chunks must still be there.
        conn.execute(
            text(f"DELETE FROM fts_{base} WHERE rowid IN (SELECT seq FROM chunks WHERE document = :document)"),  # noqa: S608
            {"document": document},
        )
        _count(conn, document, 0)

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
        if view is not None:
            return self._narrow.search(conn, base, words, view=view, limit=limit, weights=weights)
        rows = conn.execute(
            text(
                f"SELECT c.id, -f.rank FROM (SELECT rowid, rank FROM fts_{base} WHERE fts_{base} MATCH :query "  # noqa: S608
                "AND rank MATCH :weights ORDER BY rank LIMIT :limit) AS f JOIN chunks AS c ON c.seq = f.rowid "
                "ORDER BY f.rank, c.seq"
            ),
            {
                "query": " OR ".join(quoted(word) for word in words),
                "weights": f"bm25({weights[0]:.6f}, {weights[1]:.6f})",
                "limit": limit,
            },
        )
        return [(row[0], row[1]) for row in rows]

    def frequencies(
        self, conn: Connection, base: int, terms: Sequence[str], *, view: View | None
    ) -> tuple[int, Mapping[str, int]]:
        table: ColumnClause[Any] = column(f"fts_{base}")
        match = table.op("MATCH")(bindparam("query"))
        count = select(func.count()).select_from(TableClause(table.name)).where(match)
        if view is not None:
            # The plus keeps SQLite from asking the index once for each visible row.
            count = count.where(literal_column("+rowid").in_(seen_rows(conn, base, view)))
        found = {term: conn.scalar(count, {"query": quoted(term)}) or 0 for term in terms}
        return statistics(conn, base, view)[0], found

    def problems(self, conn: Connection, base: int) -> list[str]:
        # The check is an INSERT, so it needs the writer; it changes nothing.
        savepoint = conn.begin_nested()
        try:
            conn.exec_driver_sql(f"INSERT INTO fts_{base}(fts_{base}, rank) VALUES ('integrity-check', 1)")  # noqa: S608
        except DatabaseError:
            savepoint.rollback()
        else:
            savepoint.rollback()
            return self._miscounted(conn, base)
        rows = conn.execute(
            text(
                f"""
                SELECT (SELECT count(*) FROM chunks
                        WHERE base = :base AND seq NOT IN (SELECT id FROM fts_{base}_docsize)),
                       (SELECT count(*) FROM fts_{base}_docsize
                        WHERE id NOT IN (SELECT seq FROM chunks WHERE base = :base))
                """  # noqa: S608
            ),
            {"base": base},
        ).one()
        return [
            f"The text index disagrees with the chunks: {rows[0]} chunks without a row, {rows[1]} rows without a chunk."
        ]

    def _miscounted(self, conn: Connection, base: int) -> list[str]:
        """A view's average length is made of these counts, so a wrong one makes wrong scores."""
        held: Counter[str] = Counter()
        sizes = f"SELECT c.document, s.sz FROM fts_{base}_docsize s JOIN chunks c ON c.seq = s.id"  # noqa: S608
        for document, size in conn.execute(text(sizes)):
            held[document] += length_of(size)
        columns = t.documents.c
        counted = conn.execute(select(columns.id, columns.words).where(columns.base == base))
        wrong = sum(row.words != held[row.id] for row in counted)
        return [f"{wrong} documents count their words wrong."] if wrong else []


def _count(conn: Connection, document: str, words: int) -> None:
    conn.execute(update(t.documents).where(t.documents.c.id == document).values(words=words))


def quoted(term: str) -> str:
    """`term` as a phrase of FTS5."""
    return '"' + " ".join(split(term)) + '"'
