"""From PDFium's pages to lines of words with their boxes, and to the rules that are drawn.

A page whose text is drawn at a right angle, with or without the file's `Rotate`, is turned until most of it stands
upright; lines at another angle (stamps in the margin) stand apart from the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from ctypes import byref, c_float
from math import pi
from typing import Any

from athanor.data.build import collapse
from athanor.data.parsers._pdf_lines import Box, Edge, Line, Page, Rules, Word

_LIGATURES = str.maketrans(
    {
        "ﬀ": "ff",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "ﬃ": "ffi",
        "ﬄ": "ffl",
        "ﬅ": "st",
        "ﬆ": "st",
        "\uf0b7": "•",
        "\uf0a7": "▪",
        "\x02": "-",
    }
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LINE_END = re.compile(r"\r\n|\r|\n|\ufffe|\Z")
_WORD = re.compile(r"\S+")
_MAX_OBJECTS = 20_000
"""Objects of a page among which rules are looked for; a page with more is a drawing."""
_MAX_SEGMENTS = 2_000
_THIN = 3.0
"""Points up to which a filled shape is a line."""
_PATH, _LINE_TO, _MOVE_TO = 2, 0, 2  # FPDF_PAGEOBJ_PATH, FPDF_SEGMENT_LINETO, FPDF_SEGMENT_MOVETO


def read_page(raw: Any, page: Any, index: int) -> Page:
    """The text and rules of one page. Raises PdfiumError."""
    width, height = page.get_width(), page.get_height()
    if page.get_rotation() in (90, 270):
        width, height = height, width  # of the page as its text is placed
    text_page = page.get_textpage()
    try:
        found = [(line, angle) for line, angle in _lines(raw, text_page)]
    finally:
        text_page.close()
    angles: Counter[int] = Counter()
    for line, angle in found:
        angles[angle] += len(line.text)
    turn = angles.most_common(1)[0][0] if angles else 0
    made = Page(index, width if turn % 2 else height, [], turn=turn, width=height if turn % 2 else width)
    for line, angle in found:
        _turn(line, turn, width, height)
        (made.lines if angle == turn else made.turned).append(line)
    if made.lines:
        made.rules = _rules(raw, page.raw, turn, (width, height))
    return made


def _lines(raw: Any, text_page: Any) -> Iterator[tuple[Line, int]]:
    """The lines in drawing order, each with the quarter turns (to the left) at which it is drawn."""
    text: str = text_page.get_text_range()
    # Characters without text of their own make the two ways of counting differ; most pages have none.
    same = text_page.count_chars() == len(text)
    start = 0
    for found in _LINE_END.finditer(text):
        begin, end, start = start, found.start(), found.end()
        words, angle = _words(raw, text_page.raw, text, (begin, end), same=same)
        if not words:
            continue
        clean = " ".join(word.text for word in words)
        hyphen = found[0] == "\ufffe" or text[begin:end].endswith("\u00ad") or _breaks_word(clean, text, start)
        if hyphen and clean.endswith("-"):
            words[-1].text, clean = words[-1].text[:-1], clean[:-1]
        if clean:
            yield Line(clean, 0, 0, 0, 0, hyphen, words), angle


def _words(raw: Any, handle: Any, text: str, span: tuple[int, int], *, same: bool) -> tuple[list[Word], int]:
    """The words of one line and its angle. Most of the time of reading a PDF is spent here."""
    box, words, angle = raw.FS_RECTF(), list[Word](), 0
    where, look, pointer = raw.FPDFText_GetCharIndexFromTextIndex, raw.FPDFText_GetLooseCharBox, byref(box)
    for word in _WORD.finditer(text, *span):
        first, last = word.start(), word.end() - 1
        if not same:
            first, last = where(handle, first), where(handle, last)
        shown = word[0]
        if not (shown.isascii() and shown.isprintable()):
            shown = collapse(_CONTROLS.sub(" ", shown.translate(_LIGATURES)))
            if not shown:
                continue
        if not words:
            angle = round(-raw.FPDFText_GetCharAngle(handle, first) / (pi / 2)) % 4
        look(handle, first, pointer)
        reach = (box.left, box.bottom, box.right, box.top)
        if last != first:
            look(handle, last, pointer)
            if angle == 0:  # nearly always
                reach = (reach[0], reach[1], box.right, reach[3])
            else:
                reach = _around(reach, (box.left, box.bottom, box.right, box.top))
        words.append(Word(shown, *reach))
    return words, angle


def _around(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _breaks_word(line: str, text: str, following: int) -> bool:
    """A hyphen that PDFium left at a line's end, between letters and before a small letter."""
    if not line.endswith("-") or len(line) < 2 or not line[-2].isalpha():
        return False
    rest = text[following : following + 8].lstrip()
    return bool(rest) and rest[0].islower()


