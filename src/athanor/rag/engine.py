"""A knowledge base as an engine: a question in, an answer out whose every sentence is cited."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from athanor.engines import Embedder, Engine, Reranker
from athanor.engines.needs import check_needs
from athanor.rag.extract import Extraction, extract
from athanor.rag.generate import MAX_TOKENS, write
from athanor.rag.knowledge import Knowledge, checked_query
from athanor.types import (
    AnswerMode,
    Cited,
    Context,
    EngineState,
    EngineStatus,
    Event,
    Finished,
    Hit,
    KnowledgeBase,
    Profile,
    Request,
    TextDelta,
)

PASSAGES = 8
"""Passages that an answer may draw on."""

_MARKED = re.compile(r"[-*+•|#]|\d+[.)]\s")

_LACKS = frozenset({"tools", "image", "file", "json_schema", "logprobs"})
"""A knowledge base answers questions with citations, whatever its writer could do besides."""

ABSTENTION = "I did not find an answer to this in the documents."


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings:
    """How answers are made."""

    mode: AnswerMode | None
    threshold: float | None
    max_sentences: int


class KnowledgeEngine:
    """Answers from one knowledge base.

    *Extractive*: the best sentences, verbatim. *Generative*: the model writes; each sentence is checked against the
    passages, and unsupported ones are dropped. Both abstain when the calibrated confidence that the passages hold an
    answer is under the threshold.
    """

    def __init__(
        self,
        base: KnowledgeBase,
        knowledge: Knowledge,
        writer: Engine,
        embedder: Embedder,
        reranker: Reranker | None,
        settings: AnswerSettings,
    ) -> None:
        self._base = base
        self._knowledge = knowledge
        self._writer = writer
        self._embedder = embedder
        self._reranker = reranker
        self._settings = settings

    @property
    def profile(self) -> Profile:
        writer = self._writer.profile
        # An answer over passages is short, and so is what is held for it.
        return replace(writer, lacks=writer.lacks | _LACKS, max_tokens=min(MAX_TOKENS, writer.max_tokens))

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="knowledge")

    async def start(self) -> None:
        """Nothing of its own to load."""

    async def aclose(self) -> None:
        """Nothing of its own to close."""

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        check_needs(request, self.profile)
        question = checked_query(request.question)
        mode = request.mode or self._settings.mode or self._writer.profile.grounded
        with ctx.span.child("retrieve", base=self._base.name) as span:
            hits = await self._knowledge.search(self._base, question, limit=PASSAGES)
            span.set(hits=len(hits))
        with ctx.span.child("extract") as span:
            found = await extract(
                question,
                hits,
                embedder=self._embedder,
                reranker=self._reranker,
                max_sentences=self._settings.max_sentences,
                threshold=self._settings.threshold,
            )
            span.set(abstained=found.abstained, citations=len(found.citations))
        if found.abstained:
            yield TextDelta(text=ABSTENTION)
            yield Finished(mode=mode, abstained=True, confidence=found.confidence)
        elif mode is AnswerMode.EXTRACTIVE:
            for event in quoted(found):
                yield event
        else:
            async for event in self._written(request, ctx, found, hits):
                yield event

    async def _written(
        self, request: Request, ctx: Context, found: Extraction, hits: list[Hit]
    ) -> AsyncGenerator[Event, None]:
        async for event in write(request, ctx, hits, writer=self._writer, embedder=self._embedder):
            if isinstance(event, Finished) and event.abstained:
                # Nothing the model wrote was supported: the sources themselves are the honest answer.
                for quote in quoted(found, dropped=event.dropped, usage=event):
                    yield quote
                return
            yield event


def quoted(found: Extraction, *, dropped: int = 0, usage: Finished | None = None) -> list[Event]:
    """An extraction as events: each quotation, then its citation."""
    events: list[Event] = []
    position = 0
    previous = ""
    for citation in found.citations:
        gap = _gap(previous, citation.quote)
        previous = citation.quote
        events.append(TextDelta(text=gap + citation.quote))
        start = position + len(gap)
        position = start + len(citation.quote)
        events.append(Cited(citation=citation, start=start, end=position))
    end = Finished(mode=AnswerMode.EXTRACTIVE, confidence=found.confidence, dropped=dropped)
    if usage is not None:
        end = Finished(mode=end.mode, confidence=end.confidence, dropped=dropped, usage=usage.usage)
    events.append(end)
    return events


def _gap(before: str, after: str) -> str:
    """What stands between two quotations: a space in prose, a new line where either is a list item, a row or code."""
    if not before:
        return ""
    return "\n" if any("\n" in quote or _MARKED.match(quote) for quote in (before, after)) else " "
