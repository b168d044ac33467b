"""From a query to ranked passages: two legs, one fusion, and what the base's settings ask for beyond.

    both legs → fused → [feedback] → [second search] → [reranked] → [spread] → final

Stages in brackets are off unless `KnowledgeBase.settings` switch them on. Every stage sees through the reader's view
alone, so that scores and order are as if hidden documents did not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from anyio import to_thread

from athanor.engines import Embedder, Reranker
from athanor.errors import ConflictError
from athanor.rag.arrays import Matrix, np
from athanor.rag.diversify import POOL, capped, diversify
from athanor.rag.feedback import PASSAGES, leaning, weak
from athanor.rag.fuse import DEPTH, RERANK_WEIGHT, blend, fuse
from athanor.rag.hops import FIRST, merge, second_query
from athanor.rag.index import decode
from athanor.rag.indexes import Indexes
from athanor.rag.lexical import match_terms
from athanor.rag.whole import whole_ids
from athanor.store import Store
from athanor.types import Hit, KnowledgeBase, RetrievalSettings, View

MAX_TERMS = 64
"""Different words of a query that are looked up. A question has fewer; a pasted page would cost seconds."""

RERANKED = 6
"""Passages that the cross-encoder reads: what it can repair is near the top, twelve gain nothing over six, and it costs
some 40 ms for each on a quiet core, twice to four times that on a busy one."""

Ranked = tuple[tuple[str, float], ...]
"""(chunk id, score), best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """What each leg found for one query, before fusion."""

    lexical: list[tuple[str, float]]
    """(chunk id, BM25), best first."""
    dense: list[tuple[str, float]]
    """(chunk id, cosine), best first."""
    cosines: dict[str, float]
    """Cosine of every chunk of both."""

    def fused(self, settings: RetrievalSettings) -> Ranked:
        """Both as one ranking."""
        best = [score for _, score in self.dense]
        weight, lead = settings.dense_weight, settings.lexical_lead
        return tuple(fuse(self.lexical, self.cosines, best, dense_weight=weight, lead=lead))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one stage of a search made of the candidates."""

    name: str
    """Of those that took place, in this order: lexical, dense, fused, feedback, second search, merged, reranked,
    final. Between `fused` and `final`, scores are deviations and may be compared."""
    ranked: Ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A search with all of its stages."""

    query: str
    further: str | None
    """What the second search asked for, where there was one."""
    whole: bool
    """The base was read whole."""
    stages: tuple[Stage, ...]
    hits: tuple[Hit, ...]


