"""Text as it comes out of a model: bytes that are not characters yet, and stop strings in pieces."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

# Control tokens of the common chat templates. In a message they would be taken for the template's own, and text from a
# document could speak as the system.
_CONTROL = re.compile(
    r"<(?=\|[^|<>\s]{1,40}\|>|/?s>|(?:start|end)_of_turn>|(?:bos|eos|pad|unk)>)|\[(?=/?INST\]|/?SYSTEM_PROMPT\])",
    re.IGNORECASE,
)


def neutralise(text: str) -> str:
    """`text` with control tokens of chat templates broken by one space, so that they are read as text."""
    return _CONTROL.sub(lambda match: f"{match.group()} ", text)


class StopFilter:
    """Passes text on until a stop string appears; never lets part of one through."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(s for s in stop if s)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """What may be shown now. After `stopped` everything is swallowed."""
        if self.stopped:
            return ""
        if not self._stop:
            return text
        self._held += text
        found = [at for s in self._stop if (at := self._held.find(s)) >= 0]
        if found:
            self.stopped = True
            out, self._held = self._held[: min(found)], ""
            return out
        keep = self._partial()
        out = self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        return out

    def flush(self) -> str:
        """The end: what was held back and turned out to be no stop string."""
        out, self._held = self._held, ""
        return "" if self.stopped else out

    def _partial(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        longest = min(len(self._held), max(len(s) for s in self._stop) - 1)
        for size in range(longest, 0, -1):
            if any(s.startswith(self._held[-size:]) for s in self._stop):
                return size
        return 0


class Utf8Joiner:
    """Bytes of tokens to text; a character that is split over tokens waits for its last byte.

    There is no flush: a character that the token limit cut in half is not shown.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        return self._decoder.decode(data)