def _turned(box: Box, turn: int, width: float, height: float) -> Box:
    """`box` on the page turned by quarter turns to the right; `width` and `height` are those before."""
    x0, y0, x1, y1 = box
    if turn == 1:
        return y0, width - x1, y1, width - x0
    if turn == 2:
        return width - x1, height - y1, width - x0, height - y0
    if turn == 3:
        return height - y1, x0, height - y0, x1
    return box


def as_placed(box: Box, page: Page) -> Box:
    """`box` of the upright page in the coordinates of the file."""
    return _turned(box, -page.turn % 4, page.width, page.height)


def _turn(line: Line, turn: int, width: float, height: float) -> None:
    """Turn the words of `line`, and measure it by its first and last one."""
    for word in line.words if turn else ():
        word.x0, word.y0, word.x1, word.y1 = _turned((word.x0, word.y0, word.x1, word.y1), turn, width, height)
    first, last = line.words[0], line.words[-1]
    line.x0, line.y, line.x1 = first.x0, first.y0, last.x1
    line.height = max(first.y1 - first.y0, last.y1 - last.y0)


def _rules(raw: Any, page: Any, turn: int, size: tuple[float, float]) -> Rules:
    """The straight lines on a page, and the sides of its rectangles."""
    count = raw.FPDFPage_CountObjects(page)
    if count > _MAX_OBJECTS:
        return Rules()
    across, down = list[Edge](), list[Edge]()
    for index in range(count):
        drawn = raw.FPDFPage_GetObject(page, index)
        if raw.FPDFPageObj_GetType(drawn) != _PATH:
            continue
        for box in _strokes(raw, drawn):
            x0, y0, x1, y1 = _turned(box, turn, *size)
            if x1 - x0 > max(_THIN, y1 - y0):
                across.append(((y0 + y1) / 2, x0, x1))
            elif y1 - y0 > _THIN:
                down.append(((x0 + x1) / 2, y0, y1))
    return Rules(across=tuple(across), down=tuple(down))


def _strokes(raw: Any, drawn: Any) -> Iterator[Box]:
    """The level and upright lines of a path, as thin boxes."""
    left, bottom, right, top = c_float(), c_float(), c_float(), c_float()
    if not raw.FPDFPageObj_GetBounds(drawn, byref(left), byref(bottom), byref(right), byref(top)):
        return
    box = (left.value, bottom.value, right.value, top.value)
    if min(box[2] - box[0], box[3] - box[1]) <= _THIN:
        yield box
        return
    count = raw.FPDFPath_CountSegments(drawn)
    if not 3 <= count <= _MAX_SEGMENTS:
        return
    matrix = raw.FS_MATRIX()
    raw.FPDFPageObj_GetMatrix(drawn, byref(matrix))
    x, y = c_float(), c_float()
    last = begin = (0.0, 0.0)
    for index in range(count):
        segment = raw.FPDFPath_GetPathSegment(drawn, index)
        raw.FPDFPathSegment_GetPoint(segment, byref(x), byref(y))
        here = (
            matrix.a * x.value + matrix.c * y.value + matrix.e,
            matrix.b * x.value + matrix.d * y.value + matrix.f,
        )
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == _MOVE_TO:
            begin = here
        elif kind == _LINE_TO:
            yield from _straight(last, here)
        if raw.FPDFPathSegment_GetClose(segment):
            yield from _straight(here, begin)
        last = here


def _straight(a: tuple[float, float], b: tuple[float, float]) -> Iterator[Box]:
    box = min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])
    if min(box[2] - box[0], box[3] - box[1]) <= 1.0:
        yield box
