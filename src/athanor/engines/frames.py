"""Frames between the server and a model's process: a JSON header and raw bytes.

Layout, little-endian: 4 bytes magic, 4 bytes header length, 4 bytes blob length, header, blob. Vectors travel as
the blob, so that a batch of embeddings is never turned into decimal digits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

_PREFIX = struct.Struct("<4sII")
_MAGIC = b"ATH\x01"

# A broken or hostile peer must not make the other side allocate without end.
MAX_HEADER = 64 << 20
MAX_BLOB = 512 << 20


class FrameError(Exception):
    """The bytes are not frames: the peer is broken, and the connection with it."""


class Frame(NamedTuple):
    """One message."""

    header: dict[str, Any]
    blob: bytes = b""


def encode(header: dict[str, Any], blob: bytes = b"") -> bytes:
    """One frame as bytes."""
    body = orjson.dumps(header)
    return b"".join((_PREFIX.pack(_MAGIC, len(body), len(blob)), body, blob))


class Decoder:
    """Cuts a byte stream into frames, whatever the pieces it arrives in."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take `data`; give every frame that is now complete.

        Raises:
            FrameError: wrong magic, a length over the limit, or a header that is not a JSON object.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= _PREFIX.size:
                magic, header_size, blob_size = _PREFIX.unpack_from(buffer, start)
                if magic != _MAGIC or header_size > MAX_HEADER or blob_size > MAX_BLOB:
                    raise FrameError(f"not a frame: {bytes(buffer[start : start + _PREFIX.size])!r}")
                middle = start + _PREFIX.size + header_size
                end = middle + blob_size
                if len(buffer) < end:
                    break
                try:
                    header = orjson.loads(memoryview(buffer)[start + _PREFIX.size : middle])
                except orjson.JSONDecodeError as error:
                    raise FrameError(f"the header is not JSON: {error}") from error
                if not isinstance(header, dict):
                    raise FrameError("the header is not a JSON object")
                yield Frame(header, bytes(buffer[middle:end]))
                start = end
        finally:
            del buffer[:start]
