"""Scores of questions under many settings, with everything that settings do not change computed once."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from anyio import to_thread

from athanor.engines import Embedder, Reranker
from athanor.rag.arrays import Floats, Matrix, np
from athanor.rag.evaluation.asked import Asked, Found, Names
from athanor.rag.evaluation.choose import plain
from athanor.rag.evaluation.metrics import ndcg
from athanor.rag.index import decode
from athanor.rag.indexes import Indexes
from athanor.rag.permissions import ALL
from athanor.rag.retrieve import Legs, Retriever
from athanor.store import Store
from athanor.types import (
    EmbedderProfile,
    Embeddings,
    EngineState,
    Hit,
    KnowledgeBase,
    Question,
    RerankerProfile,
    RetrievalSettings,
    View,
)

WANTED = 60
"""Passages asked for: ten documents are in them."""
SHOWN = 10
"""Passages that count where a question names passages, and documents where it names those."""
_BATCH = 32


class BudgetSpent(Exception):  # noqa: N818  no error: what was measured so far counts
    """There is no time left to measure these settings."""


class KeptEmbedder:
    """An embedder that embeds each query once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._rows: dict[str, bytes] = {}

    @property
    def profile(self) -> EmbedderProfile:
        return self._embedder.profile

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        if kind != "query":
            return await self._embedder.embed(texts, kind=kind)
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        for at in range(0, len(new), _BATCH):
            batch = new[at : at + _BATCH]
            found = await self._embedder.embed(batch, kind="query")
            self._rows.update(zip(batch, found.rows(), strict=True))
        data = b"".join(self._rows[text] for text in texts)
        return Embeddings(data=data, count=len(texts), dimension=self.profile.dimension, tokens=0)

    def state(self) -> EngineState:
        return self._embedder.state()

    async def start(self) -> None:
        await self._embedder.start()

    async def aclose(self) -> None:
        """Nothing: it is another's embedder."""


class KeptReranker:
    """A reranker that reads each passage for a query once."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker
        self._logits: dict[tuple[str, str], float] = {}

    @property
    def profile(self) -> RerankerProfile:
        return self._reranker.profile

    async def score(self, query: str, passages: Sequence[str]) -> list[float]:
        new = [one for one in dict.fromkeys(passages) if (query, one) not in self._logits]
        if new:
            found = await self._reranker.score(query, new)
            self._logits.update(zip(((query, one) for one in new), found, strict=True))
        return [self._logits[query, one] for one in passages]

    def state(self) -> EngineState:
        return self._reranker.state()

    async def start(self) -> None:
        await self._reranker.start()

    async def aclose(self) -> None:
        """Nothing: it is another's reranker."""


class KeptRetriever(Retriever):
    """A retriever that searches the legs for a query once: settings do not change what they find."""

    def __init__(self, store: Store, embedder: Embedder, reranker: Reranker | None, *, indexes: Indexes) -> None:
        super().__init__(store, embedder, reranker, indexes=indexes)
        self._found: dict[str, Legs] = {}

    def legs(
        self, base: KnowledgeBase, query: str, vector: Matrix, view: View | None = None, also: Sequence[str] = ()
    ) -> Legs:
        """As of the first time that `query` was asked; for one base, one view and no further candidates."""
        assert view is None and not also  # noqa: PT018
        if query not in self._found:
            self._found[query] = super().legs(base, query, vector)
        return self._found[query]


