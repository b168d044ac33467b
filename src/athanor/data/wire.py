"""What the parser's process and ours say to each other: frames of bytes, never pickles.

The child reads hostile files, so its answers are treated as hostile too: lengths are checked against the limits
before anything is read, and a document is checked before it is believed.

A frame is a JSON header of a 4-byte length, then as many bytes of payload as the header says. For a document the
payload is its UTF-8 text, the places of its anchors (UTF-8, one a line), the bytes of its pictures, and then
little-endian 32-bit numbers: the start of each anchor, and kind, start, end and level of each block.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from athanor.errors import AthanorError, DocumentError, MissingExtraError
from athanor.types import Anchor, Block, ParsedDocument, Picture

LENGTH = struct.Struct("<I")
MAX_BLOCKS = 4_000_000
BLOCK_BYTES = 16
MAX_HEADER = 32 << 20
"""Bytes of a header: the page offsets of some million pages."""
MAX_ANCHORS = 1_000_000
MAX_PLACES = 64 << 20
"""Bytes of all places of a document's anchors."""
MAX_PICTURE = 8 << 20
"""Bytes of one picture."""
MAX_PICTURES = 64 << 20
"""Bytes of all pictures of a document."""
PAYLOAD_EXTRA = MAX_BLOCKS * BLOCK_BYTES + MAX_ANCHORS * 4 + MAX_PLACES + MAX_PICTURES
"""Bytes that a document's payload may have beside its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the child is asked: to read a file, one member of it, or the list of its members."""

    path: Path
    name: str
    member: str | None = None
    listing: bool = False
    """List the members, those behind `member` where it is given."""


def pack_request(request: Request) -> bytes:
    """A request with its length. Paths may be no valid text."""
    path = os.fsencode(request.path.absolute()).hex()
    data = json.dumps([path, request.name, request.member, request.listing]).encode()
    return LENGTH.pack(len(data)) + data


def read_request(data: bytes) -> Request:
    """The request, from its bytes without their length."""
    path, name, member, listing = json.loads(data)
    return Request(path=Path(os.fsdecode(bytes.fromhex(path))), name=name, member=member, listing=listing)


