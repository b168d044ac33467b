"""JSON and JSON lines.

JSON is told anew: objects become headings, their values `name: value`, records of like shape a table. Numbers stay as
they were written. JSON lines stay the file's own text, a record a line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from athanor.data.build import TextBuilder, collapse, stem, storable
from athanor.data.encoding import decode
from athanor.types import Anchor, Block, ParsedDocument

_MAX_TREE = 24 << 20
"""Characters of a file that is told anew: a tree takes some ten times as much memory as its text."""
_MAX_LEVEL = 6
_MAX_COLUMNS = 40
_GROUP_ROWS = 20
_GROUP_CHARACTERS = 700
_EXACT_RECORDS = 50_000
"""Records that are named one by one; of more than these, every `_GROUP_ROWS` share a name."""


class JsonParser:
    """Places are paths as JSONPath writes them: `$.users[3]`. What is no strict JSON is read as plain text."""

    mimes: tuple[str, ...] = ("application/json", "application/geo+json")
    suffixes: tuple[str, ...] = (".json", ".geojson", ".webmanifest")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        text, warnings = decode(path.read_bytes(), name)
        text = storable(text)
        if len(text) > _MAX_TREE:
            warnings += (f"Read as plain text: it has more than {_MAX_TREE >> 20} million characters.",)
            return _plain(text, name, warnings)
        try:
            tree = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
            out = TextBuilder()
            _Teller(out).tell(tree, "$", 1)
        except (ValueError, RecursionError) as error:
            what = "It is nested too deeply" if isinstance(error, RecursionError) else f"It is no strict JSON ({error})"
            return _plain(text, name, (*warnings, f"{collapse(what)}: read as plain text."))
        return out.build(title=stem(name), mime=self.mimes[0], warnings=warnings)


class JsonLinesParser:
    """Each line is a record with the place `record 12`."""

    mimes: tuple[str, ...] = ("application/jsonl", "application/x-ndjson")
    suffixes: tuple[str, ...] = (".jsonl", ".ndjson")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        text, warnings = decode(path.read_bytes(), name)
        text = storable(text)
        blocks: list[Block] = []
        at = 0
        for line in text.split("\n"):
            bare = line.strip()
            if bare:
                start = at + line.index(bare)
                blocks.append(Block(kind="code", start=start, end=start + len(bare)))
            at += len(line) + 1
        step = 1 if len(blocks) <= _EXACT_RECORDS else _GROUP_ROWS
        anchors = []
        for first in range(0, len(blocks), step):
            last = min(first + step, len(blocks))
            place = f"record {last}" if last == first + 1 else f"records {first + 1}–{last}"
            anchors.append(Anchor(start=blocks[first].start, place=place))
        return ParsedDocument(
            text=text,
            title=stem(name),
            mime=self.mimes[0],
            blocks=tuple(blocks),
            anchors=tuple(anchors),
            warnings=warnings,
            lines=True,
        )


def _plain(text: str, name: str, warnings: tuple[str, ...]) -> ParsedDocument:
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    blocks = (Block(kind="code", start=start, end=end),) if start < end else ()
    return ParsedDocument(
        text=text, title=stem(name), mime=JsonParser.mimes[0], blocks=blocks, warnings=warnings, lines=True
    )


class _Teller:
    def __init__(self, out: TextBuilder) -> None:
        self._out = out

    def tell(self, value: Any, path: str, level: int) -> None:
        """Write `value`, which stands at `path`."""
        if isinstance(value, dict):
            self._object(value, path, level)
        elif isinstance(value, list):
            self._array(value, path, level)
        else:
            self._out.place(path)
            self._out.add("paragraph", _shown(value))

    def _object(self, value: dict[str, Any], path: str, level: int) -> None:
        flat = [f"{collapse(key)}: {_shown(inner)}" for key, inner in value.items() if _is_flat(inner)]
        if flat:
            self._out.place(path)
            self._out.add("list", "\n".join(flat))
        for key, inner in value.items():
            if not _is_flat(inner):
                where = f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key, ensure_ascii=False)}]"
                self._out.place(where)
                self._out.add("heading", collapse(key) or '""', min(level, _MAX_LEVEL))
                self.tell(inner, where, level + 1)

    def _array(self, value: list[Any], path: str, level: int) -> None:
        if _are_records(value):
            self._table(value, path)
            return
        for index, inner in enumerate(value):
            where = f"{path}[{index}]"
            if not _is_flat(inner):
                self._out.place(where)
                self._out.add("heading", f"[{index}]", min(level, _MAX_LEVEL))
            self.tell(inner, where, level + 1)

    def _table(self, records: list[dict[str, Any]], path: str) -> None:
        """The records in groups, each under the names of the columns again."""
        columns = list(dict.fromkeys(key for record in records for key in record))
        head = " | ".join(collapse(column) for column in columns)
        lines, size, first = [head], 0, 0
        for index, record in enumerate(records):
            lines.append(" | ".join(_shown(record[key]) if key in record else "" for key in columns))
            size += len(lines[-1])
            full = size > max(_GROUP_CHARACTERS, 3 * len(head)) or index - first + 1 >= _GROUP_ROWS
            if full or index == len(records) - 1:
                at, marks = len(head) + 1, [(0, f"{path}[{first}:{index + 1}]")]
                for number, line in enumerate(lines[1:], first):
                    marks.append((at, f"{path}[{number}]"))
                    at += len(line) + 1
                self._add_table("\n".join(lines), marks)
                lines, size, first = [head], 0, index + 1

    def _add_table(self, text: str, marks: list[tuple[int, str]]) -> None:
        ended = len(text.rstrip())
        self._out.add("table", text, marks=[(at, storable(collapse(place))) for at, place in marks if at < ended])


def _is_flat(value: Any) -> bool:
    """Whether a value reads on one line."""
    if isinstance(value, list):
        return all(not isinstance(inner, (dict, list)) for inner in value) and len(value) <= 50
    return not isinstance(value, dict) or not value


def _are_records(value: list[Any]) -> bool:
    """Whether an array is a table: flat objects of like shape, at least two."""
    if len(value) < 2 or not all(isinstance(record, dict) and record for record in value):
        return False
    columns = {key for record in value for key in record}
    if len(columns) > _MAX_COLUMNS or not any(key.strip() for key in columns):
        return False
    filled = sum(map(len, value))
    return filled * 2 >= len(columns) * len(value) and all(_is_flat(x) for record in value for x in record.values())


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return ", ".join(_shown(inner) for inner in value)
    return "{}" if isinstance(value, dict) else collapse(str(value))
