"""The sentences of retrieved passages, each with where it stands, and the citation of one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from athanor.rag.sentences import Kind, split
from athanor.types import Citation, Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence of the passage `hits[passage]`."""

    passage: int
    """Index of the hit."""
    ordinal: int
    """Index of the sentence in its passage."""
    start: int
    """Offsets into the passage's text, not yet into the document."""
    end: int
    kind: Kind
    text: str


def sentences_of(hits: Sequence[Hit]) -> list[Sentence]:
    """All sentences of `hits`, passage by passage."""
    found: list[Sentence] = []
    for passage, hit in enumerate(hits):
        text = hit.chunk.text
        # A heading may have lost its mark: the chunk begins after the `#`, and a PDF never had one.
        headings = {hit.title, *hit.chunk.heading.split(" > ")}
        for ordinal, span in enumerate(split(text)):
            found.append(
                Sentence(
                    passage=passage,
                    ordinal=ordinal,
                    start=span.start,
                    end=span.end,
                    kind="heading" if text[span.start : span.end].strip() in headings else span.kind,
                    text=text[span.start : span.end],
                )
            )
    return found


def cite(hit: Hit, sentence: Sentence, score: float) -> Citation:
    """`sentence` of `hit` as a citation. The chunk is a span of the source, so `source_text[start:end] == quote`."""
    return _citation(hit, sentence.start, sentence.end, score)


def cite_whole(hit: Hit, score: float) -> Citation:
    """The whole passage as a citation."""
    return _citation(hit, 0, len(hit.chunk.text), score)


def _citation(hit: Hit, first: int, last: int, score: float) -> Citation:
    chunk = hit.chunk
    start, end = chunk.start + first, chunk.start + last
    return Citation(
        document=chunk.document,
        version=hit.document_version,
        page=bisect_right(hit.pages, start) or 1 if hit.pages else None,
        start=start,
        end=end,
        quote=chunk.text[first:last],
        score=score,
        source=hit.source,
        title=hit.title,
        chunk=chunk.id,
        place=_place(hit, first, last),
    )


def _place(hit: Hit, first: int, last: int) -> str:
    """Where the passage's characters `first:last` stand: pages or lines exactly, else where the passage stands."""
    chunk = hit.chunk
    if hit.pages:
        pages = [bisect_right(hit.pages, chunk.start + at) or 1 for at in (first, max(first, last - 1))]
        return _range("page", *pages)
    if chunk.line is not None:
        line = chunk.line + chunk.text.count("\n", 0, first)
        return _range("line", line, line + chunk.text.count("\n", first, last))
    return chunk.place


def _range(name: str, first: int, last: int) -> str:
    return f"{name} {first}" if first == last else f"{name}s {first}–{last}"
