"""What the parser's process and ours say to each other: frames of bytes, never pickles.

The child reads hostile files, so its answers are treated as hostile too: lengths are checked against the limits
before anything is read, and a document is checked before it is believed.

A frame is a JSON header of a 4-byte length, then as many bytes of payload as the header says. For a document the
payload is its UTF-8 text and then four little-endian 32-bit numbers per block: kind, start, end, level.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from array import array
from pathlib import Path
from typing import Any

from athanor.errors import AthanorError, DocumentError, MissingExtraError
from athanor.types import Block, ParsedDocument

LENGTH = struct.Struct("<I")
MAX_BLOCKS = 4_000_000
BLOCK_BYTES = 16
MAX_HEADER = 32 << 20
"""Bytes of a header: the page offsets of some million pages."""


def pack_request(path: Path, name: str) -> bytes:
    """What the child is asked: to read the file at `path`, called `name`. Paths may be no valid text."""
    request = json.dumps({"path": os.fsencode(path.absolute()).hex(), "name": name}).encode()
    return LENGTH.pack(len(request)) + request


def read_request(data: bytes) -> tuple[Path, str]:
    """The path and the name of a request, without its length."""
    request = json.loads(data)
    return Path(os.fsdecode(bytes.fromhex(request["path"]))), str(request["name"])


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
    kinds = sorted({block.kind for block in document.blocks})
    codes = {kind: code for code, kind in enumerate(kinds)}
    numbers = array("I")
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
            "kinds": kinds,
            "text": len(text),
        },
        **statistics,
    }
    return pack(header, text + numbers.tobytes())


def unpack_document(header: dict[str, Any], payload: bytes) -> ParsedDocument:
    """The document of a frame, checked.

    Raises:
        ValueError: the frame breaks the contract of `ParsedDocument`.
    """
    about = header["document"]
    size = int(about["text"])
    text = payload[:size].decode("utf-8")
    numbers = array("I")
    numbers.frombytes(payload[size:])
    if sys.byteorder == "big":
        numbers.byteswap()
    kinds = [str(kind) for kind in about["kinds"]]
    fields = iter(numbers)
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
    )
    check_document(document)
    return document


def check_document(document: ParsedDocument) -> None:
    """Raises ValueError unless blocks are ordered, disjoint and inside the text, and pages ascend."""
    last = 0
    for block in document.blocks:
        if not last <= block.start < block.end:
            raise ValueError(f"block {block} overlaps the one before, or is empty")
        last = block.end
    if last > len(document.text):
        raise ValueError("a block ends behind the text")
    if any(a > b for a, b in zip(document.pages, document.pages[1:], strict=False)):
        raise ValueError("page offsets do not ascend")
    if document.pages and not 0 <= document.pages[0] <= document.pages[-1] <= len(document.text):
        raise ValueError("a page begins outside the text")


def pack_error(error: AthanorError, statistics: dict[str, Any]) -> bytes:
    """The frame of a refusal."""
    about = {
        "message": error.message,
        "where": error.where,
        "hint": error.hint,
        "reason": getattr(error, "reason", None),
        "extra": getattr(error, "extra", None),
    }
    return pack({"error": about, **statistics})


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
