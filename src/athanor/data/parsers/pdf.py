"""PDF by PDFium: page after page, so that memory does not grow with the number of pages.

Columns are read one after the other and tables by row, whatever the order in which they were drawn; `_pdf_layout` and
`_pdf_tables` say what they do not recognise.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from athanor.data.aids import Aids
from athanor.data.build import TextBuilder, stem
from athanor.data.ocr import OcrError, page_list, summary
from athanor.data.parsers._pdf_layout import regions
from athanor.data.parsers._pdf_lines import (
    ITEM,
    Page,
    Paragraph,
    Words,
    ends_open,
    heading_keys,
    letters,
    paragraphs,
    without_margins,
)
from athanor.data.parsers._pdf_ocr import is_picture, recognise
from athanor.data.parsers._pdf_text import as_placed, read_page
from athanor.errors import DocumentError
from athanor.plugins import require
from athanor.types import ParsedDocument

_GENERIC_TITLE = re.compile(
    r"untitled|microsoft (word|powerpoint) - |.*\.(docx?|pptx?|tex|dvi|indd|pdf|xlsx?|qxd)\Z", re.IGNORECASE
)
_MEANINGLESS = re.compile("[\ufffd\ue000-\uf8ff]")
_SAMPLE_PAGES = 12
_HEADING_RATIO = 1.15
"""A heading's lines are at least this much higher than those of the body."""
_SCANNED_RATIO = 1.4
"""The same for lines whose height is that of a picture's letters."""
_HEADING_CHARACTERS = 200
_PASSWORD = 4  # FPDF_ERR_PASSWORD


class PdfParser:
    """Headings come from the file's outline, or else from type sizes when these are few and used for little text."""

    mimes: tuple[str, ...] = ("application/pdf",)
    suffixes: tuple[str, ...] = (".pdf",)
    aids = Aids()

    def parse(self, path: Path, name: str) -> ParsedDocument:
        pdfium = require("pypdfium2", extra="knowledge")
        raw = require("pypdfium2.raw", extra="knowledge")
        try:
            file = pdfium.PdfDocument(path)
        except pdfium.PdfiumError as error:
            raise _unreadable(error, raw.FPDF_GetLastError(), name) from error
        try:
            return _Reader(file, raw, name, self.aids).read()
        finally:
            file.close()


def _unreadable(error: Exception, code: int, name: str) -> DocumentError:
    if code == _PASSWORD or "password" in str(error).lower():
        hint = "Save a copy without the password, for example with: qpdf --decrypt --password=… IN.pdf OUT.pdf."
        return DocumentError("The PDF is encrypted with a password.", reason="encrypted", where=name, hint=hint)
    return DocumentError("The PDF is damaged and cannot be opened.", reason="corrupt", where=name)


