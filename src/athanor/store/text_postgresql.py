"""The text index on PostgreSQL: the table `chunk_words` with a tsvector under GIN, scored by BM25.

Scores are those of the SQLite index: the same words, the Porter stemmer, N and lengths of one base, k1 = 1.2,
b = 0.75, and FTS5's floor for words that are in more than half of the chunks. PostgreSQL's own `ts_rank` knows
no document frequency, so it is not used. Words are cut and folded in Python, because PostgreSQL's parser and
`lower` depend on the locale that its cluster was made with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from athanor.store import tables as t
from athanor.store.words import fold

_BATCH = 1000
_TSVECTOR = "setweight(to_tsvector('athanor', x.heading), 'A') || setweight(to_tsvector('athanor', x.body), 'D')"
_ROWS = "unnest(:seqs, :bodies, :headings, :lengths) AS x(seq, body, heading, length)"
_ROW_TYPES = (
    bindparam("seqs", type_=ARRAY(BigInteger)),
    bindparam("bodies", type_=ARRAY(Text)),
    bindparam("headings", type_=ARRAY(Text)),
    bindparam("lengths", type_=ARRAY(BigInteger)),
)
_ADD = text(
    f"INSERT INTO chunk_words (chunk, base, length, words) SELECT x.seq, :base, x.length, {_TSVECTOR} FROM {_ROWS}"  # noqa: S608
).bindparams(*_ROW_TYPES)
_DIFFERENT = text(
    f"SELECT count(*) FROM {_ROWS} JOIN chunk_words w ON w.chunk = x.seq "  # noqa: S608
    f"WHERE w.base <> :base OR w.length <> x.length OR w.words <> {_TSVECTOR}"
).bindparams(*_ROW_TYPES)
_IDF = text("""
    WITH lexemes AS (
        SELECT u.lexeme, count(*) AS times
        FROM unnest(:words) AS word, unnest(to_tsvector('athanor', word)) AS u
        GROUP BY u.lexeme
    ), found AS (
        SELECT lexeme, times,
            (SELECT count(*) FROM chunk_words WHERE base = :base AND words @@ quoted.query) AS df
        FROM lexemes, LATERAL (SELECT CAST('''' || lexeme || '''' AS tsquery) AS query) AS quoted
    ), total AS (SELECT count(*) AS n, avg(length) AS mean FROM chunk_words WHERE base = :base)
    SELECT lexeme, times * greatest(ln((n - df + 0.5) / (df + 0.5)), 0.000001) AS idf, mean
    FROM found, total WHERE df > 0
""").bindparams(bindparam("words", type_=ARRAY(Text)))
_SEARCH = text("""
    SELECT c.id, s.score FROM (
        SELECT w.chunk, sum(
            q.idf * f.count * 2.2 / (f.count + 1.2 * (0.25 + 0.75 * w.length / CAST(:mean AS double precision)))
        ) AS score
        FROM chunk_words w
        CROSS JOIN LATERAL unnest(w.words) AS u
        JOIN unnest(:lexemes, :idfs) AS q(lexeme, idf) ON q.lexeme = u.lexeme
        CROSS JOIN LATERAL (SELECT cardinality(array_positions(u.weights, 'A')) AS heading) AS h
        CROSS JOIN LATERAL (
            SELECT h.heading * CAST(:heading_weight AS double precision)
                + (cardinality(u.weights) - h.heading) * CAST(:text_weight AS double precision) AS count
        ) AS f
        WHERE w.base = :base AND w.words @@ CAST(:query AS tsquery) AND f.count > 0
        GROUP BY w.chunk ORDER BY score DESC, w.chunk LIMIT :limit
    ) AS s JOIN chunks c ON c.seq = s.chunk ORDER BY s.score DESC, c.seq
""").bindparams(bindparam("lexemes", type_=ARRAY(Text)))
_DF = text("SELECT count(*) FROM chunk_words WHERE base = :base AND words @@ phraseto_tsquery('athanor', :term)")


class PostgreSQLText:
    """Satisfies `TextIndex` with tsvector, GIN and a BM25 of our own."""

    def create(self, conn: Connection, base: int) -> None:
        """Nothing: all bases share one table."""

    def drop(self, conn: Connection, base: int) -> None:
        conn.execute(text("DELETE FROM chunk_words WHERE base = :base"), {"base": base})

    def add(self, conn: Connection, base: int, document: str) -> None:
        for rows in _batches(conn, t.chunks.c.document == document):
            conn.execute(_ADD, {"base": base, **rows})

    def remove(self, conn: Connection, base: int, document: str) -> None:
        conn.execute(
            text("DELETE FROM chunk_words WHERE chunk IN (SELECT seq FROM chunks WHERE document = :document)"),
            {"document": document},
        )

    def search(
        self, conn: Connection, base: int, words: Sequence[str], *, limit: int, weights: tuple[float, float]
    ) -> list[tuple[str, float]]:
        terms = conn.execute(_IDF, {"base": base, "words": [fold(word) for word in words]}).all()
        if not terms:
            return []
        found = conn.execute(
            _SEARCH,
            {
                "base": base,
                "mean": float(terms[0].mean) or 1.0,
                "lexemes": [row.lexeme for row in terms],
                "idfs": [float(row.idf) for row in terms],
                "query": " | ".join(f"'{row.lexeme}'" for row in terms),
                "text_weight": weights[0],
                "heading_weight": weights[1],
                "limit": limit,
            },
        )
        return [(row.id, row.score) for row in found]

    def frequencies(self, conn: Connection, base: int, terms: Sequence[str]) -> tuple[int, Mapping[str, int]]:
        found = {term: conn.scalar(_DF, {"base": base, "term": fold(term)}) or 0 for term in terms}
        total = conn.scalar(select(t.knowledge_bases.c.chunks).where(t.knowledge_bases.c.seq == base))
        return total or 0, found

    def problems(self, conn: Connection, base: int) -> list[str]:
        missing = conn.scalar(
            text(
                "SELECT count(*) FROM chunks c WHERE base = :base AND NOT EXISTS "
                "(SELECT 1 FROM chunk_words w WHERE w.chunk = c.seq)"
            ),
            {"base": base},
        )
        different = sum(
            conn.scalar(_DIFFERENT, {"base": base, **rows}) or 0 for rows in _batches(conn, t.chunks.c.base == base)
        )
        found = [f"{missing} chunks have no row in the text index."] if missing else []
        return found + ([f"{different} rows of the text index differ from their chunks."] if different else [])


def _batches(conn: Connection, where: Any) -> Iterable[dict[str, list[Any]]]:
    query = select(t.chunks.c.seq, t.chunks.c.text, t.chunks.c.heading).where(where).order_by(t.chunks.c.seq)
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
