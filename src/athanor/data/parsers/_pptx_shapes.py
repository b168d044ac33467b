"""The shapes of a slide in the order in which they are read: from top to bottom, and from left to right within a row.

Sources: ECMA-376, part 1, sections 19.3 (slides) and 21.1 (text).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from athanor.data.build import collapse
from athanor.data.parsers._ooxml import FALLBACK, A

P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_ALTERNATE = FALLBACK.replace("Fallback", "AlternateContent")
_SHAPES = frozenset(f"{P}{kind}" for kind in ("sp", "pic", "graphicFrame", "grpSp", "cxnSp"))
_FURNITURE = frozenset(["dt", "ftr", "hdr", "sldNum", "sldImg"])
"""Placeholders that are the same on every slide: date, footer, number."""
_BODIES = frozenset(["body", "obj", "subTitle", ""])
_DEPTH = 20
Box = tuple[int, int, int, int]
"""Left, top, width and height, in English Metric Units."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape that holds something: `kind` is its tag without the namespace, `role` its placeholder's type."""

    node: Any
    kind: str
    role: str | None
    box: Box


def shapes(tree: Any, layouts: dict[tuple[str, str], Box], depth: int = 0) -> Iterator[Shape]:
    """The shapes of a tree (`p:spTree`, `p:grpSp`) in reading order, those of groups in the group's place."""
    found = [shape for shape in (_shape(node, layouts) for node in _children(tree)) if shape]
    titles = [shape for shape in found if shape.role in {"title", "ctrTitle"}]
    for shape in titles + _ordered([shape for shape in found if shape not in titles]):
        if shape.kind == "grpSp" and depth < _DEPTH:
            yield from shapes(shape.node, layouts, depth + 1)
        elif shape.role not in _FURNITURE:
            yield shape


def _children(tree: Any) -> Iterator[Any]:
    for node in tree:
        if node.tag in _SHAPES:
            yield node
        elif node.tag == _ALTERNATE and len(node):
            yield from (child for child in node[0] if child.tag in _SHAPES)


def _shape(node: Any, layouts: dict[tuple[str, str], Box]) -> Shape | None:
    about = node[0].find(f"{P}cNvPr") if len(node) else None
    if about is not None and about.get("hidden") in {"1", "true"}:
        return None
    role, key = placeholder(node)
    box = box_of(node)
    if box is None and key is not None:
        box = layouts.get(key) or layouts.get((key[0], "")) or layouts.get(("", key[1]))
    return Shape(node, node.tag.removeprefix(P), role, box or (0, 0, 0, 0))


def placeholder(node: Any) -> tuple[str | None, tuple[str, str] | None]:
    """Type of the placeholder that a shape fills, and what it inherits by: its type and index."""
    found = node[0].find(f"{P}nvPr/{P}ph") if len(node) else None
    if found is None:
        return None, None
    kind = found.get("type", "")
    return kind, (kind, found.get("idx", ""))


def box_of(node: Any) -> Box | None:
    """Where a shape stands, if it says so itself."""
    place = next((at for at in (node.find(f"{P}spPr/{A}xfrm"), node.find(f"{P}xfrm")) if at is not None), None)
    if place is None:
        place = node.find(f"{P}grpSpPr/{A}xfrm")
    offset, size = (place.find(f"{A}off"), place.find(f"{A}ext")) if place is not None else (None, None)
    if offset is None:
        return None
    width, height = (_number(size, "cx"), _number(size, "cy")) if size is not None else (0, 0)
    return (_number(offset, "x"), _number(offset, "y"), width, height)


def _number(node: Any, name: str) -> int:
    try:
        return int(node.get(name) or 0)
    except ValueError:
        return 0


def layout_boxes(root: Any) -> dict[tuple[str, str], Box]:
    """Where a layout or a master puts its placeholders."""
    found: dict[tuple[str, str], Box] = {}
    for node in root.iter(f"{P}sp", f"{P}pic", f"{P}graphicFrame") if root is not None else ():
        kind, key = placeholder(node)
        box = box_of(node)
        if kind is not None and key is not None and box is not None:
            found.setdefault(key, box)
            found.setdefault(("", key[1]) if key[1] else (kind, ""), box)
    return found


def _ordered(found: list[Shape]) -> list[Shape]:
    """By rows: a shape that begins above the middle of the row's first one stands beside it."""
    waiting = sorted(found, key=lambda shape: (shape.box[1], shape.box[0]))
    made: list[Shape] = []
    row: list[Shape] = []
    for shape in waiting:
        if row and shape.box[1] >= row[0].box[1] + max(min(row[0].box[3], shape.box[3]) // 2, 1):
            made += sorted(row, key=lambda one: one.box[0])
            row = []
        row.append(shape)
    return made + sorted(row, key=lambda one: one.box[0])


def paragraphs(body: Any, role: str | None) -> Iterator[tuple[str, str]]:
    """Kind (`paragraph` or `list`) and text of the paragraphs of a text body; an item has its indent and mark."""
    numbers: dict[int, int] = {}
    found = list(body.iter(f"{A}p"))
    bulleted = role in _BODIES and role != "subTitle" and len(found) > 1
    for node in found:
        text = text_of(node)
        if not text:
            continue
        properties = node.find(f"{A}pPr")
        level = min(max(_number(properties, "lvl"), 0), 8) if properties is not None else 0
        marks = {child.tag for child in properties} if properties is not None else set()
        numbers = {deep: number for deep, number in numbers.items() if deep <= level}
        if f"{A}buAutoNum" in marks:
            numbers[level] = numbers.get(level, 0) + 1
            yield "list", f"{'  ' * level}{numbers[level]}. {text}"
        elif f"{A}buNone" not in marks and (bulleted or level or {f"{A}buChar", f"{A}buBlip"} & marks):
            yield "list", f"{'  ' * level}- {text}"
        else:
            yield "paragraph", text


def text_of(paragraph: Any) -> str:
    """The text of one `a:p`, with its line breaks."""
    parts = [(node.text or "") if node.tag == f"{A}t" else "\n" for node in paragraph.iter(f"{A}t", f"{A}br")]
    lines = "".join(parts).replace("\v", "\n").split("\n")
    return "\n".join(line for line in map(collapse, lines) if line)


def table_text(table: Any) -> str:
    """The rows of an `a:tbl`; merged cells appear once."""
    rows = []
    for row in table.iter(f"{A}tr"):
        cells = [
            collapse(" ".join(text_of(paragraph) for paragraph in cell.iter(f"{A}p")))
            for cell in row.iter(f"{A}tc")
            if not {"1", "true"} & {cell.get("hMerge"), cell.get("vMerge")}
        ]
        if any(cells):
            rows.append(" | ".join(cells))
    return "\n".join(rows)
