"""What a Word paragraph is: its outline level through the style chain, and its number as Word prints it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_HEADING = re.compile(r"heading ([1-9])\Z", re.IGNORECASE)
_QUOTES = frozenset(["quote", "intense quote", "block text"])
_CODE = re.compile(r"code|preformatted|source", re.IGNORECASE)
_SIGNS = "m cm d cd c xc l xl x ix v iv i"
_ROMAN = tuple(zip((1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1), _SIGNS.split(), strict=True))
_CHAIN = 20
"""Styles based on styles, at most: a cycle in a damaged file must end."""


@dataclass(frozen=True, slots=True)
class Style:
    """What matters of a paragraph's style. `level` is 0 for what is no heading."""

    level: int = 0
    kind: str = "paragraph"
    is_title: bool = False
    number: str | None = None
    depth: int = 0


class Styles:
    """Paragraph styles by id. Style *names* are English in every language of Word; ids are not."""

    def __init__(self, root: Any) -> None:
        self._raw = {node.get(f"{W}styleId"): node for node in root.iter(f"{W}style")} if root is not None else {}
        self._known: dict[str, Style] = {}

    def of(self, properties: Any) -> Style:
        """The style of a paragraph with `w:pPr` `properties`, its own outline level included."""
        if properties is None:
            return Style()
        name = _value(properties, "pStyle") or ""
        if name not in self._known:
            self._known[name] = self._resolve(name)
        style = self._known[name]
        own = _value(properties, "outlineLvl")
        if own is not None and own.isdigit() and not style.level:
            level = int(own) + 1
            return Style(level=level if level <= 9 else 0, kind=style.kind, number=style.number, depth=style.depth)
        return style

    def _resolve(self, name: str) -> Style:
        level, depth, number, kind, is_title = 0, 0, None, "paragraph", False
        at: str | None = name
        for _ in range(_CHAIN):
            node = self._raw.get(at)
            if node is None:
                # Files of other programs use the id without defining it.
                if at and (found := re.fullmatch(r"Heading ?([1-9])", at)):
                    level = level or int(found[1])
                break
            label = (_value(node, "name") or "").lower()
            properties = node.find(f"{W}pPr")
            if found := _HEADING.match(label):
                level = level or int(found[1])
            elif label == "title" and not level:
                level, is_title = 1, True
            elif properties is not None and not level and (outline := _value(properties, "outlineLvl")):
                level = int(outline) + 1 if outline.isdigit() and int(outline) < 9 else 0
            if label in _QUOTES:
                kind = "quote"
            elif _CODE.search(label):
                kind = "code"
            if number is None and properties is not None and (numbering := properties.find(f"{W}numPr")) is not None:
                number, depth = _value(numbering, "numId"), _integer(_value(numbering, "ilvl"))
            at = _value(node, "basedOn")
            if not at:
                break
        return Style(level=level, kind=kind, is_title=is_title, number=number, depth=depth)


class Numbering:
    """Counts list items and numbered headings, and prints their labels."""

    def __init__(self, root: Any) -> None:
        self._levels: dict[str, dict[int, tuple[str, str, int]]] = {}
        self._abstract: dict[str, str] = {}
        self._counts: dict[str, dict[int, int]] = {}
        if root is None:
            return
        for node in root.iter(f"{W}abstractNum"):
            self._levels[node.get(f"{W}abstractNumId")] = {
                _integer(level.get(f"{W}ilvl")): (
                    _value(level, "numFmt") or "decimal",
                    _value(level, "lvlText") or "",
                    _integer(_value(level, "start"), 1),
                )
                for level in node.iter(f"{W}lvl")
            }
        for node in root.iter(f"{W}num"):
            self._abstract[node.get(f"{W}numId")] = _value(node, "abstractNumId") or ""

    def label(self, properties: Any, style: Style) -> tuple[str, int]:
        """The next label for a paragraph and its depth from 0; an empty label where it has no number."""
        own = properties.find(f"{W}numPr") if properties is not None else None
        number = (_value(own, "numId") if own is not None else None) or style.number
        if number is None or number == "0":
            return "", 0
        depth = _integer(_value(own, "ilvl"), style.depth) if own is not None else style.depth
        depth = min(depth, 8)
        abstract = self._abstract.get(number, "")
        levels = self._levels.get(abstract, {})
        form, pattern, start = levels.get(depth, ("bullet", "", 1))
        counts = self._counts.setdefault(abstract or number, {})
        counts[depth] = counts.get(depth, start - 1) + 1
        for deeper in [level for level in counts if level > depth]:
            del counts[deeper]
        if form in {"bullet", "none"} or "%" not in pattern:
            return ("" if form == "none" else "-"), depth

        def place(found: re.Match[str]) -> str:
            level = int(found[1]) - 1
            kind, _, first = levels.get(level, ("decimal", "", 1))
            return _print(counts.get(level, first), kind)

        return re.sub(r"%([1-9])", place, pattern), depth


def _print(number: int, form: str) -> str:
    if form in {"lowerLetter", "upperLetter"}:
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1) if 0 < number <= 260 else str(number)
        return letter.upper() if form == "upperLetter" else letter
    if form in {"lowerRoman", "upperRoman"} and 0 < number < 4000:
        roman = ""
        for value, sign in _ROMAN:
            count, number = divmod(number, value)
            roman += sign * count
        return roman.upper() if form == "upperRoman" else roman
    return str(number)


def _value(node: Any, tag: str) -> str | None:
    child = node.find(f"{W}{tag}") if node is not None else None
    value: str | None = child.get(f"{W}val") if child is not None else None
    return value


def _integer(value: str | None, default: int = 0) -> int:
    return int(value) if value is not None and value.lstrip("-").isdigit() else default
