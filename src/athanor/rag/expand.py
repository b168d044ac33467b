"""From the passages that were found to the text around them, for a model to read.

What is searched is small, so that it is about one thing; what answers a question may stand next to it. A passage grows
by whole neighbours of its own section, nearest first, and passages that come to touch each other become one. Citations
stay exact: a grown passage is a slice of the document's text like any other.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from athanor.errors import NotFoundError, StoreError
from athanor.rag._units import GAP_TOKENS
from athanor.rag.generate import taken
from athanor.rag.tokens import estimate
from athanor.store import Store
from athanor.types import Chunk, Citation, Hit, KnowledgeBase, View

log = logging.getLogger(__name__)

_WIDE = 1000
"""Characters between two passages that need no counting to be more than `GAP_TOKENS`."""
_LEAST = 32
"""Tokens that a neighbour is expected to have at least; it bounds how many are fetched."""
_FARTHEST = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """Passages with what was around them."""

    hits: tuple[Hit, ...]
    """Best first. A passage that was grown keeps the id and the scores of the best that went into it."""
    parts: Mapping[str, tuple[Chunk, ...]]
    """Chunk id of a grown hit → the passages that it is made of, in order."""

    def attributed(self, citation: Citation) -> Citation:
        """`citation` of a grown passage as one of the passage that its words stand in."""
        parts = self.parts.get(citation.chunk, ())
        holding = [part for part in parts if part.start <= citation.start < part.end]
        whole = [part for part in holding if citation.end <= part.end]
        if not holding:
            return citation
        part = (whole or holding)[0]
        exact = citation.page is not None or part.line is not None  # then its place was counted, not copied
        return replace(citation, chunk=part.id, place=citation.place if exact else part.place)


@dataclass(slots=True, kw_only=True)
class _Span:
    """The neighbours `first` to `last` (ordinals) of one hit's passage."""

    hit: Hit
    first: int
    last: int


class _Section:
    """What can be reached from the hits of one document without leaving their sections."""

    def __init__(self, document: str, text: str, chunks: Sequence[Chunk]) -> None:
        self.document = document
        self.text = text
        self.chunks = {chunk.ordinal: chunk for chunk in chunks}
        self._keys: dict[int, str] = {}
        for chunk in chunks:
            self._keys[chunk.ordinal] = self._key(chunk)

    def _key(self, chunk: Chunk) -> str:
        """Its heading path; that of a table which goes on ends with the table's first row, which is no heading."""
        above, _, last = chunk.heading.rpartition(" > ")
        before = self.chunks.get(chunk.ordinal - 1)
        if before is None or before.heading == chunk.heading:
            return self._keys.get(chunk.ordinal - 1, chunk.heading)
        goes_on = before.heading == above and last in _rows(before.text) and last not in _rows(chunk.text)
        return above if goes_on else chunk.heading

    def together(self, before: int, after: int) -> bool:
        """Do two neighbours (ordinals) stand in one section, with nothing between them that was left out."""
        one, other = self.chunks.get(before), self.chunks.get(after)
        if one is None or other is None or self._keys[before] != self._keys[after]:
            return False
        if other.start - one.end > _WIDE:
            return False
        return estimate(self.text[one.end : other.start]) <= GAP_TOKENS

    def tokens(self, first: int, last: int) -> int:
        return estimate(self.text[self.chunks[first].start : self.chunks[last].end])

    def length(self, first: int, last: int) -> int:
        return self.chunks[last].end - self.chunks[first].start


def expand(
    store: Store,
    base: KnowledgeBase,
    hits: Sequence[Hit],
    *,
    tokens: int,
    view: View | None = None,
    room: int | None = None,
) -> Grown:
    """Grow `hits` (best first) to at most `tokens` each by estimate, and join those of one section that touch.

    Only neighbours that `view` shows, of the version that was found, are taken; a document that changed meanwhile is
    left as it was found. Reads the store; call it in a thread.

    Args:
        room: characters that all of them together may have in a prompt; the best grow first.

    Raises:
        NotFoundError: the base is gone.
    """
    sections = _sections(store, base, hits, tokens, view)
    left = None if room is None else room - sum(map(taken, hits))
    spans: list[_Span] = []
    for hit in hits:
        span = _Span(hit=hit, first=hit.chunk.ordinal, last=hit.chunk.ordinal)
        spans.append(span)
        if (section := sections.get(hit.chunk.document)) is not None:
            before = section.length(span.first, span.last)
            _grow(section, span, tokens, left)
            if left is not None:
                left -= section.length(span.first, span.last) - before
    return _joined(sections, spans)


