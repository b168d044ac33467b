"""The text index on PostgreSQL: the table `chunk_words` with a tsvector under GIN, scored by BM25.

Scores are those of the SQLite index: the same words, the Porter stemmer, N and lengths of one base, k1 = 1.2,
b = 0.75, and FTS5's floor for words that are in more than half of the chunks. PostgreSQL's own `ts_rank` knows
no document frequency, so it is not used. Words are cut and folded in Python, because PostgreSQL's parser and
`lower` depend on the locale that its cluster was made with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Double, Text

from athanor.store import tables as t
from athanor.store.views import statistics
from athanor.store.words import fold
from athanor.types import View

_BATCH = 1000
# The base is a lexeme too (`=7`, which no word can be), so that one GIN look-up finds the words of one base.
_TSVECTOR = (
    "setweight(to_tsvector('athanor', x.heading), 'A') || setweight(to_tsvector('athanor', x.body), 'D') "
    "|| array_to_tsvector(ARRAY['=' || :base])"
)
_ROWS = "unnest(:seqs, :bodies, :headings, :lengths) AS x(seq, body, heading, length)"
_ROW_TYPES = (
    bindparam("base", type_=Text),
    bindparam("seqs", type_=ARRAY(BigInteger)),
    bindparam("bodies", type_=ARRAY(Text)),
    bindparam("headings", type_=ARRAY(Text)),
    bindparam("lengths", type_=ARRAY(BigInteger)),
)
_ADD = text(
    "INSERT INTO chunk_words (chunk, base, length, words) "  # noqa: S608
    f"SELECT x.seq, CAST(:base AS bigint), x.length, {_TSVECTOR} FROM {_ROWS}"
).bindparams(*_ROW_TYPES)
_DIFFERENT = text(
    f"SELECT count(*) FROM {_ROWS} JOIN chunk_words w ON w.chunk = x.seq "  # noqa: S608
    f"WHERE w.base <> CAST(:base AS bigint) OR w.length <> x.length OR w.words <> {_TSVECTOR}"
).bindparams(*_ROW_TYPES)
_MISCOUNTED = text("""
    SELECT count(*) FROM documents d WHERE d.base = :base AND d.words <> (
        SELECT coalesce(sum(w.length), 0) FROM chunks c JOIN chunk_words w ON w.chunk = c.seq WHERE c.document = d.id
    )
""")
_LEXEMES = text("""
    SELECT u.lexeme, count(*) AS times
    FROM unnest(:words) AS word, unnest(to_tsvector('athanor', word)) AS u GROUP BY u.lexeme
""").bindparams(bindparam("words", type_=ARRAY(Text)))
_DF = "SELECT count(*) FROM chunk_words w WHERE words @@ CAST(:query AS tsquery)"
_PHRASE_DF = (
    "SELECT count(*) FROM chunk_words w WHERE words @@ (CAST(:base AS tsquery) && phraseto_tsquery('athanor', :term))"
)
# Added to the three queries for a view. Whatever its documents are, a chunk must be of a class that is seen.
_OF_CLASSES = " AND w.chunk IN (SELECT v.seq FROM chunks v WHERE v.base = :seq AND v.access = ANY(:classes))"
_OF_DOCUMENTS = " AND w.chunk IN (SELECT v.seq FROM chunks v WHERE v.document = ANY(:documents))"
_SEARCH = """
    SELECT c.id, s.score FROM (
        SELECT w.chunk, sum(
            u.idf * u.count * 2.2 / (u.count + 1.2 * (0.25 + 0.75 * w.length / CAST(:mean AS double precision)))
        ) AS score
        FROM chunk_words w CROSS JOIN LATERAL (
            SELECT q.idf,
                cardinality(l.weights) * CAST(:text_weight AS double precision)
                + cardinality(array_positions(l.weights, 'A'))
                * (CAST(:heading_weight AS double precision) - CAST(:text_weight AS double precision)) AS count
            FROM (SELECT * FROM unnest(w.words) WHERE lexeme = ANY(:lexemes) OFFSET 0) AS l
            JOIN unnest(:lexemes, :idfs) AS q(lexeme, idf) ON q.lexeme = l.lexeme
        ) AS u
        WHERE w.words @@ CAST(:query AS tsquery) {seen}
        GROUP BY w.chunk HAVING sum(u.count) > 0 ORDER BY score DESC, w.chunk LIMIT :limit
    ) AS s JOIN chunks c ON c.seq = s.chunk ORDER BY s.score DESC, c.seq