class Measuring:
    """nDCG@10 of `questions` under settings of `base`."""

    def __init__(
        self,
        base: KnowledgeBase,
        questions: Sequence[Question],
        store: Store,
        indexes: Indexes,
        *,
        embedder: Embedder,
        reranker: Reranker | None,
    ) -> None:
        self.base = base
        self.questions = list(questions)
        self.deadline = float("inf")
        """`time.monotonic()` from which on no further settings are measured."""
        self.told: Callable[[int], Awaitable[None]] = _nobody
        """Called with how many of the questions are measured under the present settings."""
        self._store = store
        self._plain = Retriever(store, embedder, reranker, indexes=indexes)
        self._embedder = KeptEmbedder(embedder)
        self._reranks = reranker is not None
        second = None if reranker is None else KeptReranker(reranker)
        self._kept = KeptRetriever(store, self._embedder, second, indexes=indexes)
        self._found = resolved(store, base, self.questions)
        self._legs: list[Legs] = []
        self._names: list[Mapping[str, str]] = []
        self.scores: dict[RetrievalSettings, Floats] = {}
        """Settings → the score of each question."""

    @property
    def reranks(self) -> bool:
        """Is there a cross-encoder."""
        return self._reranks

    async def prepare(self) -> None:
        """Find what both legs have for each question. Nothing is measured before."""
        for at in range(0, len(self.questions), _BATCH):
            batch = [one.text for one in self.questions[at : at + _BATCH]]
            found = await self._embedder.embed(batch, kind="query")
            await to_thread.run_sync(self._find, batch, decode(found.data, found.dimension))
            await self.told(len(self._legs))

    def _find(self, texts: Sequence[str], vectors: Matrix) -> None:
        for text, vector in zip(texts, vectors, strict=True):
            legs = self._kept.legs(self.base, text, vector)
            by_passage = self._found[len(self._legs)].passages
            hits = self._store.chunks.hits(self.base.id, list(legs.cosines))
            self._legs.append(legs)
            self._names.append({hit.chunk.id: name(hit, by_passage=by_passage) for hit in hits})

    @property
    def passages(self) -> bool:
        """Do some of the questions name passages, and not whole documents."""
        return any(one.passages for one in self._found)

    async def of(self, settings: RetrievalSettings) -> Floats:
        """The score of each question under `settings`.

        Raises:
            BudgetSpent: the deadline came first.
        """
        if settings not in self.scores:
            if settings == plain(settings):
                values = await to_thread.run_sync(self._fused, settings)
            else:
                values = await self._searched(settings)
            self.scores[settings] = np.array(values, dtype=np.float64)
        return self.scores[settings]

    def _fused(self, settings: RetrievalSettings) -> list[float]:
        values = []
        for found, legs, names in zip(self._found, self._legs, self._names, strict=True):
            ranked = [names[key] for key, _ in legs.fused(settings) if key in names]
            values.append(ndcg(ranked[:WANTED], found.relevant, k=SHOWN))
        return values

    async def _searched(self, settings: RetrievalSettings) -> list[float]:
        base = replace(self.base, settings=settings)
        values = []
        for place, question in enumerate(self.questions):
            if time.monotonic() > self.deadline:
                raise BudgetSpent
            hits = await self._kept.search(base, question.text, limit=WANTED)
            found = self._found[place]
            names = [name(hit, by_passage=found.passages) for hit in hits]
            values.append(ndcg(names, found.relevant, k=SHOWN))
            await self.told(place + 1)
        return values

    async def milliseconds(self, every: Mapping[str, RetrievalSettings], count: int = 20) -> dict[str, float]:
        """Median of a search under each of the settings, with nothing computed before, over `count` questions.

        They take turns, so that a machine that is busy for a while is so for all of them.
        """
        spent: dict[str, list[float]] = {key: [] for key in every}
        for question in self.questions[:: max(1, len(self.questions) // count)][:count]:
            for key, settings in every.items():
                began = time.perf_counter()
                await self._plain.search(replace(self.base, settings=settings), question.text, limit=SHOWN)
                spent[key].append(1000 * (time.perf_counter() - began))
        return {key: round(float(np.median(values)), 2) for key, values in spent.items()}


def name(hit: Hit, *, by_passage: bool) -> str:
    """What `hit` is called in a ranking of passages, or else of documents."""
    return f"{hit.source}#{hit.chunk.id}" if by_passage else hit.source


def resolved(store: Store, base: KnowledgeBase, questions: Sequence[Question | Asked]) -> list[Found]:
    """What the questions name, as sources and passages of `base`. Blocks."""
    named = {key.rpartition("#")[2] for one in questions for key in one.relevant if "#" in key}
    passages = {chunk.id for chunk in store.chunks.get(base.id, sorted(named))}
    names = Names(store.knowledge.documents(base.id, limit=ALL), passages)
    return [names.of(one.relevant) for one in questions]


async def _nobody(done: int) -> None:
    """Tell nobody."""
