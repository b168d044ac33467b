"""From a parsed document to chunks: a pure function, exact to the character.

Structure comes first. A chunk never crosses a heading of the top level, a table or a block of code stays whole while
it fits, small neighbours are put together, and only a paragraph that had to be cut overlaps by a sentence.

Where the cut falls between equals is decided by the text after it, not by counting from the start (content-defined
chunking: Muthitacharoen et al., LBFS, SOSP 2001). So an edit changes the chunks around it, and those further on keep
their boundaries, their ids and their vectors.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from zlib import crc32

from athanor.data.places import span_place
from athanor.rag._units import Unit, sections
from athanor.types import Chunk, ParsedDocument

TARGET_TOKENS = 200
MAX_TOKENS = 320
OVERLAP_TOKENS = 40
"""A sentence longer than this is not repeated."""
_SPACE = re.compile(r"\s+")
_BREAK = re.compile("\n")
_LOW, _LOW_HEADING, _HIGH = 0.6, 0.4, 1.25
"""A chunk ends between `_LOW` and `_HIGH` times the target if it can, before a heading from `_LOW_HEADING` on."""
_TAIL = 0.25
"""A rest of a section smaller than this is not worth a chunk of its own."""


def chunk(
    document: ParsedDocument, *, document_id: str, target_tokens: int = TARGET_TOKENS, max_tokens: int | None = None
) -> list[Chunk]:
    """Cut `document` into chunks of about `target_tokens`, at most `max_tokens` (default: 1.6 times the target).

    Tokens are estimated, see `athanor.rag.tokens`. Every block's text is in a chunk, and every chunk's text is a slice
    of the document's. A chunk's id depends on the document's id, the heading path, the text, and how often the same
    came before; so it survives edits elsewhere. Its place is named by the document's anchors, else by its pages, else
    by its lines.

    Raises:
        ValueError: the sizes make no sense.
    """
    limit = max_tokens if max_tokens is not None else target_tokens * MAX_TOKENS // TARGET_TOKENS
    if not 16 <= target_tokens <= limit:
        raise ValueError(f"target_tokens must be 16 or more and at most max_tokens, not {target_tokens} and {limit}")
    made: list[Chunk] = []
    occurrences: dict[bytes, int] = {}
    breaks = [found.start() for found in _BREAK.finditer(document.text)] if document.lines else []
    for units in sections(document, target_tokens, limit):
        for start, end, heading in _pack(document, units, target_tokens, limit):
            text = document.text[start:end]
            made.append(
                Chunk(
                    id=_identify(document_id, heading, text, occurrences),
                    document=document_id,
                    ordinal=len(made),
                    start=start,
                    end=end,
                    page=bisect_right(document.pages, start) or 1 if document.pages else None,
                    heading=heading,
                    text=text,
                    place=_place(document, breaks, start, end),
                    line=bisect_left(breaks, start) + 1 if document.lines else None,
                )
            )
    return made


def _place(document: ParsedDocument, breaks: Sequence[int], start: int, end: int) -> str:
    """Where `start:end` stands, for people; empty where the format has no places."""
    if document.anchors:
        return span_place(document.anchors, start, end)
    last = max(end - 1, start)
    if document.pages:
        return _numbered("page", bisect_right(document.pages, start) or 1, bisect_right(document.pages, last) or 1)
    if document.lines:
        return _numbered("line", bisect_left(breaks, start) + 1, bisect_left(breaks, last) + 1)
    return ""


def _numbered(noun: str, first: int, last: int) -> str:
    return f"{noun} {first}" if first == last else f"{noun}s {first}–{last}"


def _pack(document: ParsedDocument, units: Sequence[Unit], target: int, limit: int) -> list[tuple[int, int, str]]:
    """Spans and headings of the chunks that `units` make."""
    packed = []
    first = before = 0
    while first < len(units):
        # What was a chunk by itself is not repeated: the next one would begin where it began.
        overlap = units[first - 1] if first - 1 > before and _overlaps(units, first) else None
        used = overlap.tokens if overlap and overlap.tokens + units[first].tokens <= limit else 0
        after = _cut(document.text, units, first, used, (target, limit))
        start = overlap.start if overlap and used else units[first].start
        packed.append((start, units[after - 1].end, _heading(document.title, units[first:after])))
        before, first = first, after
    return packed


def _overlaps(units: Sequence[Unit], at: int) -> bool:
    return units[at].continues == "text" and units[at - 1].tokens <= OVERLAP_TOKENS


def _cut(text: str, units: Sequence[Unit], first: int, used: int, sizes: tuple[int, int]) -> int:
    """Index of the unit before which the chunk from `first` on ends."""
    target, limit = sizes
    total, after = used, first
    best: tuple[int, int] | None = None
    cut, rest = first, 0
    while after < len(units) and (total + units[after].tokens <= limit or after == first):
        total += units[after].tokens
        after += 1
        if after == len(units):
            break
        strength = units[after].strength
        low = _LOW_HEADING if strength > 1 else _LOW
        if low * target <= total <= _HIGH * target:
            # Between headings the fuller chunk wins; between equal paragraphs or sentences the text decides.
            rank = (strength, total if strength > 1 else -_fingerprint(text, units[after]))
            if best is None or rank > best:
                best, cut, rest = rank, after, -total
    rest += total
    if after == len(units) and (rest < _TAIL * target or (total <= _HIGH * target and (best is None or best[0] <= 1))):
        return after
    if best is not None:
        return cut
    return after


def _fingerprint(text: str, unit: Unit) -> int:
    return crc32(_SPACE.sub(" ", text[unit.start : min(unit.end, unit.start + 80)]).encode(errors="replace"))


def _heading(title: str, units: Sequence[Unit]) -> str:
    """The headings above all of `units`, the document's title first, and the head row of a table that was cut."""
    path = units[0].path
    for unit in units[1:]:
        shared = 0
        for ours, theirs in zip(path, unit.path, strict=False):
            if ours != theirs:
                break
            shared += 1
        path = path[:shared]
    names = list(path)
    title = _SPACE.sub(" ", title).strip()
    if title and (not names or names[0].casefold() != title.casefold()):
        names.insert(0, title)
    if units[0].continues == "table" and units[0].head:
        names.append(units[0].head)
    return " > ".join(names)


def _identify(document_id: str, heading: str, text: str, occurrences: dict[bytes, int]) -> str:
    normal = unicodedata.normalize("NFC", _SPACE.sub(" ", text).strip())
    base = "\0".join((document_id, heading, normal)).encode(errors="replace")
    key = blake2b(base, digest_size=16).digest()
    number = occurrences.get(key, 0)
    occurrences[key] = number + 1
    return "chk_" + blake2b(key + number.to_bytes(4, "big"), digest_size=16).hexdigest()
