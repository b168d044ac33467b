"""A knowledge base as an engine: a question in, an answer out whose every sentence is cited."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from anyio import to_thread

from athanor.engines import Embedder, Engine, Reranker
from athanor.engines.needs import check_needs
from athanor.rag.condense import condensed
from athanor.rag.contradict import conflicts
from athanor.rag.entail import able, judge
from athanor.rag.expand import Grown
from athanor.rag.extract import Extraction, extract
from athanor.rag.generate import MAX_TOKENS, Unsupported, answer_tokens, fitting, room, write
from athanor.rag.groundedness import Grader
from athanor.rag.knowledge import Knowledge, checked_query
from athanor.types import (
    NO_USAGE,
    AnswerMode,
    Citation,
    Cited,
    Context,
    EngineState,
    EngineStatus,
    Event,
    Finished,
    Graded,
    Hit,
    KnowledgeBase,
    Profile,
    Reader,
    Request,
    TextDelta,
    Usage,
    View,
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
    unsupported: Unsupported = "drop"
    support: float | None = None
    """A written sentence is supported from this score on; `None` takes the shipped threshold."""
    entailment: bool = True
    """Ask a model that is able for its own judgement of a sentence in doubt."""


class KnowledgeEngine:
    """Answers from one knowledge base.

    *Extractive*: the best sentences, verbatim. *Generative*: the model writes; each sentence is graded against the
    passages, and unsupported ones are dropped or marked. Both abstain when the calibrated confidence that the passages
    hold an answer is under the threshold, and name the nearest passages instead.
    """

    def __init__(
        self,
        base: KnowledgeBase,
        knowledge: Knowledge,
        writer: Engine,
        embedder: Embedder,
        reranker: Reranker | None,
        settings: AnswerSettings,
        *,
        reader: Reader,
        view: View | None = None,
    ) -> None:
        """`reader` is whom the answer is for: what they may not read is not there.

        `view` is what they saw when it was decided for whom the answer may be kept; nothing else is searched.
        """
        self._base = base
        self._knowledge = knowledge
        self._writer = writer
        self._embedder = embedder
        self._reranker = reranker
        self._settings = settings
        self._reader = reader
        self._view = view

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
        question = checked_query(condensed(request.messages))
        mode = request.mode or self._settings.mode or self._writer.profile.grounded
        with ctx.span.child("retrieve", base=self._base.name) as span:
            hits = await self._knowledge.search(
                self._base,
                question,
                limit=PASSAGES,
                reader=self._reader,
                view=self._view,
                whole=mode is AnswerMode.GENERATIVE,
            )
            span.set(hits=len(hits))
        if mode is AnswerMode.GENERATIVE:
            hits = await self._screened(hits, ctx)
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
            yield Finished(mode=mode, abstained=True, confidence=found.confidence, nearest=found.nearest)
            return
        events = self._written(request, ctx, found, hits) if mode is AnswerMode.GENERATIVE else _each(quoted(found))
        cited: list[Citation] = [*found.citations]
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Cited):
                    cited.append(event.citation)
                elif isinstance(event, Finished):
                    disagree = await to_thread.run_sync(conflicts, _different(cited), hits)
                    yield replace(event, confidence=found.confidence, conflicts=disagree)
                    return
                yield event

    async def _written(
        self, request: Request, ctx: Context, found: Extraction, hits: list[Hit]
    ) -> AsyncGenerator[Event, None]:
        judged = self._settings.entailment and able(self._writer.profile)

        def grader(chosen: Sequence[Hit]) -> Grader:
            return Grader(
                chosen,
                self._embedder,
                threshold=self._settings.support,
                judge=partial(judge, ctx=ctx, model=self._writer, spotlight=self._knowledge.spotlight)
                if judged
                else None,
            )

        mark = self._settings.unsupported
        ordered = len(hits) > PASSAGES  # the base as a whole
        grown = Grown(hits=tuple(hits), parts={}) if ordered else await self._grown(request, ctx, hits)
        events = write(
            request,
            ctx,
            await self._screened(grown.hits, ctx),  # what is around a passage was not looked at yet
            writer=self._writer,
            grader=grader,
            unsupported=mark,
            ordered=ordered,
            spotlight=self._knowledge.spotlight,
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Cited):
                    yield replace(event, citation=grown.attributed(event.citation))
                    continue
                if isinstance(event, Finished) and event.abstained and mark == "drop":
                    # Nothing the model wrote was supported: the sources themselves are the honest answer.
                    for quote in quoted(found, dropped=event.dropped, usage=event.usage):
                        yield quote
                    return
                yield replace(event, abstained=False) if isinstance(event, Finished) else event

    async def _screened(self, hits: Sequence[Hit], ctx: Context) -> list[Hit]:
        """The passages that the writer may read; one that is withheld counts as not found."""
        guards = self._knowledge.guards
        if guards is None:
            return [*hits]
        return await guards.screened(hits, ctx, base=self._base.name, model=self._base.name)

    async def _grown(self, request: Request, ctx: Context, hits: list[Hit]) -> Grown:
        """The passages with what is around them, as far as the base's settings and the model's context let them."""
        tokens = self._base.settings.expand
        if tokens <= 0:
            return Grown(hits=tuple(hits), parts={})
        context, answer = self._writer.profile.context, answer_tokens(request, self._writer)
        best = fitting(hits, context, answer)
        with ctx.span.child("expand") as span:
            grown = await self._knowledge.grown(
                self._base, best, tokens=tokens, room=room(context, answer), reader=self._reader, view=self._view
            )
            span.set(passages=len(grown.hits), grown=len(grown.parts))
        return grown


async def _each(events: list[Event]) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event


def _different(cited: Sequence[Citation]) -> list[Citation]:
    return list({(c.document, c.version, c.start, c.end): c for c in cited}.values())


def quoted(found: Extraction, *, dropped: int = 0, usage: Usage = NO_USAGE) -> list[Event]:
    """An extraction as events: each quotation with its citation and its grade, which is the best there is."""
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
        events.append(Graded(start=start, end=position, score=1.0, supported=True))
    events.append(
        Finished(
            mode=AnswerMode.EXTRACTIVE, confidence=found.confidence, dropped=dropped, usage=usage, groundedness=1.0
        )
    )
    return events


def _gap(before: str, after: str) -> str:
    """What stands between two quotations: a space in prose, a new line where either is a list item, a row or code."""
    if not before:
        return ""
    return "\n" if any("\n" in quote or _MARKED.match(quote) for quote in (before, after)) else " "