"""
_SEARCH_TYPES = (bindparam("lexemes", type_=ARRAY(Text)), bindparam("idfs", type_=ARRAY(Double)))


class PostgreSQLText:
    """Satisfies `TextIndex` with tsvector, GIN and a BM25 of our own."""

    def create(self, conn: Connection, base: int) -> None:
        """Nothing: all bases share one table."""

    def drop(self, conn: Connection, base: int) -> None:
        conn.execute(text("DELETE FROM chunk_words WHERE base = :base"), {"base": base})

    def add(self, conn: Connection, base: int, document: str) -> None:
        for rows in _batches(conn, t.chunks.c.document == document):
            conn.execute(_ADD, {"base": str(base), **rows})
            _count_words(conn, base, document, sum(rows["lengths"]))

    def remove(self, conn: Connection, base: int, document: str) -> None:
        gone = conn.scalars(
            text(
                "DELETE FROM chunk_words WHERE chunk IN (SELECT seq FROM chunks WHERE document = :document) "
                "RETURNING length"
            ),
            {"document": document},
        )
        _count_words(conn, base, document, -sum(gone))

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
        total, length = statistics(conn, base, view)
        seen, types, values = _seen(base, view)
        df = text(_DF + seen).bindparams(*types)
        idfs: dict[str, float] = {}
        for lexeme, times in conn.execute(_LEXEMES, {"words": [fold(word) for word in words]}).all():
            holding = conn.scalar(df, {"query": f"'={base}' & '{lexeme}'", **values}) or 0
            if holding:
                idfs[lexeme] = times * max(math.log((total - holding + 0.5) / (holding + 0.5)), 1e-6)
        if not idfs:
            return []
        found = conn.execute(
            text(_SEARCH.format(seen=seen)).bindparams(*_SEARCH_TYPES, *types),
            {
                "mean": length / total,
                "lexemes": list(idfs),
                "idfs": list(idfs.values()),
                "query": f"'={base}' & (" + " | ".join(f"'{lexeme}'" for lexeme in idfs) + ")",
                "text_weight": weights[0],
                "heading_weight": weights[1],
                "limit": limit,
                **values,
            },
        )
        return [(row.id, row.score) for row in found]

    def frequencies(
        self, conn: Connection, base: int, terms: Sequence[str], *, view: View | None
    ) -> tuple[int, Mapping[str, int]]:
        seen, types, values = _seen(base, view)
        df = text(_PHRASE_DF + seen).bindparams(*types)
        found = {term: conn.scalar(df, {"base": f"'={base}'", "term": fold(term), **values}) or 0 for term in terms}
        return statistics(conn, base, view)[0], found

    def problems(self, conn: Connection, base: int) -> list[str]:
        missing = conn.scalar(
            text(
                "SELECT count(*) FROM chunks c WHERE base = :base "
                "AND NOT EXISTS (SELECT 1 FROM chunk_words w WHERE w.chunk = c.seq)"
            ),
            {"base": base},
        )
        different = words = 0
        for rows in _batches(conn, t.chunks.c.base == base):
            different += conn.scalar(_DIFFERENT, {"base": str(base), **rows}) or 0
            words += sum(rows["lengths"])
        counted = conn.scalar(select(t.knowledge_bases.c.words).where(t.knowledge_bases.c.seq == base))
        found = [f"{missing} chunks have no row in the text index."] if missing else []
        if different:
            found.append(f"{different} rows of the text index differ from their chunks.")
        if not found and counted != words:
            found.append(f"The text index counts {counted} words, and holds {words}.")
        if not found and (wrong := conn.scalar(_MISCOUNTED, {"base": base})):
            found.append(f"{wrong} documents count their words wrong.")
        return found


def _seen(base: int, view: View | None) -> tuple[str, list[BindParameter[Any]], dict[str, Any]]:
    """What a view adds to a query on `chunk_words w`: conditions, the types of their parameters, and these."""
    conditions, types, values = "", list[BindParameter[Any]](), dict[str, Any]()
    if view is not None and view.classes is not None:
        conditions += _OF_CLASSES
        types.append(bindparam("classes", type_=ARRAY(BigInteger)))
        values |= {"classes": sorted(view.classes), "seq": base}
    if view is not None and view.documents is not None:
        conditions += _OF_DOCUMENTS
        types.append(bindparam("documents", type_=ARRAY(Text)))
        values["documents"] = sorted(view.documents)
    return conditions, types, values


def _count_words(conn: Connection, base: int, document: str, change: int) -> None:
    for table, ours in (
        (t.knowledge_bases, t.knowledge_bases.c.seq == base),
        (t.documents, t.documents.c.id == document),
    ):
        conn.execute(update(table).where(ours).values(words=table.c.words + change))


def _batches(conn: Connection, where: Any) -> Iterable[dict[str, list[Any]]]:
    columns = t.chunks.c
    heading = columns.heading + " " + columns.context
    query = select(columns.seq, columns.text, heading.label("heading")).where(where).order_by(columns.seq)
    rows = conn.execute(query).all()
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        bodies = [fold(row.text) for row in part]
        headings = [fold(row.heading) for row in part]
        yield {
            "seqs": [row.seq for row in part],
            "bodies": bodies,
            "headings": headings,
            "lengths": [len(b.split()) + len(h.split()) for b, h in zip(bodies, headings, strict=True)],
        }