class _Reader:
    def __init__(self, file: Any, raw: Any, name: str, aids: Aids) -> None:
        self._aids = aids
        self._recognised: list[tuple[int, float]] = []
        self._unrecognised: list[tuple[int, str]] = []
        self._file = file
        self._raw = raw
        self._name = name
        self._out = TextBuilder()
        self._body = 0.0
        self._candidates: list[tuple[int, float, int]] = []  # block, size, characters
        self._characters = 0
        self._odd = 0
        self._matched = 0
        self._largest = (0.0, "")  # on the first page
        self._blank: list[int] = []
        self._broken: list[int] = []
        self._open = Paragraph("", "", 0.0)

    def read(self) -> ParsedDocument:
        count = len(self._file)
        self._body = self._body_size(count)
        outline = self._outline()
        words = Words()
        for page in without_margins(self._pages(count)):
            self._out.page()
            self._page(page, words, outline.get(page.index, {}))
        if not self._characters:
            raise self._without_text()
        # An outline whose titles are not those on the pages is no help.
        if self._matched < sum(map(len, outline.values())) / 2 or not outline:
            self._headings_by_size()
        title = str(self._file.get_metadata_value("Title") or "").strip()
        if not title or _GENERIC_TITLE.match(title):
            title = self._largest[1] if self._largest[0] >= 1.3 * self._body else ""
        document = self._out.build(title=title, mime="application/pdf", warnings=self._warnings())
        if document.title:
            return document
        return self._out.build(title=stem(self._name), mime="application/pdf", warnings=self._warnings())

    def _without_text(self) -> DocumentError:
        hint = "It seems to be scanned: make its text readable first, for example with: ocrmypdf IN.pdf OUT.pdf."
        if self._aids.hint:
            hint = f"It seems to be scanned. {self._aids.hint}"
        elif self._unrecognised:
            hint = f"OCR failed: {self._unrecognised[0][1]}."
        return DocumentError("No page of the PDF has text.", reason="no_text", where=self._name, hint=hint)

    def _pages(self, count: int) -> Iterator[Page]:
        for index in range(count):
            page = self._lines(index, ocr=self._aids.ocr is not None)
            if not page.lines:
                self._blank.append(index + 1)
            self._aids.progress((index + 1) / count)
            yield page

    def _lines(self, index: int, *, ocr: bool = False) -> Page:
        """Lines of one page; a page that PDFium cannot read is noted and counts as blank."""
        pdfium_error = require("pypdfium2", extra="knowledge").PdfiumError
        try:
            page = self._file[index]
        except pdfium_error:
            self._broken.append(index + 1)
            return Page(index, 0.0, [])
        try:
            made = read_page(self._raw, page, index)
            return self._by_ocr(page, made) if ocr and is_picture(self._raw, page, made) else made
        except pdfium_error:
            self._broken.append(index + 1)
            return Page(index, 0.0, [])
        finally:
            page.close()

    def _by_ocr(self, page: Any, made: Page) -> Page:
        """What OCR reads on the page, unless it is no more than `made` has."""
        try:
            found, confidence = recognise(page, made.index, self._aids)
        except OcrError as error:
            self._unrecognised.append((made.index + 1, str(error)))
            return made
        if sum(len(line.text) for line in found.lines) <= sum(len(line.text) for line in made.lines):
            return made
        self._recognised.append((made.index + 1, confidence))
        if not self._body:
            self._body = median(line.height for line in found.lines)
        return found

    def _body_size(self, count: int) -> float:
        """Line height of most characters, from pages spread over the document."""
        sizes: Counter[float] = Counter()
        step = max(count // _SAMPLE_PAGES, 1)
        for index in range(0, count, step):
            for line in self._lines(index).lines:
                sizes[round(line.height, 1)] += len(line.text)
        self._broken.clear()
        return sizes.most_common(1)[0][0] if sizes else 0.0

    def _outline(self) -> dict[int, dict[str, int]]:
        """Bookmarks by page: their letters and level. An outline of less than three entries tells nothing."""
        found: dict[int, dict[str, int]] = {}
        total = 0
        for mark in self._file.get_toc(max_depth=6):
            target = mark.get_dest()
            page = target.get_index() if target is not None else None
            key = letters(mark.get_title() or "")
            if page is not None and key:
                found.setdefault(page, {}).setdefault(key, mark.level + 1)
                total += 1
            if total >= 10_000:
                break
        return found if total >= 3 else {}

    def _page(self, page: Page, words: Words, titles: dict[str, int]) -> None:
        first = True
        for made in paragraphs(regions(page), words, frozenset(titles)):
            self._out.place(_place(page, made))
            self._characters += len(made.text)
            self._odd += 0 if made.text.isascii() else len(_MEANINGLESS.findall(made.text))
            level = 0
            if titles and len(made.text) <= _HEADING_CHARACTERS:
                level = next((titles[key] for key in heading_keys(made.text) if key in titles), 0)
                self._matched += bool(level)
            if page.index == 0 and made.size > self._largest[0] and len(made.text) <= _HEADING_CHARACTERS:
                self._largest = (made.size, made.text)
            if level:
                self._out.add("heading", made.text, level)
            elif made.kind == "list" and self._out.last_kind == "list" and not first:
                self._out.extend(made.text, glue="\n")
            elif first and self._goes_on(made.text):
                self._continue(made.text, words)
            elif self._is_large(made, _SCANNED_RATIO if page.scanned else _HEADING_RATIO):
                self._candidates.append((self._out.add("paragraph", made.text), made.size, len(made.text)))
            else:
                self._out.add(made.kind, made.text)
            self._open = made
            first = False

    def _goes_on(self, text: str) -> bool:
        """Whether the first paragraph of a page goes on with the last one of the page before."""
        if self._out.last_kind != "paragraph" or ITEM.match(text):
            return False
        return self._open.hyphen or (text[0].islower() and ends_open(self._open.text))

    def _continue(self, text: str, words: Words) -> None:
        before = self._open.text
        hyphen = before[-1] == "-" and before[-2:-1].isalpha()
        if not (self._open.hyphen or hyphen):
            self._out.extend(text)
            return
        glue = "-" if words.join(before.removesuffix("-"), text).endswith(f"-{text}") else ""
        self._out.extend(text, glue=glue, drop=int(hyphen))

    def _is_large(self, made: Paragraph, ratio: float) -> bool:
        return bool(self._body) and made.size >= ratio * self._body and len(made.text) <= _HEADING_CHARACTERS

    def _headings_by_size(self) -> None:
        """Make the larger lines headings, unless there is so much of them that size means something else."""
        if sum(length for _, _, length in self._candidates) > 0.3 * self._characters:
            return
        sizes: list[float] = []
        for size in sorted({size for _, size, _ in self._candidates}):
            if not sizes or size > 1.06 * sizes[-1]:
                sizes.append(size)
        for block, size, _ in self._candidates:
            above = len(sizes) - bisect_left(sizes, size + 0.001)
            self._out.promote(block, min(above + 1, 6))

    def _warnings(self) -> tuple[str, ...]:
        warnings = summary(self._recognised, self._unrecognised)
        failed = {*self._broken, *(page for page, _ in self._unrecognised)}
        blank = [page for page in self._blank if page not in failed]
        if blank:
            hint = f" {self._aids.hint}" if self._aids.hint else ""
            warnings.append(f"No text on {page_list(blank)} (scanned, or empty).{hint}")
        if self._broken:
            warnings.append(f"Could not read {page_list(self._broken)}.")
        if self._odd > 0.2 * self._characters:
            warnings.append("Many characters have no meaning outside the PDF's own fonts: search will miss them.")
        return tuple(warnings)


def _place(page: Page, made: Paragraph) -> str:
    """`page 3 [72 640 523 712]`: left, bottom, right and top in points, as the file counts them."""
    return f"page {page.index + 1} [{' '.join(str(round(edge)) for edge in as_placed(made.box, page))}]"