def pack(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """One frame."""
    head = json.dumps({**header, "payload": len(payload)}, ensure_ascii=True, separators=(",", ":")).encode()
    return b"".join((LENGTH.pack(len(head)), head, payload))


def unpack_header(data: bytes) -> dict[str, Any]:
    """Raises ValueError unless `data` is a header."""
    header = json.loads(data)
    if not isinstance(header, dict) or not isinstance(header.get("payload"), int) or header["payload"] < 0:
        raise ValueError("not a frame header")
    return header


def pack_document(document: ParsedDocument, statistics: dict[str, Any]) -> bytes:
    """The frame of a document."""
    text = document.text.encode()
    places = "\n".join(anchor.place for anchor in document.anchors).encode()
    kinds = sorted({block.kind for block in document.blocks})
    codes = {kind: code for code, kind in enumerate(kinds)}
    numbers = array("I", [anchor.start for anchor in document.anchors])
    for block in document.blocks:
        numbers.extend((codes[block.kind], block.start, block.end, block.level))
    if sys.byteorder == "big":
        numbers.byteswap()
    header = {
        "document": {
            "title": document.title,
            "mime": document.mime,
            "pages": document.pages,
            "warnings": document.warnings,
            "lines": document.lines,
            "kinds": kinds,
            "text": len(text),
            "anchors": len(document.anchors),
            "places": len(places),
            "pictures": [(found.start, found.mime, found.alt, len(found.data)) for found in document.pictures],
        },
        **statistics,
    }
    return pack(header, b"".join((text, places, *(found.data for found in document.pictures), numbers.tobytes())))


def unpack_document(header: dict[str, Any], payload: bytes) -> ParsedDocument:
    """The document of a frame, checked.

    Raises:
        ValueError: the frame breaks the contract of `ParsedDocument`.
    """
    about, rest = header["document"], _Rest(payload)
    text = rest.take(about["text"]).decode("utf-8")
    named = rest.take(about["places"]).decode("utf-8")
    places = named.split("\n") if about["anchors"] else []
    pictures = tuple(
        Picture(start=int(start), mime=str(mime), alt=str(alt), data=rest.take(size))
        for start, mime, alt, size in about["pictures"]
    )
    numbers = array("I")
    numbers.frombytes(rest.take(len(payload) - rest.at))
    if sys.byteorder == "big":
        numbers.byteswap()
    kinds = [str(kind) for kind in about["kinds"]]
    fields = iter(numbers)
    anchors = tuple(Anchor(start=next(fields), place=place) for place in places)
    blocks = tuple(
        Block(kind=kinds[kind], start=start, end=end, level=level)
        for kind, start, end, level in zip(fields, fields, fields, fields, strict=True)
    )
    document = ParsedDocument(
        text=text,
        title=str(about["title"]),
        mime=str(about["mime"]),
        blocks=blocks,
        pages=tuple(int(page) for page in about["pages"]),
        warnings=tuple(str(warning) for warning in about["warnings"]),
        anchors=anchors,
        lines=bool(about["lines"]),
        pictures=pictures,
    )
    check_document(document)
    return document


class _Rest:
    """Takes a payload piece by piece."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self.at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes. Raises ValueError where there are fewer."""
        if not 0 <= size <= len(self._payload) - self.at:
            raise ValueError("a piece of the payload is missing")
        self.at += size
        return self._payload[self.at - size : self.at]


def within_limits(document: ParsedDocument) -> ParsedDocument:
    """`document` without the pictures and anchors that are too many to cross the pipe; a warning says how many."""
    warnings = list(document.warnings)
    pictures, total = [], 0
    for picture in document.pictures:
        if len(picture.data) <= MAX_PICTURE and total + len(picture.data) <= MAX_PICTURES:
            pictures.append(picture)
            total += len(picture.data)
    if lost := len(document.pictures) - len(pictures):
        warnings.append(
            f"{lost:,} pictures left out: larger than {MAX_PICTURE >> 20} MiB, or past {MAX_PICTURES >> 20} MiB in all."
        )
    anchors, size = document.anchors[:MAX_ANCHORS], 0
    for count, anchor in enumerate(anchors):
        size += 4 * len(anchor.place) + 1
        if size > MAX_PLACES:
            anchors = anchors[:count]
            break
    if len(anchors) < len(document.anchors):
        warnings.append(f"It has too many places to name them all: exact for the first {len(anchors):,}.")
    if len(warnings) == len(document.warnings):
        return document
    return replace(document, anchors=anchors, pictures=tuple(pictures), warnings=tuple(warnings))


def check_document(document: ParsedDocument) -> None:
    """Raises ValueError unless blocks are ordered, disjoint and inside the text, and all offsets ascend."""
    last = 0
    for block in document.blocks:
        if not last <= block.start < block.end:
            raise ValueError(f"block {block} overlaps the one before, or is empty")
        last = block.end
    if last > len(document.text):
        raise ValueError("a block ends behind the text")
    _check_offsets("page", document.pages, len(document.text))
    _check_offsets("anchor", [anchor.start for anchor in document.anchors], len(document.text))
    _check_offsets("picture", [picture.start for picture in document.pictures], len(document.text))
    if any(not anchor.place or "\n" in anchor.place for anchor in document.anchors):
        raise ValueError("a place is no line of text")


def _check_offsets(what: str, offsets: Sequence[int], end: int) -> None:
    if any(a > b for a, b in pairwise(offsets)):
        raise ValueError(f"{what} offsets do not ascend")
    if offsets and not 0 <= offsets[0] <= offsets[-1] <= end:
        raise ValueError(f"a {what} begins outside the text")


def pack_error(error: AthanorError, statistics: dict[str, Any]) -> bytes:
    """The frame of a refusal."""
    return pack({"error": describe(error), **statistics})


def describe(error: AthanorError) -> dict[str, Any]:
    """A refusal as JSON; `unpack_error` takes it as the `error` of a header."""
    return {
        "message": error.message,
        "where": error.where,
        "hint": error.hint,
        "reason": getattr(error, "reason", None),
        "extra": getattr(error, "extra", None),
    }


def unpack_error(header: dict[str, Any]) -> AthanorError:
    """The refusal of a frame."""
    about = header["error"]
    if about.get("extra"):
        error = MissingExtraError("A parser's library", extra=str(about["extra"]))
        error.message = str(about["message"])
        return error
    where, hint = about.get("where"), about.get("hint")
    return DocumentError(
        str(about["message"]),
        reason=str(about.get("reason") or "corrupt"),
        where=None if where is None else str(where),
        hint=None if hint is None else str(hint),
    )
