"""Pages of a PDF that are pictures, read by OCR into the same lines that other pages give.

Not recognised: pages that lie on their side or upside down without the file saying so.
"""

from __future__ import annotations

from collections import defaultdict
from ctypes import byref, c_float
from statistics import median
from typing import Any

from athanor.data.aids import Aids
from athanor.data.ocr import NOISE, OcrLine, confidence
from athanor.data.parsers._pdf_lines import Line, Page, Word

_DOTS = 300
"""Dots an inch, what tesseract is trained on."""
_MAX_PIXELS = 24_000_000
"""A page larger than this (A3 at 240 dots an inch) is drawn coarser."""
_FEW = 200
"""Characters up to which the text of a page may be only a stamp on a picture of it."""
_MOST = 0.6
"""Share of a page from which a picture is a picture of the page."""
_IMAGE = 3  # FPDF_PAGEOBJ_IMAGE
_MAX_OBJECTS = 5_000


def is_picture(raw: Any, page: Any, made: Page) -> bool:
    """Whether the page's text has to be read from what it shows: it has none, or hardly any on a full-page picture."""
    count = raw.FPDFPage_CountObjects(page.raw)
    lines = [*made.lines, *made.turned]
    if not lines:
        return bool(count)
    if sum(len(line.text) for line in lines) > _FEW or count > _MAX_OBJECTS:
        return False
    left, bottom, right, top = c_float(), c_float(), c_float(), c_float()
    for index in range(count):
        drawn = raw.FPDFPage_GetObject(page.raw, index)
        if raw.FPDFPageObj_GetType(drawn) == _IMAGE and raw.FPDFPageObj_GetBounds(
            drawn, byref(left), byref(bottom), byref(right), byref(top)
        ):
            area = (right.value - left.value) * (top.value - bottom.value)
            if area >= _MOST * made.width * made.height:
                return True
    return False


def recognise(page: Any, index: int, aids: Aids) -> tuple[Page, float]:
    """The page as OCR reads it, and percent of confidence; without lines where it shows no text.

    Raises:
        OcrError: it cannot be read.
    """
    width, height = page.get_width(), page.get_height()
    scale = min(_DOTS / 72, (_MAX_PIXELS / max(width * height, 1.0)) ** 0.5)
    found = aids.recognise(_drawn(page, scale))
    sure = confidence(found)
    made = Page(index, height, [], width=width, turn=page.get_rotation() // 90 % 4, scanned=True)
    if sure >= NOISE:
        made.lines = lines_of(found, scale, height)
    return made, sure


def _drawn(page: Any, scale: float) -> bytes:
    """The page as a PGM file."""
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        width, height, stride = bitmap.width, bitmap.height, bitmap.stride
        data = memoryview(bitmap.buffer).cast("B")
        head = b"P5 %d %d 255\n" % (width, height)
        if stride == width:
            return head + data[: width * height].tobytes()
        return head + b"".join(data[row * stride : row * stride + width] for row in range(height))
    finally:
        bitmap.close()


def lines_of(found: list[OcrLine], scale: float, height: float) -> list[Line]:
    """Lines in points. Those of a paragraph get one height: a box depends on the letters that happen to be there."""
    heights: defaultdict[int, list[int]] = defaultdict(list)
    for line in found:
        heights[line.paragraph].append(line.words[0].height)
    made = []
    for line in found:
        first = line.words[0]
        tall = median(heights[line.paragraph]) / scale
        y = height - (first.top + first.height / 2) / scale - tall / 2
        words = [
            Word(word.text, word.left / scale, y, (word.left + word.width) / scale, y + tall) for word in line.words
        ]
        text = " ".join(word.text for word in words)
        made.append(Line(text, words[0].x0, words[-1].x1, y, tall, words=words))
    return made
