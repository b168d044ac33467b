"""Server-sent events from an upstream, in whatever pieces they arrive (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

# An event of a token stream is some hundred bytes; one without an end is an attack or a mistake.
_LIMIT = 4 << 20


class EventTooLargeError(Exception):
    """An event over 4 MiB."""


class SSEDecoder:
    """Cuts bytes into the `data` of events. Comments and other fields are dropped."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._text = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Data of every event that is now complete.

        Raises:
            EventTooLargeError: one event outgrew the limit.
        """
        yield from self._cut(self._decoder.decode(chunk))

    def flush(self) -> Iterator[str]:
        """The end of the stream. An event without its blank line still counts: many servers leave it out."""
        yield from self._cut(self._decoder.decode(b"", final=True) + "\n\n")

    def _cut(self, text: str) -> Iterator[str]:
        text = self._text + text
        # A lone CR at the end may be the first half of CRLF.
        held = "\r" if text.endswith("\r") else ""
        lines = text[: len(text) - len(held)].replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._text = lines.pop() + held
        self._size += len(text)
        for line in lines:
            if not line:
                if self._data:
                    yield "\n".join(self._data)
                self._data = []
                self._size = len(self._text)
            elif line.startswith("data:"):
                self._data.append(line.removeprefix("data:").removeprefix(" "))
        if self._size > _LIMIT:
            raise EventTooLargeError
