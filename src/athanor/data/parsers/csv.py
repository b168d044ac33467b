"""Delimited tables (CSV, TSV). The source text is the file's own, unchanged; records are named by their number.

Quotes are read as RFC 4180 has it: they open only at the beginning of a field, and a quoted field may run over lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from athanor.data.build import stem, storable
from athanor.data.encoding import decode
from athanor.types import Anchor, Block, ParsedDocument

_DELIMITERS = ",;\t|"
_SAMPLE = 200
"""Records that tell the delimiter."""
_RUNAWAY_LINES = 500
"""Lines of one record: a quote that is open for longer was never meant as one."""
_RUNAWAY_CHARACTERS = 200_000
_EXACT_ROWS = 50_000
"""Rows that are named one by one; of more than these, every `_GROUP` share a name."""
_GROUP = 20

Span = tuple[int, int]


class CsvParser:
    """One table block; its first line is the head. Row 1 is the first record, as in a spreadsheet program."""

    mimes: tuple[str, ...] = ("text/csv", "text/tab-separated-values")
    suffixes: tuple[str, ...] = (".csv", ".tsv", ".tab")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        text, warnings = decode(path.read_bytes(), name)
        text = storable(text)
        tabs = Path(name).suffix.lower() in {".tsv", ".tab"}
        delimiter = "\t" if tabs else find_delimiter(text)
        rows = list(records(text, delimiter))
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        return ParsedDocument(
            text=text,
            title=stem(name),
            mime=self.mimes[1] if delimiter == "\t" else self.mimes[0],
            blocks=(Block(kind="table", start=start, end=end),) if start < end else (),
            warnings=(*warnings, *_ragged(text, rows, delimiter)),
            anchors=tuple(_anchors(rows)),
            lines=True,
        )


def records(text: str, delimiter: str) -> Iterator[Span]:
    """Start and end (without the line end) of each record, empty ones included."""
    start = 0
    while start < len(text):
        end = _line_end(text, start)
        stop, lines = end, 1
        inside = _leaves_open(text[start:end], delimiter, False)
        while inside and stop < len(text) and lines < _RUNAWAY_LINES and stop - start < _RUNAWAY_CHARACTERS:
            next_end = _line_end(text, stop + 1)
            inside = _leaves_open(text[stop + 1 : next_end], delimiter, True)
            stop, lines = next_end, lines + 1
        if not inside:
            end = stop
        yield start, end
        start = end + 1


def _line_end(text: str, start: int) -> int:
    found = text.find("\n", start)
    return len(text) if found < 0 else found


def _leaves_open(line: str, delimiter: str, inside: bool) -> bool:
    """Whether a quoted field is open at the end of `line`, which begins `inside` one or not."""
    if '"' not in line:
        return inside
    at = 0
    while True:
        if inside:
            at = line.find('"', at)
            if at < 0:
                return True
            if line.startswith('""', at):
                at += 2
                continue
            inside, at = False, at + 1
        else:
            # `"` at the beginning of the line or behind a delimiter, perhaps with blanks between.
            found = re.compile(rf'(?:\A|{re.escape(delimiter)})[ ]*"').search(line, at)
            if found is None or (at and found.start() == 0):
                return False
            inside, at = True, found.end()


def fields(record: str, delimiter: str) -> list[str]:
    """The fields of one record."""
    if '"' not in record:
        return record.split(delimiter)
    found, at = [], 0
    while True:
        quoted = re.compile(r' *"((?:[^"]|"")*)"').match(record, at)
        if quoted:
            end = record.find(delimiter, quoted.end())
            found.append(quoted[1].replace('""', '"'))
        else:
            end = record.find(delimiter, at)
            found.append(record[at:] if end < 0 else record[at:end])
        if end < 0:
            return found
        at = end + 1


def find_delimiter(text: str) -> str:
    """What divides the fields: of comma, semicolon, tab and bar the one that divides most records alike."""
    best, delimiter = (0.0, 0), ","
    for candidate in _DELIMITERS:
        widths: Counter[int] = Counter()
        for number, (start, end) in enumerate(records(text[: 1 << 18], candidate)):
            if end > start:
                widths[len(fields(text[start:end], candidate))] += 1
            if number >= _SAMPLE:
                break
        width, alike = widths.most_common(1)[0] if widths else (1, 0)
        if width > 1 and (alike / widths.total(), width) > best:
            best, delimiter = (alike / widths.total(), width), candidate
    return delimiter


def _anchors(rows: list[Span]) -> Iterator[Anchor]:
    step = 1 if len(rows) <= _EXACT_ROWS else _GROUP
    for first in range(0, len(rows), step):
        last = min(first + step, len(rows))
        place = f"row {last}" if last == first + 1 else f"rows {first + 1}–{last}"
        yield Anchor(start=rows[first][0], place=place)


def _ragged(text: str, rows: list[Span], delimiter: str) -> tuple[str, ...]:
    """A warning of records whose number of fields is not that of the head."""
    filled = [(number, span) for number, span in enumerate(rows, 1) if span[1] > span[0]]
    if not filled:
        return ()
    start, end = filled[0][1]
    width = len(fields(text[start:end], delimiter))
    odd = [number for number, (a, b) in filled if len(fields(text[a:b], delimiter)) != width]
    if not odd:
        return ()
    shown = ", ".join(map(str, odd[:5])) + (" …" if len(odd) > 5 else "")
    return (f"{len(odd):,} of {len(filled):,} rows have not the {width} fields of the first: rows {shown}.",)
