"""How the command line speaks: tables and JSON on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def talk() -> Console:
    """For people: progress, hints, questions. On stderr."""
    return Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """For programs: one JSON document on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


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
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    if table.row_count:
        # In a pipe there is no width to keep.
        Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
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
