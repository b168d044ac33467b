"""From a query to ranked passages: two legs, one fusion, and a cross-encoder's opinion on the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from anyio import to_thread

from athanor.engines import Embedder, Reranker
from athanor.errors import ConflictError
from athanor.rag.arrays import Matrix, np
from athanor.rag.fuse import DEPTH, blend, fuse
from athanor.rag.index import decode
from athanor.rag.indexes import Indexes
from athanor.rag.lexical import match_terms
from athanor.store import Store
from athanor.types import Hit, KnowledgeBase, View

MAX_TERMS = 64
"""Different words of a query that are looked up. A question has fewer; a pasted page would cost seconds."""

RERANKED = 6
"""Passages that the cross-encoder reads: it costs some 30 ms for each, and what it can repair is near the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """What each leg found for one query, before fusion."""

    lexical: list[tuple[str, float]]
    """(chunk id, BM25), best first."""
    dense: list[tuple[str, float]]
    """(chunk id, cosine), best first."""
    cosines: dict[str, float]
    """Cosine of every chunk of both."""


class Retriever:
    """Searches knowledge bases. Holds no state but the derived indexes."""

    def __init__(self, store: Store, embedder: Embedder, reranker: Reranker | None = None) -> None:
        self._store = store
        self._embedder = embedder
        self._reranker = reranker
        self._indexes = Indexes(store)

    @property
    def indexes(self) -> Indexes:
        """The derived indexes, for whoever has to see that nothing is left in them."""
        return self._indexes

    async def search(
        self, base: KnowledgeBase, query: str, *, view: View | None = None, limit: int = 10, rerank: bool = False
    ) -> list[Hit]:
        """The best `limit` passages for `query` of those that `view` shows, best first.

        Reranking is off unless asked for: it gains less than it costs (see `fuse.RERANK_SURE`), and an answer has
        the cross-encoder read single sentences instead.

        Raises:
            NotFoundError: the base is gone.
            ConflictError: its vectors are another embedder's.
        """
        if base.embedder != self._embedder.profile.id:
            raise ConflictError(
                f"Knowledge base {base.name!r} holds vectors of {base.embedder}, and the embedder is "
                f"{self._embedder.profile.id}.",
                where=base.name,
                hint="Set the embedder back, or ingest the documents into a new base.",
            )
        vector = await self._vector(query)
        legs = await to_thread.run_sync(self.legs, base, query, vector, view)
        ranked = fuse(legs.lexical, legs.cosines, [score for _, score in legs.dense])
        rerank = rerank and self._reranker is not None
        wanted = max(limit, RERANKED) if rerank else limit
        hits = await to_thread.run_sync(self._hits, base, ranked[:wanted], legs, view)
        if rerank:
            hits = await self._rerank(query, hits)
        return hits[:limit]

    def legs(self, base: KnowledgeBase, query: str, vector: Matrix, view: View | None = None) -> Legs:
        """Both legs on their own, at one revision. Reads the store; call it in a thread.

        `vector` is the query's, of shape (dimension,).
        """
        terms = match_terms(query)[:MAX_TERMS]
        lexical = self._store.chunks.search_text(base.id, terms, limit=DEPTH, view=view)
        dense, also = self._indexes.current(base).search(vector, DEPTH, also=[chunk for chunk, _ in lexical], view=view)
        return Legs(lexical=[pair for pair in lexical if pair[0] in also], dense=dense, cosines=also | dict(dense))

    async def _vector(self, query: str) -> Matrix:
        embedded = await self._embedder.embed([query], kind="query")
        row: Matrix = decode(embedded.data, embedded.dimension)[0]
        return row

    def _hits(
        self, base: KnowledgeBase, ranked: Sequence[tuple[str, float]], legs: Legs, view: View | None
    ) -> list[Hit]:
        scores = dict(ranked)
        bm25 = dict(legs.lexical)
        # A chunk that was deleted between the legs and here is simply not there any more.
        return [
            replace(hit, score=scores[hit.chunk.id], lexical=bm25.get(hit.chunk.id), dense=legs.cosines[hit.chunk.id])
            for hit in self._store.chunks.hits(base.id, list(scores), view=view)
        ]

    async def _rerank(self, query: str, hits: list[Hit]) -> list[Hit]:
        assert self._reranker is not None
        head, tail = hits[:RERANKED], hits[RERANKED:]
        if not head:
            return hits
        logits = await self._reranker.score(query, [hit.chunk.text for hit in head])
        scores = blend(np.array([hit.score for hit in head]), np.array(logits, dtype=np.float64))
        new = [
            replace(hit, score=score, reranker=logit)
            for hit, score, logit in zip(head, scores.tolist(), logits, strict=True)
        ]
        return sorted(new, key=lambda hit: (-hit.score, hit.chunk.id)) + tail
