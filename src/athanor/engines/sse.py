"""Server-sent events from an upstream, in whatever pieces they arrive (WHATWG HTML, section 9.2).

Bytes stay bytes: no line ending is part of a character in UTF-8, and JSON is read from bytes.
"""

from __future__ import annotations

# An event of a token stream is some hundred bytes; one without an end is an attack or a mistake.
_LIMIT = 4 << 20
_BOM = b"\xef\xbb\xbf"


class EventTooLargeError(Exception):
    """An event over 4 MiB."""


class SSEDecoder:
    """Cuts bytes into the `data` of events. Comments and other fields are dropped."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._after_cr = False
        """The last byte was a CR, taken for the end of a line: a LF that follows belongs to it."""
        self._fresh = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Data of every event that is now complete.

        Raises:
            EventTooLargeError: one event outgrew the limit.
        """
        if self._fresh and chunk:
            chunk, self._fresh = chunk.removeprefix(_BOM), False
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        rest = self._rest
        # Most chunks hold whole events.
        if not rest and chunk.endswith(b"\n\n"):
            return _all_data(chunk)
        start = max(0, len(rest) - 1)
        rest += chunk
        end = rest.rfind(b"\n\n", start)
        if end >= 0:
            whole = bytes(rest[:end])
            del rest[: end + 2]
        if len(rest) > _LIMIT:
            raise EventTooLargeError
        return _all_data(whole) if end >= 0 else []

    def flush(self) -> list[bytes]:
        """The end of the stream. An event without its blank line still counts: many servers leave it out."""
        whole = bytes(self._rest)
        self._rest.clear()
        return _all_data(whole)


def _all_data(blocks: bytes) -> list[bytes]:
    return [data for block in blocks.split(b"\n\n") if (data := _data(block)) is not None]


def _data(block: bytes) -> bytes | None:
    """The data of one event, or None if it has none."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
