"""`POST /api/grade`: is a text that anyone has written supported by sources, sentence by sentence."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.errors import InputError, NotFoundError
from athanor.gateway import App
from athanor.governance import opens
from athanor.rag.contradict import conflicts
from athanor.rag.groundedness import GradedSentence, Grader, grade, graded_spans, groundedness
from athanor.server.answers import passage
from athanor.server.auth import application, principal
from athanor.server.reach import key, reader
from athanor.server.wire import GradeRequest, SourceText
from athanor.types import ApiKey, Chunk, Citation, Conflict, Hit, Principal, Reader

router = APIRouter(prefix="/api", tags=["athanor"])

MAX_SENTENCES = 200
"""Of a text: each is embedded and, against a knowledge base, a search."""
MAX_SOURCES = 1_000_000
"""Characters of all sources."""
PASSAGES = 4
"""Of a knowledge base, for each sentence."""


@router.post("/grade", summary="Is a text supported by sources, sentence by sentence")
async def grade_text(
    body: GradeRequest,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    own: ApiKey = Depends(key),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    if (body.sources is None) == (body.knowledge is None):
        raise InputError("A text is graded against either `sources` or `knowledge`.", where="sources")
    spans = graded_spans(body.answer)
    if len(spans) > MAX_SENTENCES:
        raise InputError(f"The text has {len(spans)} sentences; {MAX_SENTENCES} are the most.", where="answer")
    threshold = app.settings.knowledge.support if body.threshold is None else body.threshold
    if body.sources is not None:
        if sum(len(source.text) for source in body.sources) > MAX_SOURCES:
            raise InputError(f"All sources together have {MAX_SOURCES} characters at most.", where="sources")
        hits = [_hit(source, number) for number, source in enumerate(body.sources)]
        sentences = await grade(body.answer, hits, embedder=app.embedder, threshold=threshold)
        names = {f"source_{number}": number for number in range(len(hits))}
    else:
        hits, sentences = await _by_search(body, app, own, sees, threshold)
        names = {}
    cited = [citation for one in sentences if one.grade.supported for citation in one.grade.citations]
    disagree = await to_thread.run_sync(conflicts, cited, hits)
    scores = [one.grade.score for one in sentences]
    lowest = groundedness(scores)
    return {
        "groundedness": None if lowest is None else round(lowest, 4),
        "sentences": [_sentence(one, body.answer, names) for one in sentences],
        "conflicts": [_conflict(one, names) for one in disagree],
    }


async def _by_search(
    body: GradeRequest, app: App, own: ApiKey, sees: Reader, threshold: float | None
) -> tuple[list[Hit], list[GradedSentence]]:
    """Every sentence against the passages that a search for it finds."""
    assert body.knowledge is not None
    base = await app.knowledge.base(body.knowledge, reader=sees)
    if not opens(own, "knowledge", base.name):
        raise NotFoundError(f"There is no knowledge base {body.knowledge!r}.", hint="'athanor kb list' shows them.")
    found: dict[str, Hit] = {}
    graded: list[GradedSentence] = []
    for span in graded_spans(body.answer):
        text = body.answer[span.start : span.end]
        hits = await app.knowledge.search(base, text, limit=PASSAGES, reader=sees)
        found |= {hit.chunk.id: hit for hit in hits}
        grader = await to_thread.run_sync(partial(Grader, hits, app.embedder, threshold=threshold))
        result = await grader.grade(text)
        graded.append(GradedSentence(start=span.start, end=span.end, grade=result))
    return list(found.values()), graded


def _hit(source: SourceText, number: int) -> Hit:
    name = f"source_{number}"
    chunk = Chunk(
        id=name,
        document=name,
        ordinal=0,
        start=0,
        end=len(source.text),
        page=None,
        heading="",
        text=source.text,
        line=1,
    )
    return Hit(chunk=chunk, document_version=1, source=source.title or name, title=source.title, score=0.0)


def _sentence(one: GradedSentence, text: str, names: dict[str, int]) -> dict[str, Any]:
    return {
        "start": one.start,
        "end": one.end,
        "text": text[one.start : one.end],
        "score": round(one.grade.score, 4),
        "supported": one.grade.supported,
        "citations": [_citation(cited, names) for cited in one.grade.citations],
    }


def _conflict(one: Conflict, names: dict[str, int]) -> dict[str, Any]:
    return {"first": _citation(one.first, names), "second": _citation(one.second, names), "reason": one.reason}


def _citation(cited: Citation, names: dict[str, int]) -> dict[str, Any]:
    """As in an answer; a caller's own source by its index instead of a document."""
    if cited.document not in names:
        return passage(cited)
    return {
        "index": names[cited.document],
        "start": cited.start,
        "end": cited.end,
        "quote": cited.quote,
        "place": cited.place,
        "title": cited.title,
        "score": round(cited.score, 4),
    }