def _sections(
    store: Store, base: KnowledgeBase, hits: Sequence[Hit], tokens: int, view: View | None
) -> dict[str, _Section]:
    """Of each document that is as it was when it was found: its text, and the passages near the hits."""
    far = min(_FARTHEST, tokens // _LEAST)
    wanted: dict[str, set[int]] = defaultdict(set)
    for hit in hits:
        # One more before: whether a table goes on is seen from what is before it.
        wanted[hit.chunk.document].update(range(max(0, hit.chunk.ordinal - far - 1), hit.chunk.ordinal + far + 1))
    with store.read() as conn:
        documents = store.knowledge.documents_of(wanted, conn=conn)
        chunks = {one: store.chunks.at(base.id, one, wanted[one], view=view, conn=conn) for one in documents}
    found: dict[str, _Section] = {}
    for one, document in documents.items():
        ours = [hit for hit in hits if hit.chunk.document == one]
        by_id = {chunk.id: chunk for chunk in chunks[one]}
        if document.text_sha256 is None or any(
            hit.document_version != document.version or by_id.get(hit.chunk.id) != hit.chunk for hit in ours
        ):
            continue
        try:
            text = store.blobs.read(document.text_sha256).decode("utf-8")
        except NotFoundError:  # deleted since, and collected
            continue
        except StoreError as error:
            log.warning("Passages of %s are read without what is around them: %s", document.source, error)
            continue
        found[one] = _Section(one, text, chunks[one])
    return found


def _grow(section: _Section, span: _Span, tokens: int, room: int | None) -> None:
    """Take neighbours into `span` by turns, after it and before it, while they fit."""
    most = None if room is None else section.length(span.first, span.last) + room
    open_ends = {1, -1}
    step = 1
    while open_ends:
        if step in open_ends:
            first, last = (span.first, span.last + 1) if step > 0 else (span.first - 1, span.last)
            pair = (span.last, last) if step > 0 else (first, span.first)
            fits = section.together(*pair) and section.tokens(first, last) <= tokens
            if fits and (most is None or section.length(first, last) <= most):
                span.first, span.last = first, last
            else:
                open_ends.discard(step)
        step = -step


def _joined(sections: Mapping[str, _Section], spans: Sequence[_Span]) -> Grown:
    """Spans of one document that overlap or touch inside a section as one, where its best one stands."""
    made: list[Hit] = []
    parts: dict[str, tuple[Chunk, ...]] = {}
    gone: set[int] = set()
    for number, span in enumerate(spans):
        if number in gone:
            continue
        section = sections.get(span.hit.chunk.document)
        if section is None:
            made.append(span.hit)
            continue
        first, last = span.first, span.last
        while more := [*_touching(section, spans, (first, last), {number} | gone)]:
            gone.update(more)
            first = min(first, *(spans[i].first for i in more))
            last = max(last, *(spans[i].last for i in more))
        made.append(_hit(section, span.hit, first, last))
        if last > first:
            parts[span.hit.chunk.id] = tuple(section.chunks[i] for i in range(first, last + 1))
    return Grown(hits=tuple(made), parts=parts)


def _touching(section: _Section, spans: Sequence[_Span], reached: tuple[int, int], gone: set[int]) -> Iterator[int]:
    first, last = reached
    for number, span in enumerate(spans):
        if number in gone or span.hit.chunk.document != section.document:
            continue
        overlap = span.first <= last and first <= span.last
        after = span.first == last + 1 and section.together(last, span.first)
        before = span.last == first - 1 and section.together(span.last, first)
        if overlap or after or before:
            yield number


def _hit(section: _Section, hit: Hit, first: int, last: int) -> Hit:
    if first == last:
        return hit
    begin, end = section.chunks[first], section.chunks[last]
    grown = replace(
        hit.chunk,
        ordinal=begin.ordinal,
        start=begin.start,
        end=end.end,
        page=begin.page,
        text=section.text[begin.start : end.end],
        line=begin.line,
    )
    return replace(hit, chunk=grown)


def _rows(text: str) -> set[str]:
    """Lines as the first row of a table, or a heading, reads in a heading path."""
    return {" ".join(line.strip().strip("|").split()) for line in text.split("\n")}