class Retriever:
    """Searches knowledge bases. Holds no state but the derived indexes."""

    def __init__(
        self, store: Store, embedder: Embedder, reranker: Reranker | None = None, *, indexes: Indexes | None = None
    ) -> None:
        """`indexes` of `store`; `None` keeps them in memory."""
        self._store = store
        self._embedder = embedder
        self._reranker = reranker
        self._indexes = Indexes(store) if indexes is None else indexes

    @property
    def indexes(self) -> Indexes:
        """The derived indexes, for whoever has to see that nothing is left in them."""
        return self._indexes

    async def search(
        self,
        base: KnowledgeBase,
        query: str,
        *,
        view: View | None = None,
        limit: int = 10,
        rerank: bool = False,
        whole: bool = False,
    ) -> list[Hit]:
        """The best `limit` passages for `query` of those that `view` shows, best first, by `base.settings`.

        Args:
            rerank: have the cross-encoder read the first passages even where the settings do not. It is off because it
                gains less than it costs (`fuse.RERANK_FLOOR`); an answer has it read single sentences instead.
            whole: where the settings let a base of this size be read whole, find all of it, whatever `limit`.

        Raises:
            NotFoundError: the base is gone.
            ConflictError: its vectors are another embedder's.
        """
        found = await self.explain(base, query, view=view, limit=limit, rerank=rerank, whole=whole)
        return list(found.hits)

    async def explain(
        self,
        base: KnowledgeBase,
        query: str,
        *,
        view: View | None = None,
        limit: int = 10,
        rerank: bool = False,
        whole: bool = False,
    ) -> Explanation:
        """As `search`, with what every stage made of the query."""
        self._check(base)
        settings = base.settings
        vector = await self._vector(query)
        everything: list[str] | None = None
        if whole and settings.whole_tokens > 0:
            everything = await to_thread.run_sync(whole_ids, self._store, base, view, settings.whole_tokens)
        legs = await to_thread.run_sync(self.legs, base, query, vector, view, everything or ())
        stages = [
            Stage(name="lexical", ranked=tuple(legs.lexical)),
            Stage(name="dense", ranked=tuple(legs.dense)),
            Stage(name="fused", ranked=legs.fused(settings)),
        ]
        further = None
        if everything is None:
            stages += await to_thread.run_sync(self._feedback, base, legs, vector, view)
            if settings.hops > 1:
                further, more = await self._second(base, query, stages[-1].ranked, view)
                stages += more
        ranked = stages[-1].ranked
        hits = await to_thread.run_sync(
            self._hits, base, ranked[: _wanted(settings, limit, everything)], legs, vector, view
        )
        weight = settings.rerank or (RERANK_WEIGHT if rerank else 0.0)
        if weight > 0 and self._reranker is not None:
            hits = await self._rerank(query, hits, weight)
            stages.append(Stage(name="reranked", ranked=_scores(hits)))
        if everything is None:
            hits = (await to_thread.run_sync(self._spread, base, hits, view, limit))[:limit]
        stages.append(Stage(name="final", ranked=_scores(hits)))
        return Explanation(
            query=query, further=further, whole=everything is not None, stages=tuple(stages), hits=tuple(hits)
        )

    def legs(
        self, base: KnowledgeBase, query: str, vector: Matrix, view: View | None = None, also: Sequence[str] = ()
    ) -> Legs:
        """Both legs on their own, at one revision. Reads the store; call it in a thread.

        Args:
            vector: the query's, of shape (dimension,).
            also: chunks that are candidates whatever the legs find.
        """
        terms = match_terms(query)[:MAX_TERMS]
        lexical = self._store.chunks.search_text(base.id, terms, limit=DEPTH, view=view)
        wanted = [*(chunk for chunk, _ in lexical), *also]
        dense, known = self._indexes.current(base).search(vector, DEPTH, also=wanted, view=view)
        return Legs(lexical=[pair for pair in lexical if pair[0] in known], dense=dense, cosines=known | dict(dense))

    def _check(self, base: KnowledgeBase) -> None:
        if base.embedder != self._embedder.profile.id:
            raise ConflictError(
                f"Knowledge base {base.name!r} holds vectors of {base.embedder}, and the embedder is "
                f"{self._embedder.profile.id}.",
                where=base.name,
                hint="Set the embedder back, or ingest the documents into a new base.",
            )

    async def _vector(self, query: str) -> Matrix:
        embedded = await self._embedder.embed([query], kind="query")
        row: Matrix = decode(embedded.data, embedded.dimension)[0]
        return row

    def _feedback(self, base: KnowledgeBase, legs: Legs, vector: Matrix, view: View | None) -> list[Stage]:
        """The stage of that name, where the settings ask for it and the legs disagree."""
        settings = base.settings
        if settings.feedback <= 0 or not weak([key for key, _ in legs.lexical], [key for key, _ in legs.dense]):
            return []
        best = [key for key, _ in legs.fused(settings)[:PASSAGES]]
        found = self._store.chunks.vectors_of(base.id, best, view=view)
        if not found:
            return []
        rows = decode(b"".join(found[key] for key in best if key in found), base.dimension)
        dense, known = self._indexes.current(base).search(
            leaning(vector, rows, settings.feedback), DEPTH, also=[key for key, _ in legs.lexical], view=view
        )
        again = Legs(
            lexical=[pair for pair in legs.lexical if pair[0] in known], dense=dense, cosines=known | dict(dense)
        )
        return [Stage(name="feedback", ranked=again.fused(settings))]

    async def _second(
        self, base: KnowledgeBase, query: str, ranked: Ranked, view: View | None
    ) -> tuple[str | None, list[Stage]]:
        """What the second search asks for, and its stages; nothing where the first passages lead nowhere."""
        first = await to_thread.run_sync(
            lambda: self._store.chunks.get(base.id, [key for key, _ in ranked[:FIRST]], view=view)
        )
        further = second_query(query, [chunk.text for chunk in first])
        if further is None:
            return None, []
        legs = await to_thread.run_sync(self.legs, base, further, await self._vector(further), view)
        found = legs.fused(base.settings)
        merged = tuple(merge(ranked, found))
        return further, [Stage(name="second search", ranked=found), Stage(name="merged", ranked=merged)]

    def _hits(self, base: KnowledgeBase, ranked: Ranked, legs: Legs, vector: Matrix, view: View | None) -> list[Hit]:
        """The passages, each with its scores against the query itself, whatever stage found it."""
        scores = dict(ranked)
        bm25, cosines = dict(legs.lexical), legs.cosines
        if unknown := [key for key in scores if key not in cosines]:
            _, known = self._indexes.current(base).search(vector, 0, also=unknown, view=view)
            cosines = cosines | known
        # A chunk that was deleted between the legs and here is simply not there any more.
        return [
            replace(hit, score=scores[key], lexical=bm25.get(key), dense=cosines[key])
            for hit in self._store.chunks.hits(base.id, list(scores), view=view)
            if (key := hit.chunk.id) in cosines
        ]

    async def _rerank(self, query: str, hits: list[Hit], weight: float) -> list[Hit]:
        assert self._reranker is not None
        head, tail = hits[:RERANKED], hits[RERANKED:]
        if not head:
            return hits
        logits = await self._reranker.score(query, [hit.chunk.text for hit in head])
        scores = blend(np.array([hit.score for hit in head]), np.array(logits, dtype=np.float64), weight=weight)
        new = [
            replace(hit, score=score, reranker=logit)
            for hit, score, logit in zip(head, scores.tolist(), logits, strict=True)
        ]
        return sorted(new, key=lambda hit: (-hit.score, hit.chunk.id)) + tail

    def _spread(self, base: KnowledgeBase, hits: list[Hit], view: View | None, limit: int) -> list[Hit]:
        """`hits` by the settings for diversity and for passages of one document."""
        settings = base.settings
        by_id = {hit.chunk.id: hit for hit in hits}
        order = list(by_id)
        if settings.per_document is not None:
            order = capped(order, {key: hit.chunk.document for key, hit in by_id.items()}, settings.per_document)
        if settings.diversity > 0:
            rows = self._store.chunks.vectors_of(base.id, order[: max(POOL, limit)], view=view)
            vectors = {key: decode(data, base.dimension)[0] for key, data in rows.items()}
            ranked = [(key, by_id[key].score) for key in order]
            order = diversify(ranked, vectors, weight=settings.diversity, limit=limit)
        return [by_id[key] for key in order]


def _wanted(settings: RetrievalSettings, limit: int, everything: Sequence[str] | None) -> int | None:
    """Candidates whose passages are read; `None` is all of them."""
    if everything is not None or settings.per_document is not None:
        return None  # a cap may leave out any number
    return max(limit, RERANKED, POOL if settings.diversity > 0 else 0)


def _scores(hits: Sequence[Hit]) -> Ranked:
    return tuple((hit.chunk.id, hit.score) for hit in hits)
