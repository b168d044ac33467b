"""Pictures of text (scans, screenshots, faxes) by OCR. A picture without text, or without OCR, is no document."""

from __future__ import annotations

from pathlib import Path

from athanor.data.aids import Aids
from athanor.data.build import TextBuilder, stem
from athanor.data.ocr import NOISE, OcrError, OcrLine, confidence, summary
from athanor.data.parsers._pdf_layout import regions
from athanor.data.parsers._pdf_lines import Page, Words, paragraphs
from athanor.data.parsers._pdf_ocr import lines_of
from athanor.errors import DocumentError
from athanor.types import ParsedDocument

_KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"II*\0": "image/tiff", b"MM\0*": "image/tiff"}
_SCALE = 300 / 72
"""Pixels a point, as if the picture were a scan: only proportions matter."""


class ImageParser:
    """The pages of a TIFF file are pages."""

    mimes: tuple[str, ...] = ("image/png", "image/jpeg", "image/tiff")
    suffixes: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
    aids = Aids()

    def parse(self, path: Path, name: str) -> ParsedDocument:
        data = path.read_bytes()
        mime = next((mime for head, mime in _KINDS.items() if data.startswith(head)), "")
        if not mime:
            raise DocumentError("It is no PNG, JPEG or TIFF picture.", reason="corrupt", where=name)
        if self.aids.ocr is None:
            raise DocumentError(
                "It is a picture.", reason="unsupported_type", where=name, hint=self.aids.hint or "OCR is off."
            )
        try:
            found = self.aids.recognise(data)
        except OcrError as error:
            reason = "unsupported_type" if error.damaged else "unreadable"
            raise DocumentError(f"OCR failed on the picture: {error}.", reason=reason, where=name) from error
        pages: dict[int, list[OcrLine]] = {}
        for line in found:
            pages.setdefault(line.page, []).append(line)
        out, words = TextBuilder(), Words()
        read = []
        for number, lines in sorted(pages.items()):
            out.page()
            if (sure := confidence(lines)) < NOISE:
                continue
            read.append((number, sure))
            height = max(word.top + word.height for line in lines for word in line.words) / _SCALE
            page = Page(number - 1, height, lines_of(lines, _SCALE, height), scanned=True)
            for made in paragraphs(regions(page), words, frozenset()):
                out.add(made.kind, made.text)
        if not read:
            raise DocumentError("It is a picture without text.", reason="unsupported_type", where=name)
        return out.build(title=stem(name), mime=mime, warnings=tuple(summary(read, [])))
