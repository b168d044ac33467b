"""BM25 over the chunks that a view leaves, on SQLite.

FTS5 takes its statistics from the whole table, so a hidden chunk would change the scores of those that are seen.
Here N, document frequencies and the average length are those of the seen chunks. Words come from FTS5's own index
(by `fts5vocab`) and its own tokenizer, lengths from its own table, and the formula is its own, operation by
operation: a view that hides nothing gets the very same scores.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from heapq import nsmallest

from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, Table, Text, select

from athanor.store import tables as t
from athanor.store.views import among, seen_rows, statistics
from athanor.types import View

TOKENIZER = "porter unicode61 remove_diacritics 2"
_K1, _B = 1.2, 0.75
_LOWEST_IDF = 1e-6
_WORDS_KEPT = 4096


class NarrowText:
    """Searches one base (by seq) as if only the chunks of a view were there."""

    def __init__(self) -> None:
        self.tokens = lru_cache(_WORDS_KEPT)(Tokenizer())

    def search(
        self,
        conn: Connection,
        base: int,
        words: Sequence[str],
        *,
        view: View,
        limit: int,
        weights: tuple[float, float],
    ) -> list[tuple[str, float]]:
        """(chunk id, BM25), best first; `weights` are for text and heading."""
        total, length = statistics(conn, base, view)
        if not total:
            return []
        times = Counter(tokens for tokens in map(self.tokens, words) if tokens)
        found = {tokens: _instances(conn, base, view, tokens, weights) for tokens in times}
        mean = length / total
        sizes = _sizes(conn, base, {seq for counts in found.values() for seq in counts})
        norms = {seq: _K1 * (1.0 - _B + _B * size / mean) for seq, size in sizes.items()}
        scores: dict[int, float] = dict.fromkeys(norms, 0.0)
        # One round for each word, though two may have one stem: the same sum, in the same order, as FTS5's.
        for tokens in map(self.tokens, words):
            counts = found.get(tokens, {})
            idf = _idf(total, len(counts))
            for seq, count in counts.items():
                scores[seq] += idf * ((count * (_K1 + 1.0)) / (count + norms[seq]))
        best = nsmallest(limit, scores.items(), key=lambda item: (-item[1], item[0]))
        names = _names(conn, [seq for seq, _ in best])
        return [(names[seq], score) for seq, score in best]


class Tokenizer:
    """The tokens that FTS5 makes of a word: usually one. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute(f"CREATE VIRTUAL TABLE words USING fts5(word, tokenize='{TOKENIZER}')")
        self._db.execute("CREATE VIRTUAL TABLE tokens USING fts5vocab(words, instance)")

    def __call__(self, word: str) -> tuple[str, ...]:
        with self._lock:
            self._db.execute("INSERT INTO words(rowid, word) VALUES (1, ?)", [word])
            rows = self._db.execute('SELECT term FROM tokens ORDER BY "offset"').fetchall()
            self._db.execute("DELETE FROM words")
        return tuple(token for (token,) in rows)


def length_of(sizes: bytes) -> int:
    """The sum of SQLite's varints (of less than nine bytes) in `sizes`: the words of a chunk, in all its columns."""
    total = value = 0
    for byte in sizes:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            total += value
            value = 0
    return total


def _idf(total: int, holding: int) -> float:
    # Worth less than nothing where more than half of the chunks hold the word: FTS5 gives such a word hardly anything.
    idf = math.log((total - holding + 0.5) / (holding + 0.5))
    return idf if idf > 0.0 else _LOWEST_IDF


def _instances(
    conn: Connection, base: int, view: View, tokens: tuple[str, ...], weights: tuple[float, float]
) -> Mapping[int, float]:
    """Seen chunk → weighted count of the places where `tokens` stand one after the other."""
    terms = _terms(base)
    weight = dict(zip(("text", "heading"), weights, strict=True))
    query = select(terms.c.doc, terms.c.col).where(terms.c.doc.in_(seen_rows(conn, base, view)))
    if len(tokens) == 1:
        places = conn.execute(query.where(terms.c.term == tokens[0]))
        counts: dict[int, float] = {}
        for seq, column in places:
            counts[seq] = counts.get(seq, 0.0) + weight[column]
        return counts
    following: set[tuple[int, str, int]] | None = None
    for number, token in enumerate(tokens):
        rows = conn.execute(query.add_columns(terms.c.offset).where(terms.c.term == token))
        starts = {(seq, column, offset - number) for seq, column, offset in rows}
        following = starts if following is None else following & starts
    counts = {}
    for seq, column, _ in sorted(following or ()):
        counts[seq] = counts.get(seq, 0.0) + weight[column]
    return counts


def _sizes(conn: Connection, base: int, seqs: set[int]) -> dict[int, int]:
    sizes = Table(f"fts_{base}_docsize", MetaData(), Column("id", Integer), Column("sz", LargeBinary))
    rows = conn.execute(select(sizes.c.id, sizes.c.sz).where(among(conn, sizes.c.id, seqs)))
    return {seq: length_of(size) for seq, size in rows}


def _names(conn: Connection, seqs: Sequence[int]) -> dict[int, str]:
    rows = conn.execute(select(t.chunks.c.seq, t.chunks.c.id).where(among(conn, t.chunks.c.seq, seqs)))
    return {row.seq: row.id for row in rows}


def _terms(base: int) -> Table:
    names = (Column("term", Text), Column("doc", Integer), Column("col", Text), Column("offset", Integer))
    return Table(f"fts_{base}_terms", MetaData(), *names)
