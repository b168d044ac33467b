"""What the process that parses lends to a parser: a way to tell how far it is, and OCR."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from athanor.data.limits import ParserLimits
from athanor.data.ocr import INSTALL, Ocr, OcrError, OcrLine


@dataclass(slots=True)
class Aids:
    """A parser that wants them has a class attribute `aids = Aids()`; the process sets it on the parser's object."""

    ocr: Ocr | None = None
    hint: str = ""
    """What to do to have OCR, where there is none and it is not switched off."""
    limit: float = 0.0
    """Seconds of OCR for one document."""
    tell: Callable[[float, float], None] | None = None
    """Takes the share of the document that was read, and the seconds of OCR, those for the next page included."""
    spent: float = 0.0
    share: float = 0.0

    @classmethod
    def find(cls, limits: ParserLimits, tell: Callable[[float, float], None] | None = None) -> Aids:
        """As the limits allow and the machine has. To be called before the process is confined."""
        if not limits.ocr:
            return cls(tell=tell)
        found = Ocr.find(limits.ocr_languages, limits.ocr_page_seconds)
        return cls(ocr=found, hint="" if found else INSTALL, limit=limits.ocr_seconds, tell=tell)

    def begin(self) -> None:
        """Another document."""
        self.spent = self.share = 0.0

    def progress(self, share: float) -> None:
        """That share of the document, from 0 to 1, is read."""
        self.share = share
        if self.tell is not None:
            self.tell(share, self.spent)

    def recognise(self, picture: bytes) -> list[OcrLine]:
        """The lines of a picture. Raises OcrError; also when the document's time for OCR is used up."""
        if self.ocr is None:
            raise OcrError("there is no OCR")
        if self.spent >= self.limit:
            raise OcrError(f"the time for one document, {self.limit:,.0f} s, was over")
        if self.tell is not None:
            self.tell(self.share, self.spent + self.ocr.seconds)
        started = time.monotonic()
        try:
            return self.ocr.read(picture)
        finally:
            self.spent += time.monotonic() - started
