"""How the command line speaks: tables and JSON on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


# Answers, documents and names are data: what steers a terminal (title, clipboard, cursor) is shown, not done.
_STEERING = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
_STEERING |= {0x7F: "\u2421", **{code: f"<{code:02X}>" for code in range(0x80, 0xA0)}}
_IN_JSON = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


def shown(text: str) -> str:
    """`text` with a picture of each control character but tab and line feed; each alone, as a stream parts them."""
    return text if text.isprintable() else text.replace("\r\n", "\n").translate(_STEERING)


class Screen(Console):
    """A console on which nothing that is printed can steer the terminal; rich's own styles do."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            safe = segment.control or segment.text.isprintable() or segment.text == "\n"
            yield segment if safe else Segment(shown(segment.text), segment.style)


def talk() -> Console:
    """For people: progress, hints, questions. On stderr."""
    return Screen(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """For programs: one JSON document on stdout."""
    # JSON has no escapes for these of its own, and some terminals obey them.
    click.echo(json.dumps(data, indent=2, ensure_ascii=False).translate(_IN_JSON))


def show(
    data: Any,
    *,
    json_: bool,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    empty: str,
    right: Collection[str] = (),
) -> None:
    """`data` as JSON, or `rows` as a table; columns of `right` are figures."""
    if json_:
        print_json(data)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # An identifier is there to be copied: it is never shortened.
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, no_wrap=column == "ID" or column in right, overflow="fold", justify=justify)
    for row in rows:
        # Cells are data: a bracket in them is no markup.
        table.add_row(*(cell if isinstance(cell, Text) else Text(shown(str(cell))) for cell in row))
    if table.row_count:
        # In a pipe there is no width to keep.
        Screen(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
    else:
        talk().print(empty)


def told(reply: Any, text: str, *, json_: bool) -> None:
    """What was done: `reply` as JSON for programs, or `text` for people. Names in it are data, no markup."""
    if json_:
        print_json(reply)
    else:
        talk().print(text, markup=False)


def when(timestamp: float | None) -> str:
    """A local time for people, to the minute."""
    return "" if timestamp is None else datetime.fromtimestamp(timestamp, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
